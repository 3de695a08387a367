// Implements narrow_edges.h. Values that data-moving nodes connect have one type: they form a
// class (union-find), which is narrowed as a whole or not at all.
#include "passes/narrow_edges.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <string>

#include "ir/edit.h"
#include "passes/cast.h"

namespace neuronc {
namespace {

class EdgeNarrower {
 public:
  EdgeNarrower(Module& module, const NarrowEdgesOptions& options, PassContext& context)
      : module_(module),
        graph_(module.graph()),
        edit_(module.graph()),
        context_(context),
        narrow_(narrow_dtype(options.type)),
        min_elements_(options.min_elements) {}

  Changed run();

 private:
  bool is_core(NodeId id) const { return id && graph_.node(id).placement == Placement::core; }
  bool is_group(NodeId id) const { return is_core(id) && graph_.node(id).op == Op::group; }
  bool is_mover(NodeId id) const;
  size_t find(size_t value);
  void join_classes();
  std::string why_wide(ValueId value) const;
  std::string why_wide_made(const Graph& body, size_t result_index) const;
  std::string why_wide_read(const Graph& body, size_t operand_index) const;
  void narrow(const std::vector<ValueId>& values);
  void narrow_result(NodeId group, size_t result_index);
  void narrow_operand(NodeId group, size_t operand_index);
  ValueId narrow_twin(NodeId group, size_t index) const;
  void drop_unused_results(NodeId group);
  void bypass_if_empty(NodeId group);
  ValueId append_cast(Graph& body, ValueId value, DType to, NodeId before);

