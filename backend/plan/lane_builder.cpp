// Implements lane_builder.h.
#include "backend/plan/lane_builder.h"

#include "backend/plan/arena.h"

namespace neuronc {
namespace {

void for_each_arena_ref(plan::Step& step, const std::function<void(plan::BufferRef&)>& visit) {
  plan::for_each_ref(step, [&](plan::BufferRef& ref) {
    if (ref.space == plan::Space::arena) visit(ref);
  });
}

}  // namespace

uint32_t LaneBuilder::allocate(std::string name, uint64_t size_bytes) {
  pending_.push_back({std::move(name), size_bytes});
  return static_cast<uint32_t>(pending_.size() - 1);
}

plan::Lane LaneBuilder::finish() {
  std::vector<plan::Step>& steps = lane_.blocks[0].steps;
  std::vector<LiveRange> ranges(pending_.size());
  std::vector<bool> is_used(pending_.size(), false);
  for (uint32_t i = 0; i < steps.size(); ++i) {
    for_each_arena_ref(steps[i], [&](const plan::BufferRef& ref) {
      LiveRange& range = ranges[ref.index];
      if (!is_used[ref.index]) range.first_step = i;
      range.last_step = i;
      is_used[ref.index] = true;
    });
  }
  for (size_t i = 0; i < ranges.size(); ++i) {
    ranges[i].size_bytes = is_used[i] ? pending_[i].size_bytes : 0;
  }
  const ArenaLayout layout = lay_out_arena(ranges);
  for (plan::Step& step : steps) {
    for_each_arena_ref(step, [&](plan::BufferRef& ref) {
      ref.offset_bytes += layout.offsets_bytes[ref.index];
      ref.index = 0;
    });
  }
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (!is_used[i] || ranges[i].size_bytes == 0) continue;
    lane_.allocations.push_back({std::move(pending_[i].name), layout.offsets_bytes[i],
                                 ranges[i].size_bytes, ranges[i].first_step, ranges[i].last_step});
  }
  lane_.arena_bytes = layout.size_bytes;
  return std::move(lane_);
}

}  // namespace neuronc
