// Import rules of operators that give random numbers.
#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {

// A node without a seed takes one from its place in the graph: two nodes give different numbers,
// one model the same ones whenever it is compiled.
void import_random(NodeContext& node, const Rule& rule) {
  auto attributes = direct_attributes(node, rule.op);
  if (!node.has("seed")) {
    attributes.push_back({"seed", static_cast<double>(node.source().index + 1)});
  }
  const auto results =
      node.emit_many(rule.op, node.inputs(), std::move(attributes), node.num_outputs());
  for (size_t i = 0; i < results.size(); ++i) node.set_output(i, results[i]);
}

}  // namespace neuronc::onnx
