// Comparisons, logic, bits, classification and selection, element by element.
#include <cmath>

#include "ir/ops/elementwise.h"
#include "ir/tensor_pool.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kComparable[] = {{"a", kAny, 'T'}, {"b", kAny, 'T'}};
constexpr OperandSpec kBoolPair[] = {{"a", kBool, 'T'}, {"b", kBool, 'T'}};
constexpr OperandSpec kBoolX[] = {{"x", kBool, 'T'}};
constexpr OperandSpec kIntX[] = {{"x", kInts, 'T'}};
constexpr ResultSpec kIntY[] = {{"y", kInts, 'T'}};
constexpr OperandSpec kIntPair[] = {{"a", kInts, 'T'}, {"b", kInts, 'T'}};
constexpr OperandSpec kUnsignedPair[] = {{"x", kUnsignedInts, 'T'}, {"shift", kUnsignedInts, 'T'}};
constexpr ResultSpec kUnsignedY[] = {{"y", kUnsignedInts, 'T'}};
constexpr AttributeSpec kShiftAttributes[] = {{"direction", AttributeKind::string, "", true}};
constexpr AttributeSpec kInfAttributes[] = {{"detect_negative", AttributeKind::i64, "1"},
                                            {"detect_positive", AttributeKind::i64, "1"}};
constexpr OperandSpec kClassified[] = {{"x", kFloats | kSmallFloats, 'T'}};

Values evaluate_equal_strings(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape shape = type.shape();
  const auto a = input.tensor(0).strings();
  const auto b = input.tensor(1).strings();
  std::vector<size_t> b_offsets;
  for_each_offset(shape, broadcast_strides(input.tensor(1).shape(), shape), 0,
                  [&](int64_t offset) { b_offsets.push_back(static_cast<size_t>(offset)); });
  std::vector<int64_t> results;
  for_each_offset(shape, broadcast_strides(input.tensor(0).shape(), shape), 0, [&](int64_t offset) {
    results.push_back(a[static_cast<size_t>(offset)] == b[b_offsets[results.size()]]);
  });
  return one(from_ints(DType::boolean, shape, results));
}

Values evaluate_equal(const EvaluateInput& input) {
  if (input.tensor(0).dtype() == DType::string && input.tensor(1).dtype() == DType::string) {
    return evaluate_equal_strings(input);
  }
  return evaluate_binary<Elements::numbers, NEURONC_FORMULA([](auto a, auto b) { return a == b; })>(
      input);
}

Types infer_classify(const InferInput& input) {
  Type type = input.operands[0];
  type.dtype = DType::boolean;
  return std::vector<Type>{std::move(type)};
}

// Shifts by the width or more give 0.
constexpr uint64_t shifted(uint64_t x, uint64_t by, bool left) {
  if (by > 63) return 0;
  return left ? x << by : x >> by;
}

Values evaluate_shift(const EvaluateInput& input) {
  const std::string& direction = input.op.string("direction");
  if (direction != "LEFT" && direction != "RIGHT") {
    return refuse("`direction` is neither LEFT nor RIGHT");
  }
  return evaluate_binary<Elements::numbers, [](const OpView& op) {
    return [left = op.string("direction") == "LEFT"](auto x, auto by) {
      return static_cast<int64_t>(
          shifted(static_cast<uint64_t>(x), static_cast<uint64_t>(by), left));
    };
  }>(input);
}

}  // namespace

#define COMPARISON(op_name, text, onnx, operand_specs, traits, ...)                          \
  NEURONC_OP(op_name) = {#op_name,                                                           \
                         text,                                                               \
                         onnx,                                                               \
                         operand_specs,                                                      \
                         kNoAttributes,                                                      \
                         kBoolY,                                                             \
                         Trait::elementwise | traits,                                        \
                         Precision::exact,                                                   \
                         infer_broadcast_to_bool,                                            \
                         evaluate_binary<Elements::numbers, (NEURONC_FORMULA(__VA_ARGS__))>, \
                         flops_per_result<1>};

#define INTEGER_BINARY(op_name, text, onnx, operand_specs, result_specs, ...)                 \
  NEURONC_OP(op_name) = {#op_name,                                                            \
                         text,                                                                \
                         onnx,                                                                \
                         operand_specs,                                                       \
                         kNoAttributes,                                                       \
                         result_specs,                                                        \
                         Trait::elementwise | Trait::commutative,                             \
                         Precision::fixed,                                                    \
                         infer_broadcast,                                                     \
                         evaluate_binary<Elements::integers, (NEURONC_FORMULA(__VA_ARGS__))>, \
                         flops_per_result<1>};

// Comparisons of numbers, with broadcasting: y = text. Comparing with NaN gives false.
// clang-format off
COMPARISON(greater, "a > b", "ONNX Greater-13", kNumericPair, Trait::none, [](auto a, auto b) { return a > b; })
COMPARISON(greater_or_equal, "a >= b", "ONNX GreaterOrEqual-16", kNumericPair, Trait::none, [](auto a, auto b) { return a >= b; })
COMPARISON(less, "a < b", "ONNX Less-13", kNumericPair, Trait::none, [](auto a, auto b) { return a < b; })
COMPARISON(less_or_equal, "a <= b", "ONNX LessOrEqual-16", kNumericPair, Trait::none, [](auto a, auto b) { return a <= b; })

