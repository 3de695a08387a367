// Normalisations: each subtracts a mean, divides by a deviation, scales and shifts, over its own
// choice of elements. Statistics are two-pass: mean first, then the mean of squared differences.
#include <fmt/format.h>

#include <cmath>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

struct Statistics {
  double mean = 0;
  double variance = 0;
};

// Of the elements that `for_each` passes to its argument.
template <class ForEach>
Statistics statistics_of(double count, ForEach for_each) {
  Statistics result;
  for_each([&](double x) { result.mean += x; });
  result.mean /= count;
  for_each([&](double x) { result.variance += (x - result.mean) * (x - result.mean); });
  result.variance /= count;
  return result;
}

Statistics statistics_of(std::span<const double> run) {
  return statistics_of(static_cast<double>(run.size()), [&](auto visit) {
    for (double x : run) visit(x);
  });
}

// An operand that holds one number per channel (axis 1 of x).
OrRefusal<void> check_per_channel(const InferInput& input, size_t i) {
  const Type& x = input.operands[0];
  if (!input.has(i) || !x.is_ranked || !input.operands[i].is_ranked) return {};
  const OperandSpec& spec = input.op.def.operands[i];
  if (x.rank() < 2 && input.op.def.name != "batch_normalization") {
    return refuse("the operand has no channels");
  }
  if (input.operands[i].rank() != 1) {
    return refuse(fmt::format("`{}` has rank {}, not 1", spec.name, input.operands[i].rank()));
  }
  const Dim channels = x.rank() < 2 ? Dim(1) : x.dims[1];
  NEURONC_TRY(same_dim(channels, input.operands[i].dims[0], "the number of channels"));
  return {};
}

// ---- batch_normalization

constexpr OperandSpec kBatchOperands[] = {{"x", kFloats, 'T'},
                                          {"scale", kFloats},
                                          {"bias", kFloats},
                                          {"mean", kFloats, 'U'},
                                          {"variance", kFloats, 'U'}};
constexpr ResultSpec kBatchResults[] = {{"y", kFloats, 'T'},
                                        {"running_mean", kFloats, 'U', Arity::optional},
                                        {"running_variance", kFloats, 'U', Arity::optional}};
constexpr AttributeSpec kBatchAttributes[] = {{"epsilon", AttributeKind::f64, "1e-05"},
                                              {"momentum", AttributeKind::f64, "0.9"},
                                              {"training_mode", AttributeKind::i64, "0"}};

Types infer_batch(const InferInput& input) {
  for (size_t i = 1; i < 5; ++i) NEURONC_TRY(check_per_channel(input, i));
  std::vector<Type> types{input.operands[0], input.operands[3], input.operands[4]};
  if (input.num_results > 1 && input.op.i64("training_mode") == 0) {
    return refuse("only training makes running statistics");
  }
  types.resize(std::min<size_t>(input.num_results, 3));
  return types;
}

