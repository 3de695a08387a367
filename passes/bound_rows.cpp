// Implements bound_rows.h.
#include "passes/bound_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "passes/extent_bounds.h"
#include "passes/rewrite.h"

namespace neuronc {
namespace {

using Ints = std::vector<int64_t>;

// A value with rows filled up: what stands for it, and how many of the rows are there.
struct Filled {
  ValueId value;  // [bound, ...], static
  ValueId count;  // i64[1]
  int64_t bound = 0;
};

class RowBounding {
 public:
  RowBounding(Rewriter& rewriter, const BoundRowsOptions& options)
      : rewriter_(rewriter), options_(options), bounds_(rewriter.module, rewriter.graph) {}

  Changed run() {
    std::vector<NodeId> order;
    for (NodeId id : rewriter_.graph.nodes()) order.push_back(id);
    for (NodeId id : order) {
      if (starts(id) || follows(id)) changed_ = Changed::yes;
    }
    return changed_;
  }

 private:
  const Node& node(NodeId id) const { return rewriter_.node(id); }
  const Type& type(ValueId value) const { return rewriter_.type(value); }
  bool is_static(ValueId value) const { return type(value).is_static(); }

  // Rows that are not a number.
  bool has_open_rows(ValueId value) const {
    const Type& t = type(value);
    return t.is_tensor() && t.is_ranked && t.rank() > 0 && !t.dims[0].is_number();
  }

  // ---- operators that are worth it

  // The operands whose rows become those of the result, each a row of its own; none where the
  // operator is not worth it, or where anything but the number of rows is open.
  std::vector<size_t> row_operands(const Node& n) const {
    std::vector<size_t> rows{0};
    switch (n.op) {
      case Op::gemm: {
        const bool adds_row = !n.has_operand(2) || type(n.operands[2]).rank() < 2 ||
                              type(n.operands[2]).dims[0] == Dim(1);
        if (n.view().i64("transA") != 0 || !adds_row) return {};
        break;
      }
      case Op::matmul:
        if (type(n.operands[1]).rank() != 2 || type(n.operands[0]).rank() < 2) return {};
        break;
      case Op::conv:
      case Op::conv_transpose:
        break;
      case Op::roi_align:
        rows = {1, 2};
        break;
      default:
        return {};
    }
    for (size_t i = 0; i < n.operands.size(); ++i) {
      const bool is_row = std::find(rows.begin(), rows.end(), i) != rows.end();
      if (n.operands[i] && !is_row && !is_static(n.operands[i])) return {};
    }
    return rows;
  }

  // The shape of a row of operand `i`, where it is known; of a product's, its weight tells it.
  std::optional<Ints> row_shape(const Node& n, size_t i) const {
    const Type& t = type(n.operands[i]);
    Ints shape;
    for (size_t axis = 1; axis < t.dims.size(); ++axis) {
      Dim dim = t.dims[axis];
      const bool is_inner = axis + 1 == t.dims.size();
      if (!dim.is_number() && is_inner && (n.op == Op::gemm || n.op == Op::matmul)) {
        const bool turns = n.op == Op::gemm && n.view().i64("transB") != 0;
        dim = type(n.operands[1]).dims[turns ? 1 : 0];
      }
      if (!dim.is_number()) return std::nullopt;
      shape.push_back(dim.number());
    }
    return shape;
  }

  bool starts(NodeId id) {
    const std::vector<size_t> rows = row_operands(node(id));
    if (rows.empty() || node(id).results.size() != 1) return false;
    std::vector<ValueId> open;
    std::vector<Ints> shapes;
    std::optional<int64_t> bound;
    for (size_t i : rows) {
      const Node& n = node(id);
      const ValueId x = n.operands[i];
      if (!has_open_rows(x) || filled(x) != nullptr) return false;  // static, or it follows
      const auto here = bounds_.extent(x, 0);
      const auto row = row_shape(n, i);
      if (here) bound = bound ? std::min(*bound, *here) : *here;
      if (!bound || !row || !fits(*bound, *row, type(x).dtype)) return miss(id, bound);
      open.push_back(x);
      shapes.push_back(*row);
    }
    // All have as many rows as the first.
    const ValueId count =
        rewriter_.make(id, Op::shape, {open[0]}, {{"start", int64_t{0}}, {"end", int64_t{1}}});
    for (size_t i = 0; i < open.size(); ++i) {
      filled_[open[i]] = fill(id, open[i], count, *bound, shapes[i]);
    }
    follows(id);
    return true;
  }

