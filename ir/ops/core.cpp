// Operators that the IR itself needs: constants, identities and fused groups.
#include "ir/op.h"

namespace neuronc {
namespace {

OrRefusal<std::vector<Type>> infer_from_results(const InferInput&) {
  return refuse("its types cannot be inferred from operands");
}

OrRefusal<std::vector<HostValue>> evaluate_by_interpreter(const EvaluateInput& input) {
  return refuse("`" + std::string(input.op.def.name) + "` is evaluated by the graph evaluator");
}

double no_flops(const OpView&, std::span<const Type>, std::span<const Type>) { return 0; }

OrRefusal<std::vector<Type>> infer_identity(const InferInput& input) {
  return std::vector<Type>{input.operands[0]};
}

OrRefusal<std::vector<HostValue>> evaluate_identity(const EvaluateInput& input) {
  return std::vector<HostValue>{*input.operands[0]};
}

constexpr AttributeSpec kConstantAttributes[] = {{"value", AttributeKind::constant, "", true}};
constexpr ResultSpec kAnyResult[] = {{"y"}};
constexpr OperandSpec kAnyOperand[] = {{"x", kAny, 'T', Arity::required, true}};
constexpr OperandSpec kManyOperands[] = {{"operands", kAny, 0, Arity::variadic, true}};
constexpr ResultSpec kManyResults[] = {{"results", kAny, 0, Arity::variadic, true}};
constexpr AttributeSpec kGroupAttributes[] = {{"variant", AttributeKind::string, "\"\""},
                                              {"blocking", AttributeKind::string, "\"\""},
                                              {"is_shared", AttributeKind::i64, "1"}};

}  // namespace

/// A constant of the module. Its type is the tensor's.
NEURONC_OP(constant) = {"constant",
                        "a constant tensor of the module",
                        "ONNX Constant-13",
                        {},
                        kConstantAttributes,
                        kAnyResult,
                        Trait::moves_data,
                        Precision::exact,
                        infer_from_results,
                        evaluate_by_interpreter,
                        no_flops};

/// Operators fused into one kernel: the body's inputs are the operands, its outputs the results.
/// A team shares the kernel's tiles unless `is_shared` is 0: then its first core has them all.
/// `variant` is its kernel's; `blocking`, where it is not empty, how that is cut (backend/blocking.h).
/// Inside, every float is f32 (f64 where declared); conversions are explicit.
NEURONC_OP(group) = {"group",
                     "operators fused into one kernel",
                     "neuronc",
                     kManyOperands,
                     kGroupAttributes,
                     kManyResults,
                     Trait::internal,
                     Precision::fixed,
                     infer_from_results,
                     evaluate_by_interpreter,
                     no_flops};

/// y = x.   Shapes: any.   Source: ONNX Identity-16.
NEURONC_OP(identity) = {"identity",
                        "the operand itself",
                        "ONNX Identity-16",
                        kAnyOperand,
                        {},
                        kAnyResult,
                        Trait::moves_data | Trait::idempotent,
                        Precision::exact,
                        infer_identity,
                        evaluate_identity,
                        no_flops};

/// y = x, copied to memory of another order; made by lay-out where no view will do.
NEURONC_OP(reorder) = {"reorder",
                       "a copy in another memory order",
                       "neuronc",
                       kAnyOperand,
                       {},
                       kAnyResult,
                       Trait::moves_data | Trait::internal,
                       Precision::exact,
                       infer_identity,
                       evaluate_identity,
                       no_flops};

}  // namespace neuronc
