// Prints kernels. Values are numbered in the order in which they are printed and terms of indices
// are ordered by their text, so that the result does not depend on how the kernel was built.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "ir/kernel/text.h"

namespace neuronc::kernel {
namespace {

enum class Names { kept, anonymous };

class Printer {
 public:
  Printer(const Kernel& kernel, Names names) : kernel_(kernel) { name_everything(names); }

  std::string run(Names names) {
    out_ += fmt::format("kernel @{} tiles {} {{\n",
                        names == Names::kept ? quoted(kernel_.name) : std::string("k"),
                        kernel_.num_tiles);
    for (size_t i = 0; i < kernel_.buffers.size(); ++i) print_buffer(BufferId(i));
    print_block(kernel_.body, 1);
    out_ += "}\n";
    return std::move(out_);
  }

  // The head of an operation, without the newline and what is nested.
  std::string head(OpId id);

  std::string index(IndexId id) const {
    const Affine& affine = kernel_.indices().affine(id);
    std::vector<std::pair<std::string, int64_t>> terms;
    for (const Term& t : affine.terms) terms.emplace_back(atom(t.atom), t.coefficient);
    std::sort(terms.begin(), terms.end());
    std::string text;
    const auto append = [&](int64_t sign, const std::string& what) {
      if (text.empty()) {
        text = fmt::format("{}{}", sign < 0 ? "-" : "", what);
      } else {
        text += fmt::format("{}{}", sign < 0 ? " - " : " + ", what);
      }
    };
    for (const auto& [name, c] : terms) {
      const uint64_t magnitude = c < 0 ? 0 - static_cast<uint64_t>(c) : static_cast<uint64_t>(c);
      append(c, magnitude == 1 ? name : fmt::format("{}*{}", magnitude, name));
    }
    if (affine.constant != 0 || text.empty()) {
      const auto c = affine.constant;
      const uint64_t magnitude = c < 0 ? 0 - static_cast<uint64_t>(c) : static_cast<uint64_t>(c);
      append(c, fmt::format("{}", magnitude));
    }
    return text;
  }

 private:
  std::string atom(AtomId id) const {
    const Atom& a = kernel_.indices().atom(id);
    switch (a.kind) {
      case AtomKind::variable:
        return fmt::format("%{}", variables_[a.variable.index]);
      case AtomKind::floor_div:
        return fmt::format("floordiv({}, {})", index(a.a), a.constant);
      case AtomKind::mod:
        return fmt::format("mod({}, {})", index(a.a), a.constant);
      case AtomKind::data:
        return fmt::format("data({})", value(a.value));
      default: {
        std::string x = index(a.a), y = index(a.b);
        if (y < x) std::swap(x, y);
        return fmt::format("{}({}, {})", a.kind == AtomKind::min ? "min" : "max", x, y);
      }
    }
  }

