// Implements place.h.
#include "passes/place.h"

#include <fmt/format.h>

#include "ir/edit.h"
#include "ir/target.h"

namespace neuronc {
namespace {

OrRefusal<void> check_type(const Type& type, const Module& module) {
  if (!type.is_tensor()) {
    return refuse(fmt::format("{} is no tensor", to_text(type, &module)));
  }
  if (!kAnyNumeric.contains(type.dtype)) {
    return refuse(fmt::format("cores do not compute with {}", name(type.dtype)));
  }
  if (!type.is_static()) {
    return refuse(fmt::format("the shape of {} is known only at run time", to_text(type, &module)));
  }
  return {};
}

// Bodies run where their node runs.
void place_bodies(Graph& graph, NodeId id, Placement placement) {
  std::vector<Graph*> bodies;
  for (const auto& body : graph.node(id).bodies) bodies.push_back(body.get());
  for (size_t i = 0; i < bodies.size(); ++i) {
    GraphEditor edit(*bodies[i]);
    for (NodeId inner : bodies[i]->nodes()) {
      edit.set_placement(inner, placement);
      for (const auto& body : bodies[i]->node(inner).bodies) bodies.push_back(body.get());
    }
  }
}

int64_t count_operations(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op == Op::constant) return 0;
  if (node.op != Op::group || node.bodies.empty()) return 1;
  int64_t count = 0;
  const Graph& body = *node.bodies[0];
  for (NodeId inner : body.nodes()) count += body.node(inner).op == Op::constant ? 0 : 1;
  return count;
}

}  // namespace

OrRefusal<void> check_core_can_run(const Module& module, const Graph& graph, NodeId id,
                                   const Target& target) {
  const Node& node = graph.node(id);
  for (ValueId result : node.results) NEURONC_TRY(check_type(graph.type(result), module));
  if (node.op == Op::constant) return {};
  if (node.has(Trait::host)) {
    return refuse(fmt::format("`{}` is an operator of the host", node.def().name));
  }
  for (ValueId operand : node.operands) {
    if (operand) NEURONC_TRY(check_type(graph.type(operand), module));
  }
  return target.can_lower(module, graph, id);
}

Expected<Changed> place(Module& module, const NoOptions&, PassContext& context) {
  Graph& graph = module.graph();
  GraphEditor edit(graph);
  for (NodeId id : graph.nodes()) {
    const auto fits = check_core_can_run(module, graph, id, context.target);
    if (!fits) {
      context.remarks.missed(
          node_label(module, graph, id),
          fmt::format("`{}` runs on the host: {}", graph.node(id).def().name, fits.error().reason));
    }
    const Placement placement = fits ? Placement::core : Placement::host;
    edit.set_placement(id, placement);
    place_bodies(graph, id, placement);
  }
  return graph.num_nodes() > 0 ? Changed::yes : Changed::no;
}

PlacementSummary summarize_placement(const Module& module, const Target& target) {
  PlacementSummary summary;
  summary.num_in_model = module.num_model_ops;
  const Graph& graph = module.graph();
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    const int64_t count = count_operations(graph, id);
    summary.num_after_optimizations += count;
    if (node.placement != Placement::host) {
      summary.num_on_cores += count;
      continue;
    }
    if (node.op == Op::constant) continue;
    summary.num_on_host += count;
    const auto fits = check_core_can_run(module, graph, id, target);
    summary.host_nodes.push_back({node_label(module, graph, id), std::string(node.def().name),
                                  fits ? std::string() : fits.error().reason});
  }
  return summary;
}

std::string to_text(const PlacementSummary& summary) {
  return fmt::format(
      "Number of operations in model: {}\n"
      "Number of operations after optimizations: {}\n"
      "Number of operations placed on NeuronCores: {}\n",
      summary.num_in_model, summary.num_after_optimizations, summary.num_on_cores);
}

}  // namespace neuronc
