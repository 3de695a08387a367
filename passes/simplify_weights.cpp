// What stands before or behind a convolution or gemm and acts on channels goes into its constant
// weights: normalisation by known statistics, scales, offsets, zero padding.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "passes/simplify.h"

namespace neuronc {
namespace {

// y[n,c,..] = x[n,c,..] * scale[c] + shift[c]
struct Affine {
  std::vector<double> scale;
  std::vector<double> shift;
};

double smallest_normal(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return std::numeric_limits<double>::min();
    case DType::f16:
      return 0x1p-14;
    default:
      return std::numeric_limits<float>::min();  // bf16 too
  }
}

bool is_batch_normalization(const Node& node) { return node.op == Op::batch_normalization; }

// The channels of a value [N,C,..]; none where they are not a number.
std::optional<size_t> num_channels(const Type& type) {
  if (!type.is_ranked || type.rank() < 2 || !type.dims[1].is_number()) return std::nullopt;
  return static_cast<size_t>(type.dims[1].number());
}

// The constant as one number per channel of a value of `type`, if it is constant elsewhere.
std::optional<std::vector<double>> per_channel(const Tensor& constant, const Type& type) {
  const auto channels = num_channels(type);
  if (!channels || !is_float(constant.dtype()) || constant.rank() > type.rank()) {
    return std::nullopt;
  }
  if (constant.num_elements() == 1) {
    return std::vector<double>(*channels, constant.f64(0));
  }
  const int64_t skipped = type.rank() - constant.rank();
  for (int64_t d = 0; d < constant.rank(); ++d) {
    const int64_t extent = constant.shape()[static_cast<size_t>(d)];
    const int64_t expected = d + skipped == 1 ? static_cast<int64_t>(*channels) : 1;
    if (extent != expected) return std::nullopt;
  }
  if (skipped > 1) return std::nullopt;
  return constant.to_doubles();
}

std::optional<Affine> affine_of_batch_normalization(const Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.view().i64("training_mode") != 0) return std::nullopt;
  for (size_t i = 1; i < node.results.size(); ++i) {
    if (!rewriter.graph.value(node.results[i]).is_unused()) return std::nullopt;
  }
  std::vector<double> operands[5];
  const auto channels = num_channels(rewriter.type(node.operands[0]));
  for (size_t i = 1; i < 5; ++i) {
    const Tensor* tensor = rewriter.constant(id, i);
    if (tensor == nullptr || !channels) return std::nullopt;
    operands[i] = tensor->to_doubles();
    if (operands[i].size() != *channels) return std::nullopt;
  }
  const double epsilon = node.view().f64("epsilon");
  Affine affine;
  for (size_t c = 0; c < *channels; ++c) {
    const double scale = operands[1][c] / std::sqrt(operands[4][c] + epsilon);
    affine.scale.push_back(scale);
    affine.shift.push_back(operands[2][c] - operands[3][c] * scale);
  }
  return affine;
}

// What the node does to operand 0, if that is a scale and a shift of each channel.
std::optional<Affine> affine_of(const Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (is_batch_normalization(node)) return affine_of_batch_normalization(rewriter, id);
  if (node.op != Op::add && node.op != Op::sub && node.op != Op::mul && node.op != Op::div) {
    return std::nullopt;
  }
  const Tensor* constant = rewriter.constant(id, 1);
  const Type& type = rewriter.type(node.operands[0]);
  if (constant == nullptr || rewriter.type(node.results[0]) != type) return std::nullopt;
  auto values = per_channel(*constant, type);
  if (!values) return std::nullopt;
  Affine affine{std::vector<double>(values->size(), 1.0), std::vector<double>(values->size(), 0.0)};
  for (size_t c = 0; c < values->size(); ++c) {
    const double value = (*values)[c];
    if (node.op == Op::add) affine.shift[c] = value;
    if (node.op == Op::sub) affine.shift[c] = -value;
    if (node.op == Op::mul) affine.scale[c] = value;
    if (node.op == Op::div) affine.scale[c] = 1 / value;
  }
  return affine;
}

