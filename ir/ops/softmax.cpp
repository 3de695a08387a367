// Softmax and its kin: comparisons of the elements along one axis.
#include <cmath>
#include <limits>

#include "ir/ops/common.h"
#include "ir/ops/scalar_math.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kFloatX[] = {{"x", kFloats, 'T'}};
constexpr ResultSpec kFloatY[] = {{"y", kFloats, 'T'}};
constexpr AttributeSpec kLastAxis[] = {{"axis", AttributeKind::i64, "-1"}};

Types infer_along_axis(const InferInput& input) {
  const Type& x = input.operands[0];
  if (x.is_ranked) NEURONC_TRY(resolve_axis(input.op.i64("axis"), x.rank()));
  return std::vector<Type>{x};
}

// `change` rewrites each line of elements along the axis.
template <class Change>
Values rewrite_lines(const EvaluateInput& input, Change change) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  std::vector<double> values = doubles(input.tensor(0));
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), type.rank()));
  const AxisView view = axis_view(type.shape(), axis);
  std::vector<double> line(static_cast<size_t>(view.extent));
  for (int64_t i = 0; !line.empty() && i < view.outer * view.inner; ++i) {
    const int64_t begin = i / view.inner * view.extent * view.inner + i % view.inner;
    for (size_t j = 0; j < line.size(); ++j) {
      line[j] = values[static_cast<size_t>(begin) + j * static_cast<size_t>(view.inner)];
    }
    change(line);
    for (size_t j = 0; j < line.size(); ++j) {
      values[static_cast<size_t>(begin) + j * static_cast<size_t>(view.inner)] = line[j];
    }
  }
  return one(from_doubles(type.dtype, type.shape(), values));
}

// NaN wins, so that it reaches every result.
double greatest(const std::vector<double>& line) {
  double best = -std::numeric_limits<double>::infinity();
  for (double value : line) {
    if (value != value) return value;
    if (value > best) best = value;
  }
  return best;
}

Values evaluate_softmax(const EvaluateInput& input) {
  return rewrite_lines(input, [](std::vector<double>& line) {
    const double top = greatest(line);
    double sum = 0;
    for (double& value : line) sum += value = math::exp(value - top);
    for (double& value : line) value /= sum;
  });
}

Values evaluate_log_softmax(const EvaluateInput& input) {
  return rewrite_lines(input, [](std::vector<double>& line) {
    const double top = greatest(line);
    double sum = 0;
    for (double value : line) sum += math::exp(value - top);
    const double log_sum = math::log(sum);
    for (double& value : line) value = value - top - log_sum;
  });
}

Values evaluate_hardmax(const EvaluateInput& input) {
  return rewrite_lines(input, [](std::vector<double>& line) {
    size_t best = 0;
    for (size_t i = 1; i < line.size(); ++i) {
      if (line[i] > line[best]) best = i;
    }
    line.assign(line.size(), 0.0);
    line[best] = 1;
  });
}

}  // namespace

/// y = exp(x - max) / sum of exp(x - max), over the elements along `axis`.
/// Shapes: y as x.   Types: floats; sums in f32 or more.   Source: ONNX Softmax-13.
NEURONC_OP(softmax) = {"softmax",
                       "exponentials along an axis, normalised to the sum 1",
                       "ONNX Softmax-13",
                       kFloatX,
                       kLastAxis,
                       kFloatY,
                       Trait::reduction | Trait::anchor,
                       Precision::statistic,
                       infer_along_axis,
                       evaluate_softmax,
                       flops_per_result<16>};

/// y = x - max - log(sum of exp(x - max)), over the elements along `axis`.
/// Shapes: y as x.   Types: floats.   Source: ONNX LogSoftmax-13.
NEURONC_OP(log_softmax) = {"log_softmax",
                           "the logarithm of softmax",
                           "ONNX LogSoftmax-13",
                           kFloatX,
                           kLastAxis,
                           kFloatY,
                           Trait::reduction | Trait::anchor,
                           Precision::statistic,
                           infer_along_axis,
                           evaluate_log_softmax,
                           flops_per_result<16>};

/// y = 1 at the first greatest element along `axis`, 0 elsewhere.
/// Shapes: y as x.   Types: floats.   Source: ONNX Hardmax-13.
NEURONC_OP(hardmax) = {"hardmax",
                       "1 at the greatest element along an axis",
                       "ONNX Hardmax-13",
                       kFloatX,
                       kLastAxis,
                       kFloatY,
                       Trait::reduction | Trait::anchor,
                       Precision::statistic,
                       infer_along_axis,
                       evaluate_hardmax,
                       flops_per_result<1>};

}  // namespace neuronc