Values evaluate_batch(const EvaluateInput& input) {
  NEURONC_ASSIGN(const std::vector<Type> types, actual_types(input));
  const Shape shape = types[0].shape();
  std::vector<double> values = doubles(input.tensor(0));
  const AxisView view =
      shape.size() < 2 ? AxisView{1, 1, num_elements(shape)} : axis_view(shape, 1);
  const std::vector<double> scale = doubles(input.tensor(1));
  const std::vector<double> bias = doubles(input.tensor(2));
  std::vector<double> mean = doubles(input.tensor(3));
  std::vector<double> variance = doubles(input.tensor(4));
  const double epsilon = input.op.f64("epsilon");
  const double momentum = input.op.f64("momentum");
  const bool is_training = input.op.i64("training_mode") != 0;
  for (int64_t c = 0; c < view.extent; ++c) {
    const auto at = static_cast<size_t>(c);
    const auto for_each = [&](auto visit) {
      for (int64_t i = 0; i < view.outer * view.inner; ++i) {
        visit(values[static_cast<size_t>((i / view.inner * view.extent + c) * view.inner +
                                         i % view.inner)]);
      }
    };
    Statistics statistics{mean[at], variance[at]};
    if (is_training) {
      statistics = statistics_of(static_cast<double>(view.outer * view.inner), for_each);
      mean[at] = mean[at] * momentum + statistics.mean * (1 - momentum);
      variance[at] = variance[at] * momentum + statistics.variance * (1 - momentum);
    }
    const double factor = scale[at] / std::sqrt(statistics.variance + epsilon);
    for_each([&](double& x) { x = (x - statistics.mean) * factor + bias[at]; });
  }
  std::vector<HostValue> results{from_doubles(types[0].dtype, shape, values)};
  if (types.size() > 1) {
    results.emplace_back(from_doubles(types[1].dtype, types[1].shape(), mean));
  }
  if (types.size() > 2) {
    results.emplace_back(from_doubles(types[2].dtype, types[2].shape(), variance));
  }
  return results;
}

// ---- layer_normalization and rms_normalization

constexpr OperandSpec kLayerOperands[] = {
    {"x", kFloats, 'T'}, {"scale", kFloats}, {"bias", kFloats, 0, Arity::optional}};
constexpr ResultSpec kLayerResults[] = {{"y", kFloats, 'T'},
                                        {"mean", kFloats, 0, Arity::optional},
                                        {"inverse_deviation", kFloats, 0, Arity::optional}};
constexpr AttributeSpec kLayerAttributes[] = {{"axis", AttributeKind::i64, "-1"},
                                              {"epsilon", AttributeKind::f64, "1e-05"},
                                              {"stash_type", AttributeKind::dtype, "f32"}};
constexpr OperandSpec kRmsOperands[] = {{"x", kFloats, 'T'}, {"scale", kFloats}};
constexpr ResultSpec kRmsResults[] = {{"y", kFloats, 'T'}};

Types infer_layer(const InferInput& input) {
  const Type& x = input.operands[0];
  Type statistic = x;
  statistic.dtype = input.op.dtype("stash_type");
  if (!is_float(statistic.dtype)) return refuse("`stash_type` is not a float");
  if (x.is_ranked) {
    NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), x.rank()));
    const Type normalised = ranked(x.dtype, {x.dims.begin() + axis, x.dims.end()});
    for (size_t i = 1; i < 3; ++i) {
      if (!input.has(i) || !input.operands[i].is_static() || !x.is_static()) continue;
      const Type pair[] = {x, input.operands[i]};
      NEURONC_ASSIGN(const Type both, broadcast_types(pair, x.dtype));
      if (both != x) return refuse("the scale or bias does not broadcast to the operand");
    }
    for (auto dim = statistic.dims.begin() + axis; dim != statistic.dims.end(); ++dim) *dim = 1;
  }
  std::vector<Type> types{x, statistic, statistic};
  types.resize(std::min<size_t>(input.num_results, 3));
  return types;
}

// y = (x - mean) / sqrt(variance + epsilon) * scale + bias over the axes from `axis`.
enum class Centre : bool { no, yes };

