// A body for each element of a sequence.
#include <fmt/format.h>

#include "ir/graph.h"
#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kOperands[] = {{"sequence", kAny, 0, Arity::required, true},
                                     {"others", kAny, 0, Arity::variadic, true}};
constexpr ResultSpec kResults[] = {{"sequences", kAny, 0, Arity::variadic, true}};
constexpr AttributeSpec kAttributes[] = {{"num_operands", AttributeKind::i64, "", true}};

Types infer_sequence_map(const InferInput& input) {
  const auto num_operands = input.op.i64("num_operands");
  if (input.op.bodies.size() != 1) return refuse("it needs one body");
  if (num_operands < 1 || num_operands > static_cast<int64_t>(input.operands.size())) {
    return refuse("`num_operands` does not fit its operands");
  }
  if (input.operands[0].kind != Type::Kind::sequence) {
    return refuse("the first operand is not a sequence");
  }
  const Graph& body = *input.op.bodies[0];
  if (body.inputs().size() != input.operands.size() || body.outputs().size() != input.num_results) {
    return refuse(fmt::format("the body has {} inputs and {} outputs", body.inputs().size(),
                              body.outputs().size()));
  }
  std::vector<Type> types;
  for (ValueId output : body.outputs()) {
    if (!body.type(output).is_tensor()) return refuse("an output of the body is no tensor");
    Type type = Type::unranked(body.type(output).dtype);
    type.kind = Type::Kind::sequence;
    types.push_back(std::move(type));
  }
  return types;
}

Values evaluate_sequence_map(const EvaluateInput& input) {
  if (input.evaluate_body == nullptr) return refuse("nothing evaluates the body");
  const auto num_operands = static_cast<size_t>(input.op.i64("num_operands"));
  const size_t length = input.operands[0]->elements.size();
  std::vector<HostValue> results(input.num_results);
  for (HostValue& result : results) result.kind = Type::Kind::sequence;
  for (size_t i = 0; i < length; ++i) {
    std::vector<HostValue> inputs;
    for (size_t k = 0; k < input.operands.size(); ++k) {
      const HostValue& operand = *input.operands[k];
      const bool is_mapped = k < num_operands && operand.kind == Type::Kind::sequence;
      if (!is_mapped) {
        inputs.push_back(operand);
        continue;
      }
      if (operand.elements.size() != length) return refuse("the sequences differ in length");
      inputs.emplace_back(operand.elements[i]);
    }
    NEURONC_ASSIGN(const std::vector<HostValue> outputs, (*input.evaluate_body)(0, inputs));
    for (size_t k = 0; k < results.size(); ++k) results[k].elements.push_back(outputs[k].tensor());
  }
  return results;
}

}  // namespace

/// Runs the body once per element of the first sequence. Operands and body inputs: `num_operands`
/// sequences, of which the body gets one element each, or tensors; then captures. Results: a
/// sequence of what each output of the body was.   Types: any.   Source: ONNX SequenceMap-17.
NEURONC_OP(sequence_map) = {"sequence_map",
                            "a body for each element of a sequence",
                            "ONNX SequenceMap-17",
                            kOperands,
                            kAttributes,
                            kResults,
                            Trait::control_flow | Trait::host,
                            Precision::fixed,
                            infer_sequence_map,
                            evaluate_sequence_map,
                            no_flops};

}  // namespace neuronc
