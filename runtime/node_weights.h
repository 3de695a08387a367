// Weights near the cores that read them: where a model's workers stay on processors of several NUMA nodes,
// each node has a copy of what its lanes read.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "ir/plan/plan.h"
#include "runtime/memory.h"

namespace neuronc::runtime {

class NodeWeights {
 public:
  // `node_of_lane` is -1 for lanes whose place is not known; they read `weights`, as all do if there are
  // fewer than two nodes. Errors: NRT_FAIL_HOST_MEM_ALLOC.
  static Result<NodeWeights> copy(const plan::Plan& plan, const std::byte* weights,
                                  const std::vector<int>& node_of_lane);

  const std::byte* of_lane(size_t lane) const { return bases_[lane]; }
  uint64_t copied_bytes() const { return copied_bytes_; }

 private:
  std::vector<const std::byte*> bases_;  // by lane
  std::map<int, Memory> copies_;         // by node
  uint64_t copied_bytes_ = 0;
};

}  // namespace neuronc::runtime