Values evaluate_runs(const EvaluateInput& input, Centre centre) {
  NEURONC_ASSIGN(const std::vector<Type> types, actual_types(input));
  const Shape shape = types[0].shape();
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), types[0].rank()));
  const auto run = static_cast<size_t>(axis_view(shape, axis, types[0].rank()).extent);
  std::vector<double> values = doubles(input.tensor(0));
  std::vector<double> means;
  std::vector<double> inverses;
  for (size_t begin = 0; begin < values.size(); begin += run) {
    const std::span<double> line = std::span(values).subspan(begin, run);
    Statistics statistics;
    if (centre == Centre::yes) {
      statistics = statistics_of(line);
    } else {
      for (double x : line) statistics.variance += x * x;
      statistics.variance /= static_cast<double>(run);
    }
    means.push_back(statistics.mean);
    inverses.push_back(1 / std::sqrt(statistics.variance + input.op.f64("epsilon")));
    for (double& x : line) x = (x - statistics.mean) * inverses.back();
  }
  const auto apply = [&](size_t operand, auto change) {
    const std::vector<double> factors = doubles(input.tensor(operand));
    size_t i = 0;
    for_each_offset(shape, broadcast_strides(input.tensor(operand).shape(), shape), 0,
                    [&](int64_t offset) { change(values[i++], factors[size_t(offset)]); });
  };
  apply(1, [](double& x, double scale) { x *= scale; });
  if (input.has(2)) apply(2, [](double& x, double bias) { x += bias; });
  std::vector<HostValue> results{from_doubles(types[0].dtype, shape, values)};
  if (types.size() > 1) {
    means.resize(static_cast<size_t>(types[1].num_elements()));
    results.emplace_back(from_doubles(types[1].dtype, types[1].shape(), means));
  }
  if (types.size() > 2) {
    inverses.resize(static_cast<size_t>(types[2].num_elements()));
    results.emplace_back(from_doubles(types[2].dtype, types[2].shape(), inverses));
  }
  return results;
}

Values evaluate_layer(const EvaluateInput& input) { return evaluate_runs(input, Centre::yes); }
Values evaluate_rms(const EvaluateInput& input) { return evaluate_runs(input, Centre::no); }

// ---- instance_normalization and group_normalization

constexpr OperandSpec kChannelOperands[] = {
    {"x", kFloats, 'T'}, {"scale", kFloats, 'T'}, {"bias", kFloats, 'T'}};
constexpr ResultSpec kY[] = {{"y", kFloats, 'T'}};
constexpr AttributeSpec kInstanceAttributes[] = {{"epsilon", AttributeKind::f64, "1e-05"}};
constexpr AttributeSpec kGroupAttributes[] = {{"epsilon", AttributeKind::f64, "1e-05"},
                                              {"num_groups", AttributeKind::i64, "", true},
                                              {"stash_type", AttributeKind::dtype, "f32"}};

Types infer_instance(const InferInput& input) {
  for (size_t i = 1; i < 3; ++i) NEURONC_TRY(check_per_channel(input, i));
  return infer_as_first(input);
}

Types infer_group(const InferInput& input) {
  const Type& x = input.operands[0];
  const int64_t groups = input.op.i64("num_groups");
  if (groups < 1) return refuse(fmt::format("`num_groups` is {}", groups));
  if (x.is_ranked && x.rank() >= 2 && x.dims[1].is_number() && x.dims[1].number() % groups != 0) {
    return refuse(
        fmt::format("{} channels do not divide into {} groups", x.dims[1].number(), groups));
  }
  return infer_instance(input);
}

// Normalises each run of `channels` / `groups` channels of each picture; then per channel.
Values evaluate_groups(const EvaluateInput& input, int64_t num_groups) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const AxisView view = axis_view(type.shape(), 1);
  std::vector<double> values = doubles(input.tensor(0));
  const std::vector<double> scale = doubles(input.tensor(1));
  const std::vector<double> bias = doubles(input.tensor(2));
  const auto run = static_cast<size_t>(view.extent / std::max<int64_t>(num_groups, 1) * view.inner);
  for (size_t begin = 0; begin < values.size(); begin += run) {
    const std::span<double> line = std::span(values).subspan(begin, run);
    const Statistics statistics = statistics_of(line);
    const double inverse = 1 / std::sqrt(statistics.variance + input.op.f64("epsilon"));
    for (size_t i = 0; i < run; ++i) {
      const size_t channel = (begin + i) / static_cast<size_t>(view.inner) % scale.size();
      line[i] = (line[i] - statistics.mean) * inverse * scale[channel] + bias[channel];
    }
  }
  return one(from_doubles(type.dtype, type.shape(), values));
}

