// Implements expand_attention.h.
#include "passes/expand_attention.h"

#include <cmath>
#include <limits>

#include "passes/rewrite.h"

namespace neuronc {
namespace {

constexpr size_t kMask = 3, kPastKey = 4, kPastValue = 5, kNumKeys = 6;
constexpr int64_t kNumModes = 4;  // what `scores` may show
constexpr float kMinusInf = -std::numeric_limits<float>::infinity();

// An operand as [batch, heads, length, size].
struct Heads {
  ValueId value;
  int64_t batch = 0, heads = 0, length = 0, size = 0;
};

class Expansion {
 public:
  Expansion(Rewriter& rewriter, NodeId id) : rewriter_(rewriter), id_(id) {}

  OrRefusal<void> check() const {
    const Node& n = node();
    for (size_t i = 0; i < n.operands.size(); ++i) {
      if (!n.operands[i]) continue;
      const Type& type = rewriter_.type(n.operands[i]);
      if (!type.is_tensor() || !type.is_static()) return refuse("its shapes are not known");
      const bool may_differ = i == kMask || i == kNumKeys;
      if (!may_differ && type.dtype != DType::f32) return refuse("it is not f32");
      if (type.num_elements() == 0 && i != kPastKey && i != kPastValue)
        return refuse("it is empty");
    }
    if (n.has_operand(kMask)) {
      const Type& mask = rewriter_.type(n.operands[kMask]);
      if (mask.dtype != DType::f32 && mask.dtype != DType::boolean) {
        return refuse("its mask is neither f32 nor bool");
      }
    }
    for (ValueId result : n.results) {
      if (!rewriter_.type(result).is_static()) return refuse("its shapes are not known");
    }
    const int64_t mode = n.view().i64("qk_matmul_output_mode");
    if (mode < 0 || mode >= kNumModes) return refuse("its output mode is not one of 0 to 3");
    return check_shapes();
  }

  void expand() {
    const OpView op = node().view();
    q_ = heads_of(0, "q_num_heads");
    k_ = with_past(heads_of(1, "kv_num_heads"), kPastKey);
    v_ = with_past(heads_of(2, "kv_num_heads"), kPastValue);
    const double scale =
        op.has("scale") ? op.f64("scale") : 1 / std::sqrt(static_cast<double>(q_.size));
    const double softcap = op.f64("softcap");

    std::vector<ValueId> shown;  // what `scores` may show
    const ValueId keys = transpose(k_.value, {0, 1, 3, 2});
    ValueId scores = by_query_heads(make(Op::matmul, {by_key_heads(q_.value, q_.size), keys}));
    shown.push_back(scores = make(Op::mul, {scores, number(scale)}));
    if (softcap != 0) {
      scores = make(Op::tanh, {make(Op::div, {scores, number(softcap)})});
      scores = make(Op::mul, {scores, number(softcap)});
    }
    shown.push_back(scores);
    const ValueId bias = make_bias();
    if (bias) scores = make(Op::add, {scores, bias});
    shown.push_back(scores);
    ValueId weights = make(Op::softmax, {scores}, {{"axis", int64_t{3}}});
    if (may_hide_all_) weights = without_hidden_rows(weights, bias);
    shown.push_back(weights);
    const ValueId sums = make(Op::matmul, {by_key_heads(weights, k_.length), v_.value});

    const auto mode = static_cast<size_t>(op.i64("qk_matmul_output_mode"));
    const std::vector<ValueId> results{merged(by_query_heads(sums)), k_.value, v_.value,
                                       shown.at(mode)};
    replace(results);
  }

 private:
  const Node& node() const { return rewriter_.node(id_); }
  std::vector<int64_t> shape_of(size_t operand) const {
    return rewriter_.type(node().operands[operand]).shape();
  }

