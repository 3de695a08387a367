// Elementwise transcendental functions and the activations made of them. They compute in f64 with
// kernel IR's scalar expansions and round once.
#include <cmath>

#include "ir/ops/elementwise.h"
#include "ir/ops/scalar_math.h"

namespace neuronc {

using namespace ops;

namespace {

// The work of one transcendental function, in flops: an estimate for placement and reports.
constexpr int kMathFlops = 16;
// The error function is two expansions, one for each part of its domain.
constexpr int kErfFlops = 56;

constexpr AttributeSpec kAlpha1[] = {{"alpha", AttributeKind::f64, "1"}};
constexpr AttributeSpec kLeakyAttributes[] = {{"alpha", AttributeKind::f64, "0.01"}};
constexpr AttributeSpec kHardSigmoidAttributes[] = {{"alpha", AttributeKind::f64, "0.2"},
                                                    {"beta", AttributeKind::f64, "0.5"}};
constexpr AttributeSpec kSeluAttributes[] = {
    {"alpha", AttributeKind::f64, "1.67326319217681884765625"},
    {"gamma", AttributeKind::f64, "1.05070102214813232421875"}};
constexpr AttributeSpec kGeluAttributes[] = {{"approximate", AttributeKind::string, "\"none\""}};

double gelu_exact(double x) { return 0.5 * x * (1 + math::erf(x * 0.70710678118654752440)); }

double gelu_tanh(double x) {
  constexpr double kSqrtTwoOverPi = 0.79788456080286535588;
  return 0.5 * x * (1 + math::tanh(kSqrtTwoOverPi * (x + 0.044715 * x * x * x)));
}

Values evaluate_gelu(const EvaluateInput& input) {
  const std::string& approximate = input.op.string("approximate");
  if (approximate == "none") {
    return evaluate_unary<Elements::floats, NEURONC_FORMULA(gelu_exact)>(input);
  }
  if (approximate == "tanh") {
    return evaluate_unary<Elements::floats, NEURONC_FORMULA(gelu_tanh)>(input);
  }
  return refuse("`approximate` is neither none nor tanh");
}

}  // namespace

#define MATH_ROW(op_name, text, onnx, formula)                               \
  NEURONC_UNARY(op_name, text, onnx, kNoAttributes, Trait::none, kMathFlops, \
                NEURONC_FORMULA([](double x) { return formula; }))

// Functions of one operand: y = text. Arguments outside a function's domain give NaN.
MATH_ROW(acos, "inverse cosine of x", "ONNX Acos-22", math::acos(x))
MATH_ROW(acosh, "inverse hyperbolic cosine of x", "ONNX Acosh-22", math::acosh(x))
MATH_ROW(asin, "inverse sine of x", "ONNX Asin-22", math::asin(x))
MATH_ROW(asinh, "inverse hyperbolic sine of x", "ONNX Asinh-22", math::asinh(x))
MATH_ROW(atan, "inverse tangent of x", "ONNX Atan-22", math::atan(x))
MATH_ROW(atanh, "inverse hyperbolic tangent of x", "ONNX Atanh-22", math::atanh(x))
MATH_ROW(cos, "cosine of x", "ONNX Cos-22", math::cos(x))
MATH_ROW(cosh, "hyperbolic cosine of x", "ONNX Cosh-22", math::cosh(x))
MATH_ROW(erf, "error function of x", "ONNX Erf-13", math::erf(x))
MATH_ROW(exp, "e to the power x", "ONNX Exp-13", math::exp(x))
MATH_ROW(log, "natural logarithm of x", "ONNX Log-13", math::log(x))
MATH_ROW(sin, "sine of x", "ONNX Sin-22", math::sin(x))
MATH_ROW(sinh, "hyperbolic sine of x", "ONNX Sinh-22", math::sinh(x))
MATH_ROW(tan, "tangent of x", "ONNX Tan-22", math::tan(x))

// Activations without attributes: y = text.
NEURONC_UNARY(hard_swish, "x * min(max(x / 6 + 0.5, 0), 1)", "ONNX HardSwish-22", kNoAttributes,
              Trait::none, 4, NEURONC_FORMULA([](double x) {
                return x * std::fmin(std::fmax(x / 6 + 0.5, 0.0), 1.0);
              }))
MATH_ROW(mish, "x * tanh(log(1 + exp(x)))", "ONNX Mish-22", x* math::tanh(math::softplus(x)))
MATH_ROW(sigmoid, "1 / (1 + exp(-x))", "ONNX Sigmoid-13", math::sigmoid(x))
MATH_ROW(softplus, "log(1 + exp(x))", "ONNX Softplus-22", math::softplus(x))
MATH_ROW(softsign, "x / (1 + |x|)", "ONNX Softsign-22", x / (1 + std::fabs(x)))
MATH_ROW(tanh, "hyperbolic tangent of x", "ONNX Tanh-13", math::tanh(x))

// Activations with attributes: y = text.
// clang-format off
NEURONC_UNARY(celu, "max(x, 0) + min(alpha * (exp(x / alpha) - 1), 0)", "ONNX Celu-12", kAlpha1,
              Trait::none, kMathFlops, [](const OpView& op) {
                return [a = op.f64("alpha")](double x) {
                  return x > 0 ? x : a * math::expm1(x / a); }; })
NEURONC_UNARY(elu, "x, or alpha * (exp(x) - 1) where x < 0", "ONNX Elu-22", kAlpha1,
              Trait::none, kMathFlops, [](const OpView& op) {
                return [a = op.f64("alpha")](double x) {
                  return x < 0 ? a * math::expm1(x) : x; }; })
NEURONC_UNARY(hard_sigmoid, "min(max(alpha * x + beta, 0), 1)", "ONNX HardSigmoid-22",
              kHardSigmoidAttributes, Trait::none, 4, [](const OpView& op) {
                return [a = op.f64("alpha"), b = op.f64("beta")](double x) {
                  return x != x ? x : std::fmin(std::fmax(a * x + b, 0.0), 1.0); }; })
NEURONC_UNARY(leaky_relu, "x, or alpha * x where x < 0", "ONNX LeakyRelu-16", kLeakyAttributes,
              Trait::none, 2, [](const OpView& op) {
                return [a = op.f64("alpha")](double x) { return x < 0 ? a * x : x; }; })
NEURONC_UNARY(selu, "gamma * x, or gamma * alpha * (exp(x) - 1) where x <= 0", "ONNX Selu-22",
              kSeluAttributes, Trait::none, kMathFlops, [](const OpView& op) {
                return [a = op.f64("alpha"), g = op.f64("gamma")](double x) {
                  return x > 0 ? g * x : g * a * math::expm1(x); }; })
NEURONC_UNARY(swish, "x / (1 + exp(-alpha * x))", "ONNX Swish-24", kAlpha1, Trait::none, kMathFlops,
              [](const OpView& op) {
                return [a = op.f64("alpha")](double x) { return x * math::sigmoid(a * x); }; })
NEURONC_UNARY(thresholded_relu, "x where x > alpha, else 0", "ONNX ThresholdedRelu-22", kAlpha1,
              Trait::none, 1, [](const OpView& op) {
                return [a = op.f64("alpha")](double x) { return x > a ? x : 0.0; }; })
// clang-format on

/// y = x * P(X <= x) for a standard normal X: x/2 * (1 + erf(x / sqrt 2)), or with `approximate`
/// "tanh" x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))).
///   Types: floats.   Source: ONNX Gelu-20.
NEURONC_OP(gelu) = {"gelu",
                    "x times the normal distribution function of x",
                    "ONNX Gelu-20",
                    kFloatX,
                    kGeluAttributes,
                    kFloatY,
                    Trait::elementwise,
                    Precision::elementwise,
                    infer_as_first,
                    evaluate_gelu,
                    flops_per_result<kErfFlops + 4>};

namespace {

// An integer power of an integer, by squaring modulo 2^64; negative powers truncate.
int64_t integer_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 1) return 1;
    if (base == -1) return exponent % 2 == 0 ? 1 : -1;
    return 0;
  }
  uint64_t result = 1;
  auto factor = static_cast<uint64_t>(base);
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0) result *= factor;
    factor *= factor;
  }
  return static_cast<int64_t>(result);
}

constexpr OperandSpec kPowOperands[] = {{"x", kNumeric, 'T'}, {"exponent", kNumeric}};

Values evaluate_pow(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const Tensor& exponent = input.tensor(1);
  if (!is_float(x.dtype()) && !is_float(exponent.dtype())) {
    return one(map_pairs<int64_t>(type, x, exponent, integer_power));
  }
  return one(
      map_pairs<double>(type, x, exponent, [](double a, double b) { return math::pow(a, b); }));
}

}  // namespace

/// y = x ^ exponent, elementwise with broadcasting, in the dtype of `x`; an integer power of an
/// integer is exact modulo 2^64, and truncates where the exponent is negative.
///   Types: numbers, the exponent's own.   Source: ONNX Pow-15.
NEURONC_OP(pow) = {"pow",
                   "x to the power of the exponent",
                   "ONNX Pow-15",
                   kPowOperands,
                   kNoAttributes,
                   kNumericY,
                   Trait::elementwise,
                   Precision::elementwise,
                   infer_broadcast,
                   evaluate_pow,
                   flops_per_result<2 * kMathFlops>};

}  // namespace neuronc
