// Implements text_reader.h.
#include "ir/text_reader.h"

#include <fmt/format.h>

#include "ir/base/text.h"
#include "ir/tensor_text.h"

namespace neuronc {
namespace {

constexpr int64_t kMaxRank = 64;
// Of one constant that `...` makes from one element; lists cannot be larger than their text.
constexpr int64_t kMaxRepeatedBytes = int64_t{1} << 30;

}  // namespace

bool TextReader::accept(std::string_view punctuation) {
  if (!at(punctuation)) return false;
  advance();
  return true;
}

bool TextReader::accept_word(std::string_view word) {
  if (!at_word(word)) return false;
  advance();
  return true;
}

Location TextReader::location(const Token& where) const {
  Location location;
  location.file = file_;
  location.line = where.line;
  location.column = where.column;
  return location;
}

tl::unexpected<Reported> TextReader::unexpected_token(std::string_view wanted) {
  diagnostics_.report(diag::text_syntax, location(token_), wanted, to_text(token_));
  return reported();
}

Expected<void> TextReader::expect(std::string_view punctuation) {
  if (!accept(punctuation)) return unexpected_token("`" + std::string(punctuation) + "`");
  return {};
}

Expected<void> TextReader::expect_word(std::string_view word) {
  if (!accept_word(word)) return unexpected_token("`" + std::string(word) + "`");
  return {};
}

Expected<std::string> TextReader::expect_kind(TokenKind kind, std::string_view what) {
  if (token_.kind != kind) return unexpected_token(what);
  std::string text = std::move(token_.text);
  advance();
  return text;
}

Expected<int64_t> TextReader::expect_int(std::string_view what) {
  int64_t number = 0;
  if (token_.kind != TokenKind::number || !int_from_text(token_.text, number)) {
    return unexpected_token(what);
  }
  advance();
  return number;
}

Expected<DType> TextReader::read_dtype() {
  if (token_.kind == TokenKind::word && token_.text != "none") {
    if (const auto dtype = dtype_from_name(token_.text)) {
      advance();
      return *dtype;
    }
  }
  return unexpected_token("an element type");
}

Expected<Dim> TextReader::read_dim() {
  if (accept("?")) return Dim::unknown();
  if (token_.kind == TokenKind::word || token_.kind == TokenKind::quoted) {
    const Dim dim = Dim::symbol(module_.add_symbol(token_.text));
    advance();
    return dim;
  }
  int64_t number = 0;
  if (token_.kind != TokenKind::number || !int_from_text(token_.text, number) || number < 0) {
    return unexpected_token("an extent, a symbol or `?`");
  }
  advance();
  return Dim(number);
}

Expected<Type> TextReader::read_tensor_type() {
  NEURONC_ASSIGN(const DType dtype, read_dtype());
  NEURONC_TRY(expect("["));
  if (accept("*")) {
    NEURONC_TRY(expect("]"));
    return Type::unranked(dtype);
  }
  std::vector<Dim> dims;
  while (!at("]")) {
    if (!dims.empty()) NEURONC_TRY(expect(","));
    if (static_cast<int64_t>(dims.size()) == kMaxRank) {
      diagnostics_.report(diag::text_limit, location(token_), "the rank of a type", kMaxRank);
      return reported();
    }
    NEURONC_ASSIGN(const Dim dim, read_dim());
    dims.push_back(dim);
  }
  advance();
  return Type::tensor(dtype, std::move(dims));
}

Expected<Type> TextReader::read_type() {
  if (accept_word("none")) return Type();
  const bool is_optional = accept_word("opt");
  if (is_optional) NEURONC_TRY(expect("("));
  const bool is_sequence = accept_word("seq");
  if (is_sequence) NEURONC_TRY(expect("("));
  NEURONC_ASSIGN(Type type, read_tensor_type());
  if (is_sequence) {
    NEURONC_TRY(expect(")"));
    type = Type::sequence(std::move(type));
  }
  if (is_optional) {
    NEURONC_TRY(expect(")"));
    type = Type::optional(std::move(type));
  }
  return type;
}

Expected<StorageText> TextReader::read_storage(const Type& type) {
  NEURONC_ASSIGN(const DType dtype, read_dtype());
  StorageText result;
  Storage& storage = result.storage;
  storage.dtype = dtype;
  if (!accept_word("strides")) {
    const Token here = token_;
    if (!type.is_static()) return unexpected_token("`strides`, as the shape is not static");
    NEURONC_TRY(checked_num_elements(type, here));
    storage = Storage::dense(dtype, type.shape());
    return result;
  }
  NEURONC_ASSIGN(AttributeValue strides, read_attribute(AttributeKind::ints));
  storage.strides = std::get<std::vector<int64_t>>(std::move(strides));
  if (accept_word("block")) {
    NEURONC_ASSIGN(storage.block, expect_int("a block's extent"));
  }
  if (at_word("dim")) {
    advance();
    const Token here = token_;
    NEURONC_ASSIGN(const int64_t dim, expect_int("a dim's number"));
    if (dim < 0 || dim >= kMaxRank) {
      diagnostics_.report(diag::text_limit, location(here), "a dim's number", kMaxRank - 1);
      return reported();
    }
    storage.blocked_dim = static_cast<int32_t>(dim);
  }
  if (accept_word("offset")) {
    NEURONC_ASSIGN(storage.offset, expect_int("an offset"));
  }
  if (accept_word("size")) {
    NEURONC_ASSIGN(storage.num_elements, expect_int("a size"));
  }
  if (accept_word("of")) {
    result.base = token_;
    NEURONC_TRY(expect_kind(TokenKind::value, "a value"));
  }
  return result;
}

template <class T, class ReadOne>
Expected<AttributeValue> TextReader::read_list(ReadOne read_one) {
  NEURONC_TRY(expect("["));
  std::vector<T> list;
  while (!at("]")) {
    if (!list.empty()) NEURONC_TRY(expect(","));
    T item{};
    NEURONC_TRY(read_one(item));
    list.push_back(std::move(item));
  }
  advance();
  return AttributeValue(std::move(list));
}

// Reads by the kind that the schema states: `[1, 2]` may be integers or floats.
Expected<AttributeValue> TextReader::read_attribute(AttributeKind kind) {
  const auto read_int = [this](int64_t& value) -> Expected<void> {
    NEURONC_ASSIGN(value, expect_int("an integer"));
    return {};
  };
  const auto read_float = [this](double& value) -> Expected<void> {
    const bool is_number = token_.kind == TokenKind::number || token_.kind == TokenKind::word;
    if (!is_number || !float_from_text(token_.text, value)) return unexpected_token("a number");
    advance();
    return {};
  };
  const auto read_string = [this](std::string& value) -> Expected<void> {
    NEURONC_ASSIGN(value, expect_kind(TokenKind::quoted, "a quoted text"));
    return {};
  };
  switch (kind) {
    case AttributeKind::i64: {
      NEURONC_ASSIGN(const int64_t value, expect_int("an integer"));
      return AttributeValue(value);
    }
    case AttributeKind::f64: {
      double value = 0;
      NEURONC_TRY(read_float(value));
      return AttributeValue(value);
    }
    case AttributeKind::string: {
      std::string value;
      NEURONC_TRY(read_string(value));
      return AttributeValue(std::move(value));
    }
    case AttributeKind::ints:
      return read_list<int64_t>(read_int);
    case AttributeKind::floats:
      return read_list<double>(read_float);
    case AttributeKind::strings:
      return read_list<std::string>(read_string);
    case AttributeKind::dtype: {
      NEURONC_ASSIGN(const DType dtype, read_dtype());
      return AttributeValue(dtype);
    }
    case AttributeKind::constant: {
      NEURONC_ASSIGN(const Type type, read_type());
      return read_constant(type);
    }
    case AttributeKind::none:
      break;
  }
  return unexpected_token("an attribute's value");
}

Expected<std::vector<NamedAttribute>> TextReader::read_attributes(
    const OpDef& def, std::vector<std::string>& absent) {
  std::vector<NamedAttribute> given;
  NEURONC_TRY(expect("{"));
  for (bool is_first = true; !at("}"); is_first = false) {
    if (!is_first) NEURONC_TRY(expect(","));
    const Token here = token_;
    NEURONC_ASSIGN(std::string attribute, expect_kind(TokenKind::word, "an attribute's name"));
    const auto index = def.attribute_index(attribute);
    if (!index) {
      diagnostics_.report(diag::text_bad_attribute, location(here),
                          fmt::format("`{}` has no attribute `{}`", def.name, attribute));
      return reported();
    }
    NEURONC_TRY(expect("="));
    if (accept_word("none")) {
      absent.push_back(std::move(attribute));
      continue;
    }
    NEURONC_ASSIGN(AttributeValue value, read_attribute(def.attributes[*index].kind));
    given.push_back({std::move(attribute), std::move(value)});
  }
  advance();
  return given;
}

Expected<int64_t> TextReader::checked_num_elements(const Type& type, const Token& where) {
  int64_t product = 1;
  bool overflows = !type.is_static();
  for (Dim dim : type.dims) {
    overflows = overflows || __builtin_mul_overflow(product, dim.number(), &product);
  }
  int64_t size = 0;
  overflows = overflows || __builtin_mul_overflow(product, int64_t{8}, &size);
  if (overflows) {
    diagnostics_.report(diag::text_bad_constant, location(where),
                        fmt::format("{} has no size that can be counted", to_text(type, &module_)));
    return reported();
  }
  return product;
}

Expected<void> TextReader::read_element(Tensor& tensor, int64_t index) {
  if (tensor.dtype() == DType::string) {
    NEURONC_ASSIGN(tensor.mutable_strings()[static_cast<size_t>(index)],
                   expect_kind(TokenKind::quoted, "a quoted text"));
    return {};
  }
  const bool is_value = token_.kind == TokenKind::number || token_.kind == TokenKind::word;
  if (!is_value || !element_from_text(token_.text, tensor, index)) {
    return unexpected_token("an element of type " + std::string(name(tensor.dtype())));
  }
  advance();
  return {};
}

// `{1, 2}` or `{1, ...}`. The tensor grows with the text, so that a small text with a large type
// takes no memory before its elements are there.
Expected<Tensor> TextReader::read_elements(const Type& type) {
  const Token start = token_;
  NEURONC_ASSIGN(const int64_t num_elements, checked_num_elements(type, start));
  NEURONC_TRY(expect("{"));
  int64_t capacity = std::min<int64_t>(num_elements, 16);
  Tensor tensor = Tensor::zeros(type.dtype, {capacity});
  const auto grow_to = [&](int64_t new_capacity) {
    Tensor larger = Tensor::zeros(type.dtype, {new_capacity});
    if (type.dtype == DType::string) {
      std::copy(tensor.strings().begin(), tensor.strings().end(), larger.mutable_strings().begin());
    } else {
      std::copy(tensor.bytes().begin(), tensor.bytes().end(), larger.mutable_data());
    }
    tensor = std::move(larger);
    capacity = new_capacity;
  };
  int64_t count = 0;
  bool is_repeated = false;
  while (!at("}")) {
    if (count > 0) NEURONC_TRY(expect(","));
    if (count == 1 && type.dtype != DType::string && accept("...")) {
      is_repeated = true;
      break;
    }
    if (count == num_elements) break;
    if (count == capacity) grow_to(std::min(num_elements, 2 * capacity));
    NEURONC_TRY(read_element(tensor, count));
    ++count;
  }
  if (is_repeated) {
    if (num_elements > kMaxRepeatedBytes / size_bytes(type.dtype)) {
      diagnostics_.report(diag::text_limit, location(start), "the size of a repeated constant",
                          kMaxRepeatedBytes);
      return reported();
    }
    if (num_elements > 0) grow_to(num_elements);
    // What is there doubles: a text of a few bytes may ask for many elements.
    std::byte* const data = tensor.mutable_data();
    const auto size =
        static_cast<size_t>(num_elements) * static_cast<size_t>(size_bytes(type.dtype));
    for (auto done = static_cast<size_t>(size_bytes(type.dtype)); done < size;) {
      const size_t more = std::min(done, size - done);
      std::copy_n(data, more, data + done);
      done += more;
    }
  } else if (count != num_elements || !at("}")) {
    diagnostics_.report(diag::text_bad_constant, location(start),
                        fmt::format("the constant needs {} elements, as its type is {}",
                                    num_elements, to_text(type, &module_)));
    return reported();
  }
  NEURONC_TRY(expect("}"));
  if (num_elements == 0) tensor = Tensor::zeros(type.dtype, {0});
  return tensor.with_shape(type.shape());
}

Expected<AttributeValue> TextReader::read_constant(const Type& type) {
  if (!type.is_tensor() || !type.is_static()) {
    diagnostics_.report(diag::text_bad_constant, location(token_),
                        fmt::format("a constant cannot be {}", to_text(type, &module_)));
    return reported();
  }
  if (token_.kind != TokenKind::hash) {
    NEURONC_ASSIGN(Tensor tensor, read_elements(type));
    return AttributeValue(module_.add_constant(std::move(tensor)));
  }
  const auto found = constants_.find(token_.text);
  if (found == constants_.end()) {
    diagnostics_.report(diag::text_missing_constant, location(token_), token_.text);
    return reported();
  }
  if (found->second.type() != type) {
    diagnostics_.report(diag::text_bad_constant, location(token_),
                        fmt::format("the constant is {}, not {}", to_text(found->second.type()),
                                    to_text(type, &module_)));
    return reported();
  }
  advance();
  return AttributeValue(module_.add_constant(found->second));
}

}  // namespace neuronc
