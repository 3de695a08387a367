// Splits the text form of modules into tokens; knows lines and columns, nothing of the grammar.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace neuronc {

enum class TokenKind : uint8_t {
  end,
  word,         // conv  f32  N.1
  value,        // %name  %"a:0"  %name#2: `text` is the name, `suffix` its number or 0
  number,       // -1.5e-07  0x7fc0  -inf
  quoted,       // "text", unescaped
  hash,         // #0123...: `text` without the #
  punctuation,  // one of ( ) { } [ ] : , = @ ? * or ...
  bad,          // `text` says what is wrong
};

struct Token {
  TokenKind kind = TokenKind::end;
  std::string text;
  int64_t suffix = 0;
  bool is_numbered = false;  // a value without a name: %12
  int64_t line = 1;
  int64_t column = 1;

  bool is(TokenKind k, std::string_view t) const { return kind == k && text == t; }
};

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  Token next();
  size_t position() const { return position_; }  // bytes taken so far

 private:
  void skip_blanks();
  char peek(size_t ahead = 0) const {
    return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0';
  }
  std::string take_word(std::string_view more);
  bool take_quoted(std::string& text);
  void take_value(Token& token);
  void take_number(Token& token);
  void take_punctuation(Token& token);

  std::string_view text_;
  size_t position_ = 0;
  size_t line_start_ = 0;
  int64_t line_ = 1;
};

// How a message names a token.
std::string to_text(const Token& token);

}  // namespace neuronc
