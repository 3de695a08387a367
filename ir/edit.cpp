// Implements edit.h.
#include "ir/edit.h"

#include <algorithm>

#include "ir/base/check.h"

namespace neuronc {

ValueId GraphEditor::add_input(Type type, std::string name) {
  const ValueId id(graph_.values_.size());
  Value value;
  value.type = std::move(type);
  value.result_index = static_cast<uint32_t>(graph_.inputs_.size());
  value.name = std::move(name);
  graph_.values_.push_back(std::move(value));
  graph_.inputs_.push_back(id);
  return id;
}

void GraphEditor::add_output(ValueId value, std::string name) {
  ++graph_.values_[value.index].num_output_uses;
  graph_.outputs_.push_back(value);
  graph_.output_names_.push_back(std::move(name));
}

void GraphEditor::set_output(size_t index, ValueId value) {
  --graph_.values_[graph_.outputs_[index].index].num_output_uses;
  graph_.outputs_[index] = value;
  ++graph_.values_[value.index].num_output_uses;
}

void GraphEditor::set_outputs(std::vector<ValueId> values, std::vector<std::string> names) {
  NEURONC_CHECK(values.size() == names.size());
  for (ValueId old : graph_.outputs_) --graph_.values_[old.index].num_output_uses;
  graph_.outputs_ = std::move(values);
  graph_.output_names_ = std::move(names);
  for (ValueId value : graph_.outputs_) ++graph_.values_[value.index].num_output_uses;
}

void GraphEditor::erase_input(size_t index) {
  const ValueId id = graph_.inputs_[index];
  NEURONC_CHECK(graph_.value(id).is_unused());
  graph_.values_[id.index].is_erased = true;
  graph_.inputs_.erase(graph_.inputs_.begin() + static_cast<std::ptrdiff_t>(index));
  for (size_t i = index; i < graph_.inputs_.size(); ++i) {
    graph_.values_[graph_.inputs_[i].index].result_index = static_cast<uint32_t>(i);
  }
}

NodeId GraphEditor::create(NodeSpec spec) {
  const NodeId id(graph_.nodes_.size());
  const OpDef& def = op_def(spec.op);
  Node node;
  node.op = spec.op;
  node.attributes = std::move(spec.attributes);
  if (node.attributes.empty()) {
    for (const AttributeSpec& attribute : def.attributes) {
      node.attributes.push_back(default_value(attribute));
    }
  }
  NEURONC_CHECK(node.attributes.size() == def.attributes.size());
  node.operands = std::move(spec.operands);
  node.bodies = std::move(spec.bodies);
  node.source = spec.source;
  node.placement = spec.placement;
  for (size_t i = 0; i < spec.result_types.size(); ++i) {
    const ValueId result(graph_.values_.size());
    Value value;
    value.type = std::move(spec.result_types[i]);
    value.producer = id;
    value.result_index = static_cast<uint32_t>(i);
    graph_.values_.push_back(std::move(value));
    node.results.push_back(result);
  }
  for (size_t i = 0; i < node.operands.size(); ++i) {
    if (node.operands[i]) add_use(node.operands[i], {id, static_cast<uint32_t>(i)});
  }
  graph_.nodes_.push_back(std::move(node));
  ++graph_.num_nodes_;
  return id;
}

NodeId GraphEditor::append(NodeSpec spec) {
  const NodeId id = create(std::move(spec));
  link_before(id, NodeId());
  return id;
}

NodeId GraphEditor::insert_before(NodeId position, NodeSpec spec) {
  const NodeId id = create(std::move(spec));
  link_before(id, position);
  return id;
}

NodeId GraphEditor::insert_after(NodeId position, NodeSpec spec) {
  const NodeId id = create(std::move(spec));
  link_before(id, graph_.node(position).next);
  return id;
}

void GraphEditor::set_operand(NodeId node, size_t index, ValueId value) {
  ValueId& operand = graph_.nodes_[node.index].operands[index];
  if (operand == value) return;
  const Use use{node, static_cast<uint32_t>(index)};
  if (operand) remove_use(operand, use);
  operand = value;
  if (value) add_use(value, use);
}

void GraphEditor::add_operand(NodeId node, ValueId value) {
  auto& operands = graph_.nodes_[node.index].operands;
  operands.push_back(value);
  if (value) add_use(value, {node, static_cast<uint32_t>(operands.size() - 1)});
}

void GraphEditor::erase_operand(NodeId node, size_t index) {
  auto& operands = graph_.nodes_[node.index].operands;
  for (size_t i = index; i < operands.size(); ++i) {
    if (operands[i]) remove_use(operands[i], {node, static_cast<uint32_t>(i)});
  }
  operands.erase(operands.begin() + static_cast<std::ptrdiff_t>(index));
  for (size_t i = index; i < operands.size(); ++i) {
    if (operands[i]) add_use(operands[i], {node, static_cast<uint32_t>(i)});
  }
}

void GraphEditor::set_attribute(NodeId id, std::string_view name, AttributeValue value) {
  Node& node = graph_.nodes_[id.index];
  const auto index = node.def().attribute_index(name);
  NEURONC_CHECK(index.has_value());
  node.attributes[*index] = std::move(value);
}

void GraphEditor::set_op(NodeId id, Op op, std::vector<AttributeValue> attributes) {
  Node& node = graph_.nodes_[id.index];
  NEURONC_CHECK(attributes.size() == op_def(op).attributes.size());
  node.op = op;
  node.attributes = std::move(attributes);
}

void GraphEditor::set_type(ValueId value, Type type) {
  graph_.values_[value.index].type = std::move(type);
}

void GraphEditor::set_name(ValueId value, std::string name) {
  graph_.values_[value.index].name = std::move(name);
}

void GraphEditor::set_storage(ValueId value, Storage storage) {
  graph_.values_[value.index].storage = std::move(storage);
}

void GraphEditor::set_placement(NodeId node, Placement placement, CoreRange cores) {
  graph_.nodes_[node.index].placement = placement;
  graph_.nodes_[node.index].cores = cores;
}

void GraphEditor::set_source(NodeId node, SourceId source) {
  graph_.nodes_[node.index].source = source;
}

void GraphEditor::replace_all_uses(ValueId from, ValueId to) {
  replace_uses_except(from, to, NodeId());
  Value& old_value = graph_.values_[from.index];
  if (old_value.num_output_uses == 0 || from == to) return;
  for (ValueId& output : graph_.outputs_) {
    if (output == from) output = to;
  }
  graph_.values_[to.index].num_output_uses += old_value.num_output_uses;
  old_value.num_output_uses = 0;
}

void GraphEditor::replace_uses_except(ValueId from, ValueId to, NodeId except) {
  if (from == to) return;
  std::vector<Use> kept;
  for (const Use& use : graph_.values_[from.index].uses) {
    if (except && use.node == except) {
      kept.push_back(use);
      continue;
    }
    graph_.nodes_[use.node.index].operands[use.operand_index] = to;
    graph_.values_[to.index].uses.push_back(use);
  }
  graph_.values_[from.index].uses = std::move(kept);
}

void GraphEditor::move_before(NodeId node, NodeId position) {
  if (node == position) return;
  unlink(node);
  link_before(node, position);
}

void GraphEditor::erase(NodeId id) {
  Node& node = graph_.nodes_[id.index];
  NEURONC_CHECK(!node.is_erased);
  for (ValueId result : node.results) {
    NEURONC_CHECK(graph_.value(result).is_unused());
    graph_.values_[result.index].is_erased = true;
  }
  for (size_t i = 0; i < node.operands.size(); ++i) {
    if (node.operands[i]) remove_use(node.operands[i], {id, static_cast<uint32_t>(i)});
  }
  // `next` is kept, so that a walk that stands on the node can go on.
  const NodeId next = node.next;
  unlink(id);
  node.next = next;
  node.operands.clear();
  node.bodies.clear();
  node.is_erased = true;
  --graph_.num_nodes_;
}

Changed GraphEditor::erase_if_unused(NodeId id) {
  std::vector<NodeId> work{id};
  Changed changed = Changed::no;
  while (!work.empty()) {
    const NodeId candidate = work.back();
    work.pop_back();
    const Node& node = graph_.node(candidate);
    if (node.is_erased) continue;
    const bool is_unused = std::all_of(node.results.begin(), node.results.end(),
                                       [&](ValueId v) { return graph_.value(v).is_unused(); });
    if (!is_unused) continue;
    for (ValueId operand : node.operands) {
      if (operand && graph_.producer(operand)) work.push_back(graph_.producer(operand));
    }
    erase(candidate);
    changed = Changed::yes;
  }
  return changed;
}

void GraphEditor::link_before(NodeId id, NodeId position) {
  Node& node = graph_.nodes_[id.index];
  node.next = position;
  node.previous = position ? graph_.node(position).previous : graph_.last_;
  if (node.previous) {
    graph_.nodes_[node.previous.index].next = id;
  } else {
    graph_.first_ = id;
  }
  if (position) {
    graph_.nodes_[position.index].previous = id;
  } else {
    graph_.last_ = id;
  }
}

void GraphEditor::unlink(NodeId id) {
  Node& node = graph_.nodes_[id.index];
  if (node.previous) {
    graph_.nodes_[node.previous.index].next = node.next;
  } else {
    graph_.first_ = node.next;
  }
  if (node.next) {
    graph_.nodes_[node.next.index].previous = node.previous;
  } else {
    graph_.last_ = node.previous;
  }
  node.previous = node.next = NodeId();
}

void GraphEditor::add_use(ValueId value, Use use) {
  graph_.values_[value.index].uses.push_back(use);
}

void GraphEditor::remove_use(ValueId value, Use use) {
  auto& uses = graph_.values_[value.index].uses;
  const auto it = std::find(uses.begin(), uses.end(), use);
  NEURONC_CHECK(it != uses.end());
  *it = uses.back();
  uses.pop_back();
}

namespace {

Node clone_node(const Node& from) {
  Node node;
  node.op = from.op;
  node.operands = from.operands;
  node.results = from.results;
  node.attributes = from.attributes;
  for (const auto& body : from.bodies) node.bodies.push_back(clone_graph(*body));
  node.source = from.source;
  node.placement = from.placement;
  node.cores = from.cores;
  node.previous = from.previous;
  node.next = from.next;
  node.is_erased = from.is_erased;
  return node;
}

}  // namespace

void GraphEditor::swap(Graph& a, Graph& b) {
  std::swap(a.nodes_, b.nodes_);
  std::swap(a.values_, b.values_);
  std::swap(a.inputs_, b.inputs_);
  std::swap(a.outputs_, b.outputs_);
  std::swap(a.output_names_, b.output_names_);
  std::swap(a.first_, b.first_);
  std::swap(a.last_, b.last_);
  std::swap(a.num_nodes_, b.num_nodes_);
}

std::unique_ptr<Graph> GraphEditor::clone(const Graph& graph) {
  auto copy = std::make_unique<Graph>();
  copy->nodes_.reserve(graph.nodes_.size());
  for (const Node& node : graph.nodes_) copy->nodes_.push_back(clone_node(node));
  copy->values_ = graph.values_;
  copy->inputs_ = graph.inputs_;
  copy->outputs_ = graph.outputs_;
  copy->output_names_ = graph.output_names_;
  copy->first_ = graph.first_;
  copy->last_ = graph.last_;
  copy->num_nodes_ = graph.num_nodes_;
  return copy;
}

std::unique_ptr<Graph> clone_graph(const Graph& graph) { return GraphEditor::clone(graph); }

OrRefusal<std::vector<Type>> infer_types(const Module& module, const Graph& graph, Op op,
                                         std::span<const ValueId> operands,
                                         std::span<const AttributeValue> attributes,
                                         size_t num_results) {
  std::vector<Type> types;
  std::vector<const Tensor*> constants;
  for (ValueId operand : operands) {
    types.push_back(operand ? graph.type(operand) : Type());
    constants.push_back(operand ? module.constant_of(graph, operand) : nullptr);
  }
  InferInput input{OpView{op_def(op), attributes}, types, constants, num_results};
  return infer_checked(input);
}

}  // namespace neuronc
