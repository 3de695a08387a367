// Implements ir/ops/resize_taps.h.
#include "ir/ops/resize_taps.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/ops/common.h"

namespace neuronc {

using ops::Shape;

namespace {

enum class Mode : uint8_t { nearest, linear, cubic };

// What all axes share.
struct Sampling {
  Mode mode = Mode::nearest;
  std::string coordinates;
  std::string nearest_mode;
  double cubic_a = -0.75;
  bool excludes_outside = false;
  bool antialiases = false;
};

OrRefusal<Sampling> sampling_of(const OpView& op) {
  Sampling sampling;
  const std::string& mode = op.string("mode");
  if (mode == "linear") {
    sampling.mode = Mode::linear;
  } else if (mode == "cubic") {
    sampling.mode = Mode::cubic;
  } else if (mode != "nearest") {
    return refuse(fmt::format("`mode` is `{}`", mode));
  }
  sampling.coordinates = op.string("coordinate_transformation_mode");
  constexpr std::string_view kCoordinates[] = {
      "align_corners",      "asymmetric",         "half_pixel",          "half_pixel_symmetric",
      "pytorch_half_pixel", "tf_crop_and_resize", "tf_half_pixel_for_nn"};
  if (std::find(std::begin(kCoordinates), std::end(kCoordinates), sampling.coordinates) ==
      std::end(kCoordinates)) {
    return refuse(fmt::format("`coordinate_transformation_mode` is `{}`", sampling.coordinates));
  }
  sampling.nearest_mode = op.string("nearest_mode");
  constexpr std::string_view kNearest[] = {"ceil", "floor", "round_prefer_ceil",
                                           "round_prefer_floor"};
  if (std::find(std::begin(kNearest), std::end(kNearest), sampling.nearest_mode) ==
      std::end(kNearest)) {
    return refuse(fmt::format("`nearest_mode` is `{}`", sampling.nearest_mode));
  }
  sampling.cubic_a = op.f64("cubic_coeff_a");
  sampling.excludes_outside = op.i64("exclude_outside") != 0;
  sampling.antialiases = op.i64("antialias") != 0;
  return sampling;
}

// One axis's mapping from result to operand positions. `scale` is exact where the extents give it:
// positions are multiplied by `from` and divided by `to`.
struct Mapping {
  double from = 1, to = 1;  // scale = to / from
  int64_t input_extent = 0, result_extent = 0;
  double roi_begin = 0, roi_end = 1;

