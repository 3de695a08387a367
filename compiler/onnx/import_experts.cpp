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

// A layer of the experts: weights [experts, out, in], and perhaps a bias [experts, out].
struct Layer {
  ValueId weights;
  ValueId bias;
};

ValueId through(NodeContext& node, ValueId x, const Layer& layer) {
  return with_bias(node, node.emit(Op::matmul, {x, turned(node, layer.weights)}), layer.bias);
}

struct Experts {
  Layer first, second, third;  // the third is the gate, where there is one
  ValueId mixing;              // weights of the chosen experts, where not the router's
};

// Each token's weight of each expert, 0 of all but the `k` likeliest: [experts, tokens, 1].
ValueId routing(NodeContext& node, ValueId mixing, int64_t tokens, int64_t experts) {
  const int64_t k = node.i64("k", 1);
  const ValueId likely = node.emit(Op::softmax, {node.input(1)}, {{"axis", int64_t{-1}}});
  const auto best = node.emit_many(Op::top_k, {likely, node.ints(Ints{k})}, {}, 2);
  ValueId weights = best[0];
  if (mixing) {
    weights = node.emit(Op::gather_elements, {mixing, best[1]}, {{"axis", int64_t{1}}});
  }
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

// Every second element along the last axis of `extent` elements, from `first` on; or a half of them.
ValueId part_of(NodeContext& node, ValueId x, int64_t first, int64_t extent, bool is_interleaved) {
  const int64_t half = extent / 2;
  const Ints from{is_interleaved ? first : first * half};
  const Ints to{is_interleaved ? extent : (first + 1) * half};
  return node.emit(Op::slice, {x, node.ints(from), node.ints(to), node.ints(Ints{-1}),
                               node.ints(Ints{is_interleaved ? 2 : 1})});
}

// The gate, held below a limit, times its sigmoid, times the other part.
ValueId swiglu(NodeContext& node, const Experts& experts, ValueId x, ValueId hidden) {
  const int64_t fusion = node.i64("swiglu_fusion", 0);
  ValueId gate = hidden, linear;
  if (fusion == 0) {
    if (!experts.third.weights) {
      node.invalid("SwiGLU without fusion needs the third experts' weights");
      return hidden;
    }
    linear = through(node, x, experts.third);
  } else {
    const Ints shape = node.shape(hidden);
    if (node.failed()) return hidden;
    gate = part_of(node, hidden, 0, shape.back(), fusion == 1);
    linear = part_of(node, hidden, 1, shape.back(), fusion == 1);
  }
  if (node.has("swiglu_limit")) {
    const double limit = node.f64("swiglu_limit", 0);
    const ValueId most = node.scalar_like(gate, limit);
    gate = node.emit(Op::clip, {gate, ValueId(), most});
    linear = node.emit(Op::clip, {linear, node.scalar_like(linear, -limit), most});
  }
  gate = node.emit(Op::swish, {gate}, {{"alpha", node.f64("activation_alpha", 1)}});
  const double beta = node.f64("activation_beta", 0);
  return node.emit(Op::mul, {gate, node.emit(Op::add, {linear, node.scalar_like(linear, beta)})});
}

ValueId activated(NodeContext& node, const Experts& experts, ValueId x, ValueId hidden) {
  const std::string activation = node.string("activation_type", "relu");
  if (activation == "swiglu") return swiglu(node, experts, x, hidden);
  if (activation == "relu") {
    hidden = node.emit(Op::relu, {hidden});
  } else if (activation == "gelu") {
    hidden = node.emit(Op::gelu, {hidden}, {{"approximate", std::string("tanh")}});
  } else if (activation == "silu") {
    hidden = node.emit(Op::swish, {hidden});
  } else if (activation != "identity") {
    node.unsupported(fmt::format("attribute `activation_type` is `{}`", activation));
    return hidden;
  }
  if (!experts.third.weights) return hidden;
  return node.emit(Op::mul, {hidden, through(node, x, experts.third)});
}

// Every expert is computed for every token, and weighted by 0 where it is not chosen: which ones
// are is known only at run time.
void mix(NodeContext& node, const Experts& experts) {
  const Ints shape = node.shape(node.input(0)), first = node.shape(experts.first.weights);
  if (node.failed() || shape.empty() || first.size() != 3) {
    return node.invalid("its experts' weights are not of rank 3");
  }
  if (node.i64("use_sparse_mixer", 0) != 0) return node.unsupported("it uses a sparse mixer");
  const int64_t size = shape.back();
  const int64_t tokens = size == 0 ? 0 : num_elements(shape) / size;
  const ValueId x = reshape_to(node, node.input(0), {1, tokens, size});
  const ValueId hidden = activated(node, experts, x, through(node, x, experts.first));
  const ValueId y = through(node, hidden, experts.second);
  const ValueId weighted = node.emit(Op::mul, {y, routing(node, experts.mixing, tokens, first[0])});
  const ValueId sum =
      node.emit(Op::reduce_sum, {weighted, node.ints(Ints{0})}, {{"keepdims", int64_t{0}}});
  node.set_output(0, reshape_to(node, sum, shape));
}

// Weights of `bits` bits, with a scale for each row or for each block of `block` (0: a row).
ValueId dequantised(NodeContext& node, ValueId packed, ValueId scales, ValueId zeros, int64_t bits,
                    int64_t block) {
  const ValueId fields = unpacked(node, packed, bits);
  const Ints shape = node.shape(fields);
  if (node.failed() || shape.size() != 3 || !scales) {
    node.invalid("its experts' weights are not of rank 3, or have no scales");
    return packed;
  }
  const int64_t extent = block > 0 ? block : shape[2];
  if (extent == 0 || shape[2] % extent != 0) {
    node.invalid("`block_size` does not divide the experts' columns");
    return packed;
  }
  const int64_t num_blocks = shape[2] / extent;
  const Ints column{shape[0], shape[1], num_blocks, 1};
  const DType dtype = node.dtype_of(node.input(0));
  const auto as_float = [&](ValueId v) {
    return node.dtype_of(v) == dtype ? v : node.emit(Op::cast, {v}, {{"to", dtype}});
  };
  ValueId zero = node.scalar(dtype, static_cast<double>(1 << (bits - 1)));
  if (zeros) zero = reshape_to(node, as_float(unpacked(node, zeros, bits)), column);
  const ValueId blocks =
      reshape_to(node, as_float(fields), {shape[0], shape[1], num_blocks, extent});
  const ValueId values = node.emit(
      Op::mul, {node.emit(Op::sub, {blocks, zero}), reshape_to(node, as_float(scales), column)});
  return reshape_to(node, values, shape);
}

}  // namespace

