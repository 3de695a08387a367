// Implements reference_target.h.
#include "passes/reference_target.h"

#include <fmt/format.h>

#include "ir/control_flow.h"
#include "ir/cost.h"
#include "ir/hardware_model.h"

namespace neuronc {

OrRefusal<void> ReferenceTarget::can_lower(const Module& module, const Graph& graph,
                                           NodeId id) const {
  const Node& node = graph.node(id);
  if (node.has(Trait::host) || node.has(Trait::control_flow) || node.has(Trait::random)) {
    return refuse(fmt::format("`{}` runs on the host by its nature", node.def().name));
  }
  const auto check = [&](ValueId value) -> OrRefusal<void> {
    const Type& type = graph.type(value);
    if (type.is_static() && is_numeric(type.dtype)) return {};
    return refuse(fmt::format("{} cannot be held by a NeuronCore", to_text(type, &module)));
  };
  for (ValueId operand : node.operands) {
    if (operand) NEURONC_TRY(check(operand));
  }
  for (ValueId result : node.results) NEURONC_TRY(check(result));
  return {};
}

OrRefusal<void> ReferenceTarget::can_inline(const Module&, const Graph& graph, NodeId id) const {
  const Node& node = graph.node(id);
  if (node.has(Trait::elementwise) || node.has(Trait::moves_data)) return {};
  return refuse(fmt::format("`{}` is not computed element by element", node.def().name));
}

OrRefusal<void> ReferenceTarget::accepts_prologue(const Module&, const Graph& graph, NodeId id,
                                                  size_t operand_index) const {
  const Node& node = graph.node(id);
  if (!node.has(Trait::matmul_like)) return {};
  return refuse(fmt::format("`{}` reads operand {} once for each of many results", node.def().name,
                            operand_index));
}

OrRefusal<void> ReferenceTarget::gains_by_joining(const Module& module, const Graph& graph,
                                                  NodeId node) const {
  return can_lower(module, graph, node);
}

VariantChoice ReferenceTarget::choose_variant(const Module&, const Graph&, NodeId) const {
  return {"default", {}};
}

DimOrder ReferenceTarget::preferred_operand_order(const Module&, const Graph&, NodeId,
                                                  size_t) const {
  return {};
}

DimOrder ReferenceTarget::preferred_result_order(const Module&, const Graph&, NodeId,
                                                 size_t) const {
  return {};
}

GroupCost ReferenceTarget::cost(const Module& module, const Graph& graph, NodeId group,
                                const HardwareModel& hardware) const {
  if (!runs_blocks(graph.node(group))) return predict_cost(module, graph, group, hardware);
  return cost_of_blocks(module, graph, group, hardware, [&](const Graph& body, NodeId node) {
    return cost(module, body, node, hardware);
  });
}

KernelTiles ReferenceTarget::tiles(const Module&, const Graph&, NodeId) const { return {8, {}}; }

}  // namespace neuronc
