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

// One axis's mapping from result to operand positions. Positions are computed in f32, operation by
// operation as ONNX Runtime does: 3 / (1/3) is 9 there, and just below 9 in f64, which names
// another nearest element.
struct Mapping {
  float scale = 1;
  float length = 0;  // the result's extent before it was rounded
  int64_t input_extent = 0, result_extent = 0;
  float roi_begin = 0, roi_end = 1;
};

float operand_position(const Mapping& m, const std::string& coordinates, int64_t result) {
  const auto x = static_cast<float>(result);
  const auto input = static_cast<float>(m.input_extent);
  const auto length = static_cast<float>(m.result_extent);
  if (coordinates == "asymmetric") return x / m.scale;
  if (coordinates == "tf_half_pixel_for_nn") return (x + 0.5f) / m.scale;
  if (coordinates == "align_corners") {
    return m.result_extent == 1 || m.length == 1 ? 0 : x * (input - 1) / (m.length - 1);
  }
  if (coordinates == "pytorch_half_pixel") {
    return m.result_extent == 1 ? 0 : (x + 0.5f) / m.scale - 0.5f;
  }
  if (coordinates == "half_pixel_symmetric") {
    const float adjustment = length / (m.scale * input);
    const float offset = input / 2 * (1 - adjustment);
    return static_cast<float>(offset + (x + 0.5) / m.scale - 0.5);
  }
  if (coordinates == "tf_crop_and_resize") {
    if (m.result_extent == 1) {
      return static_cast<float>(0.5 * (m.roi_begin + m.roi_end) * (input - 1));
    }
    return m.roi_begin * (input - 1) + x * (m.roi_end - m.roi_begin) * (input - 1) / (length - 1);
  }
  return (x + 0.5f) / m.scale - 0.5f;
}

double nearest_position(double position, const std::string& mode) {
  if (mode == "floor") return std::floor(position);
  if (mode == "ceil") return std::ceil(position);
  return mode == "round_prefer_ceil" ? std::floor(position + 0.5) : std::ceil(position - 0.5);
}

// The interpolation kernels: weights by distance.
float linear_weight(float distance) { return std::max(0.0f, 1 - std::fabs(distance)); }
float cubic_weight(float distance, float a) {
  const float d = std::fabs(distance);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
}

int64_t clamped(double index, const Mapping& mapping) {
  return static_cast<int64_t>(
      std::clamp(index, 0.0, static_cast<double>(mapping.input_extent - 1)));
}

// Adds to the tap of an element, so that each has one: edges are repeated.
void add_tap(std::vector<ResizeTap>& taps, int64_t index, float weight) {
  if (!taps.empty() && taps.back().index == index) {
    taps.back().weight = static_cast<float>(taps.back().weight) + weight;
  } else {
    taps.push_back({index, weight});
  }
}

// Two neighbours, of a position that is moved inside first.
std::vector<ResizeTap> linear_taps(const Mapping& mapping, float position) {
  const auto last = static_cast<float>(mapping.input_extent - 1);
  const float inside = std::max(0.0f, std::min(position, last));
  const float first = std::floor(inside);
  if (first == last) return {{mapping.input_extent - 1, 1}};
  return {{static_cast<int64_t>(first), (first + 1) - inside},
          {static_cast<int64_t>(first) + 1, inside - first}};
}

// All elements that the kernel reaches. Antialiasing widens it by the factor of shrinking, and
// makes the weights' sum 1.
std::vector<ResizeTap> kernel_taps(const Sampling& sampling, const Mapping& mapping,
                                   float position) {
  const float widening = sampling.antialiases ? std::max(1 / mapping.scale, 1.0f) : 1.0f;
  const float squeeze = 1 / widening;
  const float reach = (sampling.mode == Mode::linear ? 1.0f : 2.0f) * widening;
  const auto last = static_cast<float>(mapping.input_extent - 1);
  const auto a = static_cast<float>(sampling.cubic_a);
  const float centre = 0.5f + position;
  std::vector<ResizeTap> taps;
  float sum = 0;
  for (float at = std::floor(centre - reach + 0.5f); at < std::floor(centre + reach + 0.5f);
       at += 1) {
    const float distance = (at - centre + 0.5f) * squeeze;
    const float weight =
        sampling.mode == Mode::linear ? linear_weight(distance) : cubic_weight(distance, a);
    if (sampling.excludes_outside && (at < 0 || at > last)) continue;
    add_tap(taps, clamped(at, mapping), weight);
    sum += weight;
  }
  const bool normalises = sampling.excludes_outside || sampling.antialiases;
  const float factor = normalises && sum != 0 ? 1 / sum : 1;
  for (ResizeTap& tap : taps) tap.weight = static_cast<float>(tap.weight) * factor;
  std::erase_if(taps, [](const ResizeTap& tap) { return tap.weight == 0; });
  return taps;
}

