// Implements lexer.h.
#include "ir/lexer.h"

#include <charconv>

#include "ir/base/text.h"

namespace neuronc {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

void Lexer::skip_blanks() {
  while (position_ < text_.size()) {
    const char c = text_[position_];
    if (c == '\n') {
      ++line_;
      line_start_ = ++position_;
    } else if (c == ' ' || c == '\t' || c == '\r') {
      ++position_;
    } else if (c == '/' && peek(1) == '/') {
      while (position_ < text_.size() && text_[position_] != '\n') ++position_;
    } else {
      return;
    }
  }
}

std::string Lexer::take_word(std::string_view more) {
  const size_t start = position_;
  while (position_ < text_.size() && is_word_char(text_[position_], more)) ++position_;
  return std::string(text_.substr(start, position_ - start));
}

// Stands on the opening quote; false if the text or an escape is not closed.
bool Lexer::take_quoted(std::string& text) {
  ++position_;
  while (position_ < text_.size() && text_[position_] != '\n') {
    const char c = text_[position_++];
    if (c == '"') return true;
    if (c != '\\') {
      text += c;
      continue;
    }
    const char escaped = peek();
    ++position_;
    switch (escaped) {
      case 'n':
        text += '\n';
        break;
      case 't':
        text += '\t';
        break;
      case 'r':
        text += '\r';
        break;
      case '"':
        text += '"';
        break;
      case '\\':
        text += '\\';
        break;
      case 'x': {
        const int high = hex_digit(peek()), low = hex_digit(peek(1));
        if (high < 0 || low < 0) return false;
        text += static_cast<char>(16 * high + low);
        position_ += 2;
        break;
      }
      default:
        return false;
    }
  }
  return false;
}

void Lexer::take_value(Token& token) {
  ++position_;
  token.kind = TokenKind::value;
  if (peek() == '"') {
    if (!take_quoted(token.text)) token = {TokenKind::bad, "a name that is not closed"};
    if (token.text.empty()) token = {TokenKind::bad, "an empty name"};
  } else {
    token.text = take_word("./-");
    token.is_numbered = !token.text.empty() && is_digit(token.text[0]);
    if (token.text.empty()) token = {TokenKind::bad, "`%` without a name"};
    if (token.is_numbered && token.text.find_first_not_of("0123456789") != std::string::npos) {
      token = {TokenKind::bad, "a plain name that starts with a digit"};
    }
  }
  if (token.kind != TokenKind::value || peek() != '#') return;
  ++position_;
  const std::string digits = take_word("");
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), token.suffix);
  if (digits.empty() || result.ec != std::errc() || result.ptr != digits.data() + digits.size() ||
      token.suffix < 2) {
    token.kind = TokenKind::bad;
    token.text = "a name's number that is not 2 or more";
  }
}

void Lexer::take_number(Token& token) {
  token.kind = TokenKind::number;
  token.text += text_[position_++];
  while (position_ < text_.size()) {
    const char c = text_[position_];
    const char before = token.text.back();
    const bool is_exponent_sign =
        (c == '+' || c == '-') && (before == 'e' || before == 'E') && !token.text.starts_with("0x");
    if (!is_word_char(c, ".") && !is_exponent_sign) break;
    token.text += c;
    ++position_;
  }
}

void Lexer::take_punctuation(Token& token) {
  token.kind = TokenKind::punctuation;
  if (text_.substr(position_, 3) == "...") {
    token.text = "...";
    position_ += 3;
    return;
  }
  const char c = text_[position_++];
  token.text = std::string(1, c);
  if (std::string_view("(){}[]:,=@?*").find(c) == std::string_view::npos) {
    const bool is_printable = c > 0x20 && c < 0x7f;
    token = {TokenKind::bad, is_printable ? "`" + token.text + "`" : "a byte that is no text"};
  }
}

Token Lexer::next() {
  skip_blanks();
  Token token;
  const int64_t line = line_;
  const int64_t column = static_cast<int64_t>(position_ - line_start_) + 1;
  if (position_ < text_.size()) {
    const char c = text_[position_];
    if (c == '%') {
      take_value(token);
    } else if (c == '"') {
      token.kind = TokenKind::quoted;
      if (!take_quoted(token.text)) token = {TokenKind::bad, "a text that is not closed"};
    } else if (c == '#') {
      ++position_;
      token.kind = TokenKind::hash;
      token.text = take_word("");
    } else if (is_digit(c) || (c == '-' && is_word_char(peek(1), "."))) {
      take_number(token);
    } else if (is_word_char(c, "")) {
      token.kind = TokenKind::word;
      token.text = take_word(".");
    } else {
      take_punctuation(token);
    }
  }
  token.line = line;
  token.column = column;
  return token;
}

std::string to_text(const Token& token) {
  switch (token.kind) {
    case TokenKind::end:
      return "the end of the text";
    case TokenKind::value:
      return "`%" + token.text + "`";
    case TokenKind::quoted:
      return quoted(token.text);
    case TokenKind::hash:
      return "`#" + token.text + "`";
    case TokenKind::bad:
      return token.text;
    default:
      return "`" + token.text + "`";
  }
}

}  // namespace neuronc
