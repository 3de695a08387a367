// Reads the text form of kernels. Names become ids as they are met, so that a parsed kernel is
// well-formed in its ids; types and bounds are for the verifier.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>

#include "ir/kernel/text.h"

namespace neuronc::kernel {
namespace {

constexpr int kMaxNesting = 100;
// Numbers in indices and extents; products of a few of them fit 64 bits.
constexpr int64_t kMaxNumber = int64_t{1} << 40;

// Leaves by exception inside this file alone: a parse ends at its first error.
struct ParseError {
  std::string reason;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Kernel run() {
    expect("kernel");
    expect("@");
    kernel_.name = peek() == '"' ? quoted() : word("_.$-");
    expect("tiles");
    kernel_.num_tiles = number();
    if (kernel_.num_tiles < 0) fail("a number of tiles");
    kernel_.tile_variable =
        table().add_variable("t", {0, std::max<int64_t>(kernel_.num_tiles - 1, 0)});
    variables_["t"] = kernel_.tile_variable;
    expect("{");
    while (is_buffer()) buffer();
    kernel_.body = open_block();
    block_ops();
    expect("}");
    skip_space();
    if (at_ != text_.size()) fail("the end");
    return std::move(kernel_);
  }

 private:
  IndexTable& table() { return kernel_.indices(); }

  // Characters and words.
  [[noreturn]] void fail(std::string_view expected) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at_ && i < text_.size(); ++i) {
      column = text_[i] == '\n' ? 1 : column + 1;
      line += text_[i] == '\n' ? 1 : 0;
    }
    throw ParseError{fmt::format("line {}, column {}: {} is expected", line, column, expected)};
  }

  void skip_space() {
    while (at_ < text_.size()) {
      if (text_[at_] == '/' && at_ + 1 < text_.size() && text_[at_ + 1] == '/') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (std::isspace(static_cast<unsigned char>(text_[at_]))) {
        ++at_;
      } else {
        return;
      }
    }
  }
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  static bool is_word_character(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  }

  bool accept(std::string_view token) {
    skip_space();
    if (text_.substr(at_, token.size()) != token) return false;
    const size_t end = at_ + token.size();
    const bool splits_word =
        is_word_character(token.back()) && end < text_.size() && is_word_character(text_[end]);
    if (splits_word) return false;
    at_ = end;
    return true;
  }
  void expect(std::string_view token) {
    if (!accept(token)) fail(fmt::format("`{}`", token));
  }

  std::string word(std::string_view extra = "") {
    skip_space();
    const size_t begin = at_;
    while (at_ < text_.size() &&
           (is_word_character(text_[at_]) || extra.find(text_[at_]) != std::string_view::npos)) {
      ++at_;
    }
    if (at_ == begin) fail("a name");
    return std::string(text_.substr(begin, at_ - begin));
  }

