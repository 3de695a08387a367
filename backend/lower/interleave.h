// Copies between rows of pixels and planes of a few channels: the images and masks that models take
// and give.
//
//   planes c[0], c[1], c[2]  <->  pixels c[0][0], c[1][0], c[2][0], c[0][1], ...
#pragma once

#include <vector>

#include "backend/lower/transpose.h"

namespace neuronc {

inline constexpr int64_t kFewPlanes = 4;

// The kernel of a copy as lower_copy takes it, `along` being the source's innermost dim; refuses
// what has more planes than a few on either side, or pixels with gaps.
OrRefusal<LoweredKernel> lower_interleaved_copy(const Machine& machine, DType bits,
                                                const std::vector<CopyDim>& dims, size_t along,
                                                std::string name);

}  // namespace neuronc
