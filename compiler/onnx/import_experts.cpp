// Import rules of com.microsoft's mixture of experts, and of ai.onnx.preview's attention whose
// steps are given as graphs.
#include <fmt/format.h>

#include <cmath>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Ints = std::vector<int64_t>;

// [experts, out, in] as [experts, in, out].
ValueId turned(NodeContext& node, ValueId weights) {
  return node.emit(Op::transpose, {weights}, {{"perm", Ints{0, 2, 1}}});
}

ValueId with_bias(NodeContext& node, ValueId y, ValueId bias) {
  if (!bias) return y;
  return node.emit(Op::add, {y, node.emit(Op::unsqueeze, {bias, node.ints(Ints{1})})});
}

// Each token's weight of each expert, 0 of all but the `k` likeliest: [experts, tokens, 1].
ValueId routing(NodeContext& node, int64_t tokens, int64_t experts) {
  const int64_t k = node.i64("k", 1);
  const ValueId likely = node.emit(Op::softmax, {node.input(1)}, {{"axis", int64_t{-1}}});
  const auto best = node.emit_many(Op::top_k, {likely, node.ints(Ints{k})}, {}, 2);
  ValueId weights = best[0];
  if (node.i64("normalize_routing_weights", 0) != 0) {
    weights =
        node.emit(Op::div, {weights, node.emit(Op::reduce_sum, {weights, node.ints(Ints{-1})})});
  }
  const ValueId none =
      node.emit(Op::expand, {node.scalar_like(likely, 0), node.ints({tokens, experts})});
  const ValueId chosen =
      node.emit(Op::scatter_elements, {none, best[1], weights}, {{"axis", int64_t{1}}});
  const ValueId columns = node.emit(Op::transpose, {chosen}, {{"perm", Ints{1, 0}}});
  return node.emit(Op::unsqueeze, {columns, node.ints(Ints{-1})});
}

}  // namespace

// Every expert is computed for every token, and weighted by 0 where it is not chosen: which ones
// are is known only at run time.
void import_mixture_of_experts(NodeContext& node, const Rule&) {
  const Ints shape = node.shape(node.input(0)), first = node.shape(node.input(2));
  if (node.failed() || shape.empty() || first.size() != 3) {
    return node.invalid("its experts' weights are not of rank 3");
  }
  if (node.i64("use_sparse_mixer", 0) != 0) return node.unsupported("it uses a sparse mixer");
  const int64_t experts = first[0], size = shape.back();
  const int64_t tokens = size == 0 ? 0 : num_elements(shape) / size;
  const ValueId x = reshape_to(node, node.input(0), {1, tokens, size});
  ValueId hidden = node.emit(Op::matmul, {x, turned(node, node.input(2))});
  hidden = with_bias(node, hidden, node.input(3));
  const std::string activation = node.string("activation_type", "relu");
  if (activation == "relu") {
    hidden = node.emit(Op::relu, {hidden});
  } else if (activation == "gelu") {
    hidden = node.emit(Op::gelu, {hidden}, {{"approximate", std::string("tanh")}});
  } else if (activation == "silu") {
    hidden = node.emit(Op::swish, {hidden});
  } else if (activation != "identity") {
    return node.unsupported(fmt::format("attribute `activation_type` is `{}`", activation));
  }
  if (node.has_input(6)) {
    const ValueId gate = node.emit(Op::matmul, {x, turned(node, node.input(6))});
    hidden = node.emit(Op::mul, {hidden, with_bias(node, gate, node.input(7))});
  }
  const ValueId y =
      with_bias(node, node.emit(Op::matmul, {hidden, turned(node, node.input(4))}), node.input(5));
  const ValueId weighted = node.emit(Op::mul, {y, routing(node, tokens, experts)});
  const ValueId sum =
      node.emit(Op::reduce_sum, {weighted, node.ints(Ints{0})}, {{"keepdims", int64_t{0}}});
  node.set_output(0, reshape_to(node, sum, shape));
}

// Scores, weights and masks pass through graphs of one input and one output, where they are given.
void import_flex_attention(NodeContext& node, const Rule& rule) {
  const Ints q = node.shape(node.input(0)), k = node.shape(node.input(1));
  if (node.failed()) return;
  if (q.size() != 4 || k.size() != 4 || k[1] == 0 || q[1] % k[1] != 0) {
    return node.invalid("its operands are not of rank 4, or their heads do not fit");
  }
  const double scale =
      node.has("scale") ? node.f64("scale", 1) : 1 / std::sqrt(static_cast<double>(q[3]));
  const bool is_plain = !node.has("score_mod") && !node.has("mask_mod") && !node.has("prob_mod");
  if (is_plain) {
    node.set_output(
        0, node.emit(rule.op, {node.input(0), node.input(1), node.input(2)}, {{"scale", scale}}));
    return;
  }
  // Each head of keys serves a run of heads of queries.
  const auto repeated = [&](ValueId x) {
    Ints shape = node.shape(x);
    if (node.failed() || shape.size() != 4 || shape[1] == q[1]) return x;
    const Ints wide{shape[0], shape[1], q[1] / shape[1], shape[2], shape[3]};
    const ValueId column = node.emit(Op::unsqueeze, {x, node.ints(Ints{2})});
    const ValueId all = node.emit(Op::expand, {column, node.ints(wide)});
    return reshape_to(node, all, {shape[0], q[1], shape[2], shape[3]});
  };
  const auto through = [&](const char* name, ValueId x) {
    if (!node.has(name)) return x;
    const auto body = node.body(name);
    if (node.failed()) return x;
    if (node.bodies().num_body_inputs(*body) != 1 || node.bodies().num_body_outputs(*body) != 1) {
      node.invalid(fmt::format("the graph `{}` has not one input and one output", name));
      return x;
    }
    const auto outputs = node.bodies().inline_body(node, *body, {x});
    return outputs.empty() ? ValueId() : outputs[0];
  };
  const ValueId keys =
      node.emit(Op::transpose, {repeated(node.input(1))}, {{"perm", Ints{0, 1, 3, 2}}});
  ValueId scores = node.emit(Op::matmul, {node.input(0), keys});
  scores = node.emit(Op::mul, {scores, node.scalar_like(scores, scale)});
  scores = through("mask_mod", through("score_mod", scores));
  const ValueId weights =
      through("prob_mod", node.emit(Op::softmax, {scores}, {{"axis", int64_t{-1}}}));
  node.set_output(0, node.emit(Op::matmul, {weights, repeated(node.input(2))}));
}

}  // namespace neuronc::onnx
