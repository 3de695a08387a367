// What all pools share: the types of their results, and the elements under each window. Private to
// ir/ops/.
#pragma once

#include "ir/ops/common.h"
#include "ir/ops/window.h"

namespace neuronc::ops {

Types infer_pool(const InferInput& input);
Types infer_global_pool(const InferInput& input);
double pool_flops(const OpView& op, std::span<const Type> operands, std::span<const Type> results);

// What a window covers: offsets of taps inside the input's spatial extents, and how many taps lie
// inside the padded input.
struct Cover {
  std::vector<int64_t> offsets;
  int64_t num_padded = 0;
};
void cover_at(const Window& window, const Shape& x_shape, const Shape& position, Cover& cover);

// Calls `pool(plane, cover, result index)` for every window of every plane.
template <class Pool>
OrRefusal<void> for_each_window(const EvaluateInput& input, const Shape& shape, Pool pool) {
  NEURONC_ASSIGN(const Window window, window_of(input.op, input.op.ints("kernel_shape")));
  const Shape& x_shape = input.tensor(0).shape();
  const Shape x_spatial(x_shape.begin() + 2, x_shape.end());
  const Shape y_spatial(shape.begin() + 2, shape.end());
  const int64_t y_plane = num_elements(y_spatial);
  const int64_t num_planes = shape[0] * shape[1];
  Cover cover;
  int64_t pixel = 0;
  for_each_index(y_spatial, [&](const Shape& position) {
    cover_at(window, x_spatial, position, cover);
    for (int64_t plane = 0; plane < num_planes; ++plane) {
      pool(plane, cover, plane * y_plane + pixel);
    }
    ++pixel;
  });
  return {};
}

// `fold(planes' elements)` of each plane.
template <class Fold>
Values pool_planes(const EvaluateInput& input, Fold fold) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const std::vector<double> values = doubles(input.tensor(0));
  const auto plane =
      static_cast<size_t>(axis_view(input.tensor(0).shape(), 2, input.tensor(0).rank()).extent);
  std::vector<double> y(static_cast<size_t>(type.num_elements()));
  for (size_t i = 0; i < y.size(); ++i) {
    y[i] = fold(std::span<const double>(values).subspan(i * plane, plane));
  }
  return one(from_doubles(type.dtype, type.shape(), y));
}

}  // namespace neuronc::ops
