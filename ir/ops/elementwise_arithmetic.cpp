// Elementwise arithmetic that needs no transcendental function. Integers wrap; dividing them by
// zero gives 0, and modulo zero gives 0; the least integer divided by -1 is itself. max and min
// give NaN when an operand is NaN.
#include <cmath>

#include "ir/ops/elementwise.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr double sum_of(double a, double b) { return a + b; }
constexpr uint64_t sum_of(uint64_t a, uint64_t b) { return a + b; }
constexpr int64_t sum_of(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

constexpr double difference(double a, double b) { return a - b; }
constexpr uint64_t difference(uint64_t a, uint64_t b) { return a - b; }
constexpr int64_t difference(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}

constexpr double product_of(double a, double b) { return a * b; }
constexpr uint64_t product_of(uint64_t a, uint64_t b) { return a * b; }
constexpr int64_t product_of(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

constexpr double quotient(double a, double b) { return a / b; }
constexpr uint64_t quotient(uint64_t a, uint64_t b) { return b == 0 ? 0 : a / b; }
constexpr int64_t quotient(int64_t a, int64_t b) {
  if (b == 0) return 0;
  return b == -1 ? difference(int64_t{0}, a) : a / b;
}

// The remainder with the sign of the dividend, C's fmod.
double truncated_modulo(double a, double b) { return std::fmod(a, b); }
constexpr uint64_t truncated_modulo(uint64_t a, uint64_t b) { return b == 0 ? 0 : a % b; }
constexpr int64_t truncated_modulo(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }

// The remainder with the sign of the divisor.
template <class T>
T floored_modulo(T a, T b) {
  const T rest = truncated_modulo(a, b);
  if constexpr (std::is_unsigned_v<T>) {
    return rest;
  } else {
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  }
}

template <class T>
constexpr T maximum(T a, T b) {
  if (a != a) return a;
  return a > b ? a : b;
}
template <class T>
constexpr T minimum(T a, T b) {
  if (a != a) return a;
  return a < b ? a : b;
}
// NaN in the second operand fails both comparisons above and so comes out.

template <class T>
constexpr T absolute(T x) {
  if constexpr (std::is_unsigned_v<T>) {
    return x;
  } else if constexpr (std::is_floating_point_v<T>) {
    return std::fabs(x);
  } else {
    return x < 0 ? difference(T{0}, x) : x;
  }
}

template <class T>
constexpr T sign_of(T x) {
  if (x != x) return x;
  return x > 0 ? T(1) : x < 0 ? T(-1) : T(0);
}

constexpr AttributeSpec kModAttributes[] = {{"fmod", AttributeKind::i64, "0"}};
constexpr AttributeSpec kShrinkAttributes[] = {{"bias", AttributeKind::f64, "0"},
                                               {"lambd", AttributeKind::f64, "0.5"}};
constexpr OperandSpec kFloatPair[] = {{"x", kFloats, 'T'}, {"slope", kFloats, 'T'}};

}  // namespace

#define NUMERIC_UNARY(op_name, text, onnx, traits, ...)                                     \
  NEURONC_OP(op_name) = {#op_name,                                                          \
                         text,                                                              \
                         onnx,                                                              \
                         kNumericX,                                                         \
                         kNoAttributes,                                                     \
                         kNumericY,                                                         \
                         Trait::elementwise | traits,                                       \
                         Precision::elementwise,                                            \
                         infer_as_first,                                                    \
                         evaluate_unary<Elements::numbers, (NEURONC_FORMULA(__VA_ARGS__))>, \
                         flops_per_result<1>};

#define NUMERIC_BINARY(op_name, text, onnx, attribute_specs, traits, ...)   \
  NEURONC_OP(op_name) = {#op_name,                                          \
                         text,                                              \
                         onnx,                                              \
                         kNumericPair,                                      \
                         attribute_specs,                                   \
                         kNumericY,                                         \
                         Trait::elementwise | traits,                       \
                         Precision::elementwise,                            \
                         infer_broadcast,                                   \
                         evaluate_binary<Elements::numbers, (__VA_ARGS__)>, \
                         flops_per_result<1>};

// One operand, integers too: y = text.
// clang-format off
NUMERIC_UNARY(abs, "|x|", "ONNX Abs-13", Trait::idempotent, [](auto x) { return absolute(x); })
NUMERIC_UNARY(neg, "-x", "ONNX Neg-13", Trait::involution,
              [](auto x) { if constexpr (std::is_floating_point_v<decltype(x)>) return -x;
                           else return difference(decltype(x){0}, x); })
NUMERIC_UNARY(relu, "max(x, 0)", "ONNX Relu-14", Trait::idempotent,
              [](auto x) { return x < 0 ? decltype(x){0} : x; })
NUMERIC_UNARY(sign, "-1, 0 or 1 as x is less than, equal to or greater than 0; NaN stays",
              "ONNX Sign-13", Trait::idempotent, [](auto x) { return sign_of(x); })

// One operand, floats only: y = text.
NEURONC_UNARY(ceil, "the least integer not less than x", "ONNX Ceil-13", kNoAttributes,
              Trait::idempotent, 1, NEURONC_FORMULA([](double x) { return std::ceil(x); }))
NEURONC_UNARY(floor, "the greatest integer not greater than x", "ONNX Floor-13", kNoAttributes,
              Trait::idempotent, 1, NEURONC_FORMULA([](double x) { return std::floor(x); }))
NEURONC_UNARY(round, "the nearest integer, ties to even", "ONNX Round-22", kNoAttributes,
              Trait::idempotent, 1, NEURONC_FORMULA([](double x) { return std::nearbyint(x); }))
NEURONC_UNARY(reciprocal, "1 / x", "ONNX Reciprocal-13", kNoAttributes, Trait::none, 1,
              NEURONC_FORMULA([](double x) { return 1 / x; }))
NEURONC_UNARY(sqrt, "square root of x; NaN for x < 0", "ONNX Sqrt-13", kNoAttributes, Trait::none, 1,
              NEURONC_FORMULA([](double x) { return std::sqrt(x); }))
NEURONC_UNARY(shrink, "x + bias for x < -lambd, x - bias for x > lambd, else 0", "ONNX Shrink-9",
              kShrinkAttributes, Trait::none, 2,
              [](const OpView& op) { return [bias = op.f64("bias"), limit = op.f64("lambd")](double x) {
                return x < -limit ? x + bias : x > limit ? x - bias : 0.0; }; })

// Two operands with broadcasting: y = text.
NUMERIC_BINARY(add, "a + b", "ONNX Add-14", kNoAttributes, Trait::commutative,
               NEURONC_FORMULA([](auto a, auto b) { return sum_of(a, b); }))
NUMERIC_BINARY(sub, "a - b", "ONNX Sub-14", kNoAttributes, Trait::none,
               NEURONC_FORMULA([](auto a, auto b) { return difference(a, b); }))
NUMERIC_BINARY(mul, "a * b", "ONNX Mul-14", kNoAttributes, Trait::commutative,
               NEURONC_FORMULA([](auto a, auto b) { return product_of(a, b); }))
NUMERIC_BINARY(div, "a / b; of integers, truncated", "ONNX Div-14", kNoAttributes, Trait::none,
               NEURONC_FORMULA([](auto a, auto b) { return quotient(a, b); }))
NUMERIC_BINARY(max, "the greater of a and b; NaN if one is", "ONNX Max-13", kNoAttributes,
               Trait::commutative, NEURONC_FORMULA([](auto a, auto b) { return maximum(a, b); }))
NUMERIC_BINARY(min, "the lesser of a and b; NaN if one is", "ONNX Min-13", kNoAttributes,
               Trait::commutative, NEURONC_FORMULA([](auto a, auto b) { return minimum(a, b); }))
NUMERIC_BINARY(mod, "a modulo b, with the sign of b, or of a where fmod is 1", "ONNX Mod-13",
               kModAttributes, Trait::none,
               [](const OpView& op) { return [c = op.i64("fmod") != 0](auto a, auto b) {
                 return c ? truncated_modulo(a, b) : floored_modulo(a, b); }; })
// clang-format on

/// x where x >= 0, slope * x elsewhere. `slope` broadcasts to the shape of `x`.
///   Types: floats.   Source: ONNX PRelu-16.
NEURONC_OP(prelu) = {"prelu",
                     "x, or slope * x where x < 0",
                     "ONNX PRelu-16",
                     kFloatPair,
                     kNoAttributes,
                     kFloatY,
                     Trait::elementwise,
                     Precision::elementwise,
                     infer_broadcast,
                     evaluate_binary<Elements::floats, NEURONC_FORMULA([](double x, double slope) {
                                       return x < 0 ? slope * x : x;
                                     })>,
                     flops_per_result<2>};

namespace {

constexpr OperandSpec kClipOperands[] = {{"x", kNumeric, 'T'},
                                         {"min", kNumeric, 'T', Arity::optional},
                                         {"max", kNumeric, 'T', Arity::optional}};

OrRefusal<std::vector<Type>> infer_clip(const InferInput& input) {
  for (size_t i = 1; i < 3; ++i) {
    if (!input.has(i)) continue;
    const Type& bound = input.operands[i];
    if (bound.is_ranked && product(bound.dims) != Dim(1) && bound.is_static()) {
      return refuse("a bound of `clip` is not a scalar");
    }
  }
  return infer_as_first(input);
}

template <class X>
Tensor clip_as(const EvaluateInput& input, X low, X high) {
  return map<X>(input.tensor(0), input.tensor(0).dtype(),
                [=](X x) { return minimum(maximum(x, low), high); });
}

Values evaluate_clip(const EvaluateInput& input) {
  NEURONC_TRY(actual_type(input));
  const Tensor& x = input.tensor(0);
  const bool has_min = input.has(1);
  const bool has_max = input.has(2);
  if (x.dtype() == DType::u64) {
    return one(
        clip_as<uint64_t>(input, has_min ? static_cast<uint64_t>(input.tensor(1).i64(0)) : 0,
                          has_max ? static_cast<uint64_t>(input.tensor(2).i64(0)) : UINT64_MAX));
  }
  if (!is_float(x.dtype())) {
    return one(clip_as<int64_t>(input, has_min ? input.tensor(1).i64(0) : INT64_MIN,
                                has_max ? input.tensor(2).i64(0) : INT64_MAX));
  }
  return one(clip_as<double>(input, has_min ? input.tensor(1).f64(0) : -INFINITY,
                             has_max ? input.tensor(2).f64(0) : INFINITY));
}

}  // namespace

/// y = min(max(x, min), max); an absent bound does not bound. NaN stays.
///   Shapes: bounds are scalars.   Types: numbers.   Source: ONNX Clip-13.
NEURONC_OP(clip) = {"clip",
                    "x between min and max",
                    "ONNX Clip-13",
                    kClipOperands,
                    kNoAttributes,
                    kNumericY,
                    Trait::elementwise | Trait::idempotent,
                    Precision::elementwise,
                    infer_clip,
                    evaluate_clip,
                    flops_per_result<2>};

}  // namespace neuronc