// The result channel that weights[row, column, ...] contribute to.
int64_t result_channel(const Node& node, const std::vector<int64_t>& shape, int64_t row,
                       int64_t column) {
  if (node.op == Op::conv) return row;
  if (node.op == Op::gemm) return node.view().i64("transB") != 0 ? row : column;
  const int64_t rows_per_group = shape[0] / node.view().i64("group");
  return row / rows_per_group * shape[1] + column;
}

Tensor scaled_weights(const Node& node, const Tensor& weights, const Affine& affine) {
  const std::vector<int64_t>& shape = weights.shape();
  Tensor result = Tensor::zeros(weights.dtype(), shape);
  if (weights.num_elements() == 0) return result;
  const int64_t inner = weights.num_elements() / (shape[0] * shape[1]);
  int64_t begin = 0;
  for (int64_t row = 0; row < shape[0]; ++row) {
    for (int64_t column = 0; column < shape[1]; ++column, begin += inner) {
      const double scale =
          affine.scale[static_cast<size_t>(result_channel(node, shape, row, column))];
      for (int64_t i = begin; i < begin + inner; ++i) result.set_f64(i, weights.f64(i) * scale);
    }
  }
  return result;
}

// Why rounding `values` to `dtype` would lose what they stand for, or nothing. Values that share a
// scale are judged together: beside a larger one, a small one may lose bits or vanish.
std::string range_problem(std::span<const double> values, DType dtype) {
  Tensor rounded = Tensor::zeros(dtype, {1});
  double largest = 0;
  for (double value : values) {
    rounded.set_f64(0, value);
    if (!std::isfinite(rounded.f64(0))) return fmt::format("it would overflow {}", name(dtype));
    largest = std::max(largest, std::fabs(value));
  }
  if (largest != 0 && largest < smallest_normal(dtype)) {
    return fmt::format("it would underflow {}", name(dtype));
  }
  return "";
}

// The same of weights scaled by channel, each channel for itself, and of the bias.
std::string range_problem(const Node& node, const Tensor& weights, const Affine& affine,
                          std::span<const double> bias) {
  const std::vector<int64_t>& shape = weights.shape();
  std::vector<std::vector<double>> channels(affine.scale.size());
  const int64_t inner =
      weights.num_elements() == 0 ? 0 : weights.num_elements() / (shape[0] * shape[1]);
  int64_t begin = 0;
  for (int64_t row = 0; row < shape[0] && inner > 0; ++row) {
    for (int64_t column = 0; column < shape[1]; ++column, begin += inner) {
      const auto c = static_cast<size_t>(result_channel(node, shape, row, column));
      for (int64_t i = begin; i < begin + inner; ++i) {
        channels[c].push_back(weights.f64(i) * affine.scale[c]);
      }
    }
  }
  for (const std::vector<double>& channel : channels) {
    const std::string problem = range_problem(channel, weights.dtype());
    if (!problem.empty()) return problem;
  }
  return range_problem(bias, weights.dtype());
}

bool is_all_ones(const std::vector<double>& values) {
  for (double value : values) {
    if (value != 1) return false;
  }
  return true;
}

// Why the scale and shift cannot go into `product`'s weights, or nothing.
std::string reason_against(const Rewriter& rewriter, NodeId id, NodeId product) {
  const Node& node = rewriter.node(product);
  if (!rewriter.has_one_use(rewriter.node(id).operands[0])) return "its result has other users";
  if (rewriter.constant(product, 1) == nullptr) return "its weights are not constant";
  if (node.has_operand(2) && rewriter.constant(product, 2) == nullptr) {
    return "its bias is not constant";
  }
  if (node.op == Op::gemm) {
    if (node.view().f64("alpha") != 1 || node.view().f64("beta") != 1) {
      return "it scales its product itself";
    }
    if (node.has_operand(2) &&
        !per_channel(*rewriter.constant(product, 2), rewriter.type(node.results[0]))) {
      return "its addend is not one number per column";
    }
  }
  return "";
}

NodeId weighted_producer(const Rewriter& rewriter, NodeId id) {
  for (Op op : {Op::conv, Op::conv_transpose, Op::gemm}) {
    if (const NodeId product = rewriter.operand_of(id, 0, op)) return product;
  }
  return NodeId();
}

