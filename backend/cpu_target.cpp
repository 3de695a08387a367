// Implements cpu_target.h.
#include "backend/cpu_target.h"

#include <algorithm>

#include "backend/lower/lowering.h"
#include "backend/plan/split_tiles.h"
#include "backend/variants/lower_group.h"
#include "backend/variants/variant.h"
#include "ir/control_flow.h"
#include "ir/cost.h"
#include "ir/kernel/kernel.h"

namespace neuronc {
namespace {

// Kernels that no variant takes reach this part of the machine's peak.
constexpr double kDefaultEfficiency = 0.05;

OrRefusal<void> check_type(const Type& type) {
  if (!type.is_tensor()) return refuse("it works on sequences or optionals");
  if (!type.is_static()) return refuse("its shapes are not known before it runs");
  if (!kernel::is_kernel_dtype(type.dtype)) {
    return refuse("kernels have no element type " + std::string(neuronc::name(type.dtype)));
  }
  return {};
}

OrRefusal<void> check_lowering(const Module& module, const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op == Op::constant) return {};
  const Lowering& lowering = lowering_of(node.op);
  if (!lowering) return refuse("`" + std::string(node.def().name) + "` has no native lowering");
  return lowering.accepts == nullptr ? OrRefusal<void>() : lowering.accepts(module, graph, node);
}

GroupContext context_of(const Module& module, const Graph& graph, NodeId group,
                        const Machine& machine) {
  const Graph& body = *graph.node(group).bodies[0];
  return {module, graph, group, body, find_anchor(body), machine};
}

// Operators whose elements are per channel: lanes run along channels, so they want them innermost.
bool works_on_channels(Op op) {
  switch (op) {
    case Op::max_pool:
    case Op::average_pool:
    case Op::lp_pool:
    case Op::global_average_pool:
    case Op::global_max_pool:
    case Op::global_lp_pool:
    case Op::batch_normalization:
    case Op::depth_to_space:
    case Op::space_to_depth:
    case Op::resize:
      return true;
    default:
      return false;
  }
}

// A resize along axis 1 has its channels elsewhere.
bool works_on_channels(const GroupContext& context) {
  const Op op = context.anchor_node().op;
  if (op != Op::resize) return works_on_channels(op);
  const std::vector<int64_t> x = context.operand_shape(0), y = context.result_shape();
  return x.size() > 1 && x[1] == y[1];
}

bool wants_channels_last(const Type& type, const Machine& machine) {
  return type.rank() >= 3 && type.is_static() && type.shape()[1] >= machine.lanes(4);
}

// Of what nobody wrote in another order, a global pool sums up whole vectors of a row; turning it around would
// cost more than the pool.
bool takes_rows_as_they_come(const GroupContext& context, ValueId operand) {
  const Op op = context.anchor_node().op;
  const bool is_global =
      op == Op::global_average_pool || op == Op::global_max_pool || op == Op::global_lp_pool;
  return is_global && !context.graph.value(operand).producer &&
         context.operand_shape(0).back() >= context.machine.lanes(4);
}

bool reads_once(const Graph& graph, const Node& node) {
  // A running window reads an element several times, a whole-axis reduction once.
  return node.op == Op::batch_normalization ||
         (node.has(Trait::reduction) && !graph.type(node.operands[0]).dims.empty());
}

}  // namespace

OrRefusal<void> CpuTarget::can_lower(const Module& module, const Graph& graph, NodeId id) const {
  const Node& node = graph.node(id);
  if (node.has(Trait::control_flow)) return refuse("control flow has no kernel of its own");
  if (node.has(Trait::host)) return refuse("it runs on the host by nature");
  for (ValueId operand : node.operands) {
    if (operand) NEURONC_TRY(check_type(graph.type(operand)));
  }
  for (ValueId result : node.results) NEURONC_TRY(check_type(graph.type(result)));
  return check_lowering(module, graph, id);
}

OrRefusal<void> CpuTarget::can_inline(const Module& module, const Graph& graph, NodeId id) const {
  const Node& node = graph.node(id);
  if (lowering_of(node.op).element == nullptr) {
    return refuse("its elements are not computed one by one");
  }
  if (node.results.size() != 1) return refuse("it has several results");
  return check_lowering(module, graph, id);
}

OrRefusal<void> CpuTarget::accepts_prologue(const Module& module, const Graph& graph, NodeId id,
                                            size_t operand_index) const {
  const Node& node = graph.node(id);
  if (operand_index == 0 && reads_once(graph, node)) return {};
  Refusal reason{"the operator reads its operand more than once"};
  for (const Variant* variant : variants_of(node.op)) {
    const OrRefusal<void> accepted = variant->prologue(module, graph, node, operand_index);
    if (accepted) return {};
    reason = accepted.error();
  }
  return refuse(std::move(reason.reason));
}