void import_mixture_of_experts(NodeContext& node, const Rule&) {
  Experts experts;
  experts.first = {node.input(2), node.input(3)};
  experts.second = {node.input(4), node.input(5)};
  experts.third = {node.input(6), node.input(7)};
  mix(node, experts);
}

void import_quantised_mixture_of_experts(NodeContext& node, const Rule&) {
  const int64_t bits = node.i64("expert_weight_bits", 4), block = node.i64("block_size", 0);
  if (bits != 2 && bits != 4 && bits != 8) {
    return node.invalid("`expert_weight_bits` is none of 2, 4 and 8");
  }
  const std::string kind = node.string("quant_type", "int");
  if (kind != "int") return node.unsupported(fmt::format("`quant_type` is `{}`", kind));
  if (node.i64("weights_prepacked", -1) == 1) return node.unsupported("its weights are prepacked");
  // Weights, scales and bias of the layer from input `first` on, its zero points in `zeros`.
  const auto layer = [&](size_t first, size_t zeros) {
    if (!node.has_input(first)) return Layer();
    return Layer{
        dequantised(node, node.input(first), node.input(first + 1), node.input(zeros), bits, block),
        node.input(first + 2)};
  };
  Experts experts;
  experts.first = layer(2, 11);
  experts.second = layer(5, 12);
  experts.third = layer(8, 13);
  experts.mixing = node.input(14);
  if (!node.failed()) mix(node, experts);
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