Changed fold_into_weights(Rewriter& rewriter, NodeId id) {
  const Op op = rewriter.node(id).op;
  // Once cast, weights would be rounded a second time.
  const bool is_cast = rewriter.module.stage >= Stage::cast;
  if (rewriter.node(id).operands.empty() || is_cast) return Changed::no;
  const NodeId product = weighted_producer(rewriter, id);
  if (!product) return Changed::no;
  const auto affine = affine_of(rewriter, id);
  if (!affine) return Changed::no;
  const std::string reason = reason_against(rewriter, id, product);
  if (!reason.empty()) {
    rewriter.remarks.missed(rewriter.label(product),
                            fmt::format("{} not merged into the weights: {}", name(op), reason));
    return Changed::no;
  }
  const Node& node = rewriter.node(product);
  const Tensor weights = *rewriter.constant(product, 1);
  const auto channels = static_cast<int64_t>(affine->scale.size());
  std::vector<double> bias(affine->scale.size(), 0.0);
  if (node.has_operand(2)) {
    bias = *per_channel(rewriter.constant(product, 2)->rank() == 1 && node.op != Op::gemm
                            ? rewriter.constant(product, 2)->with_shape({1, channels})
                            : *rewriter.constant(product, 2),
                        Type::tensor(weights.dtype(), std::vector<int64_t>{1, channels}));
  }
  for (size_t c = 0; c < bias.size(); ++c) bias[c] = bias[c] * affine->scale[c] + affine->shift[c];
  const std::string problem = range_problem(node, weights, *affine, bias);
  if (!problem.empty()) {
    rewriter.remarks.missed(rewriter.label(product),
                            fmt::format("{} not merged into the weights: {}", name(op), problem));
    return Changed::no;
  }
  Tensor new_bias = Tensor::zeros(weights.dtype(), {channels});
  for (size_t c = 0; c < bias.size(); ++c) new_bias.set_f64(static_cast<int64_t>(c), bias[c]);
  if (!is_all_ones(affine->scale)) {
    rewriter.edit.set_operand(
        product, 1, rewriter.make_constant(product, scaled_weights(node, weights, *affine)));
  }
  const ValueId new_bias_value = rewriter.make_constant(product, std::move(new_bias));
  if (rewriter.node(product).operands.size() > 2) {
    rewriter.edit.set_operand(product, 2, new_bias_value);
  } else {
    rewriter.edit.add_operand(product, new_bias_value);
  }
  rewriter.remarks.done(rewriter.label(product),
                        fmt::format("{} merged into the weights", name(op)));
  rewriter.replace(id, rewriter.node(id).operands[0]);
  return Changed::yes;
}

// The operand as f32: what a product accumulates in f32 needs no rounding in between.
ValueId widened(Rewriter& rewriter, NodeId id) {
  const ValueId operand = rewriter.node(id).operands[0];
  Type type = rewriter.type(operand);
  if (type.dtype != DType::f16 && type.dtype != DType::bf16) return operand;
  const NodeId product = weighted_producer(rewriter, id);
  if (product && rewriter.has_one_use(operand) &&
      rewriter.node(product).def().attribute_index("result_type")) {
    rewriter.edit.set_attribute(product, "result_type", DType::f32);
    type.dtype = DType::f32;
    rewriter.edit.set_type(operand, std::move(type));
    return operand;
  }
  return rewriter.make(id, Op::cast, {operand}, {{"to", DType::f32}});
}