  // What inference leaves to the evaluator, which refuses it.
  OrRefusal<void> check_shapes() const {
    const auto extents = [&](size_t operand, const char* attribute) {
      std::vector<int64_t> shape = shape_of(operand);
      if (shape.size() == 4) return shape;
      const int64_t heads = node().view().i64(attribute);
      return std::vector<int64_t>{shape[0], heads, shape[1], shape[2] / heads};
    };
    std::vector<int64_t> scores = extents(0, "q_num_heads");
    scores[3] = extents(1, "kv_num_heads")[2];
    if (node().has_operand(kPastKey)) {
      const int64_t num_past = shape_of(kPastKey).size() == 4 ? shape_of(kPastKey)[2] : 0;
      for (size_t i : {size_t{1}, size_t{2}}) {
        std::vector<int64_t> past = extents(i, "kv_num_heads");
        past[2] = num_past;
        if (shape_of(i + kPastKey - 1) != past) return refuse("a past operand does not fit");
      }
      scores[3] += num_past;
    }
    if (node().has_operand(kNumKeys) &&
        rewriter_.type(node().operands[kNumKeys]).num_elements() != scores[0]) {
      return refuse("its numbers of keys do not fit");
    }
    if (!node().has_operand(kMask)) return {};
    const std::vector<int64_t> mask = shape_of(kMask);
    if (mask.empty() || mask.size() > 4) return refuse("its mask has no axes, or too many");
    for (size_t d = 0; d < mask.size(); ++d) {
      const int64_t extent = scores[4 - mask.size() + d];
      if (mask[d] != 1 && mask[d] != extent) return refuse("its mask does not fit");
    }
    return {};
  }

  ValueId make(Op op, std::vector<ValueId> operands, std::vector<NamedAttribute> attributes = {}) {
    return rewriter_.make(id_, op, std::move(operands), std::move(attributes));
  }
  ValueId constant(Tensor tensor) { return rewriter_.make_constant(id_, std::move(tensor)); }
  ValueId number(double value) { return constant(Tensor::scalar(DType::f32, value)); }
  ValueId transpose(ValueId x, std::vector<int64_t> perm) {
    return make(Op::transpose, {x}, {{"perm", std::move(perm)}});
  }
  ValueId reshape(ValueId x, const std::vector<int64_t>& shape) {
    return rewriter_.type(x).shape() == shape
               ? x
               : make(Op::reshape, {x, constant(Tensor::ints(shape))});
  }

  Heads heads_of(size_t operand, const char* attribute) {
    const ValueId x = node().operands[operand];
    const std::vector<int64_t> shape = rewriter_.type(x).shape();
    if (shape.size() == 4) return {x, shape[0], shape[1], shape[2], shape[3]};
    Heads h{{}, shape[0], node().view().i64(attribute), shape[1]};
    h.size = shape[2] / h.heads;
    h.value = transpose(reshape(x, {h.batch, h.length, h.heads, h.size}), {0, 2, 1, 3});
    return h;
  }

  Heads with_past(Heads next, size_t operand) {
    if (!node().has_operand(operand)) return next;
    const ValueId past = node().operands[operand];
    num_past_ = rewriter_.type(past).shape()[2];
    if (num_past_ == 0) return next;
    next.value = make(Op::concat, {past, next.value}, {{"axis", int64_t{2}}});
    next.length += num_past_;
    return next;
  }

  // The rows of query heads that share a key head, one below another, and apart again.
  ValueId by_key_heads(ValueId x, int64_t size) {
    return reshape(x, {q_.batch, k_.heads, q_.heads / k_.heads * q_.length, size});
  }
  ValueId by_query_heads(ValueId x) {
    return reshape(x, {q_.batch, q_.heads, q_.length, rewriter_.type(x).shape()[3]});
  }

  // The heads as the result wants them.
  ValueId merged(ValueId y) {
    const std::vector<int64_t> shape = rewriter_.type(node().results[0]).shape();
    return shape.size() == 4 ? y : reshape(transpose(y, {0, 2, 1, 3}), shape);
  }

