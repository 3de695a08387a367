// Sets of bytes as ranges that repeat in several strides: what footprint.h computes with. Private to
// ir/kernel/.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/kernel/footprint.h"

namespace neuronc::kernel {

struct Stride {
  int64_t stride_bytes = 0;
  int64_t count = 1;
  friend auto operator<=>(const Stride&, const Stride&) = default;
};

// Ranges of `size_bytes` at offset + sum of i_d * stride_d; strides descend.
struct Region {
  int64_t offset_bytes = 0;
  int64_t size_bytes = 0;
  std::vector<Stride> strides;
};

// Sorts the strides, and makes of those that leave no gaps one range, or one stride.
void absorb(Region& region);

// Joins what touches or repeats at equal distances, until nothing changes.
void normalise(std::vector<Region>& regions);

// Adds what of the region lies within [0, span_bytes).
void clip(Region region, int64_t span_bytes, std::vector<Region>& regions);

// As runs by ascending offset, all strides but the innermost spelt out; one range around everything
// where that would be very many.
std::vector<ByteRun> to_runs(const std::vector<Region>& regions);

}  // namespace neuronc::kernel
