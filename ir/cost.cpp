// Implements cost.h.
#include "ir/cost.h"

#include <algorithm>
#include <unordered_set>

namespace neuronc {
namespace {

// Flops of a node without its bodies, by the unit that does them.
struct Work {
  double matmul_flops = 0;
  double matmul_ns = 0;
  double other_flops = 0;
};

void add_work(const Graph& graph, NodeId id, const HardwareModel* hardware, Work& work) {
  const Node& node = graph.node(id);
  std::vector<Type> operands, results;
  for (ValueId operand : node.operands) {
    operands.push_back(operand ? graph.type(operand) : Type());
  }
  for (ValueId result : node.results) results.push_back(graph.type(result));
  if (node.def().flops == nullptr) return;
  const double flops = node.def().flops(node.view(), operands, results);
  if (!node.has(Trait::matmul_like)) {
    work.other_flops += flops;
    return;
  }
  work.matmul_flops += flops;
  const DType dtype = operands.empty() ? DType::f32 : operands[0].dtype;
  if (hardware != nullptr) work.matmul_ns += flops / hardware->matmul_flops_per_s(dtype) * 1e9;
}

// The node itself, or all nodes of its bodies.
Work work_of(const Graph& graph, NodeId id, const HardwareModel* hardware) {
  Work work;
  const Node& node = graph.node(id);
  if (node.bodies.empty()) {
    add_work(graph, id, hardware, work);
    return work;
  }
  std::vector<const Graph*> bodies;
  for (const auto& body : node.bodies) bodies.push_back(body.get());
  for (size_t i = 0; i < bodies.size(); ++i) {
    const Graph& body = *bodies[i];
    for (NodeId inner : body.nodes()) {
      if (body.node(inner).bodies.empty()) add_work(body, inner, hardware, work);
      for (const auto& nested : body.node(inner).bodies) bodies.push_back(nested.get());
    }
  }
  return work;
}

ValueId root(const Graph& graph, ValueId value) {
  const Storage& storage = graph.value(value).storage;
  return storage.is_view() ? storage.base : value;
}

bool is_concat_in_place(const Graph& graph, const Node& node) {
  // Its operands are views of its result: whoever made them wrote them there.
  if (node.operands.empty() || node.results.size() != 1) return false;
  const ValueId whole = root(graph, node.results[0]);
  return std::all_of(node.operands.begin(), node.operands.end(), [&](ValueId operand) {
    return operand && graph.value(operand).storage.is_view() && root(graph, operand) == whole;
  });
}

}  // namespace

bool is_free(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op == Op::constant) return true;
  if (!node.has(Trait::moves_data)) return false;
  const bool all_views = std::all_of(node.results.begin(), node.results.end(), [&](ValueId v) {
    const Storage& storage = graph.value(v).storage;
    if (!storage.is_view() || node.operands.empty() || !node.operands[0]) return false;
    return root(graph, v) == root(graph, node.operands[0]);
  });
  return all_views || is_concat_in_place(graph, node);
}

double size_bytes(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  if (!value.type.is_tensor() || !value.type.is_static()) return 0;
  const Storage& storage = value.storage;
  if (storage && !storage.is_view()) return static_cast<double>(storage.size_bytes());
  const DType dtype = storage ? storage.dtype : value.type.dtype;
  return static_cast<double>(value.type.num_elements()) * neuronc::size_bytes(dtype);
}

GroupCost predict_cost(const Module& module, const Graph& graph, NodeId id,
                       const HardwareModel& hardware) {
  GroupCost cost;
  if (is_free(graph, id)) return cost;
  const Node& node = graph.node(id);
  const Work work = work_of(graph, id, &hardware);
  cost.flops = work.matmul_flops + work.other_flops;
  std::unordered_set<ValueId> read;
  for (ValueId operand : node.operands) {
    if (!operand || !read.insert(operand).second) continue;
    const Tensor* constant = module.constant_of(graph, operand);
    (constant != nullptr ? cost.weight_bytes : cost.bytes_read) +=
        constant != nullptr ? static_cast<double>(constant->size_bytes())
                            : size_bytes(graph, operand);
  }
  for (ValueId result : node.results) cost.bytes_written += size_bytes(graph, result);
  const double compute_ns = work.matmul_ns + work.other_flops / hardware.vector_flops_per_s * 1e9;
  const double memory_ns = (cost.weight_bytes + cost.bytes_read + cost.bytes_written) /
                           hardware.on_chip_bytes_per_s * 1e9;
  cost.time_ns = hardware.launch_ns + std::max(compute_ns, memory_ns);
  return cost;
}

GraphWork total_work(const Module& module, const Graph& graph) {
  GraphWork total;
  std::unordered_set<ConstantId> constants;
  for (NodeId id : graph.nodes()) {
    const Work work = work_of(graph, id, nullptr);
    total.matmul_flops += work.matmul_flops;
    total.other_flops += work.other_flops;
    for (ValueId operand : graph.node(id).operands) {
      const ConstantId constant = operand ? graph.constant_id(operand) : ConstantId();
      if (!constant || !constants.insert(constant).second) continue;
      total.weight_bytes += static_cast<double>(module.constant(constant).size_bytes());
    }
  }
  return total;
}

}  // namespace neuronc