  bool miss(NodeId id, std::optional<int64_t> bound) {
    rewriter_.remarks.missed(
        rewriter_.label(id),
        fmt::format("`{}` stays on the host: {}", node(id).def().name,
                    bound ? fmt::format("its rows may be {}", *bound) : "its rows have no bound"));
    return false;
  }

  bool fits(int64_t bound, const Ints& row, DType dtype) const {
    if (!is_float(dtype) && !is_integer(dtype)) return false;
    if (bound < 1 || bound > options_.max_rows) return false;
    return num_elements(row) <= options_.max_bytes / (bound * size_bytes(dtype));
  }

  // Rows of zeros behind those of `x`, up to `bound`.
  Filled fill(NodeId position, ValueId x, ValueId count, int64_t bound, const Ints& row) {
    const auto constant = [&](Ints numbers) {
      return rewriter_.make_constant(position, Tensor::ints(numbers));
    };
    const ValueId missing = rewriter_.make(position, Op::sub, {constant({bound}), count});
    // In front of and behind each axis.
    std::vector<ValueId> parts{constant(Ints(row.size() + 1)), missing};
    if (!row.empty()) parts.push_back(constant(Ints(row.size())));
    const ValueId pads =
        rewriter_.make(position, Op::concat, std::move(parts), {{"axis", int64_t{0}}});
    ValueId filled = rewriter_.make(position, Op::pad, {x, pads});
    if (!is_static(filled)) {
      Ints rows{bound};
      rows.insert(rows.end(), row.begin(), row.end());
      filled = rewriter_.make(position, Op::reshape, {filled, constant(std::move(rows))});
    }
    return {filled, count, bound};
  }

  // ---- operators that treat rows by themselves

  const Filled* filled(ValueId value) const {
    const auto it = value ? filled_.find(value) : filled_.end();
    return it == filled_.end() ? nullptr : &it->second;
  }

  bool follows(NodeId id) {
    const Node& n = node(id);
    if (n.results.size() != 1 || !has_open_rows(n.results[0]) || !n.bodies.empty()) return false;
    const Filled* first = nullptr;
    for (ValueId operand : n.operands) {
      if (first == nullptr) first = filled(operand);
    }
    if (first == nullptr) return false;
    const Filled source = *first;
    auto operands = operands_by_rows(n, source);
    if (!operands) return false;
    std::vector<NamedAttribute> attributes;
    for (size_t i = 0; i < n.attributes.size(); ++i) {
      if (kind_of(n.attributes[i]) == AttributeKind::none) continue;
      attributes.push_back({std::string(n.def().attributes[i].name), n.attributes[i]});
    }
    const Op op = n.op;  // making nodes moves those that are there
    if (op == Op::reshape) operands->at(1) = filled_shape(id, source);
    const ValueId y = rewriter_.make(id, op, std::move(*operands), std::move(attributes));
    if (!y) return op == Op::reshape;
    if (!is_static(y)) return true;  // nobody uses it
    const ValueId zero = rewriter_.make_constant(id, Tensor::ints(Ints{0}));
    const ValueId there = rewriter_.make(id, Op::slice, {y, zero, source.count, zero});
    filled_[there] = {y, source.count, source.bound};
    rewriter_.remarks.done(rewriter_.label(id),
                           fmt::format("computes {} rows, of which the host takes those that are "
                                       "there",
                                       source.bound));
    rewriter_.replace(id, there);
    return true;
  }