  Module& module_;
  Graph& graph_;
  GraphEditor edit_;
  PassContext& context_;
  DType narrow_;
  int64_t min_elements_;
  std::vector<size_t> parent_;
};

// Nodes outside of groups whose results have the dtype of what they move.
bool EdgeNarrower::is_mover(NodeId id) const {
  if (!is_core(id)) return false;
  const Node& node = graph_.node(id);
  return node.has(Trait::moves_data) && node.op != Op::constant && node.op != Op::group;
}

size_t EdgeNarrower::find(size_t value) {
  while (parent_[value] != value) value = parent_[value] = parent_[parent_[value]];
  return value;
}

// Whether operand `i` of a mover is moved, rather than telling how to move.
bool is_moved_operand(const OpDef& def, size_t i) {
  const auto& operand = def.operands[std::min(i, def.operands.size() - 1)];
  return operand.type_variable == def.results[0].type_variable;
}

void EdgeNarrower::join_classes() {
  parent_.resize(graph_.num_value_slots());
  std::iota(parent_.begin(), parent_.end(), size_t{0});
  for (NodeId id : graph_.nodes()) {
    if (!is_mover(id)) continue;
    const Node& node = graph_.node(id);
    const size_t first = find(node.results[0].index);
    for (ValueId result : node.results) parent_[find(result.index)] = first;
    for (size_t i = 0; i < node.operands.size(); ++i) {
      if (!node.operands[i] || !is_moved_operand(node.def(), i)) continue;
      parent_[find(node.operands[i].index)] = first;
    }
  }
}

// Statistics keep f32 on both sides.
std::string EdgeNarrower::why_wide_made(const Graph& body, size_t result_index) const {
  const NodeId maker = body.producer(body.outputs()[result_index]);
  if (!maker) return "it is an input of its group";
  const OpDef& def = body.node(maker).def();
  if (def.precision == Precision::statistic || def.precision == Precision::fixed) {
    return fmt::format("it is the result of `{}`", def.name);
  }
  return {};
}

std::string EdgeNarrower::why_wide_read(const Graph& body, size_t operand_index) const {
  for (const Use& use : body.value(body.inputs()[operand_index]).uses) {
    const OpDef& def = body.node(use.node).def();
    if (def.precision == Precision::statistic || def.precision == Precision::fixed) {
      return fmt::format("`{}` reads it", def.name);
    }
  }
  return {};
}

// Why `value` keeps f32; empty: it need not.
std::string EdgeNarrower::why_wide(ValueId id) const {
  const Value& value = graph_.value(id);
  if (value.num_output_uses > 0) return "it is an output of the model";
  if (!value.producer) return "it is an input of the model";
  if (!is_group(value.producer) && !is_mover(value.producer)) {
    return "its producer is no group";
  }
  if (is_group(value.producer)) {
    std::string reason = why_wide_made(*graph_.node(value.producer).bodies[0], value.result_index);
    if (!reason.empty()) return reason;
  }
  for (const Use& use : value.uses) {
    if (is_mover(use.node)) continue;
    if (!is_group(use.node)) return "a node outside of groups reads it";
    std::string reason = why_wide_read(*graph_.node(use.node).bodies[0], use.operand_index);
    if (!reason.empty()) return reason;
  }
  return {};
}

ValueId EdgeNarrower::append_cast(Graph& body, ValueId value, DType to, NodeId before) {
  NodeSpec spec;
  spec.op = Op::cast;
  spec.operands = {value};
  auto attributes = complete_attributes(op_def(Op::cast), {{"to", to}});
  spec.attributes = std::move(*attributes);
  Type type = body.type(value);
  type.dtype = to;
  spec.result_types = {std::move(type)};
  spec.placement = Placement::core;
  GraphEditor edit(body);
  const NodeId cast =
      before ? edit.insert_before(before, std::move(spec)) : edit.append(std::move(spec));
  return body.node(cast).results[0];
}

// The result of `group` that is its result `index` made narrow already; none if there is none.
ValueId EdgeNarrower::narrow_twin(NodeId group, size_t index) const {
  const Graph& body = *graph_.node(group).bodies[0];
  for (size_t i = 0; i < body.outputs().size(); ++i) {
    const NodeId maker = body.producer(body.outputs()[i]);
    if (!maker || body.node(maker).op != Op::cast) continue;
    if (body.type(body.outputs()[i]).dtype != narrow_) continue;
    if (body.node(maker).operands[0] == body.outputs()[index]) return graph_.node(group).results[i];
  }
  return ValueId();
}

void EdgeNarrower::narrow_result(NodeId group, size_t result_index) {
  Graph& body = *edit_.mutable_node(group).bodies[0];
  const ValueId wide = body.outputs()[result_index];
  const ValueId narrow = append_cast(body, wide, narrow_, NodeId());
  GraphEditor(body).set_output(result_index, narrow);
}

void EdgeNarrower::narrow_operand(NodeId group, size_t operand_index) {
  Graph& body = *edit_.mutable_node(group).bodies[0];
  GraphEditor edit(body);
  const ValueId input = body.inputs()[operand_index];
  Type type = body.type(input);
  const Type wide_type = type;
  type.dtype = narrow_;
  edit.set_type(input, std::move(type));
  const ValueId wide = append_cast(body, input, DType::f32, body.first_node());
  edit.replace_all_uses(input, wide);
  edit.set_operand(body.producer(wide), 0, input);
  // What a group narrows itself is narrow already.
  const std::vector<Use> uses = body.value(wide).uses;
  for (const Use& use : uses) {
    const Node& user = body.node(use.node);
    if (user.op != Op::cast || body.type(user.results[0]).dtype != narrow_) continue;
    edit.replace_all_uses(user.results[0], input);
    edit.erase(use.node);
  }
  edit.erase_if_unused(body.producer(wide));
}

void EdgeNarrower::narrow(const std::vector<ValueId>& values) {
  for (ValueId id : values) {
    Type type = graph_.type(id);
    type.dtype = narrow_;
    edit_.set_type(id, std::move(type));
    for (const Use& use : graph_.value(id).uses) {
      if (is_group(use.node)) narrow_operand(use.node, use.operand_index);
    }
    const NodeId producer = graph_.producer(id);
    if (!is_group(producer)) continue;
    if (const ValueId twin = narrow_twin(producer, graph_.value(id).result_index)) {
      edit_.replace_all_uses(id, twin);
    } else {
      narrow_result(producer, graph_.value(id).result_index);
    }
  }
}

// A group that did nothing but narrow its operands does nothing any more.
void EdgeNarrower::bypass_if_empty(NodeId group) {
  const Graph& body = *graph_.node(group).bodies[0];
  if (body.first_node()) return;
  for (size_t i = 0; i < body.outputs().size(); ++i) {
    const ValueId input = body.outputs()[i];
    const ValueId outer = graph_.node(group).operands[body.value(input).result_index];
    edit_.replace_all_uses(graph_.node(group).results[i], outer);
  }
  edit_.erase(group);
}

// Makes a group of fewer results in place of one some of whose results nobody uses any more.
void EdgeNarrower::drop_unused_results(NodeId group) {
  const std::vector<ValueId> results = graph_.node(group).results;
  const auto is_used = [&](ValueId value) { return !graph_.value(value).is_unused(); };
  if (std::all_of(results.begin(), results.end(), is_used)) return;
  if (std::none_of(results.begin(), results.end(), is_used)) return;
  NodeSpec spec;
  spec.op = Op::group;
  spec.operands = graph_.node(group).operands;
  spec.attributes = graph_.node(group).attributes;
  spec.source = graph_.node(group).source;
  spec.placement = graph_.node(group).placement;
  spec.bodies.push_back(std::move(edit_.mutable_node(group).bodies[0]));
  Graph& body = *spec.bodies[0];
  std::vector<ValueId> kept, inner;
  std::vector<std::string> names;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!is_used(results[i])) continue;
    kept.push_back(results[i]);
    inner.push_back(body.outputs()[i]);
    names.push_back(body.output_names()[i]);
    spec.result_types.push_back(graph_.type(results[i]));
  }
  GraphEditor(body).set_outputs(std::move(inner), std::move(names));
  const NodeId fresh = edit_.insert_before(group, std::move(spec));
  for (size_t i = 0; i < kept.size(); ++i) {
    std::string name = graph_.value(kept[i]).name;
    edit_.set_name(kept[i], "");
    edit_.set_name(graph_.node(fresh).results[i], std::move(name));
    edit_.replace_all_uses(kept[i], graph_.node(fresh).results[i]);
  }
  edit_.erase(group);
}

