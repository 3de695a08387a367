// Implements rewrite.h.
#include "passes/rewrite.h"

#include <algorithm>

#include "passes/pass.h"

namespace neuronc {

NodeId Rewriter::operand_of(NodeId id, size_t i, Op op) const {
  if (!node(id).has_operand(i)) return NodeId();
  const NodeId producer = graph.producer(node(id).operands[i]);
  return producer && node(producer).op == op ? producer : NodeId();
}

const Tensor* Rewriter::constant(NodeId id, size_t i) const {
  return node(id).has_operand(i) ? module.constant_of(graph, node(id).operands[i]) : nullptr;
}

std::optional<std::vector<int64_t>> Rewriter::constant_ints(NodeId id, size_t i) const {
  const Tensor* tensor = constant(id, i);
  if (tensor == nullptr || !is_integer(tensor->dtype())) return std::nullopt;
  return tensor->to_ints();
}

ValueId Rewriter::make_constant(NodeId position, Tensor tensor) {
  const Type type = tensor.type();
  NodeSpec spec{.op = Op::constant,
                .result_types = {type},
                .attributes = {module.add_constant(std::move(tensor))}};
  spec.source = node(position).source;
  spec.placement = node(position).placement;
  return node(edit.insert_before(position, std::move(spec))).results[0];
}

ValueId Rewriter::make(NodeId position, Op op, std::vector<ValueId> operands,
                       std::vector<NamedAttribute> attributes) {
  auto completed = complete_attributes(op_def(op), std::move(attributes));
  if (!completed) return ValueId();
  auto types = infer_types(module, graph, op, operands, *completed);
  if (!types) return ValueId();
  NodeSpec spec{.op = op,
                .operands = std::move(operands),
                .result_types = std::move(*types),
                .attributes = std::move(*completed)};
  spec.source = node(position).source;
  spec.placement = node(position).placement;
  return node(edit.insert_before(position, std::move(spec))).results[0];
}

void Rewriter::replace(NodeId id, ValueId value) {
  const ValueId old = node(id).results[0];
  if (graph.producer(value)) {
    edit.set_type(value, refined(type(value), type(old)));
    // The model's name goes with the value, so that later messages can be understood.
    if (graph.value(value).name.empty()) edit.set_name(value, graph.value(old).name);
  }
  edit.replace_all_uses(old, value);
  edit.erase_if_unused(id);
}

Changed Rewriter::replace_by(NodeId id, Op op, std::vector<ValueId> operands,
                             std::vector<NamedAttribute> attributes) {
  const ValueId value = make(id, op, std::move(operands), std::move(attributes));
  if (!value) return Changed::no;
  replace(id, value);
  return Changed::yes;
}

std::string Rewriter::label(NodeId id) const { return node_label(module, graph, id); }

bool has_random(const Node& node) {
  if (node.has(Trait::random)) return true;
  for (const auto& body : node.bodies) {
    for (NodeId inner : body->nodes()) {
      if (has_random(body->node(inner))) return true;
    }
  }
  return false;
}

bool is_all(const Tensor& tensor, double number) {
  if (!is_numeric(tensor.dtype()) || tensor.num_elements() == 0) return false;
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    if (tensor.f64(i) != number) return false;
  }
  return true;
}

Type refined(const Type& a, const Type& b) {
  if (a.kind != b.kind || a.dtype != b.dtype || !b.is_ranked) return a;
  if (!a.is_ranked) return b;
  if (a.dims.size() != b.dims.size()) return a;
  Type type = a;
  for (size_t d = 0; d < type.dims.size(); ++d) {
    const bool is_better = (b.dims[d].is_number() && !a.dims[d].is_number()) ||
                           (b.dims[d].is_symbol() && a.dims[d].is_unknown());
    if (is_better) type.dims[d] = b.dims[d];
  }
  return type;
}

Changed refine_types(Module& module, Graph& graph) {
  GraphEditor edit(graph);
  Changed changed = Changed::no;
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (!node.bodies.empty() || node.op == Op::constant) continue;
    const bool is_static = std::all_of(node.results.begin(), node.results.end(),
                                       [&](ValueId v) { return graph.type(v).is_static(); });
    if (is_static) continue;
    const auto types =
        infer_types(module, graph, node.op, node.operands, node.attributes, node.results.size());
    if (!types) continue;
    for (size_t i = 0; i < node.results.size() && i < types->size(); ++i) {
      const Type& declared = graph.type(node.results[i]);
      Type better = refined(declared, (*types)[i]);
      // A size that no machine has stays unknown: computing it will refuse it, if it comes to that.
      if (better == declared || better.is_too_large()) continue;
      edit.set_type(node.results[i], std::move(better));
      changed = Changed::yes;
    }
  }
  return changed;
}

}  // namespace neuronc
