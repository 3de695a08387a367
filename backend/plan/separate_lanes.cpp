// Implements separate_lanes.h.
#include "backend/plan/separate_lanes.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "ir/base/check.h"
#include "ir/edit.h"

namespace neuronc {
namespace {

// Elements from the first to past the last that a value with `storage` touches.
int64_t hull_elements(const Storage& storage, const std::vector<int64_t>& shape) {
  int64_t last = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 0) return 0;
    const int64_t index = shape[d] - 1;
    if (static_cast<int32_t>(d) == storage.blocked_dim) {
      const int64_t full_blocks = index / storage.block;
      last += full_blocks * storage.strides[d] +
              (full_blocks > 0 ? storage.block - 1 : index % storage.block);
    } else {
      last += index * storage.strides[d];
    }
  }
  return last + 1;
}

class LaneSeparator {
 public:
  explicit LaneSeparator(Module& module)
      : module_(module), graph_(module.graph()), edit_(module.graph()) {}

  void run() {
    separate_concats();
    straighten_host_operands();
    settle_outputs();
  }

 private:
  bool is_core(NodeId id) const { return id && graph_.node(id).placement == Placement::core; }
  bool is_concat(NodeId id) const { return is_core(id) && graph_.node(id).op == Op::concat; }

  void separate_concats();
  bool crosses_lanes(NodeId concat, ValueId part) const;
  void detach(NodeId concat, size_t operand_index);
  bool is_view_node(NodeId id) const;
  std::vector<ValueId> family_of(ValueId part) const;
  void straighten_host_operands();
  void settle_outputs();
  ValueId copy_before(NodeId position, ValueId value, Storage storage, int32_t core);

  Module& module_;
  Graph& graph_;
  GraphEditor edit_;
};

void LaneSeparator::separate_concats() {
  std::vector<NodeId> concats;
  for (NodeId id : graph_.nodes()) {
    if (is_concat(id)) concats.push_back(id);
  }
  for (NodeId id : concats) {
    for (size_t i = 0; i < graph_.node(id).operands.size(); ++i) {
      if (crosses_lanes(id, graph_.node(id).operands[i])) detach(id, i);
    }
  }
}

bool LaneSeparator::is_view_node(NodeId id) const {
  const Node& node = graph_.node(id);
  return is_core(id) && node.op != Op::concat && node.op != Op::group && node.op != Op::reorder;
}

// Whether a part of a concat in place is written, or read by itself, on another lane than the
// concat's. A lane that reads one part must not wait for the whole, which may depend on it.
bool LaneSeparator::crosses_lanes(NodeId concat, ValueId part) const {
  const int32_t lane = lane_of(graph_.node(concat));
  const NodeId producer = graph_.producer(part);
  if (!graph_.value(part).storage.is_view() || !producer) return false;
  if (lane_of(graph_.node(producer)) != lane) return true;
  for (ValueId value : family_of(part)) {
    for (const Use& use : graph_.value(value).uses) {
      const bool is_read = graph_.node(use.node).op != Op::concat && !is_view_node(use.node);
      if (is_read && lane_of(graph_.node(use.node)) != lane) return true;
    }
  }
  return false;
}

// The values that lie in the memory of `part` by being it, a part of it, or a view of either.
std::vector<ValueId> LaneSeparator::family_of(ValueId part) const {
  const ValueId base = graph_.value(part).storage.base;
  std::vector<ValueId> family{part};
  const auto add = [&](ValueId value) {
    const bool is_inside = value && graph_.value(value).storage.base == base;
    if (is_inside && std::find(family.begin(), family.end(), value) == family.end()) {
      family.push_back(value);
    }
  };
  for (size_t i = 0; i < family.size(); ++i) {
    const NodeId producer = graph_.producer(family[i]);
    if (is_concat(producer)) {
      for (ValueId operand : graph_.node(producer).operands) add(operand);
    }
    for (const Use& use : graph_.value(family[i]).uses) {
      if (!is_view_node(use.node)) continue;
      for (ValueId result : graph_.node(use.node).results) add(result);
    }
  }
  return family;
}