Changed EdgeNarrower::run() {
  join_classes();
  std::map<size_t, std::vector<ValueId>> classes;
  for (size_t i = 0; i < graph_.num_value_slots(); ++i) {
    const ValueId id(i);
    const Value& value = graph_.value(id);
    if (value.is_erased || value.type.dtype != DType::f32 || !value.type.is_static()) continue;
    if (graph_.constant_id(id) && value.uses.empty()) continue;
    classes[find(i)].push_back(id);
  }
  Changed changed = Changed::no;
  for (const auto& [root, values] : classes) {
    int64_t num_elements = 0;
    NodeId maker;
    std::string reason;
    for (ValueId id : values) {
      num_elements = std::max(num_elements, graph_.type(id).num_elements());
      if (!maker && is_group(graph_.producer(id))) maker = graph_.producer(id);
      if (reason.empty()) reason = why_wide(id);
    }
    if (!maker || num_elements < min_elements_) continue;
    const std::string where = node_label(module_, graph_, maker);
    if (!reason.empty()) {
      context_.remarks.missed(
          where, fmt::format("an edge of {} elements keeps f32: {}", num_elements, reason));
      continue;
    }
    narrow(values);
    changed = Changed::yes;
    context_.remarks.done(where,
                          fmt::format("an edge of {} elements is {}", num_elements, name(narrow_)));
  }
  if (changed == Changed::no) return changed;
  std::vector<NodeId> groups;
  for (NodeId id : graph_.nodes()) {
    if (is_group(id)) groups.push_back(id);
  }
  for (NodeId id : groups) {
    drop_unused_results(id);
    if (!graph_.node(id).is_erased) bypass_if_empty(id);
  }
  return changed;
}

}  // namespace

Expected<Changed> narrow_edges(Module& module, const NarrowEdgesOptions& options,
                               PassContext& context) {
  if (options.mode != "all") return Changed::no;
  return on_core_graphs(
      module, [&]() -> Expected<Changed> { return EdgeNarrower(module, options, context).run(); });
}

}  // namespace neuronc
