// Import rules of com.microsoft operators that are products, convolutions, activations and
// normalisations with something fused, and of what exporters before opset 7 left behind.
#include <fmt/format.h>

#include <numeric>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Ints = std::vector<int64_t>;

ValueId scaled(NodeContext& node, ValueId x, double factor) {
  return factor == 1 ? x : node.emit(Op::mul, {x, node.scalar_like(x, factor)});
}

ValueId sum_of_given(NodeContext& node, ValueId x, ValueId y) {
  return y ? node.emit(Op::add, {x, y}) : x;
}

// The activation that a fused operator names; its numbers come in the order of its attributes.
ValueId activated(NodeContext& node, ValueId x, const std::string& name,
                  const std::vector<double>& numbers) {
  const auto number = [&](size_t i, double fallback) {
    return i < numbers.size() ? numbers[i] : fallback;
  };
  if (name.empty()) return x;
  if (name == "Relu") return node.emit(Op::relu, {x});
  if (name == "Tanh") return node.emit(Op::tanh, {x});
  if (name == "Sigmoid") return node.emit(Op::sigmoid, {x});
  if (name == "HardSwish") return node.emit(Op::hard_swish, {x});
  if (name == "Elu") return node.emit(Op::elu, {x}, {{"alpha", number(0, 1)}});
  if (name == "LeakyRelu") return node.emit(Op::leaky_relu, {x}, {{"alpha", number(0, 0.01)}});
  if (name == "HardSigmoid") {
    return node.emit(Op::hard_sigmoid, {x}, {{"alpha", number(0, 0.2)}, {"beta", number(1, 0.5)}});
  }
  if (name == "Clip" && numbers.size() == 2) {
    return node.emit(Op::clip,
                     {x, node.scalar_like(x, numbers[0]), node.scalar_like(x, numbers[1])});
  }
  node.unsupported(fmt::format("attribute `activation` is `{}`", name));
  return x;
}

// The operand with its axes as `trans...` and `transBatch...` ask.
ValueId transposed(NodeContext& node, ValueId x, bool swaps_last, bool moves_batch) {
  const auto rank = static_cast<size_t>(node.rank(x));
  if ((!swaps_last && !moves_batch) || rank < 2) return x;
  Ints perm(rank);
  std::iota(perm.begin(), perm.end(), 0);
  if (moves_batch) {
    for (size_t i = 0; i + 2 < rank; ++i) perm[i] = static_cast<int64_t>(i) + 1;
    perm[rank - 2] = 0;
  }
  if (swaps_last) std::swap(perm[rank - 1], perm[rank - 2]);
  return node.emit(Op::transpose, {x}, {{"perm", perm}});
}

// Channels last to channels first, and back.
ValueId channels_moved(NodeContext& node, ValueId x, bool to_first) {
  const int64_t rank = node.rank(x);
  if (rank < 3) return x;
  Ints perm(static_cast<size_t>(rank));
  std::iota(perm.begin(), perm.end(), 0);
  if (to_first) {
    perm.erase(perm.end() - 1);
    perm.insert(perm.begin() + 1, rank - 1);
  } else {
    perm.erase(perm.begin() + 1);
    perm.push_back(1);
  }
  return node.emit(Op::transpose, {x}, {{"perm", perm}});
}

}  // namespace

// x with the bias, where there is one, through GELU.
void import_bias_gelu(NodeContext& node, const Rule&) {
  const bool is_fast = node.op_type() == "FastGelu";
  const ValueId x = sum_of_given(node, node.input(0), node.input(1));
  node.set_output(
      0, node.emit(Op::gelu, {x}, {{"approximate", std::string(is_fast ? "tanh" : "none")}}));
}

void import_quick_gelu(NodeContext& node, const Rule&) {
  const double alpha = node.f64("alpha", 1.702);
  node.set_output(0, node.emit(Op::swish, {node.input(0)}, {{"alpha", alpha}}));
}

// The left half of the channels, scaled by the GELU of the right.
void import_bias_split_gelu(NodeContext& node, const Rule&) {
  const ValueId x = node.emit(Op::add, {node.input(0), node.input(1)});
  const auto halves = node.emit_many(Op::split, {x}, {{"axis", int64_t{-1}}}, 2);
  node.set_output(0, node.emit(Op::mul, {halves[0], node.emit(Op::gelu, {halves[1]})}));
}

