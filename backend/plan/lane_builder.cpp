// Implements lane_builder.h.
#include "backend/plan/lane_builder.h"

#include <algorithm>
#include <utility>

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

plan::BlockId LaneBuilder::begin_block() {
  const plan::BlockId block(lane_.blocks.size());
  lane_.blocks.emplace_back();
  open_.push_back(block);
  return block;
}

namespace {

// Finds the steps from which to which allocations live.
class Lifetimes {
 public:
  Lifetimes(const plan::Lane& lane, size_t num_allocations)
      : lane_(lane),
        steps_(plan::number_steps(lane)),
        parents_(lane.blocks.size()),
        depths_(lane.blocks.size(), 0),
        lives_(num_allocations) {
    for (size_t block = 0; block < lane.blocks.size(); ++block) {
      for (size_t i = 0; i < lane.blocks[block].steps.size(); ++i) {
        for (plan::BlockId inner : plan::blocks_of(lane.blocks[block].steps[i])) {
          parents_[inner.index] = steps_.numbers[block][i];
          depths_[inner.index] = depths_[block] + 1;
        }
      }
    }
    for (size_t block = 0; block < lane.blocks.size(); ++block) {
      for (size_t i = 0; i < lane.blocks[block].steps.size(); ++i) {
        plan::for_each_ref(lane.blocks[block].steps[i], [&](const plan::BufferRef& ref) {
          if (ref.space == plan::Space::arena) use(ref.index, steps_.numbers[block][i]);
        });
      }
    }
  }

  bool is_used(size_t allocation) const { return lives_[allocation].is_used; }
  const plan::StepNumbers::Range& of(size_t allocation) const { return lives_[allocation].range; }

 private:
  struct Life {
    bool is_used = false;
    plan::StepNumbers::Range range;
  };

  void use(size_t allocation, uint32_t number) {
    plan::StepNumbers::Range range = steps_.ranges[number];
    Life& life = lives_[allocation];
    if (!std::exchange(life.is_used, true)) {
      life.range = range;
      return;
    }
    while (life.range.block != range.block) {
      const bool is_deeper = depths_[range.block.index] > depths_[life.range.block.index];
      plan::StepNumbers::Range& inner = is_deeper ? range : life.range;
      inner = steps_.ranges[parents_[inner.block.index]];
    }
    life.range.first = std::min(life.range.first, range.first);
    life.range.last = std::max(life.range.last, range.last);
  }

  const plan::Lane& lane_;
  plan::StepNumbers steps_;
  std::vector<uint32_t> parents_;  // by block: the step that names it
  std::vector<uint32_t> depths_;
  std::vector<Life> lives_;
};

}  // namespace

plan::Lane LaneBuilder::finish() {
  const Lifetimes lifetimes(lane_, pending_.size());
  std::vector<LiveRange> ranges(pending_.size());
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (!lifetimes.is_used(i)) continue;
    ranges[i].size_bytes = pending_[i].size_bytes;
    ranges[i].first_step = lifetimes.of(i).first;
    ranges[i].last_step = lifetimes.of(i).last;
  }
  const ArenaLayout layout = lay_out_arena(ranges);
  for (plan::Block& block : lane_.blocks) {
    for (plan::Step& step : block.steps) {
      for_each_arena_ref(step, [&](plan::BufferRef& ref) {
        ref.offset_bytes += layout.offsets_bytes[ref.index];
        ref.index = 0;
      });
    }
  }
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (!lifetimes.is_used(i) || ranges[i].size_bytes == 0) continue;
    lane_.allocations.push_back({std::move(pending_[i].name), layout.offsets_bytes[i],
                                 ranges[i].size_bytes, ranges[i].first_step, ranges[i].last_step});
  }
  lane_.arena_bytes = layout.size_bytes;
  return std::move(lane_);
}

}  // namespace neuronc
