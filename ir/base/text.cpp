// Implements text.h.
#include "ir/base/text.h"

#include <fmt/format.h>

namespace neuronc {

bool is_word_char(char c, std::string_view more) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         more.find(c) != std::string_view::npos;
}

bool is_word(std::string_view text, std::string_view more) {
  if (text.empty() || (text[0] >= '0' && text[0] <= '9') || text[0] == '-') return false;
  for (char c : text) {
    if (!is_word_char(c, more)) return false;
  }
  return true;
}

namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// C0, DEL, and C1 as UTF-8 spells it (c2 80 to c2 9f).
bool is_control(std::string_view text, size_t i) {
  const auto byte = static_cast<unsigned char>(text[i]);
  if (byte < 0x20 || byte == 0x7f) return true;
  const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
  return byte == 0xc2 && next >= 0x80 && next <= 0x9f;
}

void append_printable(std::string& out, std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (!is_control(text, i)) {
      out += text[i];
    } else if (text[i] == '\n') {
      out += "\\n";
    } else if (text[i] == '\t') {
      out += "\\t";
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
    }
  }
}

}  // namespace

std::string printable(std::string_view text, size_t max_length) {
  std::string out;
  if (text.size() <= max_length) {
    append_printable(out, text);
    return out;
  }
  size_t head = max_length / 2, tail = text.size() - max_length / 2;
  while (head > 0 && is_continuation(text[head])) --head;
  while (tail < text.size() && is_continuation(text[tail])) ++tail;
  append_printable(out, text.substr(0, head));
  out += "...";
  append_printable(out, text.substr(tail));
  return out;
}

std::string printable_lines(std::string_view text) {
  std::string out;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    append_printable(out, text.substr(begin, end - begin));
    if (end < text.size()) out += '\n';
    begin = end + 1;
  }
  return out;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        if (is_control(text, i)) {
          out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

std::string word_or_quoted(std::string_view text, std::string_view more) {
  return is_word(text, more) ? std::string(text) : quoted(text);
}

}  // namespace neuronc