// Logic and bits, with broadcasting: y = text.
INTEGER_BINARY(logical_and, "a and b", "ONNX And-7", kBoolPair, kBoolY, [](auto a, auto b) { return a & b; })
INTEGER_BINARY(logical_or, "a or b", "ONNX Or-7", kBoolPair, kBoolY, [](auto a, auto b) { return a | b; })
INTEGER_BINARY(logical_xor, "either a or b", "ONNX Xor-7", kBoolPair, kBoolY, [](auto a, auto b) { return a ^ b; })
INTEGER_BINARY(bitwise_and, "a & b", "ONNX BitwiseAnd-18", kIntPair, kIntY, [](auto a, auto b) { return a & b; })
INTEGER_BINARY(bitwise_or, "a | b", "ONNX BitwiseOr-18", kIntPair, kIntY, [](auto a, auto b) { return a | b; })
INTEGER_BINARY(bitwise_xor, "a ^ b", "ONNX BitwiseXor-18", kIntPair, kIntY, [](auto a, auto b) { return a ^ b; })
// clang-format on

/// y = a = b, with broadcasting. NaN equals nothing.   Types: any, strings too.
///   Source: ONNX Equal-19.
NEURONC_OP(equal) = {"equal",
                     "a = b",
                     "ONNX Equal-19",
                     kComparable,
                     kNoAttributes,
                     kBoolY,
                     Trait::elementwise | Trait::commutative,
                     Precision::exact,
                     infer_broadcast_to_bool,
                     evaluate_equal,
                     flops_per_result<1>};

/// y = not x.   Types: bool.   Source: ONNX Not-1.
NEURONC_OP(logical_not) = {
    "logical_not",
    "not x",
    "ONNX Not-1",
    kBoolX,
    kNoAttributes,
    kBoolY,
    Trait::elementwise | Trait::involution,
    Precision::fixed,
    infer_as_first,
    evaluate_unary<Elements::integers, NEURONC_FORMULA([](auto x) { return x == 0; })>,
    flops_per_result<1>};

/// y = ~x, all bits inverted.   Types: integers.   Source: ONNX BitwiseNot-18.
NEURONC_OP(bitwise_not) = {
    "bitwise_not",
    "all bits of x inverted",
    "ONNX BitwiseNot-18",
    kIntX,
    kNoAttributes,
    kIntY,
    Trait::elementwise | Trait::involution,
    Precision::fixed,
    infer_as_first,
    evaluate_unary<Elements::integers, NEURONC_FORMULA([](auto x) { return ~x; })>,
    flops_per_result<1>};

/// y = x shifted by `shift` bits, LEFT or RIGHT; by the width or more, 0.
///   Types: unsigned integers.   Source: ONNX BitShift-11.
NEURONC_OP(bit_shift) = {"bit_shift",        "x shifted by a number of bits",
                         "ONNX BitShift-11", kUnsignedPair,
                         kShiftAttributes,   kUnsignedY,
                         Trait::elementwise, Precision::fixed,
                         infer_broadcast,    evaluate_shift,
                         flops_per_result<1>};

/// y = whether x is NaN.   Types: floats.   Source: ONNX IsNaN-20.
NEURONC_OP(is_nan) = {
    "is_nan",
    "whether x is NaN",
    "ONNX IsNaN-20",
    kClassified,
    kNoAttributes,
    kBoolY,
    Trait::elementwise,
    Precision::exact,
    infer_classify,
    evaluate_unary<Elements::floats, NEURONC_FORMULA([](double x) { return x != x; })>,
    flops_per_result<1>};

/// y = whether x is +inf (with `detect_positive`) or -inf (with `detect_negative`).
///   Types: floats.   Source: ONNX IsInf-20.
NEURONC_OP(is_inf) = {
    "is_inf",
    "whether x is infinite",
    "ONNX IsInf-20",
    kClassified,
    kInfAttributes,
    kBoolY,
    Trait::elementwise,
    Precision::exact,
    infer_classify,
    evaluate_unary<Elements::floats,
                   [](const OpView& op) {
                     return [positive = op.i64("detect_positive") != 0,
                             negative = op.i64("detect_negative") != 0](double x) {
                       return (positive && x == INFINITY) || (negative && x == -INFINITY);
                     };
                   }>,
    flops_per_result<1>};

namespace {

constexpr OperandSpec kWhereOperands[] = {{"condition", kBool}, {"x", kAny, 'T'}, {"y", kAny, 'T'}};
constexpr ResultSpec kAnyT[] = {{"z", kAny, 'T'}};

Types infer_where(const InferInput& input) {
  NEURONC_ASSIGN(Type type, broadcast_types(input.operands, input.operands[1].dtype));
  return std::vector<Type>{std::move(type)};
}

Values evaluate_where(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape shape = type.shape();
  const auto offsets_of = [&](size_t i) {
    std::vector<int64_t> offsets;
    for_each_offset(shape, broadcast_strides(input.tensor(i).shape(), shape), 0,
                    [&](int64_t offset) { offsets.push_back(offset); });
    return offsets;
  };
  const std::vector<int64_t> condition = offsets_of(0);
  const std::vector<int64_t> x = offsets_of(1);
  const std::vector<int64_t> y = offsets_of(2);
  Tensor result = unfilled_tensor(type.dtype, shape);
  for (size_t i = 0; i < condition.size(); ++i) {
    const bool first = input.tensor(0).i64(condition[i]) != 0;
    copy_element(result, static_cast<int64_t>(i), input.tensor(first ? 1 : 2), first ? x[i] : y[i]);
  }
  return one(std::move(result));
}

}  // namespace

/// z = x where the condition holds, y elsewhere, with broadcasting.   Types: any.
///   Source: ONNX Where-16.
NEURONC_OP(where) = {"where",
                     "x where the condition holds, else y",
                     "ONNX Where-16",
                     kWhereOperands,
                     kNoAttributes,
                     kAnyT,
                     Trait::elementwise,
                     Precision::exact,
                     infer_where,
                     evaluate_where,
                     flops_per_result<1>};

}  // namespace neuronc
