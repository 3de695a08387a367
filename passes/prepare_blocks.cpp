// Implements prepare_blocks.h.
#include "passes/prepare_blocks.h"

#include <algorithm>
#include <numeric>

#include "ir/control_flow.h"
#include "passes/rewrite.h"

namespace neuronc {
namespace {

bool is_number_tensor(const Type& type) {
  return type.is_tensor() && type.is_static() && kAnyNumeric.contains(type.dtype);
}

class Preparer {
 public:
  Preparer(Rewriter& rewriter, NodeId id) : rewriter_(rewriter), id_(id) {}

  Changed run() {
    Changed changed = sink_constants();
    changed |= drop_captures();
    changed |= settle_capture_types();
    if (node().op == Op::if_else) return changed | settle_branch_types();
    if (node().op == Op::scan) changed |= turn_scan();
    changed |= settle_condition();
    changed |= settle_carried_types();
    return changed | settle_stacked_types();
  }

 private:
  const Node& node() const { return rewriter_.node(id_); }
  // Operand `i` of an `if_else` is input `i - 1` of its bodies.
  size_t first_input() const { return node().op == Op::if_else ? 1 : 0; }
  size_t first_capture() const {
    if (node().op == Op::if_else) return 1;
    const TripForm form = trip_form(rewriter_.module, rewriter_.graph, id_);
    return form.num_leading + form.num_carried + form.num_scanned;
  }

  Changed sink_constants();
  Changed drop_captures();
  Changed settle_capture_types();
  Changed settle_branch_types();
  Changed settle_condition();
  Changed settle_carried_types();
  Changed settle_stacked_types();
  Changed turn_scan();
  Changed set_input_type(Graph& body, size_t input, const Type& outer);

