// Implements place.h.
#include "passes/place.h"

#include <fmt/format.h>

#include "ir/control_flow.h"
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

// One for a loop on the host; on a core, what it does counts too.
int64_t count_operations(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op == Op::constant) return 0;
  if (runs_blocks(node)) {
    int64_t count = 1;
    for (const auto& body : node.bodies) {
      for (NodeId inner : body->nodes()) count += count_operations(*body, inner);
    }
    return count;
  }
  if (node.op != Op::group || node.bodies.empty()) return 1;
  int64_t count = 0;
  const Graph& body = *node.bodies[0];
  for (NodeId inner : body.nodes()) count += body.node(inner).op == Op::constant ? 0 : 1;
  return count;
}

// The rows of what trips read and write are listed, one by one, where a plan is verified.
constexpr int64_t kMostRows = int64_t{1} << 20;

OrRefusal<void> check_value(const Module& module, const Type& type, const Target& target) {
  NEURONC_TRY(check_type(type, module));
  if (target.can_hold(type.dtype)) return {};
  return refuse(fmt::format("cores do not copy {}", name(type.dtype)));
}

OrRefusal<void> check_is_scalar(const Type& type, std::string_view what) {
  if (type.num_elements() == 1) return {};
  return refuse(fmt::format("{} is not one element", what));
}

// What comes in has the shape that the body says, and goes from trip to trip with it.
OrRefusal<void> check_trips(const Module& module, const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const Graph& body = *node.bodies[0];
  for (size_t i = 0; i < 2 && node.op == Op::loop; ++i) {
    if (node.has_operand(i)) {
      NEURONC_TRY(check_is_scalar(graph.type(node.operands[i]), "its count or condition"));
    }
    NEURONC_TRY(check_is_scalar(body.type(body.inputs()[i]), "its trip or condition"));
    NEURONC_TRY(check_is_scalar(body.type(body.outputs()[0]), "its condition"));
  }
  const TripForm form = trip_form(module, graph, id);
  for (size_t i = form.num_leading; i < node.operands.size(); ++i) {
    if (!node.operands[i]) return refuse("an operand is absent");
    Type outer = graph.type(node.operands[i]);
    const size_t first_scanned = form.num_leading + form.num_carried;
    const bool is_scanned = i >= first_scanned && i < first_scanned + form.num_scanned;
    if (is_scanned) {
      const std::vector<int64_t>& axes = node.view().ints("scan_input_axes");
      if (i - first_scanned < axes.size() && axes[i - first_scanned] != 0) {
        return refuse("it does not scan along the first axis");
      }
      outer.dims.erase(outer.dims.begin());
    }
    if (body.type(body.inputs()[i]) != outer) return refuse("its body takes another shape");
  }
  for (size_t i = 0; i < form.num_carried; ++i) {
    const ValueId next = body.outputs()[form.first_output() + i];
    if (body.type(next) != body.type(body.inputs()[form.num_leading + i])) {
      return refuse("a carried value changes its shape from trip to trip");
    }
  }
  const auto num_stacked = static_cast<int64_t>(node.results.size() - form.num_carried);
  const auto num_rows = num_stacked + static_cast<int64_t>(form.num_scanned);
  if (num_rows == 0) return {};
  if (!form.is_counted) return refuse("how many results it stacks is known only at run time");
  if (form.most_trips > kMostRows / num_rows) return refuse("it stacks too many results");
  for (size_t i = form.num_carried; i < node.results.size(); ++i) {
    Type stacked = body.type(body.outputs()[form.first_output() + i]);
    stacked.dims.insert(stacked.dims.begin(), Dim(form.most_trips));
    if (graph.type(node.results[i]) != stacked) return refuse("it stacks along another axis");
  }
  return {};
}

OrRefusal<void> check_branches(const Graph& graph, const Node& node) {
  NEURONC_TRY(check_is_scalar(graph.type(node.operands[0]), "its condition"));
  for (const auto& body : node.bodies) {
    for (size_t i = 1; i < node.operands.size(); ++i) {
      if (body->type(body->inputs()[i - 1]) != graph.type(node.operands[i])) {
        return refuse("a branch takes another shape");
      }
    }
    for (size_t i = 0; i < node.results.size(); ++i) {
      if (body->type(body->outputs()[i]) != graph.type(node.results[i])) {
        return refuse("its branches give different shapes");
      }
    }
  }
  return {};
}

// Whether a core can run the node's bodies as blocks of its plan.
OrRefusal<void> check_blocks(const Module& module, const Graph& graph, NodeId id,
                             const Target& target) {
  const Node& node = graph.node(id);
  for (ValueId operand : node.operands) {
    if (operand) NEURONC_TRY(check_value(module, graph.type(operand), target));
  }
  for (const auto& body : node.bodies) {
    for (ValueId input : body->inputs()) {
      NEURONC_TRY(check_value(module, body->type(input), target));
    }
    for (NodeId inner : body->nodes()) {
      const auto fits = check_core_can_run(module, *body, inner, target);
      if (fits) continue;
      return refuse(fmt::format("`{}` in it runs there: {}", body->node(inner).def().name,
                                fits.error().reason));
    }
    for (ValueId output : body->outputs()) {
      NEURONC_TRY(check_value(module, body->type(output), target));
    }
  }
  NEURONC_TRY(node.op == Op::if_else ? check_branches(graph, node)
                                     : check_trips(module, graph, id));
  for (ValueId result : node.results) {
    NEURONC_TRY(check_value(module, graph.type(result), target));
  }
  return {};
}

void remark_on_blocks(const Module& module, const Graph& graph, NodeId id, Remarks& remarks) {
  const Node& node = graph.node(id);
  std::string text = fmt::format("a core runs `{}` as {}", node.def().name,
                                 node.op == Op::if_else ? "two blocks" : "a block");
  if (node.op != Op::if_else) {
    const TripForm form = trip_form(module, graph, id);
    text += form.is_counted ? fmt::format(", {} times", form.most_trips)
                            : fmt::format("; data decide how often, {} trips are predicted",
                                          predicted_trips(form));
  }
  remarks.done(node_label(module, graph, id), std::move(text));
}

}  // namespace

OrRefusal<void> check_core_can_run(const Module& module, const Graph& graph, NodeId id,
                                   const Target& target) {
  const Node& node = graph.node(id);
  if (has_blocks(node.op)) return check_blocks(module, graph, id, target);
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
    if (fits && has_blocks(graph.node(id).op)) remark_on_blocks(module, graph, id, context.remarks);
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
