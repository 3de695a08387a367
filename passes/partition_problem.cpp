// Implements partition_problem.h.
#include "passes/partition_problem.h"

#include <algorithm>

#include "ir/control_flow.h"
#include "ir/cost.h"

namespace neuronc {
namespace {

// Splitting takes time quadratic in the units; beyond these, neighbours are taken together.
constexpr size_t kMaxUnits = 1024;

class ProblemBuilder {
 public:
  ProblemBuilder(const Module& module, const Target& target, const HardwareModel& hardware,
                 Tiles tiles)
      : module_(module),
        graph_(module.graph()),
        target_(target),
        hardware_(hardware),
        tiles_(tiles) {}

  PartitionProblem build() {
    SplitProblem& split = problem_.split;
    split.on_chip_bytes = hardware_.on_chip_bytes_per_core;
    split.is_cache = hardware_.on_chip_is_cache > 0;
    split.link_bytes_per_ns = hardware_.link_bytes_per_s * 1e-9;
    split.hand_off_ns = hardware_.hand_off_ns;
    split.cores_per_chip = static_cast<int64_t>(hardware_.cores_per_chip);
    split.chip_link_bytes_per_ns = split.link_bytes_per_ns;
    split.chip_hand_off_ns = split.hand_off_ns;
    if (hardware_.chip_link_bytes_per_s > 0) {
      split.chip_link_bytes_per_ns = hardware_.chip_link_bytes_per_s * 1e-9;
    }
    if (hardware_.chip_hand_off_ns > 0) split.chip_hand_off_ns = hardware_.chip_hand_off_ns;
    list_nodes();
    const size_t num_kernels = problem_.kernels.size();
    const size_t kernels_per_unit = std::max<size_t>(1, (num_kernels + kMaxUnits - 1) / kMaxUnits);
    split.units.resize((num_kernels + kernels_per_unit - 1) / kernels_per_unit);
    for (size_t i = 0; i < num_kernels; ++i) {
      const auto unit = static_cast<uint32_t>(i / kernels_per_unit);
      problem_.unit_of_kernel.push_back(unit);
      unit_of_[problem_.kernels[i]] = unit;
    }
    for (NodeId id : graph_.nodes()) {
      const Node& node = graph_.node(id);
      if (node.placement != Placement::core || node.op == Op::constant) continue;
      const auto unit = unit_of_.find(id);
      if (unit != unit_of_.end()) {
        add_kernel(id, unit->second);
      } else {
        add_free_node(id);
      }
    }
    return std::move(problem_);
  }

 private:
  void list_nodes() {
    for (NodeId id : graph_.nodes()) {
      const Node& node = graph_.node(id);
      if (node.placement != Placement::core || node.op == Op::constant) continue;
      (is_free(graph_, id) ? problem_.free_nodes : problem_.kernels).push_back(id);
    }
  }

  uint32_t new_value(ValueId value, int64_t maker) {
    const auto index = static_cast<uint32_t>(problem_.split.values.size());
    problem_.split.values.push_back({size_bytes(graph_, value), maker});
    carrier_[value] = index;
    if (maker >= 0) {
      problem_.split.units[static_cast<size_t>(maker)].values_made.push_back(index);
    }
    return index;
  }

  // What carries `value` between cores; from outside where no core made it.
  uint32_t carrier(ValueId value) {
    const auto it = carrier_.find(value);
    return it != carrier_.end() ? it->second : new_value(value, -1);
  }

  void use(uint32_t unit, ValueId value) {
    const uint32_t index = carrier(value);
    const int64_t maker = problem_.split.values[index].maker;
    if (maker < 0 || maker == unit) return;
    problem_.split.units[unit].values_used.push_back(index);
  }

  void add_kernel(NodeId id, uint32_t unit) {
    const Node& node = graph_.node(id);
    SplitUnit& work = problem_.split.units[unit];
    TensorUnit kernel;
    const GroupCost cost = target_.cost(module_, graph_, id, hardware_);
    kernel.time_ns = cost.time_ns;
    KernelTiles tiles;
    if (tiles_ == Tiles::of_kernels) tiles = target_.tiles(module_, graph_, id);
    kernel.num_tiles = tiles.count;
    problem_.why_alone.push_back(tiles.why_one);
    problem_.tensor_units.push_back(kernel);
    problem_.kernel_weight_bytes.push_back(cost.weight_bytes);
    work.compute_ns += kernel.time_ns;
    work.stall_ns += stall_ns(cost.weight_bytes, kernel.time_ns, hardware_.dram_bytes_per_s());
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const ValueId operand = node.operands[i];
      if (!operand) continue;
      if (const ConstantId constant = graph_.constant_id(operand)) {
        work.weights_used.push_back(weight(constant, read_bytes(graph_, id, i)));
      } else {
        use(unit, operand);
      }
    }
    if (runs_blocks(node)) add_weights_of_bodies(node, work);
    for (ValueId result : node.results) new_value(result, unit);
  }

  void add_weights_of_bodies(const Node& node, SplitUnit& work) {
    for (const auto& body : node.bodies) {
      for_each_core_graph(*body, [&](const Graph& graph) {
        for (NodeId id : graph.nodes()) {
          const std::vector<ValueId>& operands = graph.node(id).operands;
          for (size_t i = 0; i < operands.size(); ++i) {
            const ConstantId constant = operands[i] ? graph.constant_id(operands[i]) : ConstantId();
            if (constant) work.weights_used.push_back(weight(constant, read_bytes(graph, id, i)));
          }
        }
      });
    }
  }

  // What is kept on chip of it is the most that any kernel reads.
  uint32_t weight(ConstantId constant, double bytes_read) {
    std::vector<double>& bytes = problem_.split.weight_bytes;
    const auto [it, is_new] = weight_.emplace(constant, static_cast<uint32_t>(bytes.size()));
    if (is_new) {
      problem_.stored_weight_bytes += static_cast<double>(module_.constant(constant).size_bytes());
      bytes.push_back(0);
    }
    bytes[it->second] = std::max(bytes[it->second], bytes_read);
    return it->second;
  }

  void add_free_node(NodeId id) {
    const Node& node = graph_.node(id);
    if (node.operands.empty() || !node.operands[0]) return;
    if (node.op != Op::concat) {
      const uint32_t shown = carrier(node.operands[0]);
      for (ValueId result : node.results) carrier_[result] = shown;
      return;
    }
    int64_t maker = -1;
    for (ValueId operand : node.operands) {
      maker = std::max(maker, problem_.split.values[carrier(operand)].maker);
    }
    if (maker >= 0) {
      for (ValueId operand : node.operands) use(static_cast<uint32_t>(maker), operand);
    }
    new_value(node.results[0], maker);
  }

  const Module& module_;
  const Graph& graph_;
  const Target& target_;
  const HardwareModel& hardware_;
  Tiles tiles_;
  PartitionProblem problem_;
  std::unordered_map<NodeId, uint32_t> unit_of_;
  std::unordered_map<ValueId, uint32_t> carrier_;
  std::unordered_map<ConstantId, uint32_t> weight_;
};

}  // namespace

double stall_ns(double weight_bytes, double compute_ns, double memory_bytes_per_s) {
  return std::max(0.0, weight_bytes / memory_bytes_per_s * 1e9 - compute_ns);
}

PartitionProblem make_partition_problem(const Module& module, const Target& target,
                                        const HardwareModel& hardware, Tiles tiles) {
  return ProblemBuilder(module, target, hardware, tiles).build();
}

}  // namespace neuronc