  std::string quoted() {
    expect("\"");
    std::string result;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      result += text_[at_++];
    }
    expect("\"");
    return result;
  }

  // Any 64 bits: decimal with a sign, or hexadecimal.
  int64_t bits() {
    const bool is_negative = accept("-");
    skip_space();
    uint64_t value = 0;
    const size_t begin = at_;
    int base = 10;
    if (text_.substr(at_, 2) == "0x") {
      base = 16;
      at_ += 2;
    }
    for (; at_ < text_.size() && std::isxdigit(static_cast<unsigned char>(text_[at_])); ++at_) {
      const char c = static_cast<char>(std::tolower(static_cast<unsigned char>(text_[at_])));
      const int digit = c >= 'a' ? c - 'a' + 10 : c - '0';
      if (digit >= base) fail("a number");
      const uint64_t limit = ~uint64_t{0} / static_cast<uint64_t>(base);
      if (value > limit) fail("a number of 64 bits");
      value = value * static_cast<uint64_t>(base) + static_cast<uint64_t>(digit);
    }
    if (at_ == begin) fail("a number");
    return static_cast<int64_t>(is_negative ? 0 - value : value);
  }
  int64_t number() {
    const int64_t value = bits();
    if (value < -kMaxNumber || value > kMaxNumber) fail("a number below 2^40");
    return value;
  }

  std::vector<int64_t> numbers() {
    std::vector<int64_t> result;
    expect("[");
    if (accept("]")) return result;
    do {
      result.push_back(number());
    } while (accept(","));
    expect("]");
    return result;
  }

  ValueType type() {
    const std::string text = word();
    ValueType result;
    const size_t x = text.find('x');
    const auto dtype = dtype_from_name(text.substr(0, x));
    if (!dtype || !is_kernel_dtype(*dtype)) fail("a type");
    result.dtype = *dtype;
    if (x != std::string::npos) {
      const std::string lanes = text.substr(x + 1);
      if (lanes.empty() || lanes.size() > 4 ||
          !std::all_of(lanes.begin(), lanes.end(), [](char c) { return c >= '0' && c <= '9'; })) {
        fail("a number of lanes");
      }
      result.lanes = std::stoi(lanes);
    }
    if ((result.lanes < 1 || result.lanes > kMaxLanes) && !is_matrix(result)) {
      fail("1 to 64 lanes, or a matrix");
    }
    return result;
  }

  // Buffers.
  bool is_buffer() {
    const size_t start = at_;
    const bool is = accept("readwrite") || accept("read") || accept("write") || accept("local");
    at_ = start;
    return is;
  }

  void buffer() {
    Buffer b;
    if (accept("local")) {
      b.kind = BufferKind::local;
      b.access = Access::read_write;
    } else {
      b.access = accept("readwrite") ? Access::read_write
                 : accept("read")    ? Access::read
                                     : (expect("write"), Access::write);
    }
    expect("%");
    b.name = word();
    expect(":");
    const ValueType element = type();
    if (element.lanes != 1) fail("an element type");
    b.dtype = element.dtype;
    b.extents = numbers();
    if (accept("strides")) {
      b.strides = numbers();
      if (b.strides.size() != b.extents.size()) fail("a stride for each extent");
    } else {
      b.strides.resize(b.extents.size());
      __int128 dense = 1;
      for (size_t d = b.extents.size(); d-- > 0;) {
        b.strides[d] = static_cast<int64_t>(dense);
        dense *= std::max<int64_t>(b.extents[d], 1);
        if (dense > kIndexLimit) fail("a smaller buffer");
      }
    }
    b.is_noalias = !accept("may_alias");
    if (!buffers_.emplace(b.name, BufferId(kernel_.buffers.size())).second) fail("a new name");
    kernel_.buffers.push_back(std::move(b));
  }

  BufferId buffer_name() {
    expect("%");
    const auto it = buffers_.find(word());
    if (it == buffers_.end()) fail("a buffer");
    return it->second;
  }

  // Indices.
  Index index() {
    if (++nesting_ > kMaxNesting) fail("a simpler index");
    Index sum = accept("-") ? Index(0) - index_term() : index_term();
    for (;;) {
      if (accept("+")) {
        sum += index_term();
      } else if (accept("-")) {
        sum -= index_term();
      } else {
        --nesting_;
        return sum;
      }
    }
  }

  Index index_term() {
    const char c = peek();
    if (c >= '0' && c <= '9') {
      const int64_t n = number();
      return accept("*") ? index_atom() * Index(n) : Index(n);
    }
    return index_atom();
  }

  int64_t divisor() {
    expect(",");
    const int64_t d = number();
    if (d <= 0) fail("a positive divisor");
    expect(")");
    return d;
  }

  Index index_atom() {
    if (accept("%")) {
      const auto it = variables_.find(word());
      if (it == variables_.end()) fail("a loop variable");
      return table().variable_index(it->second);
    }
    const std::string function = word();
    expect("(");
    if (function == "data") {
      const ValueId v = value();
      expect(")");
      const OpId def = kernel_.values[v.index].def;
      if (!def || kernel_.op(def).code != OpCode::check_index) fail("a result of check_index");
      return table().data_index(v, kernel_.op(def).immediates[0]);
    }
    const Index a = index();
    if (function == "floordiv") return floor_div(a, divisor());
    if (function == "mod") return mod(a, divisor());
    if (function != "min" && function != "max") fail("floordiv, mod, min, max or data");
    expect(",");
    const Index b = index();
    expect(")");
    return function == "min" ? min(a, b) : max(a, b);
  }

  IndexId index_id() { return table().intern(index()); }

  // Values.
  ValueId value() {
    const auto it = values_.find(word());
    if (it == values_.end()) fail("a value");
    return it->second;
  }
  std::vector<ValueId> value_list() {
    std::vector<ValueId> result;
    const char c = peek();
    if (c != 'v') return result;
    do {
      result.push_back(value());
    } while (accept(","));
    return result;
  }
  ValueId define(const std::string& name, ValueType type, OpId def) {
    const ValueId id(kernel_.values.size());
    kernel_.values.push_back({type, def});
    if (!values_.emplace(name, id).second) fail("a new value");
    return id;
  }

  // Blocks and operations.
  BlockId open_block() {
    const BlockId id(kernel_.blocks.size());
    kernel_.blocks.emplace_back();
    open_.push_back(id);
    if (open_.size() > kMaxNesting) fail("less nesting");
    return id;
  }
  OpId append(Op op) {
    const OpId id(kernel_.ops.size());
    kernel_.ops.push_back(std::move(op));
    kernel_.blocks[open_.back().index].ops.push_back(id);
    return id;
  }

  void block_ops() {
    while (peek() != '}') {
      if (at_ == text_.size()) fail("`}`");
      operation();
    }
  }

  // `{ ... }`; an empty yield is not written.
  BlockId nested_block(const std::vector<std::pair<std::string, ValueType>>& arguments) {
    const BlockId id = open_block();
    for (const auto& [name, type] : arguments) {
      const ValueId v = define(name, type, OpId());
      kernel_.blocks[id.index].arguments.push_back(v);
    }
    expect("{");
    block_ops();
    expect("}");
    const std::vector<OpId>& ops = kernel_.blocks[id.index].ops;
    if (ops.empty() || kernel_.op(ops.back()).code != OpCode::yield) append(Op{OpCode::yield});
    open_.pop_back();
    return id;
  }

  std::optional<OpCode> op_code(const std::string& word) {
    for (int i = 0; i < kNumOpCodes; ++i) {
      if (name(static_cast<OpCode>(i)) == word) return static_cast<OpCode>(i);
    }
    return std::nullopt;
  }

  void operation() {
    std::vector<std::string> results;
    std::string first = word();
    if (!op_code(first)) {
      results.push_back(first);
      while (accept(",")) results.push_back(word());
      expect("=");
      first = word();
    }
    const std::optional<OpCode> code = op_code(first);
    if (!code) fail("an operation");
    Op op{*code};
    switch (*code) {
      case OpCode::for_:
        return for_operation(std::move(op), results);
      case OpCode::if_:
      case OpCode::if_true:
        return if_operation(std::move(op), results);
      case OpCode::load:
      case OpCode::store:
      case OpCode::store_masked:
      case OpCode::prefetch:
      case OpCode::matrix_load:
      case OpCode::matrix_store:
        access(op);
        break;
      case OpCode::constant:
        constant(op);
        break;
      case OpCode::index_value:
        op.indices.push_back(index_id());
        break;
      default:
        op.operands = value_list();
        if (peek() == '[') op.immediates = numbers();
        break;
    }
    if (*code == OpCode::check_index && op.immediates.size() != 1) fail("[bound]");
    if (results.size() > 1) fail("one result");
    if (results.empty()) {
      append(std::move(op));
      return;
    }
    expect(":");
    const ValueType result_type = type();
    const OpId id = append(std::move(op));
    const ValueId result = define(results[0], result_type, id);
    kernel_.ops[id.index].results.push_back(result);
  }

  void constant(Op& op) {
    if (!accept("[")) {
      op.immediates.push_back(bits());
      return;
    }
    do {
      op.immediates.push_back(bits());
    } while (accept(","));
    expect("]");
  }

  void access(Op& op) {
    op.buffer = buffer_name();
    const size_t rank = kernel_.buffer(op.buffer).extents.size();
    expect("[");
    for (size_t d = 0; d < rank; ++d) {
      if (d > 0) expect(",");
      op.indices.push_back(index_id());
    }
    expect("]");
    op.lane_dim = static_cast<int8_t>(static_cast<int>(rank) - 1);
    if (op.code == OpCode::store || op.code == OpCode::store_masked ||
        op.code == OpCode::matrix_store) {
      expect(",");
      op.operands = value_list();
    }
    if (op.code == OpCode::matrix_load || op.code == OpCode::matrix_store) {
      expect("rows");
      op.row_dim = dim_of(rank);
    }
    if (accept("dim")) op.lane_dim = dim_of(rank);
    if (accept("active")) {
      op.has_active = true;
      op.indices.push_back(index_id());
    }
  }

  int8_t dim_of(size_t rank) {
    const int64_t dim = number();
    if (dim < 0 || dim >= static_cast<int64_t>(rank)) fail("a dim of the buffer");
    return static_cast<int8_t>(dim);
  }

  void define_results(OpId id, const std::vector<std::string>& names,
                      const std::vector<ValueId>& like) {
    if (names.size() != like.size()) fail("as many results as values");
    for (size_t i = 0; i < names.size(); ++i) {
      const ValueId v = define(names[i], kernel_.type(like[i]), id);
      kernel_.ops[id.index].results.push_back(v);
    }
  }

  void for_operation(Op op, const std::vector<std::string>& results) {
    expect("%");
    const std::string variable = word();
    if (variables_.count(variable) != 0) fail("a new loop variable");
    expect("in");
    expect("[");
    const Index lower = index();
    expect(",");
    const Index upper = index();
    expect(")");
    const int64_t step = accept("step") ? number() : 1;
    if (step <= 0) fail("a positive step");
    int64_t unroll = 1;
    if (accept("unroll")) unroll = accept("full") ? 0 : number();
    std::vector<std::pair<std::string, ValueType>> arguments;
    if (accept("with")) {
      do {
        const std::string name = word();
        expect("=");
        op.operands.push_back(value());
        arguments.emplace_back(name, kernel_.type(op.operands.back()));
      } while (accept(","));
    }
    op.variable =
        table().add_variable(variable, loop_interval(lower.interval(), upper.interval(), step));
    variables_[variable] = op.variable;
    op.indices = {table().intern(lower), table().intern(upper)};
    op.immediates = {step, unroll};
    op.blocks[0] = nested_block(arguments);
    const std::vector<ValueId> like = op.operands;
    define_results(append(std::move(op)), results, like);
  }

  void guards(Op& op) {
    expect("(");
    if (accept(")")) return;
    do {
      Guard g{IndexId(), -kIndexLimit, kIndexLimit};
      Index expr = index();
      if (accept("<=")) {
        if (!expr.is_constant()) fail("a constant lower end");
        g.lo = expr.constant();
        expr = index();
      }
      if (accept("<")) g.hi = number();
      g.expr = table().intern(expr);
      op.guards.push_back(g);
    } while (accept(","));
    expect(")");
  }

  void if_operation(Op op, const std::vector<std::string>& results) {
    if (op.code == OpCode::if_) {
      guards(op);
    } else {
      op.operands.push_back(value());
    }
    op.blocks[0] = nested_block({});
    if (accept("else")) op.blocks[1] = nested_block({});
    const OpId yield = kernel_.block(op.blocks[0]).ops.back();
    const std::vector<ValueId> like = kernel_.op(yield).operands;
    define_results(append(std::move(op)), results, like);
  }

  std::string_view text_;
  size_t at_ = 0;
  int nesting_ = 0;
  Kernel kernel_;
  std::vector<BlockId> open_;
  std::map<std::string, BufferId> buffers_;
  std::map<std::string, VariableId> variables_;
  std::map<std::string, ValueId> values_;
};

}  // namespace

OrRefusal<Kernel> parse(std::string_view text) {
  try {
    return Parser(text).run();
  } catch (const ParseError& error) {
    return refuse(error.reason);
  }
}

}  // namespace neuronc::kernel
