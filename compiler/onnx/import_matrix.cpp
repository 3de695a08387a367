// Import rules of matrix products.
#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {

// Before opset 7 the addend was broadcast only with `broadcast`; the rules of broadcasting agree.
void import_gemm(NodeContext& node, const Rule&) {
  emit_direct(node, Op::gemm, node.inputs(), {"broadcast"});
}

}  // namespace neuronc::onnx