  double scale() const { return to / from; }
  double unscaled(double position) const { return position * from / to; }
};

double operand_position(const Mapping& m, const std::string& coordinates, int64_t result) {
  const auto x = static_cast<double>(result);
  const auto input = static_cast<double>(m.input_extent);
  if (coordinates == "asymmetric") return m.unscaled(x);
  if (coordinates == "tf_half_pixel_for_nn") return m.unscaled(x + 0.5);
  if (coordinates == "align_corners") {
    // The exact, unrounded extent of the result: with scales it need not be whole.
    const double length = input * m.scale();
    return m.result_extent == 1 || length == 1 ? 0 : x * (input - 1) / (length - 1);
  }
  if (coordinates == "pytorch_half_pixel") {
    return m.result_extent == 1 ? 0 : m.unscaled(x + 0.5) - 0.5;
  }
  if (coordinates == "half_pixel_symmetric") {
    const double adjustment = static_cast<double>(m.result_extent) / (input * m.scale());
    return input / 2 * (1 - adjustment) + m.unscaled(x + 0.5) - 0.5;
  }
  if (coordinates == "tf_crop_and_resize") {
    if (m.result_extent == 1) return 0.5 * (m.roi_begin + m.roi_end) * (input - 1);
    return m.roi_begin * (input - 1) +
           x * (m.roi_end - m.roi_begin) * (input - 1) / static_cast<double>(m.result_extent - 1);
  }
  return m.unscaled(x + 0.5) - 0.5;
}

double nearest_position(double position, const std::string& mode) {
  if (mode == "floor") return std::floor(position);
  if (mode == "ceil") return std::ceil(position);
  return mode == "round_prefer_ceil" ? std::floor(position + 0.5) : std::ceil(position - 0.5);
}

// The interpolation kernels: weights by distance.
double linear_weight(double distance) { return std::max(0.0, 1 - std::fabs(distance)); }
double cubic_weight(double distance, double a) {
  const double d = std::fabs(distance);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

std::vector<ResizeTap> taps_at(const Sampling& sampling, const Mapping& mapping, double position) {
  const int64_t last = mapping.input_extent - 1;
  const auto clamped = [&](double index) {
    return static_cast<int64_t>(std::clamp(index, 0.0, static_cast<double>(last)));
  };
  if (sampling.mode == Mode::nearest) {
    return {{clamped(nearest_position(position, sampling.nearest_mode)), 1}};
  }
  // Shrinking with antialiasing widens the kernel by the factor of shrinking.
  const double squeeze = sampling.antialiases ? std::min(mapping.scale(), 1.0) : 1.0;
  const double reach = (sampling.mode == Mode::linear ? 1 : 2) / squeeze;
  const double base = std::floor(position);
  std::vector<ResizeTap> taps;
  double sum = 0;
  for (double at = std::floor(base - reach) + 1; at <= base + reach + 1; at += 1) {
    const double distance = (at - position) * squeeze;
    double weight = sampling.mode == Mode::linear ? linear_weight(distance)
                                                  : cubic_weight(distance, sampling.cubic_a);
    if (sampling.excludes_outside && (at < 0 || at > static_cast<double>(last))) weight = 0;
    if (weight == 0) continue;
    taps.push_back({clamped(at), weight});
    sum += weight;
  }
  const bool normalises = sampling.excludes_outside || squeeze < 1;
  for (ResizeTap& tap : taps) {
    if (normalises && sum != 0) tap.weight /= sum;
  }
  return taps;
}

ResizeAxis make_axis(const Sampling& sampling, const Mapping& mapping) {
  ResizeAxis axis;
  axis.input_extent = mapping.input_extent;
  axis.result_extent = mapping.result_extent;
  const bool crops = sampling.coordinates == "tf_crop_and_resize";
  axis.is_identity = mapping.from == mapping.to && mapping.input_extent == mapping.result_extent &&
                     sampling.coordinates != "tf_half_pixel_for_nn" &&
                     (!crops || (mapping.roi_begin == 0 && mapping.roi_end == 1));
  if (axis.input_extent == 0) return axis;
  for (int64_t i = 0; i < axis.result_extent; ++i) {
    const double position = axis.is_identity ? static_cast<double>(i)
                                             : operand_position(mapping, sampling.coordinates, i);
    axis.taps.push_back(axis.is_identity ? std::vector<ResizeTap>{{i, 1.0}}
                                         : taps_at(sampling, mapping, position));
    axis.is_outside.push_back(
        crops && (position < 0 || position > static_cast<double>(axis.input_extent - 1)));
  }
  return axis;
}

bool is_given(const Tensor* tensor) { return tensor != nullptr && tensor->num_elements() > 0; }

OrRefusal<void> map_scales(const Tensor& scales, const Shape& axes, std::vector<Mapping>& maps) {
  for (size_t i = 0; i < axes.size(); ++i) {
    Mapping& m = maps[static_cast<size_t>(axes[i])];
    m.to = scales.f64(static_cast<int64_t>(i));
    if (!(m.to > 0) || m.to > 1e6) return refuse(fmt::format("a scale is {}", m.to));
    // In f32, as ONNX computes it: 0.9f * 10 is 9.
    m.result_extent = static_cast<int64_t>(
        std::floor(static_cast<float>(m.input_extent) * static_cast<float>(m.to)));
  }
  return {};
}

OrRefusal<void> map_sizes(const Tensor& sizes, const Shape& axes, const std::string& policy,
                          std::vector<Mapping>& maps) {
  double common = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    Mapping& m = maps[static_cast<size_t>(axes[i])];
    m.result_extent = sizes.i64(static_cast<int64_t>(i));
    if (m.result_extent < 0) return refuse(fmt::format("a size is {}", m.result_extent));
    m.from = static_cast<double>(std::max<int64_t>(m.input_extent, 1));
    m.to = static_cast<double>(std::max<int64_t>(m.result_extent, 1));
    const bool is_better = policy == "not_larger" ? m.scale() < common : m.scale() > common;
    if (i == 0 || is_better) common = m.scale();
  }
  if (policy == "stretch") return {};
  if (policy != "not_larger" && policy != "not_smaller") {
    return refuse(fmt::format("`keep_aspect_ratio_policy` is `{}`", policy));
  }
  for (int64_t axis : axes) {
    Mapping& m = maps[static_cast<size_t>(axis)];
    m.from = 1;
    m.to = common;
    m.result_extent =
        static_cast<int64_t>(std::floor(common * static_cast<double>(m.input_extent) + 0.5));
  }
  return {};
}

}  // namespace

OrRefusal<std::vector<ResizeAxis>> resize_axes(const OpView& op, const std::vector<int64_t>& shape,
                                               const Tensor* roi, const Tensor* scales,
                                               const Tensor* sizes) {
  NEURONC_ASSIGN(const Sampling sampling, sampling_of(op));
  if (is_given(scales) == is_given(sizes)) {
    return refuse("not exactly one of `scales` and `sizes` is given");
  }
  const auto rank = static_cast<int64_t>(shape.size());
  Shape axes = op.ints("axes");
  NEURONC_TRY(ops::resolve_axes(axes, rank));
  for (int64_t& axis : axes) axis = axis < 0 ? axis + rank : axis;
  for (int64_t axis = 0; op.ints("axes").empty() && axis < rank; ++axis) axes.push_back(axis);
  const Tensor& extents = is_given(scales) ? *scales : *sizes;
  if (extents.num_elements() != static_cast<int64_t>(axes.size())) {
    return refuse(fmt::format("{} scales or sizes are given for {} axes", extents.num_elements(),
                              axes.size()));
  }
  std::vector<Mapping> maps(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) {
    maps[i].input_extent = maps[i].result_extent = shape[i];
  }
  if (is_given(scales)) {
    NEURONC_TRY(map_scales(*scales, axes, maps));
  } else {
    NEURONC_TRY(map_sizes(*sizes, axes, op.string("keep_aspect_ratio_policy"), maps));
  }
  if (sampling.coordinates == "tf_crop_and_resize") {
    if (!is_given(roi) || roi->num_elements() != 2 * static_cast<int64_t>(axes.size())) {
      return refuse("`roi` does not have two entries per axis");
    }
    for (size_t i = 0; i < axes.size(); ++i) {
      maps[static_cast<size_t>(axes[i])].roi_begin = roi->f64(static_cast<int64_t>(i));
      maps[static_cast<size_t>(axes[i])].roi_end = roi->f64(static_cast<int64_t>(i + axes.size()));
    }
  }
  std::vector<ResizeAxis> result;
  for (const Mapping& mapping : maps) {
    if (mapping.input_extent == 0 && mapping.result_extent > 0) {
      return refuse("an axis without elements cannot grow");
    }
    if (mapping.result_extent > (int64_t{1} << 24)) {
      return refuse(fmt::format("an axis would grow to {} elements", mapping.result_extent));
    }
    result.push_back(make_axis(sampling, mapping));
  }
  return result;
}

}  // namespace neuronc
