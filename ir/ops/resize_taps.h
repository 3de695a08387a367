// How `resize` reads its operand: for each axis and result position, the operand positions and
// weights that make it. Lowerings build their tables from the same taps as the evaluator.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/base/expected.h"
#include "ir/op.h"

namespace neuronc {

struct ResizeTap {
  int64_t index = 0;  // in [0, input extent)
  double weight = 0;  // an f32
};

struct ResizeAxis {
  int64_t input_extent = 0;
  int64_t result_extent = 0;
  std::vector<std::vector<ResizeTap>> taps;  // per result position
  std::vector<bool> is_outside;              // takes the extrapolation value (tf_crop_and_resize)
  bool is_identity = false;
};

// One entry per axis of x. `constants` are the operands x (its value is not read), roi, scales and
// sizes; nullptr where absent.
OrRefusal<std::vector<ResizeAxis>> resize_axes(const OpView& op, const std::vector<int64_t>& shape,
                                               const Tensor* roi, const Tensor* scales,
                                               const Tensor* sizes);

}  // namespace neuronc
