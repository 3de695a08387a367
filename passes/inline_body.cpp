// Implements inline_body.h.
#include "passes/inline_body.h"

#include <unordered_map>

namespace neuronc {

std::vector<ValueId> inline_body(Rewriter& rewriter, NodeId position, const Graph& body,
                                 std::span<const ValueId> inputs) {
  std::unordered_map<ValueId, ValueId> values;
  for (size_t i = 0; i < inputs.size(); ++i) values[body.inputs()[i]] = inputs[i];
  const auto here = [&](ValueId inner) { return inner ? values.at(inner) : ValueId(); };
  for (NodeId id : body.nodes()) {
    const Node& node = body.node(id);
    NodeSpec spec{.op = node.op, .attributes = node.attributes, .source = node.source};
    spec.placement = node.placement;
    for (ValueId operand : node.operands) spec.operands.push_back(here(operand));
    for (ValueId result : node.results) spec.result_types.push_back(body.type(result));
    for (const auto& inner : node.bodies) spec.bodies.push_back(clone_graph(*inner));
    const NodeId copy = rewriter.edit.insert_before(position, std::move(spec));
    for (size_t i = 0; i < node.results.size(); ++i) {
      values[node.results[i]] = rewriter.node(copy).results[i];
    }
  }
  std::vector<ValueId> outputs;
  for (ValueId output : body.outputs()) outputs.push_back(here(output));
  return outputs;
}

void replace_results(Rewriter& rewriter, NodeId id, std::span<const ValueId> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const ValueId old = rewriter.node(id).results[i];
    if (rewriter.graph.producer(values[i])) {
      rewriter.edit.set_type(values[i], refined(rewriter.type(values[i]), rewriter.type(old)));
      if (rewriter.graph.value(values[i]).name.empty()) {
        rewriter.edit.set_name(values[i], rewriter.graph.value(old).name);
      }
    }
    rewriter.edit.replace_all_uses(old, values[i]);
  }
  rewriter.edit.erase_if_unused(id);
}

int64_t num_operations(const Graph& graph) {
  int64_t count = 0;
  std::vector<const Graph*> graphs{&graph};
  for (size_t i = 0; i < graphs.size(); ++i) {
    for (NodeId id : graphs[i]->nodes()) {
      const Node& node = graphs[i]->node(id);
      count += node.op == Op::constant ? 0 : 1;
      for (const auto& body : node.bodies) graphs.push_back(body.get());
    }
  }
  return count;
}

}  // namespace neuronc