void import_bias_add(NodeContext& node, const Rule&) {
  const ValueId sum = node.emit(Op::add, {node.input(0), node.input(1)});
  node.set_output(0, node.emit(Op::add, {sum, node.input(2)}));
}

// alpha * A' B', with their axes moved; an activation stands behind FusedMatMulActivation.
void import_fused_matmul(NodeContext& node, const Rule&) {
  const auto flag = [&](std::string_view name) { return node.i64(name, 0) != 0; };
  const ValueId a = transposed(node, node.input(0), flag("transA"), flag("transBatchA"));
  const ValueId b = transposed(node, node.input(1), flag("transB"), flag("transBatchB"));
  const ValueId y = scaled(node, node.emit(Op::matmul, {a, b}), node.f64("alpha", 1));
  const std::vector<double> numbers{node.f64("activation_alpha", 0.01),
                                    node.f64("activation_beta", 0.5)};
  node.set_output(0, activated(node, y, node.string("activation", ""), numbers));
}

void import_fused_gemm(NodeContext& node, const Rule&) {
  const ValueId y = node.emit(Op::gemm, node.inputs(),
                              {{"alpha", node.f64("alpha", 1)},
                               {"beta", node.f64("beta", 1)},
                               {"transA", node.i64("transA", 0)},
                               {"transB", node.i64("transB", 0)}});
  std::vector<double> numbers;
  for (const char* name : {"activation_alpha", "activation_beta", "activation_gamma"}) {
    if (node.has(name)) numbers.push_back(node.f64(name, 0));
  }
  node.set_output(0, activated(node, y, node.string("activation", ""), numbers));
}

// A convolution, another tensor added, an activation.
void import_fused_conv(NodeContext& node, const Rule&) {
  const bool is_last = node.op_type().starts_with("Nhwc");
  const ValueId x = is_last ? channels_moved(node, node.input(0), true) : node.input(0);
  ValueId y = emit_conv(node, {x, node.input(1), node.input(2)});
  if (node.has_input(3)) {
    const ValueId z = is_last ? channels_moved(node, node.input(3), true) : node.input(3);
    y = node.emit(Op::add, {y, z});
  }
  y = activated(node, y, node.string("activation", ""), node.floats("activation_params"));
  node.set_output(0, is_last ? channels_moved(node, y, false) : y);
}

// ---- normalisations

namespace {

// y and, where asked for, 1 / sqrt(mean(x^2) + epsilon) over the axes from `axis` on.
void set_rms_outputs(NodeContext& node, ValueId x, ValueId scale, size_t deviation_output) {
  const double epsilon = node.f64("epsilon", 1e-5);
  const int64_t axis = node.i64("axis", -1);
  node.set_output(
      0, node.emit(Op::rms_normalization, {x, scale}, {{"axis", axis}, {"epsilon", epsilon}}));
  if (!node.wants_output(deviation_output)) return;
  const int64_t rank = node.rank(x);
  Ints axes(static_cast<size_t>(rank - normalised_axis(node, axis, rank)));
  std::iota(axes.begin(), axes.end(), rank - static_cast<int64_t>(axes.size()));
  const ValueId wide = node.emit(Op::cast, {x}, {{"to", DType::f32}});
  const ValueId mean =
      node.emit(Op::reduce_mean, {node.emit(Op::mul, {wide, wide}), node.ints(axes)});
  const ValueId sum = node.emit(Op::add, {mean, node.scalar_like(mean, epsilon)});
  node.set_output(deviation_output, node.emit(Op::reciprocal, {node.emit(Op::sqrt, {sum})}));
}

}  // namespace

void import_simplified_layer_normalization(NodeContext& node, const Rule&) {
  set_rms_outputs(node, node.input(0), node.input(1), 1);
}

