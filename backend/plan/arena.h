// Gives byte ranges with known lifetimes a place in one arena.
//
// Greedy by size: the largest range first, each at the tightest gap between those that are live
// at the same time. That stays within a few percent of the largest live sum on real networks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace neuronc {

struct LiveRange {
  uint64_t size_bytes = 0;
  uint32_t first_step = 0;
  uint32_t last_step = 0;  // included
};

struct ArenaLayout {
  std::vector<uint64_t> offsets_bytes;  // per range, multiples of 64
  uint64_t size_bytes = 0;
};

// No two ranges whose steps meet share a byte.
ArenaLayout lay_out_arena(std::span<const LiveRange> ranges);

}  // namespace neuronc
