// Resampling of tensors; the taps are resize_taps.h's.
#include <algorithm>
#include <cmath>

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

// What rounds an interpolated integer: half away from zero, and to the ends of the dtype's range.
double rounded_to(DType dtype, double value) {
  const int bits = std::max(integer_bits(dtype), 1);
  const double high = std::ldexp(1.0, is_signed_integer(dtype) ? bits - 1 : bits) - 1;
  const double low = is_signed_integer(dtype) ? -high - 1 : 0;
  return std::clamp(std::round(value), low, high);
}

// Antialiased integers are rounded behind each axis, the innermost first, as image libraries do;
// bytes with weights of 22 fractional bits.
std::vector<double> resample_integers(const Tensor& x, const std::vector<ResizeAxis>& axes) {
  Shape shape = x.shape();
  std::vector<double> values = doubles(x);
  for (size_t i = axes.size(); i-- > 0;) {
    ResizeAxis axis = axes[i];
    if (axis.is_identity) continue;
    if (integer_bits(x.dtype()) == 8) {
      for (std::vector<ResizeTap>& taps : axis.taps) {
        for (ResizeTap& tap : taps) tap.weight = std::round(tap.weight * 0x1p22) * 0x1p-22;
      }
    }
    values = resample(values, shape, i, axis);
    for (double& value : values) value = rounded_to(x.dtype(), value);
    shape[i] = axis.result_extent;
  }
  return values;
}

// Integers between which is interpolated without antialiasing: products of f32 weights, innermost
// axis first, summed in f32 and cut off, as ONNX Runtime does. Exact sums would end one below where
// the rounded ones reach a whole number.
std::vector<double> interpolate_integers(const Tensor& x, const Shape& shape,
                                         const std::vector<ResizeAxis>& axes) {
  const Shape strides = row_major_strides(x.shape());
  const std::vector<double> values = doubles(x);
  std::vector<double> y;
  for_each_index(shape, [&](const Shape& index) {
    int64_t num_terms = 1;
    for (size_t i = 0; i < index.size(); ++i) {
      num_terms *= static_cast<int64_t>(axes[i].taps[static_cast<size_t>(index[i])].size());
    }
    float sum = 0;
    for (int64_t term = 0; term < num_terms; ++term) {
      int64_t rest = term, offset = 0;
      float weight = 1;
      for (size_t i = index.size(); i-- > 0;) {
        const std::vector<ResizeTap>& taps = axes[i].taps[static_cast<size_t>(index[i])];
        const ResizeTap& tap = taps[static_cast<size_t>(rest) % taps.size()];
        rest /= static_cast<int64_t>(taps.size());
        weight *= static_cast<float>(tap.weight);
        offset += tap.index * strides[i];
      }
      sum += weight * static_cast<float>(values[static_cast<size_t>(offset)]);
    }
    y.push_back(sum);
  });
  return y;
}

std::vector<double> resample_all(const Tensor& x, const std::vector<ResizeAxis>& axes) {
  Shape shape = x.shape();
  std::vector<double> values = doubles(x);
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i].is_identity) continue;
    values = resample(values, shape, i, axes[i]);
    shape[i] = axes[i].result_extent;
  }
  return values;
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
  const Shape shape = type.shape();
  const bool antialiases = input.op.i64("antialias") != 0;
  std::vector<double> values;
  if (is_float(x.dtype())) {
    values = resample_all(x, axes);
  } else if (antialiases) {
    values = resample_integers(x, axes);
  } else if (input.op.string("mode") == "linear") {
    values = interpolate_integers(x, shape, axes);
  } else {
    values = resample_all(x, axes);
    for (double& value : values) value = rounded_to(x.dtype(), value);
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