std::vector<ResizeTap> taps_at(const Sampling& sampling, const Mapping& mapping, float position) {
  if (sampling.mode == Mode::nearest) {
    return {{clamped(nearest_position(position, sampling.nearest_mode), mapping), 1}};
  }
  const bool is_plain = !sampling.antialiases && !sampling.excludes_outside;
  if (sampling.mode == Mode::linear && is_plain) return linear_taps(mapping, position);
  return kernel_taps(sampling, mapping, position);
}

ResizeAxis make_axis(const Sampling& sampling, const Mapping& mapping) {
  ResizeAxis axis;
  axis.input_extent = mapping.input_extent;
  axis.result_extent = mapping.result_extent;
  const bool crops = sampling.coordinates == "tf_crop_and_resize";
  axis.is_identity = mapping.scale == 1 && mapping.input_extent == mapping.result_extent &&
                     sampling.coordinates != "tf_half_pixel_for_nn" &&
                     (!crops || (mapping.roi_begin == 0 && mapping.roi_end == 1));
  if (axis.input_extent == 0) return axis;
  for (int64_t i = 0; i < axis.result_extent; ++i) {
    const float position = axis.is_identity ? static_cast<float>(i)
                                            : operand_position(mapping, sampling.coordinates, i);
    axis.taps.push_back(axis.is_identity ? std::vector<ResizeTap>{{i, 1.0}}
                                         : taps_at(sampling, mapping, position));
    axis.is_outside.push_back(
        crops && (position < 0 || position > static_cast<float>(axis.input_extent - 1)));
  }
  return axis;
}

bool is_given(const Tensor* tensor) { return tensor != nullptr && tensor->num_elements() > 0; }

// Extents beyond this are refused; their scales are computed before.
constexpr int64_t kMaxExtent = int64_t{1} << 24;

OrRefusal<void> check_extent(double extent) {
  if (!(extent <= static_cast<double>(kMaxExtent))) {
    return refuse(fmt::format("an axis would grow to {:.0f} elements", extent));
  }
  return {};
}

OrRefusal<void> map_scales(const Tensor& scales, const Shape& axes, std::vector<Mapping>& maps) {
  for (size_t i = 0; i < axes.size(); ++i) {
    Mapping& m = maps[static_cast<size_t>(axes[i])];
    m.scale = static_cast<float>(scales.f64(static_cast<int64_t>(i)));
    if (!(m.scale > 0) || m.scale > 1e6f) return refuse(fmt::format("a scale is {}", m.scale));
    // In f32, as ONNX computes it: 0.9f * 10 is 9.
    m.length = static_cast<float>(m.input_extent) * m.scale;
    const float extent = std::floor(m.length);
    NEURONC_TRY(check_extent(extent));
    m.result_extent = static_cast<int64_t>(extent);
  }
  return {};
}

OrRefusal<void> map_sizes(const Tensor& sizes, const Shape& axes, const std::string& policy,
                          std::vector<Mapping>& maps) {
  float common = 0;
  for (size_t i = 0; i < axes.size(); ++i) {
    Mapping& m = maps[static_cast<size_t>(axes[i])];
    m.result_extent = sizes.i64(static_cast<int64_t>(i));
    if (m.result_extent < 0) return refuse(fmt::format("a size is {}", m.result_extent));
    NEURONC_TRY(check_extent(static_cast<double>(m.result_extent)));
    m.scale = static_cast<float>(std::max<int64_t>(m.result_extent, 1)) /
              static_cast<float>(std::max<int64_t>(m.input_extent, 1));
    m.length = static_cast<float>(m.result_extent);
    const bool is_better = policy == "not_larger" ? m.scale < common : m.scale > common;
    if (i == 0 || is_better) common = m.scale;
  }
  if (policy == "stretch") return {};
  if (policy != "not_larger" && policy != "not_smaller") {
    return refuse(fmt::format("`keep_aspect_ratio_policy` is `{}`", policy));
  }
  for (int64_t axis : axes) {
    Mapping& m = maps[static_cast<size_t>(axis)];
    m.scale = common;
    m.length = common * static_cast<float>(m.input_extent);
    const float extent = std::round(m.length);
    NEURONC_TRY(check_extent(extent));
    m.result_extent = static_cast<int64_t>(extent);
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
    maps[i].length = static_cast<float>(shape[i]);
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
      maps[static_cast<size_t>(axes[i])].roi_begin =
          static_cast<float>(roi->f64(static_cast<int64_t>(i)));
      maps[static_cast<size_t>(axes[i])].roi_end =
          static_cast<float>(roi->f64(static_cast<int64_t>(i + axes.size())));
    }
  }
  std::vector<ResizeAxis> result;
  for (const Mapping& mapping : maps) {
    if (mapping.input_extent == 0 && mapping.result_extent > 0) {
      return refuse("an axis without elements cannot grow");
    }
    NEURONC_TRY(check_extent(static_cast<double>(mapping.result_extent)));
    result.push_back(make_axis(sampling, mapping));
  }
  return result;
}

}  // namespace neuronc