  // As it is when it reads as one word, else in quotes.
  static std::string quoted(std::string_view name) {
    constexpr std::string_view kWordCharacters = "_.$-";
    const bool is_word = !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) ||
             kWordCharacters.find(c) != std::string_view::npos;
    });
    if (is_word) return std::string(name);
    std::string text = "\"";
    for (char c : name) {
      if (c == '"' || c == '\\') text += '\\';
      text += c == '\n' ? ' ' : c;
    }
    return text + "\"";
  }

  static std::string clean(std::string_view name) {
    std::string result;
    for (char c : name) result += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    if (result.empty() || std::isdigit(static_cast<unsigned char>(result[0])))
      result.insert(0, "_");
    return result;
  }

  void name_everything(Names names) {
    std::set<std::string> used;
    const auto unique = [&](std::string name) {
      std::string candidate = name;
      for (int n = 2; !used.insert(candidate).second; ++n)
        candidate = fmt::format("{}_{}", name, n);
      return candidate;
    };
    size_t number = 0;
    for (const Buffer& b : kernel_.buffers) {
      buffers_.push_back(names == Names::kept ? unique(clean(b.name)) : fmt::format("b{}", number));
      ++number;
    }
    used.clear();
    const IndexTable& table = kernel_.indices();
    variables_.resize(table.num_variables());
    for (size_t i = 0; i < table.num_variables(); ++i) {
      variables_[i] = unique(clean(table.variable(VariableId(i)).name));
    }
    number_block(kernel_.body);
    if (names == Names::kept) return;
    number = 0;
    variables_[kernel_.tile_variable.index] = "t";
    for (VariableId v : loop_order_) variables_[v.index] = fmt::format("i{}", number++);
  }

  // Values in the order in which their definitions are printed.
  void number_block(BlockId id) {
    values_.resize(kernel_.values.size(), -1);
    for (OpId op_id : kernel_.block(id).ops) {
      const Op& op = kernel_.op(op_id);
      if (op.code == OpCode::for_) loop_order_.push_back(op.variable);
      for (ValueId v : op.results) number(v);
      for (BlockId b : op.blocks) {
        if (!b) continue;
        for (ValueId v : kernel_.block(b).arguments) number(v);
        number_block(b);
      }
    }
  }
  void number(ValueId v) {
    if (values_[v.index] < 0) values_[v.index] = next_value_++;
  }

  std::string value(ValueId v) const {
    const int64_t n = v.index < values_.size() ? values_[v.index] : -1;
    return n >= 0 ? fmt::format("v{}", n) : fmt::format("v?{}", v.index);
  }
  std::string list(const std::vector<ValueId>& ids) const {
    std::string text;
    for (ValueId v : ids) text += fmt::format("{}{}", text.empty() ? "" : ", ", value(v));
    return text;
  }
  static std::string list(const std::vector<int64_t>& numbers) {
    return fmt::format("[{}]", fmt::join(numbers, ", "));
  }

  void print_buffer(BufferId id) {
    const Buffer& b = kernel_.buffer(id);
    constexpr std::string_view kAccess[] = {"read", "write", "readwrite"};
    out_ +=
        fmt::format("  {} %{}: {}{}",
                    b.kind == BufferKind::local ? "local" : kAccess[static_cast<size_t>(b.access)],
                    buffers_[id.index], neuronc::name(b.dtype), list(b.extents));
    int64_t dense = 1;
    bool is_dense = b.strides.size() == b.extents.size();
    for (size_t d = b.extents.size(); is_dense && d-- > 0;) {
      is_dense = b.strides[d] == dense;
      dense *= std::max<int64_t>(b.extents[d], 1);
    }
    if (!is_dense) out_ += " strides " + list(b.strides);
    if (!b.is_noalias) out_ += " may_alias";
    out_ += "\n";
  }

  void print_block(BlockId id, int depth) {
    for (OpId op : kernel_.block(id).ops) print_op(op, depth);
  }

  void print_op(OpId id, int depth) {
    const Op& op = kernel_.op(id);
    const std::string indent(static_cast<size_t>(2 * depth), ' ');
    // An empty yield says nothing.
    if (op.code == OpCode::yield && op.operands.empty()) return;
    out_ += indent + head(id);
    if (op.blocks[0]) {
      out_ += " {\n";
      print_block(op.blocks[0], depth + 1);
      out_ += indent + "}";
      if (op.blocks[1]) {
        out_ += " else {\n";
        print_block(op.blocks[1], depth + 1);
        out_ += indent + "}";
      }
    }
    out_ += "\n";
  }

  std::string access(const Op& op) const {
    const Buffer& b = kernel_.buffer(op.buffer);
    std::string text = fmt::format("%{}[", buffers_[op.buffer.index]);
    for (size_t d = 0; d < b.extents.size() && d < op.indices.size(); ++d) {
      text += fmt::format("{}{}", d == 0 ? "" : ", ", index(op.indices[d]));
    }
    return text + "]";
  }

  std::string access_suffix(const Op& op, int lanes) const {
    std::string text;
    const Buffer& b = kernel_.buffer(op.buffer);
    if ((lanes > 1 || op.has_active) && op.lane_dim + 1 != static_cast<int>(b.extents.size())) {
      text += fmt::format(" dim {}", op.lane_dim);
    }
    if (op.has_active) text += " active " + index(op.indices.back());
    return text;
  }

  std::string constant(const Op& op) const {
    // A constant without a result is malformed, and printed to say so.
    const bool is_real = !op.results.empty() && is_float(kernel_.type(op.results[0]).dtype);
    const auto lane = [&](int64_t bits) {
      return is_real ? fmt::format("{:#x}", static_cast<uint64_t>(bits)) : fmt::format("{}", bits);
    };
    if (op.immediates.size() == 1) return lane(op.immediates[0]);
    std::string text;
    for (int64_t bits : op.immediates)
      text += fmt::format("{}{}", text.empty() ? "" : ", ", lane(bits));
    return fmt::format("[{}]", text);
  }

  std::string guards(const Op& op) const {
    std::string text;
    for (const Guard& g : op.guards) {
      if (!text.empty()) text += ", ";
      if (g.lo > -kIndexLimit) text += fmt::format("{} <= ", g.lo);
      text += index(g.expr);
      if (g.hi < kIndexLimit) text += fmt::format(" < {}", g.hi);
    }
    return text;
  }

  std::string for_head(const Op& op) const {
    std::string text = fmt::format("for %{} in [{}, {})", variables_[op.variable.index],
                                   index(op.indices[0]), index(op.indices[1]));
    if (op.immediates[0] != 1) text += fmt::format(" step {}", op.immediates[0]);
    if (op.immediates[1] == 0) text += " unroll full";
    if (op.immediates[1] > 1) text += fmt::format(" unroll {}", op.immediates[1]);
    const std::vector<ValueId>& arguments = kernel_.block(op.blocks[0]).arguments;
    for (size_t i = 0; i < arguments.size() && i < op.operands.size(); ++i) {
      text += fmt::format("{}{} = {}", i == 0 ? " with " : ", ", value(arguments[i]),
                          value(op.operands[i]));
    }
    return text;
  }

  const Kernel& kernel_;
  std::string out_;
  std::vector<std::string> buffers_;
  std::vector<std::string> variables_;
  std::vector<VariableId> loop_order_;
  std::vector<int64_t> values_;
  int64_t next_value_ = 0;
};

