// Transposition of square blocks in registers, and reorders (copies that change the memory order)
// made of them.
//
//   rows r[i] = (x[i,0], x[i,1], ...)  ->  columns c[j] = (x[0,j], x[1,j], ...)
//
// A copy between orders with different innermost dims reads vectors along the one and writes
// vectors along the other: every cache line that a block touches is used whole.
#pragma once

#include <span>

#include "backend/lower/lowered.h"
#include "backend/machine.h"
#include "ir/kernel/builder.h"

namespace neuronc {

// The transpose of as many rows as each has lanes, a power of two. 16 bytes of each row are
// transposed among themselves first, then pieces of 16 bytes: no step crosses them otherwise.
kernel::Values transpose_rows(kernel::Builder& b, const kernel::Values& rows);

// A dim of a copy, extents of 1 left out.
struct CopyDim {
  int64_t extent = 1;
  int64_t from = 0, to = 0;  // strides in elements
};

// Dims from outermost to innermost in the result's memory, neighbours that are one dim for both
// sides merged.
std::vector<CopyDim> merge_copy_dims(const std::vector<int64_t>& shape,
                                     std::span<const int64_t> from, std::span<const int64_t> to);

// The kernel of a copy of `dtype` elements. Refuses what has no unit stride to run along.
OrRefusal<LoweredKernel> lower_copy(const Machine& machine, DType dtype,
                                    const std::vector<CopyDim>& dims, std::string name);

}  // namespace neuronc
