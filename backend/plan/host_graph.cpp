// Implements host_graph.h.
#include "backend/plan/host_graph.h"

#include <algorithm>
#include <map>
#include <vector>

#include "ir/edit.h"
#include "ir/module_file.h"
#include "ir/printer.h"

namespace neuronc {

bool is_host_item(const Module& module, const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op != Op::constant) return node.placement == Placement::host;
  return graph.type(node.results[0]).dtype == DType::string;
}

HostGraph extract_host_graph(const Module& module) {
  Module host = module.clone();
  Graph& graph = host.graph();
  GraphEditor edit(graph);
  std::vector<NodeId> kept, dropped;
  for (NodeId id : graph.nodes()) {
    (is_host_item(host, graph, id) ? kept : dropped).push_back(id);
  }
  if (kept.empty()) return {};
  std::map<ValueId, ValueId> inputs;  // of a NeuronCore's values
  for (NodeId id : kept) {
    edit.set_placement(id, Placement::host);
    for (size_t i = 0; i < graph.node(id).operands.size(); ++i) {
      const ValueId operand = graph.node(id).operands[i];
      const NodeId producer = operand ? graph.producer(operand) : NodeId();
      if (!producer || is_host_item(host, graph, producer)) continue;
      ValueId& input = inputs[operand];
      if (!input) input = edit.add_input(graph.type(operand), graph.value(operand).name);
      edit.set_operand(id, i, input);
    }
  }
  // Only what a host node makes can stay an output; the plan knows which they are.
  std::vector<ValueId> outputs;
  std::vector<std::string> output_names;
  for (size_t i = 0; i < graph.outputs().size(); ++i) {
    const NodeId producer = graph.producer(graph.outputs()[i]);
    if (!producer || !is_host_item(host, graph, producer)) continue;
    outputs.push_back(graph.outputs()[i]);
    output_names.push_back(graph.output_names()[i]);
  }
  edit.set_outputs(std::move(outputs), std::move(output_names));
  std::reverse(dropped.begin(), dropped.end());
  for (NodeId id : dropped) edit.erase(id);
  for (size_t i = 0; i < graph.num_value_slots(); ++i) {
    if (!graph.value(ValueId(i)).is_erased) edit.set_storage(ValueId(i), Storage());
  }
  host.stage = Stage::placed;
  HostGraph result;
  result.nir = to_text(host);
  const std::vector<ConstantId> constants = sidecar_constants(host);
  if (!constants.empty()) result.nirc = constants_to_bytes(host, constants);
  return result;
}

}  // namespace neuronc