  // What is added to scores; none where nothing is hidden.
  ValueId make_bias() {
    ValueId bias;
    const auto add = [&](ValueId more) { bias = bias ? make(Op::add, {bias, more}) : more; };
    if (node().has_operand(kMask)) {
      const ValueId mask = node().operands[kMask];
      may_hide_all_ = true;
      add(rewriter_.type(mask).dtype == DType::boolean
              ? make(Op::where, {mask, number(0), number(kMinusInf)})
              : mask);
    }
    const bool is_causal = node().view().i64("is_causal") != 0;
    const bool has_count = node().has_operand(kNumKeys);
    const bool follows_count = has_count && !node().has_operand(kPastKey);
    if (is_causal && !follows_count) add(hidden_from(query_positions(DType::i32, num_past_ + 1)));
    if (has_count) {
      may_hide_all_ = true;
      const ValueId count = reshape(node().operands[kNumKeys], {q_.batch, 1, 1, 1});
      add(hidden_from(count));
      if (is_causal && follows_count) {
        // The last query sees the last key that is counted.
        add(hidden_from(make(Op::add, {count, query_positions(DType::i64, 1 - q_.length)})));
      }
    }
    return bias;
  }

  // `offset` plus the position of each query, one below another. Pairs of queries and keys are
  // compared where they are needed: a table of all pairs may be larger than the model.
  ValueId query_positions(DType dtype, int64_t offset) {
    Tensor positions = Tensor::zeros(dtype, {q_.length, 1});
    for (int64_t i = 0; i < q_.length; ++i) positions.set_i64(i, offset + i);
    return constant(std::move(positions));
  }

  // Minus infinity for keys whose position is not below `end`.
  ValueId hidden_from(ValueId end) {
    Tensor positions = Tensor::zeros(rewriter_.type(end).dtype, {1, k_.length});
    for (int64_t i = 0; i < k_.length; ++i) positions.set_i64(i, i);
    const ValueId is_seen = make(Op::less, {constant(std::move(positions)), end});
    return make(Op::where, {is_seen, number(0), number(kMinusInf)});
  }

  ValueId without_hidden_rows(ValueId weights, ValueId bias) {
    const ValueId axes = constant(Tensor::ints(std::vector<int64_t>{-1}));
    const ValueId top = make(Op::reduce_max, {bias, axes});
    const ValueId sees_any = make(Op::greater, {top, number(kMinusInf)});
    return make(Op::where, {sees_any, weights, number(0)});
  }

  void replace(const std::vector<ValueId>& values) {
    const std::vector<ValueId> results = node().results;
    for (size_t i = 0; i < results.size(); ++i) {
      const std::string& name = rewriter_.graph.value(results[i]).name;
      if (rewriter_.graph.producer(values[i]) && rewriter_.graph.value(values[i]).name.empty()) {
        rewriter_.edit.set_name(values[i], name);
      }
      rewriter_.edit.replace_all_uses(results[i], values[i]);
    }
    rewriter_.edit.erase_if_unused(id_);
  }

  Rewriter& rewriter_;
  NodeId id_;
  Heads q_, k_, v_;
  int64_t num_past_ = 0;
  bool may_hide_all_ = false;
};

}  // namespace

Expected<Changed> expand_attention(Module& module, const NoOptions&, PassContext& context) {
  Changed changed = Changed::no;
  for_each_graph(module, [&](Graph& graph) {
    Rewriter rewriter{module, graph, context.remarks};
    for (NodeId id : graph.nodes()) {
      if (graph.node(id).op != Op::attention) continue;
      Expansion expansion(rewriter, id);
      if (const auto fits = expansion.check(); !fits) {
        rewriter.remarks.missed(rewriter.label(id),
                                "`attention` goes query by query: " + fits.error().reason);
        continue;
      }
      expansion.expand();
      changed = Changed::yes;
    }
  });
  return changed;
}

}  // namespace neuronc