  Rewriter& rewriter_;
  NodeId id_;
};

Changed Preparer::sink_constants() {
  Changed changed = Changed::no;
  for (size_t i = first_capture(); i < node().operands.size(); ++i) {
    const ValueId operand = node().operands[i];
    const ConstantId constant = operand ? rewriter_.graph.constant_id(operand) : ConstantId();
    if (!constant) continue;
    for (const auto& body : node().bodies) {
      const ValueId input = body->inputs()[i - first_input()];
      if (body->value(input).is_unused()) continue;
      GraphEditor edit(*body);
      NodeSpec spec;
      spec.op = Op::constant;
      spec.attributes = {constant};
      spec.result_types = {rewriter_.module.constant(constant).type()};
      const NodeId inside = body->first_node()
                                ? edit.insert_before(body->first_node(), std::move(spec))
                                : edit.append(std::move(spec));
      const ValueId value = body->node(inside).results[0];
      edit.set_name(value, body->value(input).name);
      edit.replace_all_uses(input, value);
      changed = Changed::yes;
    }
  }
  return changed;
}

Changed Preparer::drop_captures() {
  Changed changed = Changed::no;
  for (size_t i = node().operands.size(); i-- > first_capture();) {
    const auto& bodies = node().bodies;
    const bool is_used = std::any_of(bodies.begin(), bodies.end(), [&](const auto& body) {
      return !body->value(body->inputs()[i - first_input()]).is_unused();
    });
    if (is_used) continue;
    for (const auto& body : bodies) GraphEditor(*body).erase_input(i - first_input());
    rewriter_.edit.erase_operand(id_, i);
    changed = Changed::yes;
  }
  return changed;
}

// An input of a body is of the type of what comes in, where that says more.
Changed Preparer::set_input_type(Graph& body, size_t input, const Type& outer) {
  const ValueId value = body.inputs()[input];
  Type better = refined(body.type(value), outer);
  if (better == body.type(value)) return Changed::no;
  GraphEditor(body).set_type(value, std::move(better));
  return Changed::yes;
}

Changed Preparer::settle_capture_types() {
  Changed changed = Changed::no;
  for (size_t i = first_capture(); i < node().operands.size(); ++i) {
    if (!node().operands[i]) continue;
    for (const auto& body : node().bodies) {
      changed |= set_input_type(*body, i - first_input(), rewriter_.type(node().operands[i]));
    }
  }
  if (node().op != Op::scan) return changed;
  const TripForm form = trip_form(rewriter_.module, rewriter_.graph, id_);
  for (size_t i = form.num_carried; i < form.num_carried + form.num_scanned; ++i) {
    Type slice = rewriter_.type(node().operands[i]);
    if (!slice.is_tensor() || !slice.is_ranked || slice.dims.empty()) continue;
    const std::vector<int64_t>& axes = node().view().ints("scan_input_axes");
    int64_t axis = i - form.num_carried < axes.size() ? axes[i - form.num_carried] : 0;
    if (axis < 0) axis += slice.rank();
    if (axis < 0 || axis >= slice.rank()) continue;
    slice.dims.erase(slice.dims.begin() + axis);
    changed |= set_input_type(*node().bodies[0], i, slice);
  }
  return changed;
}

Changed Preparer::settle_branch_types() {
  Changed changed = Changed::no;
  for (size_t i = 0; i < node().results.size(); ++i) {
    const Graph &yes = *node().bodies[0], &no = *node().bodies[1];
    const Type& type = yes.type(yes.outputs()[i]);
    if (type != no.type(no.outputs()[i])) continue;
    const Type better = refined(rewriter_.type(node().results[i]), type);
    if (better == rewriter_.type(node().results[i])) continue;
    rewriter_.edit.set_type(node().results[i], better);
    changed = Changed::yes;
  }
  return changed;
}

// A body runs only where the condition that it is given holds.
Changed Preparer::settle_condition() {
  if (node().op != Op::loop) return Changed::no;
  Graph& body = *node().bodies[0];
  const ValueId condition = body.inputs()[1];
  if (body.value(condition).is_unused()) return Changed::no;
  GraphEditor edit(body);
  NodeSpec spec;
  spec.op = Op::constant;
  Tensor holds = Tensor::scalar(DType::boolean, 1);
  const Type& type = body.type(condition);
  if (type.is_static() && type.rank() > 0) holds = Tensor::zeros(DType::boolean, type.shape());
  if (holds.num_elements() != 1) return Changed::no;
  holds.mutable_data()[0] = std::byte{1};
  spec.result_types = {holds.type()};
  spec.attributes = {rewriter_.module.add_constant(std::move(holds))};
  const NodeId constant = body.first_node() ? edit.insert_before(body.first_node(), std::move(spec))
                                            : edit.append(std::move(spec));
  edit.replace_all_uses(condition, body.node(constant).results[0]);
  return Changed::yes;
}

// Tried on a copy: whether values carried in with the shapes of the first trip come out with them.
Changed Preparer::settle_carried_types() {
  const TripForm form = trip_form(rewriter_.module, rewriter_.graph, id_);
  const std::unique_ptr<Graph>& body = node().bodies[0];
  const auto is_settled = [&](const Graph& graph) {
    for (size_t i = 0; i < form.num_carried; ++i) {
      const Type& in = graph.type(graph.inputs()[form.num_leading + i]);
      const Type& out = graph.type(graph.outputs()[form.first_output() + i]);
      if (!is_number_tensor(in) || in != out) return false;
    }
    return true;
  };
  Changed changed = Changed::no;
  if (!is_settled(*body)) {
    std::unique_ptr<Graph> trial = clone_graph(*body);
    for (size_t i = 0; i < form.num_carried; ++i) {
      const size_t operand = form.num_leading + i;
      set_input_type(*trial, operand, rewriter_.type(node().operands[operand]));
    }
    refine_types(rewriter_.module, *trial);
    if (!is_settled(*trial)) return Changed::no;
    GraphEditor::swap(*trial, *body);
    changed = Changed::yes;
  }
  for (size_t i = 0; i < form.num_carried; ++i) {
    const ValueId result = node().results[i];
    Type better =
        refined(rewriter_.type(result), body->type(body->outputs()[form.first_output() + i]));
    if (better == rewriter_.type(result)) continue;
    rewriter_.edit.set_type(result, std::move(better));
    changed = Changed::yes;
  }
  return changed;
}

Changed Preparer::settle_stacked_types() {
  const TripForm form = trip_form(rewriter_.module, rewriter_.graph, id_);
  if (!form.is_counted || node().op != Op::loop) return Changed::no;
  Changed changed = Changed::no;
  const Graph& body = *node().bodies[0];
  for (size_t i = form.num_carried; i < node().results.size(); ++i) {
    Type stacked = body.type(body.outputs()[form.first_output() + i]);
    if (!is_number_tensor(stacked)) continue;
    stacked.dims.insert(stacked.dims.begin(), Dim(form.most_trips));
    const Type better = refined(rewriter_.type(node().results[i]), stacked);
    if (better == rewriter_.type(node().results[i]) || better.is_too_large()) continue;
    rewriter_.edit.set_type(node().results[i], better);
    changed = Changed::yes;
  }
  return changed;
}

std::vector<int64_t> moved_axis(int64_t rank, int64_t from, int64_t to) {
  std::vector<int64_t> perm(static_cast<size_t>(rank));
  std::iota(perm.begin(), perm.end(), 0);
  perm.erase(perm.begin() + from);
  perm.insert(perm.begin() + to, from);
  return perm;
}

// scan along axis a = transpose, scan along axis 0.
Changed Preparer::turn_scan() {
  Changed changed = Changed::no;
  const auto axis_of = [&](std::string_view attribute, size_t i, int64_t rank) {
    const std::vector<int64_t>& axes = node().view().ints(attribute);
    const int64_t axis = i < axes.size() ? axes[i] : 0;
    return axis < 0 ? axis + rank : axis;
  };
  const auto clear = [&](std::string_view attribute, size_t i) {
    std::vector<int64_t> axes = node().view().ints(attribute);
    axes[i] = 0;
    rewriter_.edit.set_attribute(id_, attribute, std::move(axes));
    changed = Changed::yes;
  };
  const TripForm form = trip_form(rewriter_.module, rewriter_.graph, id_);
  for (size_t i = 0; i < form.num_scanned; ++i) {
    const ValueId operand = node().operands[form.num_carried + i];
    const Type& type = rewriter_.type(operand);
    if (!is_number_tensor(type)) continue;
    const int64_t axis = axis_of("scan_input_axes", i, type.rank());
    if (axis == 0) continue;
    const ValueId turned =
        rewriter_.make(id_, Op::transpose, {operand}, {{"perm", moved_axis(type.rank(), axis, 0)}});
    rewriter_.edit.set_operand(id_, form.num_carried + i, turned);
    clear("scan_input_axes", i);
  }
  for (size_t i = form.num_carried; i < node().results.size(); ++i) {
    const ValueId result = node().results[i];
    const Type type = rewriter_.type(result);
    if (!is_number_tensor(type)) continue;
    const int64_t axis = axis_of("scan_output_axes", i - form.num_carried, type.rank());
    if (axis == 0) continue;
    Type stacked = type;
    const Dim trips = stacked.dims[static_cast<size_t>(axis)];
    stacked.dims.erase(stacked.dims.begin() + axis);
    stacked.dims.insert(stacked.dims.begin(), trips);
    rewriter_.edit.set_type(result, stacked);
    clear("scan_output_axes", i - form.num_carried);
    NodeSpec spec;
    spec.op = Op::transpose;
    spec.operands = {result};
    spec.result_types = {type};
    spec.attributes = {moved_axis(type.rank(), 0, axis)};
    spec.source = node().source;
    const NodeId turn = rewriter_.edit.insert_after(id_, std::move(spec));
    const ValueId turned = rewriter_.node(turn).results[0];
    rewriter_.edit.replace_uses_except(result, turned, turn);
    for (size_t o = 0; o < rewriter_.graph.outputs().size(); ++o) {
      if (rewriter_.graph.outputs()[o] == result) rewriter_.edit.set_output(o, turned);
    }
  }
  return changed;
}

}  // namespace

Expected<Changed> prepare_blocks(Module& module, const NoOptions&, PassContext& context) {
  Changed changed = Changed::no;
  for_each_graph(module, [&](Graph& graph) {
    Rewriter rewriter{module, graph, context.remarks};
    std::vector<NodeId> nodes;
    for (NodeId id : graph.nodes()) {
      if (has_blocks(graph.node(id).op)) nodes.push_back(id);
    }
    for (NodeId id : nodes) changed |= Preparer(rewriter, id).run();
    changed |= refine_types(module, graph);
  });
  return changed;
}

}  // namespace neuronc