  // The operands with filled ones in place of those that have open rows; none where the operator
  // mixes rows, or rows of another number come in.
  std::optional<std::vector<ValueId>> operands_by_rows(const Node& n, const Filled& source) const {
    std::vector<ValueId> operands = n.operands;
    const int64_t rank = type(n.results[0]).rank();
    std::vector<size_t> rows = row_operands(n);
    const bool is_product = !rows.empty();
    if (!is_product) rows = {0};
    const bool is_elementwise = n.has(Trait::elementwise);
    if (!is_product && !is_elementwise && !keeps_rows(n, source)) return std::nullopt;
    for (size_t i = 0; i < operands.size(); ++i) {
      if (!operands[i]) continue;
      const bool is_row = std::find(rows.begin(), rows.end(), i) != rows.end();
      if (const Filled* given = filled(operands[i])) {
        const bool is_alike = given->count == source.count && given->bound == source.bound;
        const bool is_in_place = is_elementwise ? type(given->value).rank() == rank : is_row;
        if (!is_alike || !is_in_place) return std::nullopt;
        operands[i] = given->value;
        continue;
      }
      if (!is_static(operands[i]) && !(n.op == Op::reshape && i == 1)) return std::nullopt;
      const Type& t = type(operands[i]);
      const bool spans_rows = is_elementwise && t.rank() == rank && t.dims[0] != Dim(1);
      if (spans_rows) return std::nullopt;
    }
    return operands;
  }

  bool keeps_rows(const Node& n, const Filled& source) const {
    switch (n.op) {
      case Op::softmax:
      case Op::log_softmax: {
        const int64_t axis = n.view().i64("axis");
        return axis != 0 && axis != -type(n.operands[0]).rank();
      }
      case Op::reshape:
        return filled_dims(n, source).has_value();
      case Op::average_pool:
      case Op::batch_normalization:
      case Op::global_average_pool:
      case Op::max_pool:
        return true;
      default:
        return false;
    }
  }

  // The shape of the filled result of a reshape that leaves rows what they are: one extent for
  // them, then numbers.
  std::optional<Ints> filled_dims(const Node& n, const Filled& source) const {
    const Type& from = type(source.value);
    const Type& to = type(n.results[0]);
    const Tensor* wanted = rewriter_.module.constant_of(rewriter_.graph, n.operands[1]);
    if (wanted == nullptr || wanted->num_elements() < 1) return std::nullopt;
    const int64_t first = wanted->i64(0);
    if (first != -1 && (first != 0 || n.view().i64("allowzero") != 0)) return std::nullopt;
    const int64_t row = from.num_elements() / source.bound;
    Ints dims{source.bound};
    int64_t known = 1;
    for (size_t axis = 1; axis < to.dims.size(); ++axis) {
      const bool is_rest = wanted->i64(static_cast<int64_t>(axis)) == -1;
      if (!is_rest && !to.dims[axis].is_number()) return std::nullopt;
      dims.push_back(is_rest ? -1 : to.dims[axis].number());
      if (!is_rest) known *= to.dims[axis].number();
    }
    const auto rest = std::find(dims.begin(), dims.end(), -1);
    if (rest != dims.end()) {
      if (known < 1 || row % known != 0) return std::nullopt;
      *rest = row / known;
    } else if (known != row) {
      return std::nullopt;
    }
    return dims;
  }

  ValueId filled_shape(NodeId id, const Filled& source) {
    return rewriter_.make_constant(id, Tensor::ints(*filled_dims(node(id), source)));
  }

  Rewriter& rewriter_;
  const BoundRowsOptions& options_;
  ExtentBounds bounds_;  // of what was there before
  std::map<ValueId, Filled> filled_;
  Changed changed_ = Changed::no;
};

}  // namespace

Expected<Changed> bound_rows(Module& module, const BoundRowsOptions& options,
                             PassContext& context) {
  Rewriter rewriter{module, module.graph(), context.remarks};
  return RowBounding(rewriter, options).run();
}

}  // namespace neuronc
