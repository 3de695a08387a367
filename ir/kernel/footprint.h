// Which bytes of its parameters a kernel touches, tile by tile: what lets lanes share a kernel.
//
//   the tiles [0, 4) of a product of 8 x 32 floats that a tile computes two rows of:
//     parameter 1 (a, read)     runs {0, 8 * k * 4}
//     parameter 2 (y, written)  runs {0, 1024}
//   the tiles [0, 1) if a tile computes 16 columns:
//     parameter 2 (y, written)  runs {0, 64, stride 128, count 8}
//
// Computed from index expressions alone. What cannot be followed exactly (a quotient inside a loop,
// an index that comes from data) is taken larger than it is, never smaller. Prefetches do not count.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ir/kernel/kernel.h"

namespace neuronc::kernel {

// `count` ranges of `size_bytes`, `stride_bytes` from start to start; 0 and 1: a single range.
struct ByteRun {
  int64_t offset_bytes = 0;
  int64_t size_bytes = 0;
  int64_t stride_bytes = 0;
  int64_t count = 1;
  friend bool operator==(const ByteRun&, const ByteRun&) = default;
};

struct Footprint {
  std::vector<ByteRun> reads;
  std::vector<ByteRun> writes;
};

class FootprintAnalysis {
 public:
  // `kernel` outlives the analysis.
  explicit FootprintAnalysis(const Kernel& kernel);
  ~FootprintAnalysis();
  FootprintAnalysis(FootprintAnalysis&&) noexcept;

  // Of the tiles [begin, end), by parameter. Tiles are looked at one by one where they are few,
  // otherwise in runs of neighbours, whose borders `granularity` gives.
  std::vector<Footprint> of_tiles(int64_t begin, int64_t end);

  // Tiles that of_tiles tells apart: ranges should begin and end at its multiples.
  int64_t granularity() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace neuronc::kernel
