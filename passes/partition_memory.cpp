// Implements partition_memory.h.
#include "passes/partition_memory.h"

#include <algorithm>
#include <vector>

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

// Who runs a node: one of the cores, a team of them, or (none) the host.
CoreRange lane_of(const Node& node) {
  return node.placement == Placement::host ? CoreRange() : node.cores;
}

class Separator {
 public:
  Separator(Module& module, Graph& graph, PassContext& context)
      : module_(module), graph_(graph), edit_(graph), context_(context) {}

  int64_t run();

 private:
  bool is_core(NodeId id) const { return id && graph_.node(id).placement == Placement::core; }
  bool is_concat(NodeId id) const { return is_core(id) && graph_.node(id).op == Op::concat; }
  bool is_view_node(NodeId id) const;
  bool crosses_lanes(NodeId concat, ValueId part) const;
  std::vector<ValueId> family_of(ValueId part) const;
  void detach(NodeId concat, size_t operand_index);

  Module& module_;
  Graph& graph_;
  GraphEditor edit_;
  PassContext& context_;
  int64_t num_copies_ = 0;
};

int64_t Separator::run() {
  std::vector<NodeId> concats;
  for (NodeId id : graph_.nodes()) {
    if (is_concat(id)) concats.push_back(id);
  }
  for (NodeId id : concats) {
    for (size_t i = 0; i < graph_.node(id).operands.size(); ++i) {
      if (crosses_lanes(id, graph_.node(id).operands[i])) detach(id, i);
    }
  }
  return num_copies_;
}

bool Separator::is_view_node(NodeId id) const {
  const Node& node = graph_.node(id);
  return is_core(id) && node.op != Op::concat && node.op != Op::group && node.op != Op::reorder;
}

// Whether a part of a concat in place is written, or read by itself, on another lane than the
// concat's. A lane that reads one part must not wait for the whole, which may depend on it.
bool Separator::crosses_lanes(NodeId concat, ValueId part) const {
  const CoreRange lane = lane_of(graph_.node(concat));
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
std::vector<ValueId> Separator::family_of(ValueId part) const {
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
void Separator::detach(NodeId concat, size_t operand_index) {
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
  NodeSpec spec;
  spec.op = Op::reorder;
  spec.operands = {part};
  spec.result_types = {graph_.type(part)};
  spec.placement = Placement::core;
  spec.source = graph_.node(concat).source;
  const NodeId copy = edit_.insert_before(concat, std::move(spec));
  edit_.set_placement(copy, Placement::core, graph_.node(concat).cores);
  edit_.set_storage(graph_.node(copy).results[0], in_place);
  edit_.set_operand(concat, operand_index, graph_.node(copy).results[0]);
  context_.remarks.missed(node_label(module_, graph_, concat),
                          "a part of the concat is made or read on another core and copied");
  ++num_copies_;
}

}  // namespace

int64_t separate_memory(Module& module, Graph& graph, PassContext& context) {
  return Separator(module, graph, context).run();
}

}  // namespace neuronc
