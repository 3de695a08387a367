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

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
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
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
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