// Layer normalisation of input + skip + bias, which is the fourth output.
void import_skip_layer_normalization(NodeContext& node, const Rule&) {
  const bool is_simplified = node.op_type() == "SkipSimplifiedLayerNormalization";
  const ValueId bias = node.input(is_simplified ? 3 : 4);
  const ValueId sum = sum_of_given(node, node.emit(Op::add, {node.input(0), node.input(1)}), bias);
  if (node.wants_output(3)) node.set_output(3, sum);
  if (is_simplified) return set_rms_outputs(node, sum, node.input(2), 2);
  const size_t num_results = node.wants_output(2) ? 3 : node.wants_output(1) ? 2 : 1;
  const auto results = node.emit_many(Op::layer_normalization, {sum, node.input(2), node.input(3)},
                                      {{"epsilon", node.f64("epsilon", 1e-5)}}, num_results);
  for (size_t i = 0; i < num_results; ++i) node.set_output(i, results[i]);
}

// The embeddings of words, positions and segments, added and normalised.
void import_embed_layer_normalization(NodeContext& node, const Rule&) {
  const ValueId ids = node.input(0);
  const auto embedding = [&](size_t table, ValueId indices) {
    return node.emit(Op::gather, {node.input(table), indices});
  };
  ValueId positions = node.input(8);
  if (!positions) {
    const Ints shape = node.shape(ids);
    if (node.failed() || shape.size() != 2) return node.invalid("its ids are not of rank 2");
    Ints numbers(static_cast<size_t>(shape[1]));
    std::iota(numbers.begin(), numbers.end(), 0);
    positions = node.ints(numbers);
  }
  ValueId sum = node.emit(Op::add, {embedding(2, ids), embedding(3, positions)});
  if (node.has_input(1) && node.has_input(4)) {
    sum = node.emit(Op::add, {sum, embedding(4, node.input(1))});
  }
  node.set_output(0, node.emit(Op::layer_normalization, {sum, node.input(5), node.input(6)},
                               {{"epsilon", node.f64("epsilon", 1e-12)}}));
  if (node.wants_output(2)) node.set_output(2, sum);
  if (!node.wants_output(1)) return;
  // How many tokens of each entry the mask shows; 0 without a mask.
  const ValueId mask =
      node.has_input(7) ? node.input(7) : node.emit(Op::mul, {ids, node.scalar_like(ids, 0)});
  const ValueId count =
      node.emit(Op::reduce_sum, {mask, node.ints(Ints{1})}, {{"keepdims", int64_t{0}}});
  node.set_output(1, node.emit(Op::cast, {count}, {{"to", DType::i32}}));
}

// GroupNorm and SkipGroupNorm: channels last unless told otherwise, with SiLU if asked for.
void import_group_norm(NodeContext& node, const Rule&) {
  const bool is_last = node.i64("channels_last", 1) != 0;
  ValueId x = node.input(0);
  if (node.op_type() == "SkipGroupNorm") {
    ValueId skip = node.input(3);
    if (node.rank(skip) == 2 && !node.failed()) {
      skip = node.emit(Op::unsqueeze, {skip, node.ints(is_last ? Ints{1, 2} : Ints{2, 3})});
    }
    x = sum_of_given(node, node.emit(Op::add, {x, skip}), node.input(4));
    if (node.wants_output(1)) node.set_output(1, x);
  }
  if (is_last) x = channels_moved(node, x, true);
  const auto as_x = [&](ValueId v) {
    if (node.dtype_of(v) == node.dtype_of(x)) return v;
    return node.emit(Op::cast, {v}, {{"to", node.dtype_of(x)}});
  };
  ValueId y =
      node.emit(Op::group_normalization, {x, as_x(node.input(1)), as_x(node.input(2))},
                {{"epsilon", node.f64("epsilon", 1e-5)}, {"num_groups", node.i64("groups", 1)}});
  if (node.i64("activation", 0) != 0) y = node.emit(Op::swish, {y});
  node.set_output(0, is_last ? channels_moved(node, y, false) : y);
}

// ---- plain ones

void import_expand_dims(NodeContext& node, const Rule&) {
  const Ints axis = node.known_ints(1);
  if (node.failed()) return;
  node.set_output(0, node.emit(Op::unsqueeze, {node.input(0), node.ints(axis)}));
}

