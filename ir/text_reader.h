// The parts of the text form below a node: types, storages, attributes and constants, read from a
// stream of tokens. parser.cpp puts graphs together from them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"
#include "ir/graph.h"
#include "ir/lexer.h"
#include "ir/parser.h"

namespace neuronc {

// A storage whose base is still a name.
struct StorageText {
  Storage storage;
  Token base;  // kind end: none
};

class TextReader {
 public:
  TextReader(std::string_view text, std::string_view file, const ConstantPool& constants,
             Module& module, Diagnostics& diagnostics)
      : module_(module),
        diagnostics_(diagnostics),
        lexer_(text),
        file_(file),
        constants_(constants) {
    advance();
  }

 protected:
  const Token& token() const { return token_; }
  void advance() { token_ = lexer_.next(); }
  struct Position {
    Lexer lexer;
    Token token;
  };
  Position position() const { return {lexer_, token_}; }
  void rewind(const Position& to) {
    lexer_ = to.lexer;
    token_ = to.token;
  }
  bool at(std::string_view punctuation) const {
    return token_.is(TokenKind::punctuation, punctuation);
  }
  bool at_word(std::string_view word) const { return token_.is(TokenKind::word, word); }
  bool accept(std::string_view punctuation);
  bool accept_word(std::string_view word);
  Expected<void> expect(std::string_view punctuation);
  Expected<void> expect_word(std::string_view word);
  Expected<std::string> expect_kind(TokenKind kind, std::string_view what);
  Expected<int64_t> expect_int(std::string_view what);
  tl::unexpected<Reported> unexpected_token(std::string_view wanted);
  Location location(const Token& where) const;

  Expected<DType> read_dtype();
  Expected<Type> read_type();
  Expected<StorageText> read_storage(const Type& type);  // stands behind `in`
  Expected<AttributeValue> read_attribute(AttributeKind kind);
  Expected<AttributeValue> read_constant(const Type& type);
  Expected<std::vector<NamedAttribute>> read_attributes(const OpDef& def,
                                                        std::vector<std::string>& absent);

  Module& module_;
  Diagnostics& diagnostics_;

 private:
  Expected<Dim> read_dim();
  Expected<Type> read_tensor_type();
  Expected<Tensor> read_elements(const Type& type);
  Expected<void> read_element(Tensor& tensor, int64_t index);
  Expected<int64_t> checked_num_elements(const Type& type, const Token& where);
  template <class T, class ReadOne>
  Expected<AttributeValue> read_list(ReadOne read_one);

  Lexer lexer_;
  Token token_;
  std::string file_;
  const ConstantPool& constants_;
};

}  // namespace neuronc