// The node stands in the graph still: the graph is the body that it would have.
OrRefusal<void> CpuTarget::gains_by_joining(const Module& module, const Graph& graph,
                                            NodeId id) const {
  NEURONC_TRY(can_lower(module, graph, id));
  return attention_gains({module, graph, id, graph, id, machine_});
}

VariantChoice CpuTarget::choose_variant(const Module& module, const Graph& graph,
                                        NodeId group) const {
  VariantChoice choice;
  choice.name = "default";
  const GroupContext context = context_of(module, graph, group, machine_);
  const BestVariant best = best_variant(context, &choice.refusals);
  if (best.variant == nullptr) return choice;
  choice.name = best.variant->name;
  return choice;
}

DimOrder CpuTarget::preferred_operand_order(const Module& module, const Graph& graph, NodeId group,
                                            size_t operand_index) const {
  const GroupContext context = context_of(module, graph, group, machine_);
  if (!context.anchor) return {};
  const ValueId input = context.body.inputs()[operand_index];
  const Node& anchor = context.anchor_node();
  const Variant* variant = best_variant(context).variant;
  for (size_t i = 0; i < anchor.operands.size(); ++i) {
    if (anchor.operands[i] != input) continue;
    if (variant != nullptr) return variant->operand_order(context, i);
    const Type& type = context.body.type(input);
    if (i > 0 || !wants_channels_last(type, machine_)) return {};
    if (takes_rows_as_they_come(context, graph.node(group).operands[operand_index])) return {};
    return works_on_channels(context) ? channels_last(static_cast<size_t>(type.rank()))
                                      : DimOrder();
  }
  // An addend behind the anchor is read in the order in which results are written.
  const std::vector<int64_t> shape = context.body.type(input).shape();
  if (variant != nullptr && shape == context.result_shape()) return variant->result_order(context);
  return {};
}

DimOrder CpuTarget::preferred_result_order(const Module& module, const Graph& graph, NodeId group,
                                           size_t result_index) const {
  const GroupContext context = context_of(module, graph, group, machine_);
  if (!context.anchor) return {};
  if (const Variant* variant = best_variant(context).variant) return variant->result_order(context);
  const Type& type = graph.type(graph.node(group).results[result_index]);
  const Type& x = context.body.type(context.anchor_node().operands[0]);
  if (!works_on_channels(context) || !wants_channels_last(x, machine_)) return {};
  return wants_channels_last(type, machine_) ? channels_last(static_cast<size_t>(type.rank()))
                                             : DimOrder();
}

bool CpuTarget::can_hold(DType dtype) const { return kernel::is_kernel_dtype(dtype); }

DType CpuTarget::storage_dtype(DType dtype) const {
  if (dtype == DType::f16) return DType::f32;
  if (dtype == DType::bf16 && !machine_.isa.has_avx512_bf16) return DType::f32;
  return dtype;
}

GroupCost CpuTarget::cost(const Module& module, const Graph& graph, NodeId group,
                          const HardwareModel& hardware) const {
  if (runs_blocks(graph.node(group))) {
    return cost_of_blocks(
        module, graph, group, hardware.for_target(machine_.isa.name),
        [&](const Graph& body, NodeId node) { return cost(module, body, node, hardware); });
  }
  Machine machine = machine_;
  machine.hardware = hardware.for_target(machine.isa.name);
  if (graph.node(group).op != Op::group) {
    return predict_cost(module, graph, group, machine.hardware);
  }
  const GroupContext context = context_of(module, graph, group, machine);
  KnownTime known;
  if (const BestVariant best = best_variant(context); best.variant != nullptr) {
    known = {context.anchor, std::max(best.time_ns - machine.hardware.launch_ns, 0.0)};
  }
  GroupCost cost = predict_cost(module, graph, group, machine.hardware, known);
  if (!context.anchor || known.node) return cost;
  const Node& anchor = context.anchor_node();
  if (!anchor.has(Trait::matmul_like) && anchor.op != Op::attention) return cost;
  const DType dtype = context.body.type(anchor.operands[0]).dtype;
  const double default_rate = machine.hardware.matmul_flops_per_s(dtype) * kDefaultEfficiency;
  cost.time_ns =
      std::max(cost.time_ns, machine.hardware.launch_ns + cost.flops / default_rate * 1e9);
  return cost;
}

// Only lowering decides it.
KernelTiles CpuTarget::tiles(const Module& module, const Graph& graph, NodeId node) const {
  if (runs_blocks(graph.node(node))) return {1, "a block of control flow runs on one core"};
  const OrRefusal<LoweredKernel> lowered = lower_group(module, graph, node, machine_);
  if (!lowered) return {1, "it has no kernel"};
  return tiles_to_share(*lowered);
}

}  // namespace neuronc