// Gives operand `operand_index` memory of its own, and copies it into its place on the lane of the
// concat. Strides stay, so that all views of it stay views; a value without views becomes dense.
void LaneSeparator::detach(NodeId concat, size_t operand_index) {
  const ValueId part = graph_.node(concat).operands[operand_index];
  const Storage in_place = graph_.value(part).storage;
  const std::vector<int64_t> shape = graph_.type(part).shape();
  const std::vector<ValueId> family = family_of(part);
  Storage own = in_place;
  own.base = ValueId();
  own.offset = 0;
  own.num_elements = hull_elements(in_place, shape);
  if (family.size() == 1 && in_place.blocked_dim < 0) {
    own = Storage::dense(in_place.dtype, shape, in_place.order(shape));
  }
  edit_.set_storage(part, own);
  for (ValueId value : family) {
    if (value == part) continue;
    Storage moved = graph_.value(value).storage;
    moved.base = part;
    moved.offset -= in_place.offset;
    edit_.set_storage(value, std::move(moved));
  }
  const ValueId copy = copy_before(concat, part, in_place, graph_.node(concat).core);
  edit_.set_operand(concat, operand_index, copy);
}

ValueId LaneSeparator::copy_before(NodeId position, ValueId value, Storage storage, int32_t core) {
  NodeSpec spec;
  spec.op = Op::reorder;
  spec.operands = {value};
  spec.result_types = {graph_.type(value)};
  spec.placement = Placement::core;
  const NodeId producer = graph_.producer(value);
  if (producer) spec.source = graph_.node(producer).source;
  const NodeId id = edit_.insert_before(position, std::move(spec));
  edit_.set_placement(id, Placement::core, core);
  const ValueId copy = graph_.node(id).results[0];
  edit_.set_storage(copy, std::move(storage));
  return copy;
}

void LaneSeparator::straighten_host_operands() {
  std::vector<NodeId> host_nodes;
  for (NodeId id : graph_.nodes()) {
    if (!is_core(id)) host_nodes.push_back(id);
  }
  std::map<ValueId, ValueId> copies;
  for (NodeId id : host_nodes) {
    for (size_t i = 0; i < graph_.node(id).operands.size(); ++i) {
      const ValueId operand = graph_.node(id).operands[i];
      const NodeId producer = operand ? graph_.producer(operand) : NodeId();
      if (!is_core(producer) || graph_.node(producer).op == Op::constant) continue;
      const Type& type = graph_.type(operand);
      const Storage& storage = graph_.value(operand).storage;
      if (storage.dtype == type.dtype && storage.is_row_major(type.shape())) continue;
      ValueId& copy = copies[operand];
      if (!copy) {
        copy = copy_before(id, operand, Storage::dense(type.dtype, type.shape()),
                           graph_.node(producer).core);
      }
      edit_.set_operand(id, i, copy);
    }
  }
}

void LaneSeparator::settle_outputs() {
  std::set<ValueId> taken;
  for (size_t i = 0; i < graph_.outputs().size(); ++i) {
    const ValueId output = graph_.outputs()[i];
    const NodeId producer = graph_.producer(output);
    const bool is_made = producer && graph_.node(producer).op != Op::constant;
    if (is_core(producer) && is_made) continue;
    if (is_made && taken.insert(output).second) continue;
    NodeSpec spec;
    spec.op = Op::identity;
    spec.operands = {output};
    spec.result_types = {graph_.type(output)};
    spec.placement = Placement::host;
    const NodeId copy = edit_.append(std::move(spec));
    edit_.set_output(i, graph_.node(copy).results[0]);
  }
}

}  // namespace

void separate_lanes(Module& module) { LaneSeparator(module).run(); }

}  // namespace neuronc
