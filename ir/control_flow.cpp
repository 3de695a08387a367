// Implements control_flow.h.
#include "ir/control_flow.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace neuronc {
namespace {

template <class AnyGraph, class Visit>
void walk(AnyGraph& graph, const Visit& visit) {
  std::vector<AnyGraph*> work{&graph};
  while (!work.empty()) {
    AnyGraph& next = *work.back();
    work.pop_back();
    visit(next);
    const auto first = static_cast<std::ptrdiff_t>(work.size());
    for (NodeId id : next.nodes()) {
      const Node& node = next.node(id);
      if (!runs_blocks(node)) continue;
      for (const auto& body : node.bodies) work.push_back(body.get());
    }
    std::reverse(work.begin() + first, work.end());
  }
}

// The one element of a constant operand; none where it is absent or varies.
std::optional<int64_t> known_scalar(const Module& module, const Graph& graph, ValueId value) {
  const Tensor* constant = value ? module.constant_of(graph, value) : nullptr;
  if (constant == nullptr || constant->num_elements() != 1) return std::nullopt;
  return constant->i64(0);
}

// What `value` is a copy of.
ValueId original(const Graph& graph, ValueId value) {
  while (const NodeId producer = graph.producer(value)) {
    const Node& node = graph.node(producer);
    if (node.op != Op::reorder && node.op != Op::identity) break;
    value = node.operands[0];
  }
  return value;
}

bool reverses(const Node& node, std::string_view attribute, size_t i) {
  if (node.op != Op::scan) return false;
  const std::vector<int64_t>& list = node.view().ints(attribute);
  return i < list.size() && list[i] != 0;
}

}  // namespace

bool has_blocks(Op op) { return op == Op::if_else || op == Op::loop || op == Op::scan; }

bool runs_blocks(const Node& node) {
  return node.placement == Placement::core && has_blocks(node.op);
}

void for_each_core_graph(const Graph& graph, const std::function<void(const Graph&)>& visit) {
  walk(graph, visit);
}

void for_each_core_graph(Graph& graph, const std::function<void(Graph&)>& visit) {
  walk(graph, visit);
}

TripForm trip_form(const Module& module, const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  TripForm form;
  if (node.op == Op::scan) {
    form.num_carried = static_cast<size_t>(node.view().i64("num_states"));
    form.num_scanned = static_cast<size_t>(node.view().i64("num_scan_inputs"));
    form.is_endless = true;
    const std::vector<int64_t>& axes = node.view().ints("scan_input_axes");
    const Type& type = graph.type(node.operands[form.num_carried]);
    if (!type.is_tensor() || !type.is_ranked || type.dims.empty()) return form;
    int64_t axis = axes.empty() ? 0 : axes[0];
    if (axis < 0) axis += type.rank();
    const Dim trips = type.dims[static_cast<size_t>(axis)];
    form.is_counted = trips.is_number();
    if (form.is_counted) form.most_trips = trips.number();
    return form;
  }
  form.num_leading = 2;
  form.num_carried = static_cast<size_t>(node.view().i64("num_carried"));
  const Graph& body = *node.bodies[0];
  // The condition that the body is given holds, or the body would not run.
  const ValueId next = original(body, body.outputs()[0]);
  form.is_endless = next == body.inputs()[1] || known_scalar(module, body, next).value_or(0) != 0;
  const bool begins =
      !node.has_operand(1) || known_scalar(module, graph, node.operands[1]).value_or(0) != 0;
  const std::optional<int64_t> count =
      node.has_operand(0) ? known_scalar(module, graph, node.operands[0]) : std::nullopt;
  if (count) form.most_trips = std::max<int64_t>(*count, 0);
  form.is_counted = count && begins && form.is_endless;
  return form;
}

bool is_reverse_scan(const Node& node, size_t i) {
  return reverses(node, "scan_input_directions", i);
}
bool is_reverse_stack(const Node& node, size_t i) {
  return reverses(node, "scan_output_directions", i);
}

double predicted_trips(const TripForm& form) {
  if (form.is_counted) return static_cast<double>(form.most_trips);
  const double most = form.most_trips < 0 ? kGuessedTrips : static_cast<double>(form.most_trips);
  return std::min(most, kGuessedTrips);
}

}  // namespace neuronc
