// Resampling of tensors; the taps are resize_taps.h's.
#include <algorithm>

#include "ir/ops/common.h"
#include "ir/ops/resize_taps.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kResizeOperands[] = {{"x", kAnyNumeric, 'T'},
                                           {"roi", kFloats, 0, Arity::optional},
                                           {"scales", DTypeSet{DType::f32}, 0, Arity::optional},
                                           {"sizes", DTypeSet{DType::i64}, 0, Arity::optional}};
constexpr ResultSpec kResizeResults[] = {{"y", kAnyNumeric, 'T'}};
constexpr AttributeSpec kResizeAttributes[] = {
    {"antialias", AttributeKind::i64, "0"},
    {"axes", AttributeKind::ints, "[]"},
    {"coordinate_transformation_mode", AttributeKind::string, "\"half_pixel\""},
    {"cubic_coeff_a", AttributeKind::f64, "-0.75"},
    {"exclude_outside", AttributeKind::i64, "0"},
    {"extrapolation_value", AttributeKind::f64, "0"},
    {"keep_aspect_ratio_policy", AttributeKind::string, "\"stretch\""},
    {"mode", AttributeKind::string, "\"nearest\""},
    {"nearest_mode", AttributeKind::string, "\"round_prefer_floor\""}};

Types infer_resize(const InferInput& input) {
  const Type& x = input.operands[0];
  if (!x.is_ranked) return std::vector<Type>{x};
  for (size_t i = 1; i < 4; ++i) {
    const bool is_empty = input.has(i) && known_length(input, i) == 0;
    if (input.has(i) && !is_empty && input.constant(i) == nullptr) {
      return std::vector<Type>{unknown_dims(x.dtype, x.rank())};
    }
  }
  // Symbolic extents stand as 1 while the numbers are computed.
  Shape shape;
  for (Dim dim : x.dims) shape.push_back(dim.is_number() ? dim.number() : 1);
  NEURONC_ASSIGN(
      const std::vector<ResizeAxis> axes,
      resize_axes(input.op, shape, input.constant(1), input.constant(2), input.constant(3)));
  Type type = x;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (x.dims[i].is_number()) {
      type.dims[i] = axes[i].result_extent;
    } else if (!axes[i].is_identity) {
      type.dims[i] = Dim::unknown();
    }
  }
  return std::vector<Type>{std::move(type)};
}

// Resamples along one axis.
std::vector<double> resample(const std::vector<double>& x, const Shape& shape, size_t at,
                             const ResizeAxis& axis) {
  const AxisView view = axis_view(shape, static_cast<int64_t>(at));
  std::vector<double> y;
  y.reserve(static_cast<size_t>(view.outer * axis.result_extent * view.inner));
  for (int64_t outer = 0; outer < view.outer; ++outer) {
    for (const std::vector<ResizeTap>& taps : axis.taps) {
      for (int64_t inner = 0; inner < view.inner; ++inner) {
        double sum = 0;
        for (const ResizeTap& tap : taps) {
          sum += tap.weight *
                 x[static_cast<size_t>((outer * view.extent + tap.index) * view.inner + inner)];
        }
        y.push_back(sum);
      }
    }
  }
  return y;
}

Tensor resize_nearest(const Tensor& x, const Shape& shape, const std::vector<ResizeAxis>& axes,
                      const Tensor& outside) {
  const Shape strides = row_major_strides(x.shape());
  std::vector<int64_t> offsets;
  for_each_index(shape, [&](const Shape& index) {
    int64_t offset = 0;
    for (size_t i = 0; i < index.size() && offset >= 0; ++i) {
      const auto at = static_cast<size_t>(index[i]);
      offset = axes[i].is_outside[at] ? -1 : offset + axes[i].taps[at][0].index * strides[i];
    }
    offsets.push_back(offset);
  });
  return take(x, shape, offsets, &outside);
}

Values evaluate_resize(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const auto operand = [&](size_t i) { return input.has(i) ? &input.tensor(i) : nullptr; };
  NEURONC_ASSIGN(const std::vector<ResizeAxis> axes,
                 resize_axes(input.op, x.shape(), operand(1), operand(2), operand(3)));
  const double outside_value = input.op.f64("extrapolation_value");
  if (type.num_elements() == 0) return one(Tensor::zeros(type.dtype, type.shape()));
  if (input.op.string("mode") == "nearest") {
    return one(resize_nearest(x, type.shape(), axes, Tensor::scalar(x.dtype(), outside_value)));
  }
  Shape shape = x.shape();
  std::vector<double> values = doubles(x);
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i].is_identity) continue;
    values = resample(values, shape, i, axes[i]);
    shape[i] = axes[i].result_extent;
  }
  size_t at = 0;
  for_each_index(shape, [&](const Shape& index) {
    for (size_t i = 0; i < index.size(); ++i) {
      if (axes[i].is_outside[static_cast<size_t>(index[i])]) values[at] = outside_value;
    }
    ++at;
  });
  return one(from_doubles(type.dtype, shape, values));
}

double resize_flops(const OpView& op, std::span<const Type> operands,
                    std::span<const Type> results) {
  const double per_axis = op.string("mode") == "nearest"  ? 0
                          : op.string("mode") == "linear" ? 4
                                                          : 8;
  int num_axes = 0;
  for (size_t i = 0; i < results[0].dims.size() && i < operands[0].dims.size(); ++i) {
    if (results[0].dims[i] != operands[0].dims[i]) ++num_axes;
  }
  return per_axis * num_axes * num_elements_of(results[0]);
}

}  // namespace

/// y = x sampled at other positions along its axes (`axes`, default all), by nearest element,
/// linear or cubic interpolation, separably; edges are repeated. Shapes: y's extents are
/// floor(extent * scale), or `sizes`.   Types: numbers; computes in f32 or more.   Source: ONNX
/// Resize-19, all coordinate and nearest modes; Upsample comes here too.
NEURONC_OP(resize) = {"resize",          "x sampled at other positions",
                      "ONNX Resize-19",  kResizeOperands,
                      kResizeAttributes, kResizeResults,
                      Trait::anchor,     Precision::elementwise,
                      infer_resize,      evaluate_resize,
                      resize_flops};

}  // namespace neuronc
