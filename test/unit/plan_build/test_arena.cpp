// The arena's layout: no two ranges that live together share a byte, and little is wasted.
#include <catch2/catch.hpp>
#include <random>

#include "backend/plan/arena.h"

using namespace neuronc;

namespace {

bool is_sound(const std::vector<LiveRange>& ranges, const ArenaLayout& layout) {
  for (size_t i = 0; i < ranges.size(); ++i) {
    const uint64_t begin = layout.offsets_bytes[i];
    const uint64_t end = begin + ranges[i].size_bytes;
    if (begin % 64 != 0 || end > layout.size_bytes) return false;
    for (size_t j = 0; j < i; ++j) {
      const uint64_t other = layout.offsets_bytes[j];
      const bool meets = ranges[i].first_step <= ranges[j].last_step &&
                         ranges[j].first_step <= ranges[i].last_step;
      if (meets && begin < other + ranges[j].size_bytes && other < end) return false;
    }
  }
  return true;
}

uint64_t largest_live_sum(const std::vector<LiveRange>& ranges, uint32_t num_steps) {
  uint64_t largest = 0;
  for (uint32_t step = 0; step < num_steps; ++step) {
    uint64_t sum = 0;
    for (const LiveRange& range : ranges) {
      if (range.first_step <= step && step <= range.last_step) {
        sum += (range.size_bytes + 63) / 64 * 64;
      }
    }
    largest = std::max(largest, sum);
  }
  return largest;
}

}  // namespace

TEST_CASE("random live ranges never collide") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const uint32_t num_steps = random() % 40 + 1;
    std::vector<LiveRange> ranges(random() % 60);
    for (LiveRange& range : ranges) {
      range.size_bytes = random() % 5 == 0 ? 0 : random() % 5000;
      range.first_step = random() % num_steps;
      range.last_step = range.first_step + random() % (num_steps - range.first_step);
    }
    const ArenaLayout layout = lay_out_arena(ranges);
    REQUIRE(is_sound(ranges, layout));
    REQUIRE(layout.size_bytes >= largest_live_sum(ranges, num_steps));
  }
}

TEST_CASE("a chain of equal values needs the memory of two") {
  std::vector<LiveRange> ranges;
  for (uint32_t i = 0; i < 50; ++i) ranges.push_back({4096, i, i + 1});
  REQUIRE(lay_out_arena(ranges).size_bytes == 2 * 4096);
}
