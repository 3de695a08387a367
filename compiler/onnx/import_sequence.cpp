// Import rules of sequences and optionals that are not the same in ONNX and in the IR.
#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {

// Without an operand the type stands in an attribute.
void import_optional(NodeContext& node, const Rule&) {
  std::vector<NamedAttribute> attributes;
  if (const auto type = node.type_attribute("type"); type && !node.has_input(0)) {
    const bool is_sequence = type->kind == Type::Kind::sequence;
    attributes = {{"dtype", type->dtype}, {"is_sequence", static_cast<int64_t>(is_sequence)}};
  }
  node.set_output(0, node.emit(Op::optional, {node.input(0)}, std::move(attributes)));
}

}  // namespace neuronc::onnx
