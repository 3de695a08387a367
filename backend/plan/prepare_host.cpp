// Implements prepare_host.h.
#include "backend/plan/prepare_host.h"

#include <map>
#include <set>
#include <vector>

#include "ir/control_flow.h"
#include "ir/edit.h"

namespace neuronc {
namespace {

class HostPreparer {
 public:
  explicit HostPreparer(Graph& graph) : graph_(graph), edit_(graph) {}

  void straighten_operands();
  void settle_outputs();

 private:
  bool is_core(NodeId id) const { return id && graph_.node(id).placement == Placement::core; }
  ValueId copy_before(NodeId position, ValueId value, Storage storage, CoreRange cores);

  Graph& graph_;
  GraphEditor edit_;
};

ValueId HostPreparer::copy_before(NodeId position, ValueId value, Storage storage,
                                  CoreRange cores) {
  NodeSpec spec;
  spec.op = Op::reorder;
  spec.operands = {value};
  spec.result_types = {graph_.type(value)};
  spec.placement = Placement::core;
  const NodeId producer = graph_.producer(value);
  if (producer) spec.source = graph_.node(producer).source;
  const NodeId id = edit_.insert_before(position, std::move(spec));
  edit_.set_placement(id, Placement::core, cores);
  const ValueId copy = graph_.node(id).results[0];
  edit_.set_storage(copy, std::move(storage));
  return copy;
}

void HostPreparer::straighten_operands() {
  std::vector<NodeId> nodes;
  for (NodeId id : graph_.nodes()) {
    if (!is_core(id) || runs_blocks(graph_.node(id))) nodes.push_back(id);
  }
  std::map<ValueId, ValueId> copies;
  for (NodeId id : nodes) {
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
                           graph_.node(producer).cores);
      }
      edit_.set_operand(id, i, copy);
    }
  }
}

void HostPreparer::settle_outputs() {
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

void prepare_host(Module& module) {
  for_each_core_graph(module.graph(),
                      [](Graph& graph) { HostPreparer(graph).straighten_operands(); });
  HostPreparer(module.graph()).settle_outputs();
}

}  // namespace neuronc