Values evaluate_instance(const EvaluateInput& input) {
  return evaluate_groups(input, input.tensor(1).num_elements());
}
Values evaluate_group(const EvaluateInput& input) {
  return evaluate_groups(input, input.op.i64("num_groups"));
}

constexpr Trait kNormalises = Trait::reduction | Trait::anchor;

}  // namespace

/// y[n,c,..] = (x[n,c,..] - mean[c]) / sqrt(variance[c] + epsilon) * scale[c] + bias[c]. With
/// `training_mode` the batch's own statistics are used, and the running ones updated with
/// `momentum`.
/// Shapes: x and y [N,C,D...], the others [C].   Types: floats.
/// Source: ONNX BatchNormalization-15.
NEURONC_OP(batch_normalization) = {"batch_normalization",
                                   "channels scaled by known statistics",
                                   "ONNX BatchNormalization-15",
                                   kBatchOperands,
                                   kBatchAttributes,
                                   kBatchResults,
                                   Trait::anchor,
                                   Precision::statistic,
                                   infer_batch,
                                   evaluate_batch,
                                   flops_per_result<2>};

/// y = (x - mean) / sqrt(variance + epsilon) * scale + bias, with the statistics of the elements
/// over the axes from `axis` on. Shapes: scale and bias broadcast to x; mean and inverse_deviation
/// [.., 1...], of `stash_type`. Types: floats; statistics in f32 or more.   Source: ONNX
/// LayerNormalization-17.
NEURONC_OP(layer_normalization) = {"layer_normalization",
                                   "last axes normalised, scaled, shifted",
                                   "ONNX LayerNormalization-17",
                                   kLayerOperands,
                                   kLayerAttributes,
                                   kLayerResults,
                                   kNormalises,
                                   Precision::statistic,
                                   infer_layer,
                                   evaluate_layer,
                                   flops_per_result<8>};

/// y = x / sqrt(mean of x^2 + epsilon) * scale, over the axes from `axis` on.
/// Shapes: scale broadcasts to x.   Types: floats; statistics in f32 or more.
/// Source: ONNX RMSNormalization-23.
NEURONC_OP(rms_normalization) = {"rms_normalization",
                                 "last axes divided by their quadratic mean",
                                 "ONNX RMSNormalization-23",
                                 kRmsOperands,
                                 kLayerAttributes,
                                 kRmsResults,
                                 kNormalises,
                                 Precision::statistic,
                                 infer_layer,
                                 evaluate_rms,
                                 flops_per_result<5>};

/// y[n,c,..] = (x - mean) / sqrt(variance + epsilon) * scale[c] + bias[c], with the statistics of
/// each plane x[n,c,..].   Shapes: x [N,C,D...], scale and bias [C].   Types: floats.
/// Source: ONNX InstanceNormalization-22.
NEURONC_OP(instance_normalization) = {"instance_normalization",
                                      "each plane normalised",
                                      "ONNX InstanceNormalization-22",
                                      kChannelOperands,
                                      kInstanceAttributes,
                                      kY,
                                      kNormalises,
                                      Precision::statistic,
                                      infer_instance,
                                      evaluate_instance,
                                      flops_per_result<8>};

/// As instance_normalization, with the statistics of `num_groups` runs of channels.
/// Shapes: x [N,C,D...], scale and bias [C].   Types: floats.   Source: ONNX GroupNormalization-21.
NEURONC_OP(group_normalization) = {"group_normalization",
                                   "groups of channels normalised",
                                   "ONNX GroupNormalization-21",
                                   kChannelOperands,
                                   kGroupAttributes,
                                   kY,
                                   kNormalises,
                                   Precision::statistic,
                                   infer_group,
                                   evaluate_group,
                                   flops_per_result<8>};

}  // namespace neuronc