// Windows of `size` elements along an axis, `step` apart, as a new last axis.
void import_unfold_tensor(NodeContext& node, const Rule&) {
  const ValueId x = node.input(0);
  const Ints shape = node.shape(x);
  const auto rank = static_cast<int64_t>(shape.size());
  const int64_t axis = normalised_axis(node, node.i64("dim", -1), rank);
  const int64_t size = node.i64("size", 0), step = node.i64("step", 1);
  if (node.failed()) return;
  if (size < 1 || step < 1 || size > shape[static_cast<size_t>(axis)]) {
    return node.invalid("its windows do not fit the axis");
  }
  const int64_t count = (shape[static_cast<size_t>(axis)] - size) / step + 1;
  Ints places, perm;
  for (int64_t i = 0; i < count * size; ++i) places.push_back(i / size * step + i % size);
  const ValueId table = reshape_to(node, node.ints(places), {count, size});
  const ValueId windows = node.emit(Op::gather, {x, table}, {{"axis", axis}});
  for (int64_t i = 0; i <= rank; ++i) {
    if (i != axis + 1) perm.push_back(i);
  }
  perm.push_back(axis + 1);
  node.set_output(0, node.emit(Op::transpose, {windows}, {{"perm", perm}}));
}

// Distances of all rows of A from all rows of B.
void import_c_dist(NodeContext& node, const Rule&) {
  const ValueId a = node.emit(Op::unsqueeze, {node.input(0), node.ints(Ints{1})});
  const ValueId b = node.emit(Op::unsqueeze, {node.input(1), node.ints(Ints{0})});
  const ValueId d = node.emit(Op::sub, {a, b});
  const ValueId squares = node.emit(
      Op::reduce_sum, {node.emit(Op::mul, {d, d}), node.ints(Ints{2})}, {{"keepdims", int64_t{0}}});
  const std::string metric = node.string("metric", "sqeuclidean");
  if (metric != "sqeuclidean" && metric != "euclidean") {
    return node.unsupported(fmt::format("attribute `metric` is `{}`", metric));
  }
  node.set_output(0, metric == "euclidean" ? node.emit(Op::sqrt, {squares}) : squares);
}

// ---- from before opset 7

// alpha * f(beta * x) and the like, of experimental operators.
void import_scaled(NodeContext& node, const Rule&) {
  const ValueId x = node.input(0);
  const std::string& op = node.op_type();
  if (op == "Scale") return node.set_output(0, scaled(node, x, node.f64("scale", 1)));
  const double alpha = node.f64("alpha", 1);
  const double beta = node.f64("beta", op == "Affine" ? 0 : 1);
  if (op == "Affine") {
    const ValueId y = scaled(node, x, alpha);
    return node.set_output(0, node.emit(Op::add, {y, node.scalar_like(y, beta)}));
  }
  const Op function = op == "ScaledTanh" ? Op::tanh : Op::softplus;
  node.set_output(0, scaled(node, node.emit(function, {scaled(node, x, beta)}), alpha));
}

// Borders are left, top, right, bottom; with `scale` the height and width are given.
void import_crop(NodeContext& node, const Rule&) {
  const Ints border = node.ints("border");
  const Ints extents = node.ints("scale");
  const Ints shape = node.shape(node.input(0));
  if (node.failed()) return;
  if (border.size() != 4 || shape.size() != 4 || (!extents.empty() && extents.size() != 2)) {
    return node.invalid("it needs an operand of rank 4 and four borders");
  }
  Ints ends{shape[2] - border[3], shape[3] - border[2]};
  if (!extents.empty()) ends = {border[1] + extents[0], border[0] + extents[1]};
  node.set_output(0, node.emit(Op::slice, {node.input(0), node.ints(Ints{border[1], border[0]}),
                                           node.ints(ends), node.ints(Ints{2, 3})}));
}

// x * scale + bias[channel].
void import_image_scaler(NodeContext& node, const Rule&) {
  const ValueId x = scaled(node, node.input(0), node.f64("scale", 1));
  const std::vector<double> bias = node.floats("bias");
  Tensor tensor = Tensor::zeros(DType::f32, {static_cast<int64_t>(bias.size()), 1, 1});
  for (size_t i = 0; i < bias.size(); ++i) tensor.set_f64(static_cast<int64_t>(i), bias[i]);
  if (bias.empty()) return node.set_output(0, x);
  const ValueId addend = node.constant(tensor.converted(node.dtype_of(x)));
  node.set_output(0, node.emit(Op::add, {x, addend}));
}

}  // namespace neuronc::onnx
