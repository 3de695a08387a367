// Operators made of p-norms and powers: pools, normalisation by a norm, local response
// normalisation.
#include "ir/ops/pool_windows.h"
#include "ir/ops/scalar_math.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kFloatX[] = {{"x", kFloats, 'T'}};
constexpr ResultSpec kY[] = {{"y", kFloats, 'T'}};
constexpr AttributeSpec kLpPoolAttributes[] = {{"ceil_mode", AttributeKind::i64, "0"},
                                               {"dilations", AttributeKind::ints, "[]"},
                                               {"kernel_shape", AttributeKind::ints, "", true},
                                               {"p", AttributeKind::i64, "2"},
                                               {"pads", AttributeKind::ints, "[]"},
                                               {"strides", AttributeKind::ints, "[]"}};
constexpr AttributeSpec kGlobalLpAttributes[] = {{"p", AttributeKind::i64, "2"}};

Values evaluate_lp_pool(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const std::vector<double> values = doubles(x);
  const int64_t x_plane = axis_view(x.shape(), 2, x.rank()).extent;
  const LpNorm norm(input.op.i64("p"));
  std::vector<double> y(static_cast<size_t>(type.num_elements()));
  NEURONC_TRY(
      for_each_window(input, type.shape(), [&](int64_t plane, const Cover& cover, int64_t result) {
        double sum = 0;
        for (int64_t offset : cover.offsets) {
          sum += norm.power(values[static_cast<size_t>(plane * x_plane + offset)]);
        }
        y[static_cast<size_t>(result)] = norm.root(sum);
      }));
  return one(from_doubles(type.dtype, type.shape(), y));
}

Values evaluate_global_lp_pool(const EvaluateInput& input) {
  const LpNorm norm(input.op.i64("p"));
  return pool_planes(input, [&](std::span<const double> plane) {
    double sum = 0;
    for (double value : plane) sum += norm.power(value);
    return norm.root(sum);
  });
}

constexpr AttributeSpec kLrnAttributes[] = {{"alpha", AttributeKind::f64, "0.0001"},
                                            {"beta", AttributeKind::f64, "0.75"},
                                            {"bias", AttributeKind::f64, "1"},
                                            {"size", AttributeKind::i64, "", true}};
constexpr AttributeSpec kLpAttributes[] = {{"axis", AttributeKind::i64, "-1"},
                                           {"p", AttributeKind::i64, "2"}};

Types infer_lrn(const InferInput& input) {
  if (input.op.i64("size") < 1) return refuse("`size` is less than 1");
  if (input.operands[0].is_ranked && input.operands[0].rank() < 2) {
    return refuse("the operand has no channels");
  }
  return infer_as_first(input);
}

Values evaluate_lrn(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const AxisView view = axis_view(type.shape(), 1);
  const std::vector<double> x = doubles(input.tensor(0));
  std::vector<double> y(x.size());
  const int64_t size = input.op.i64("size");
  const double alpha = input.op.f64("alpha") / static_cast<double>(size);
  const double beta = input.op.f64("beta");
  for (int64_t i = 0; i < static_cast<int64_t>(x.size()); ++i) {
    const int64_t c = i / view.inner % view.extent;
    const int64_t first = std::max<int64_t>(c - (size - 1) / 2, 0);
    const int64_t last = std::min<int64_t>(c + size / 2, view.extent - 1);
    double sum = 0;
    for (int64_t j = first; j <= last; ++j) {
      const double value = x[static_cast<size_t>(i + (j - c) * view.inner)];
      sum += value * value;
    }
    const auto at = static_cast<size_t>(i);
    y[at] = x[at] / math::pow(input.op.f64("bias") + alpha * sum, beta);
  }
  return one(from_doubles(type.dtype, type.shape(), y));
}

Types infer_lp(const InferInput& input) {
  const Type& x = input.operands[0];
  if (x.is_ranked) NEURONC_TRY(resolve_axis(input.op.i64("axis"), x.rank()));
  if (input.op.i64("p") != 1 && input.op.i64("p") != 2) return refuse("`p` is neither 1 nor 2");
  return infer_as_first(input);
}

Values evaluate_lp(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), type.rank()));
  const AxisView view = axis_view(type.shape(), axis);
  std::vector<double> values = doubles(input.tensor(0));
  const LpNorm norm(input.op.i64("p"));
  for (int64_t i = 0; i < view.outer * view.inner; ++i) {
    double* line = values.data() + i / view.inner * view.extent * view.inner + i % view.inner;
    double sum = 0;
    for (int64_t j = 0; j < view.extent; ++j) sum += norm.power(line[j * view.inner]);
    const double length = norm.root(sum);
    for (int64_t j = 0; length != 0 && j < view.extent; ++j) line[j * view.inner] /= length;
  }
  return one(from_doubles(type.dtype, type.shape(), values));
}

}  // namespace

/// y = (sum of |x|^p under each window)^(1/p).
/// Shapes: as max_pool.   Types: floats.   Source: ONNX LpPool-22.
NEURONC_OP(lp_pool) = {"lp_pool",         "the p-norm of the elements under each window",
                       "ONNX LpPool-22",  kFloatX,
                       kLpPoolAttributes, kY,
                       Trait::anchor,     Precision::statistic,
                       infer_pool,        evaluate_lp_pool,
                       pool_flops};

/// y[n,c] = (sum of |x[n,c,..]|^p)^(1/p).   Shapes: x [N,C,D...], y [N,C,1...].   Types: floats.
///   Source: ONNX GlobalLpPool-22.
NEURONC_OP(global_lp_pool) = {"global_lp_pool",
                              "the p-norm of each plane",
                              "ONNX GlobalLpPool-22",
                              kFloatX,
                              kGlobalLpAttributes,
                              kY,
                              Trait::reduction | Trait::anchor,
                              Precision::statistic,
                              infer_global_pool,
                              evaluate_global_lp_pool,
                              flops_per_operand<2>};

/// y[n,c,..] = x[n,c,..] / (bias + alpha / size * sum of x[n,j,..]^2)^beta over the `size` channels
/// j around c.   Shapes: x [N,C,D...].   Types: floats.   Source: ONNX LRN-13.
NEURONC_OP(lrn) = {"lrn",
                   "local response normalisation",
                   "ONNX LRN-13",
                   kFloatX,
                   kLrnAttributes,
                   kY,
                   Trait::anchor,
                   Precision::statistic,
                   infer_lrn,
                   evaluate_lrn,
                   [](const OpView& op, std::span<const Type>, std::span<const Type> results) {
                     return (2.0 * static_cast<double>(op.i64("size")) + 32) *
                            num_elements_of(results[0]);
                   }};

/// y = x / (its p-norm along `axis`); a line of zeros stays.   Types: floats.
/// Source: ONNX LpNormalization-22.
NEURONC_OP(lp_normalization) = {"lp_normalization",
                                "x divided by its norm along an axis",
                                "ONNX LpNormalization-22",
                                kFloatX,
                                kLpAttributes,
                                kY,
                                Trait::reduction | Trait::anchor,
                                Precision::statistic,
                                infer_lp,
                                evaluate_lp,
                                flops_per_result<3>};

}  // namespace neuronc
