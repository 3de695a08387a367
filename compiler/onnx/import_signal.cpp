// Import rules of signal operators that are not the same in ONNX and in the IR.
#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {

// Until opset 20 the axis was an attribute, 1 by default.
void import_dft_17(NodeContext& node, const Rule&) {
  const ValueId axis = node.scalar_i64(node.i64("axis", 1));
  emit_direct(node, Op::dft, {node.input(0), node.input(1), axis}, {"axis"});
}

}  // namespace neuronc::onnx
