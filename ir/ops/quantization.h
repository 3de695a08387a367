// Quantisation as ONNX has it: x ~ (q - zero point) * scale, with one scale and zero point for the
// whole tensor, one per index of an axis, or one per block along an axis.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/base/expected.h"
#include "ir/tensor.h"

namespace neuronc::ops {

// For each element of a tensor of `shape`: which element of the scale (and zero point) is its own.
OrRefusal<std::vector<int64_t>> scale_indices(const std::vector<int64_t>& shape,
                                              const std::vector<int64_t>& scale_shape, int64_t axis,
                                              int64_t block_size);

// round(value), ties to even, plus the zero point, saturated to an integer dtype.
double saturated(double value, double zero_point, DType dtype);

}  // namespace neuronc::ops
