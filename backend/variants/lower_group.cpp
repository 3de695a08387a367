// Implements lower_group.h: the group's variant if it names one, otherwise the default nest.
#include "backend/variants/lower_group.h"

#include <algorithm>
#include <optional>

#include "backend/lower/default_nest.h"
#include "backend/lower/lowering.h"
#include "backend/lower/transpose.h"
#include "backend/variants/variant.h"

namespace neuronc {
namespace {

OrRefusal<void> check_lowerings(const Graph& body) {
  for (NodeId id : body.nodes()) {
    const Node& node = body.node(id);
    if (node.op != Op::constant && !lowering_of(node.op)) {
      return refuse("`" + std::string(node.def().name) + "` has no lowering");
    }
  }
  return {};
}

// Lanes for the widest element that the group computes with. What moves data takes narrow elements
// one by one, in code that grows with the lanes.
int default_lanes(const Graph& body, const Machine& machine) {
  int widest = 1;
  bool is_elementwise = true;
  for (NodeId id : body.nodes()) {
    const Node& node = body.node(id);
    if (node.op == Op::constant) continue;
    is_elementwise = is_elementwise && node.has(Trait::elementwise);
    for (ValueId result : node.results) {
      widest = std::max(widest, size_bytes(carrier_of(body.type(result).dtype)));
    }
  }
  if (!is_elementwise) widest = std::max(widest, 4);
  return std::max(1, machine.isa.vector_bytes / widest);
}

LoweredKernel lower_by_nest(const GroupContext& context, const Lowering& lowering) {
  const Node& anchor = context.anchor_node();
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 kernel_name(context), lowering.num_tiles(context.body, anchor));
  lowering.nest(e, anchor);
  return std::move(e).finish();
}

LoweredKernel lower_by_elements(const GroupContext& context) {
  const Node& group = context.graph.node(context.group);
  const ValueId result = group.results[0];
  const NestShape nest =
      plan_nest(context.graph.type(result).shape(), context.graph.value(result).storage,
                default_lanes(context.body, context.machine));
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 kernel_name(context), nest.num_tiles);
  emit_nest(e, nest, [&](const LaneIndex& at) { e.store_results(at); });
  return std::move(e).finish();
}

LoweredKernel lower_reorder(const Module& module, const Graph& graph, NodeId node,
                            const Machine& machine) {
  const ValueId result = graph.node(node).results[0];
  const std::vector<int64_t> shape = graph.type(result).shape();
  const int lanes =
      std::max(1, machine.isa.vector_bytes / std::max(4, size_bytes(graph.type(result).dtype)));
  std::string name = "reorder";
  for (int64_t extent : shape) name += "_" + std::to_string(extent);
  const Storage& from = graph.value(graph.node(node).operands[0]).storage;
  const Storage& to = graph.value(result).storage;
  if (from.dtype == to.dtype) {
    auto copy =
        lower_copy(machine, to.dtype, merge_copy_dims(shape, from.strides, to.strides), name);
    if (copy) return std::move(*copy);
  }
  const NestShape nest = plan_nest(shape, to, lanes);
  GroupEmitter e(module, graph, node, machine, std::move(name), nest.num_tiles);
  emit_nest(e, nest, [&](const LaneIndex& at) { e.store_results(at); });
  return std::move(e).finish();
}

// The variant that the group names, then the others that take it.
OrRefusal<std::vector<const Variant*>> from_chosen_on(const GroupContext& context,
                                                      std::string_view chosen) {
  std::vector<const Variant*> found;
  if (context.anchor) {
    for (const Variant* variant : variants_of(context.anchor_node().op)) {
      if (variant->name == chosen) {
        found.insert(found.begin(), variant);
      } else if (variant->predict_ns(context)) {
        found.push_back(variant);
      }
    }
  }
  if (!found.empty() && found[0]->name == chosen) return found;
  return refuse("there is no variant `" + std::string(chosen) + "`");
}

}  // namespace

OrRefusal<LoweredKernel> lower_group(const Module& module, const Graph& graph, NodeId node,
                                     const Machine& machine, size_t pass) {
  if (graph.node(node).op != Op::group) {
    if (pass > 0) return refuse("there is one way to copy");
    return lower_reorder(module, graph, node, machine);
  }
  const Graph& body = *graph.node(node).bodies[0];
  NEURONC_TRY(check_lowerings(body));
  const std::string cut = graph.node(node).view().string("blocking");
  Machine as_cut;
  if (!cut.empty()) {
    const std::optional<Blocking> blocking = parse_blocking(cut);
    if (!blocking) return refuse("`" + cut + "` is no blocking");
    as_cut = machine;
    as_cut.code.blocking = *blocking;
  }
  const GroupContext context{
      module, graph, node, body, find_anchor(body), cut.empty() ? machine : as_cut};
  const std::string chosen = graph.node(node).view().string("variant");
  const bool names_variant = !chosen.empty() && chosen != "default";
  if (names_variant) {
    NEURONC_ASSIGN(const std::vector<const Variant*> variants, from_chosen_on(context, chosen));
    if (pass < variants.size()) return variants[pass]->lower(context);
    pass -= variants.size();
  }
  if (pass > 0) return refuse("there is no further variant");
  if (context.anchor) {
    const Lowering& lowering = lowering_of(context.anchor_node().op);
    if (lowering.nest != nullptr) return lower_by_nest(context, lowering);
  }
  return lower_by_elements(context);
}

}  // namespace neuronc
