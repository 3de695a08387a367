// Collects the steps of one lane. Arena memory is named by allocation until `finish` knows all
// lifetimes and lays the arena out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/plan/plan.h"

namespace neuronc {

class LaneBuilder {
 public:
  LaneBuilder(plan::LaneKind kind, uint32_t core) {
    lane_.kind = kind;
    lane_.core = core;
    lane_.blocks.emplace_back();
    open_.emplace_back(0);
  }

  // A new allocation, live from the first to the last step that refers to it, of the innermost block
  // that holds both.
  uint32_t allocate(std::string name, uint64_t size_bytes);
  static plan::BufferRef arena_ref(uint32_t allocation, plan::Access access, uint64_t offset_bytes,
                                   uint64_t size_bytes) {
    return {plan::Space::arena, access, allocation, offset_bytes, size_bytes};
  }

  void add(plan::Step step) { lane_.blocks[open_.back().index].steps.push_back(std::move(step)); }
  // What is added between belongs to the new block, which a later step of the block around it names.
  plan::BlockId begin_block();
  void end_block() { open_.pop_back(); }

  // The lane with its arena laid out.
  plan::Lane finish();

 private:
  struct Pending {
    std::string name;
    uint64_t size_bytes = 0;
  };
  plan::Lane lane_;
  std::vector<Pending> pending_;
  std::vector<plan::BlockId> open_;  // the innermost last
};

}  // namespace neuronc
