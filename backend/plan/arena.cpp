// Implements arena.h.
#include "backend/plan/arena.h"

#include <algorithm>
#include <numeric>

#include "ir/plan/kernel_abi.h"

namespace neuronc {
namespace {

uint64_t aligned(uint64_t bytes) {
  return (bytes + plan::kBufferAlignment - 1) / plan::kBufferAlignment * plan::kBufferAlignment;
}

bool meet(const LiveRange& a, const LiveRange& b) {
  return a.first_step <= b.last_step && b.first_step <= a.last_step;
}

}  // namespace

ArenaLayout lay_out_arena(std::span<const LiveRange> ranges) {
  std::vector<size_t> order(ranges.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return ranges[a].size_bytes > ranges[b].size_bytes; });
  ArenaLayout layout;
  layout.offsets_bytes.resize(ranges.size());
  std::vector<size_t> placed;  // by offset
  for (size_t i : order) {
    const uint64_t size = aligned(ranges[i].size_bytes);
    uint64_t best_offset = 0, best_gap = UINT64_MAX;
    uint64_t end = 0;  // of what is live with `i` and lies below
    bool has_gap = false;
    for (size_t p : placed) {
      if (!meet(ranges[i], ranges[p])) continue;
      const uint64_t offset = layout.offsets_bytes[p];
      if (offset >= end + size && offset - end < best_gap) {
        best_gap = offset - end;
        best_offset = end;
        has_gap = true;
      }
      end = std::max(end, offset + aligned(ranges[p].size_bytes));
    }
    const uint64_t offset = has_gap ? best_offset : end;
    layout.offsets_bytes[i] = offset;
    layout.size_bytes = std::max(layout.size_bytes, offset + size);
    const auto position =
        std::upper_bound(placed.begin(), placed.end(), offset,
                         [&](uint64_t at, size_t p) { return at < layout.offsets_bytes[p]; });
    placed.insert(position, i);
  }
  return layout;
}

}  // namespace neuronc