std::string Printer::head(OpId id) {
  const Op& op = kernel_.op(id);
  std::string text = op.results.empty() ? "" : list(op.results) + " = ";
  const ValueType type = op.results.empty() ? ValueType{} : kernel_.type(op.results[0]);
  const std::string code(name(op.code));
  switch (op.code) {
    case OpCode::for_:
      return text + for_head(op);
    case OpCode::if_:
      return text + fmt::format("if ({})", guards(op));
    case OpCode::if_true:
      return text + "if_true " + list(op.operands);
    case OpCode::yield:
      return fmt::format("yield {}", list(op.operands));
    case OpCode::load:
      return text + fmt::format("load {}{} : {}", access(op), access_suffix(op, type.lanes),
                                to_text(type));
    case OpCode::store:
    case OpCode::store_masked: {
      const int lanes = op.operands.empty() ? 1 : kernel_.type(op.operands[0]).lanes;
      return fmt::format("{} {}, {}{}", code, access(op), list(op.operands),
                         access_suffix(op, lanes));
    }
    case OpCode::prefetch:
      return fmt::format("prefetch {}", access(op));
    case OpCode::matrix_load:
      return text + fmt::format("matrix_load {} rows {}{} : {}", access(op), op.row_dim,
                                access_suffix(op, type.lanes), to_text(type));
    case OpCode::matrix_store:
      return fmt::format("matrix_store {}, {} rows {}{}", access(op), list(op.operands), op.row_dim,
                         access_suffix(op, kMatrixRowBytes));
    case OpCode::constant:
      return text + fmt::format("constant {} : {}", constant(op), to_text(type));
    case OpCode::index_value:
      return text + fmt::format("index_value {} : {}", index(op.indices[0]), to_text(type));
    default:
      break;
  }
  text += code;
  if (!op.operands.empty()) text += " " + list(op.operands);
  if (!op.immediates.empty()) text += " " + list(op.immediates);
  return text + " : " + to_text(type);
}

}  // namespace

std::string print(const Kernel& kernel) { return Printer(kernel, Names::kept).run(Names::kept); }

std::string print(const Kernel& kernel, IndexId index) {
  return Printer(kernel, Names::kept).index(index);
}

std::string print_op(const Kernel& kernel, OpId op) {
  return Printer(kernel, Names::kept).head(op);
}

Hash128 structural_hash(const Kernel& kernel) {
  return hash_text(Printer(kernel, Names::anonymous).run(Names::anonymous));
}

}  // namespace neuronc::kernel
