// Implements node_weights.h.
#include "runtime/node_weights.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "runtime/topology.h"

namespace neuronc::runtime {
namespace {

// What the lane's steps name, the steps of its If and Loop among them.
void add_constants(const plan::Lane& lane, std::set<uint32_t>& constants) {
  for (const plan::Block& block : lane.blocks) {
    for (const plan::Step& step : block.steps) {
      plan::for_each_ref(step, [&](const plan::BufferRef& ref) {
        if (ref.space == plan::Space::constant) constants.insert(ref.index);
      });
    }
  }
}

}  // namespace

Result<NodeWeights> NodeWeights::copy(const plan::Plan& plan, const std::byte* weights,
                                      const std::vector<int>& node_of_lane) {
  NodeWeights result;
  result.bases_.assign(plan.lanes.size(), weights);
  std::map<int, std::set<uint32_t>> constants_of_node;
  for (size_t lane = 0; lane < plan.lanes.size(); ++lane) {
    if (node_of_lane[lane] < 0) continue;
    add_constants(plan.lanes[lane], constants_of_node[node_of_lane[lane]]);
  }
  if (constants_of_node.size() < 2) return result;
  uint64_t end_bytes = 0;
  for (const plan::Constant& constant : plan.constants) {
    end_bytes = std::max(end_bytes, constant.offset_bytes + constant.size_bytes);
  }
  // Offsets stay; pages without a constant that the node reads are never touched.
  for (const auto& [node, constants] : constants_of_node) {
    NEURONC_ASSIGN(Memory memory, Memory::allocate(end_bytes));
    prefer_node(memory.data(), end_bytes, node);
    for (const uint32_t index : constants) {
      const plan::Constant& constant = plan.constants[index];
      if (constant.size_bytes == 0) continue;
      std::memcpy(memory.data() + constant.offset_bytes, weights + constant.offset_bytes,
                  constant.size_bytes);
      result.copied_bytes_ += constant.size_bytes;
    }
    result.copies_.emplace(node, std::move(memory));
  }
  for (size_t lane = 0; lane < plan.lanes.size(); ++lane) {
    const auto it = result.copies_.find(node_of_lane[lane]);
    if (it != result.copies_.end() && it->second.data() != nullptr) {
      result.bases_[lane] = it->second.data();
    }
  }
  return result;
}

}  // namespace neuronc::runtime