// Normalisation by constants is a multiplication and an addition. Their numbers are far apart where
// a channel's mean is far from 0, so that narrow types would lose the difference: they are f32.
Changed spell_out_batch_normalization(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (!is_batch_normalization(node)) return Changed::no;
  const auto affine = affine_of_batch_normalization(rewriter, id);
  const Type type = rewriter.type(node.operands[0]);
  if (!affine || rewriter.type(node.results[0]).dtype != type.dtype) return Changed::no;
  const DType wide = type.dtype == DType::f64 ? DType::f64 : DType::f32;
  for (const std::vector<double>* values : {&affine->scale, &affine->shift}) {
    const std::string problem = range_problem(*values, wide);
    if (problem.empty()) continue;
    rewriter.remarks.missed(rewriter.label(id),
                            fmt::format("{} not made a product: {}", name(node.op), problem));
    return Changed::no;
  }
  std::vector<int64_t> shape(static_cast<size_t>(type.rank()) - 1, 1);
  shape[0] = static_cast<int64_t>(affine->scale.size());
  Tensor scale = Tensor::zeros(wide, shape), shift = Tensor::zeros(wide, shape);
  for (size_t c = 0; c < affine->scale.size(); ++c) {
    scale.set_f64(static_cast<int64_t>(c), affine->scale[c]);
    shift.set_f64(static_cast<int64_t>(c), affine->shift[c]);
  }
  const ValueId operand = widened(rewriter, id);
  const ValueId scaled =
      rewriter.make(id, Op::mul, {operand, rewriter.make_constant(id, std::move(scale))});
  if (!scaled) return Changed::no;
  const ValueId shift_value = rewriter.make_constant(id, std::move(shift));
  if (wide == type.dtype) return rewriter.replace_by(id, Op::add, {scaled, shift_value});
  const ValueId shifted = rewriter.make(id, Op::add, {scaled, shift_value});
  return rewriter.replace_by(id, Op::cast, {shifted}, {{"to", type.dtype}});
}

// Begins and ends of a pad of zeros that touches spatial axes only.
std::optional<std::pair<std::vector<int64_t>, std::vector<int64_t>>> spatial_zero_pads(
    const Rewriter& rewriter, NodeId pad) {
  const Node& node = rewriter.node(pad);
  const Type& type = rewriter.type(node.operands[0]);
  const auto pads = rewriter.constant_ints(pad, 1);
  if (node.view().string("mode") != "constant" || !pads || !type.is_ranked) return std::nullopt;
  if (node.has_operand(2)) {
    const Tensor* fill = rewriter.constant(pad, 2);
    if (fill == nullptr || !is_all(*fill, 0)) return std::nullopt;
  }
  const auto rank = static_cast<size_t>(type.rank());
  if (node.has_operand(3) || pads->size() != 2 * rank || rank < 3) return std::nullopt;
  std::vector<int64_t> begins(pads->begin(), pads->begin() + static_cast<std::ptrdiff_t>(rank));
  std::vector<int64_t> ends(pads->begin() + static_cast<std::ptrdiff_t>(rank), pads->end());
  for (size_t d = 0; d < rank; ++d) {
    if (begins[d] < 0 || ends[d] < 0 || (d < 2 && begins[d] + ends[d] != 0)) return std::nullopt;
  }
  return std::pair(std::vector(begins.begin() + 2, begins.end()),
                   std::vector(ends.begin() + 2, ends.end()));
}

Changed merge_pad(Rewriter& rewriter, NodeId id) {
  if (rewriter.node(id).op != Op::conv) return Changed::no;
  const NodeId pad = rewriter.operand_of(id, 0, Op::pad);
  if (!pad) return Changed::no;
  const auto extra = spatial_zero_pads(rewriter, pad);
  if (!extra) {
    rewriter.remarks.missed(
        rewriter.label(pad),
        "pad not merged into conv: it does not add zeros to spatial axes alone");
    return Changed::no;
  }
  const size_t rank = extra->first.size();
  std::vector<int64_t> pads = rewriter.node(id).view().ints("pads");
  if (pads.empty()) pads.assign(2 * rank, 0);
  if (pads.size() != 2 * rank) return Changed::no;
  for (size_t d = 0; d < rank; ++d) {
    pads[d] += extra->first[d];
    pads[d + rank] += extra->second[d];
  }
  rewriter.edit.set_attribute(id, "pads", std::move(pads));
  rewriter.edit.set_operand(id, 0, rewriter.node(pad).operands[0]);
  rewriter.remarks.done(rewriter.label(id), "pad merged into conv");
  rewriter.edit.erase_if_unused(pad);
  return Changed::yes;
}

constexpr SimplifyRule kRules[] = {fold_into_weights, spell_out_batch_normalization, merge_pad};

}  // namespace

std::span<const SimplifyRule> weight_rules() { return kRules; }

}  // namespace neuronc
