// Default lowerings of elementwise operators: one row each, a formula over registers.
//
// min_num and max_num are one instruction; with the constant first they pass NaN on, as ONNX wants.
#include <cmath>
#include <limits>

#include "backend/lower/lowering.h"
#include "ir/base/check.h"
#include "ir/kernel/math.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Values;
namespace math = kernel::math;

// Emits a formula: a captureless function object from (builder, operator, operands already
// broadcast and carried) to a register.
template <class Formula>
Register emit(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Values operands;
  for (ValueId operand : node.operands) {
    operands.push_back(operand ? e.pull_broadcast(operand, at) : Register());
  }
  const Register result = Formula()(e.builder(), node.view(), operands);
  // Arithmetic declared in a 16-bit float rounds after each operator.
  return e.rounded(result, e.type(node.results[0]).dtype);
}

Register like(Builder& b, Register x, double value) { return b.constant(x.type, value); }
bool is_floating(Register x) { return x.type.dtype == DType::f32 || x.type.dtype == DType::f64; }

Register relu(Builder& b, Register x) {
  return is_floating(x) ? b.max_num(like(b, x, 0), x) : b.max(x, like(b, x, 0));
}
// NaN passes: hi < v ? hi : v.
Register clamp(Builder& b, Register x, Register lo, Register hi) {
  if (!is_floating(x)) return b.min(b.max(x, lo), hi);
  return b.min_num(hi, b.max_num(lo, x));
}
Register lerp_negative(Builder& b, Register x, Register negative) {
  return b.select(b.lt(x, like(b, x, 0)), negative, x);
}

// A bound known not to be NaN takes the cheaper instruction, which keeps a NaN of x alone.
Register emit_clip(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  Register x = e.pull_broadcast(node.operands[0], at);
  for (size_t i = 1; i < node.operands.size(); ++i) {
    if (!node.operands[i]) continue;
    const Register bound = e.pull_broadcast(node.operands[i], at);
    const Tensor* known = e.constant_of(node.operands[i]);
    const bool is_number = is_floating(x) && known != nullptr && known->num_elements() == 1 &&
                           !std::isnan(known->f64(0));
    if (i == 1) {
      x = is_number ? b.max_num(bound, x) : b.max(x, bound);
    } else {
      x = is_number ? b.min_num(bound, x) : b.min(x, bound);
    }
  }
  return x;
}

// Integer modulo takes the divisor's sign unless fmod asks for the dividend's.
Register modulo(Builder& b, const OpView& op, const Values& v) {
  const Register zero = like(b, v[0], 0);
  // The operation gives x for x % 0 and for the least integer % -1, the operator 0.
  Register has_none = b.eq(v[1], zero);
  if (is_signed_integer(v[0].type.dtype)) {
    has_none = b.bit_or(has_none, b.eq(v[1], like(b, v[1], -1)));
  }
  const Register remainder = b.select(has_none, zero, b.rem(v[0], v[1]));
  if (op.i64("fmod") != 0 || is_unsigned_integer(v[0].type.dtype)) return remainder;
  const Register differs = b.ne(b.lt(remainder, zero), b.lt(v[1], zero));
  const Register wrong = b.bit_and(differs, b.ne(remainder, zero));
  return b.select(wrong, b.add(remainder, v[1]), remainder);
}

Register shrink(Builder& b, const OpView& op, const Values& v) {
  const Register x = v[0];
  const Register bias = like(b, x, op.f64("bias")), limit = like(b, x, op.f64("lambd"));
  const Register above = b.select(b.gt(x, limit), b.sub(x, bias), like(b, x, 0));
  return b.select(b.lt(x, b.neg(limit)), b.add(x, bias), above);
}

Register is_inf(Builder& b, const OpView& op, const Values& v) {
  const auto equals = [&](double infinity) { return b.eq(v[0], like(b, v[0], infinity)); };
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Register found = b.boolean(false, v[0].type.lanes);
  if (op.i64("detect_positive") != 0) found = b.bit_or(found, equals(kInfinity));
  if (op.i64("detect_negative") != 0) found = b.bit_or(found, equals(-kInfinity));
  return found;
}

struct Power {
  Register operator()(Builder& b, const OpView&, const Values& v) const {
    return math::pow(b, v[0], b.convert(v[1], v[0].type.dtype));
  }
};

// pow with the exponents that models use spelled out: exact and free of expansions.
Register emit_pow(GroupEmitter& e, const Node& node, size_t result, const LaneIndex& at) {
  const Tensor* exponent = e.constant_of(node.operands[1]);
  if (exponent != nullptr && exponent->num_elements() == 1 &&
      e.type(node.operands[0]).dtype == DType::f32) {
    Builder& b = e.builder();
    const double p = exponent->f64(0);
    const Register x = e.pull_broadcast(node.operands[0], at);
    if (p == 1) return x;
    if (p == 2) return b.mul(x, x);
    if (p == 3) return b.mul(b.mul(x, x), x);
  }
  return emit<Power>(e, node, result, at);
}

Register sign(Builder& b, const OpView&, const Values& v) {
  const Register zero = like(b, v[0], 0);
  if (is_unsigned_integer(v[0].type.dtype)) {
    return b.select(b.ne(v[0], zero), like(b, v[0], 1), zero);
  }
  const Register negative = b.select(b.lt(v[0], zero), like(b, v[0], -1), zero);
  const Register signum = b.select(b.gt(v[0], zero), like(b, v[0], 1), negative);
  return is_floating(v[0]) ? b.select(b.ne(v[0], v[0]), v[0], signum) : signum;
}

Register gelu(Builder& b, const OpView& op, const Values& v) {
  const Register x = v[0];
  if (op.string("approximate") == "tanh") {
    // (1 + tanh(y)) / 2 is the sigmoid of 2y, which takes fewer operations.
    const Register cube = b.mul(b.mul(x, x), x);
    const Register y = b.fma(like(b, x, 0.044715), cube, x);
    return b.mul(x, math::sigmoid(b, b.mul(like(b, x, 2 * 0.79788456080286535588), y)));
  }
  const Register half = b.mul(like(b, x, 0.5), x);
  return b.fma(half, math::erf(b, b.mul(like(b, x, 0.70710678118654752440), x)), half);
}

Register cast_carried(Builder& b, Register x, DType to) {
  switch (to) {
    case DType::bf16:
      return x.type.dtype == DType::f32 ? b.round_to_bf16(x)
                                        : b.convert(b.convert(x, DType::bf16), DType::f32);
    case DType::f16:
      return b.convert(b.convert(x, DType::f16), DType::f32);
    default:
      return b.convert(x, to);
  }
}

Register emit_cast(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const DType from = e.type(node.operands[0]).dtype, to = e.type(node.results[0]).dtype;
  Register x = e.pull_broadcast(node.operands[0], at);
  if (from == to || (to == DType::f32 && carrier_of(from) == DType::f32)) return x;
  const bool is_narrow = to == DType::bf16 || to == DType::f16;
  if (is_narrow && !is_floating(x)) x = e.builder().convert(x, DType::f32);
  return cast_carried(e.builder(), x, to);
}

// Bits of 16-bit floats would have passed through f32, which may change a NaN's.
Register emit_bit_cast(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const DType to = e.type(node.results[0]).dtype;
  Register x = e.pull(node.operands[0], at);
  if (x.type.dtype == DType::boolean) x = b.convert(x, DType::u8);
  const Register bits = b.bitcast(x, to);
  return b.convert(bits, carrier_of(to));
}

OrRefusal<void> accepts_bit_cast(const Module&, const Graph& graph, const Node& node) {
  const DType from = graph.type(node.operands[0]).dtype, to = graph.type(node.results[0]).dtype;
  if (carrier_of(from) != from) return refuse("it reads the bits of 16-bit floats");
  if (to == DType::boolean) return refuse("it makes truth values of bits");
  return {};
}

OrRefusal<void> accepts_cast(const Module&, const Graph& graph, const Node& node) {
  for (ValueId id : {node.operands[0], node.results[0]}) {
    if (!kernel::is_kernel_dtype(graph.type(id).dtype)) {
      return refuse("kernels have no element type " + std::string(name(graph.type(id).dtype)));
    }
  }
  return {};
}

template <bool kFloat>
OrRefusal<void> accepts(const Module&, const Graph& graph, const Node& node) {
  if (is_float(graph.type(node.operands[0]).dtype) != kFloat) {
    return refuse("its native form is for " + std::string(kFloat ? "floats" : "integers"));
  }
  return {};
}

template <class Formula>
Lowering formula(Formula, AcceptsFn accepts = nullptr) {
  return {emit<Formula>, nullptr, nullptr, accepts};
}

#define FORMULA(expression)                                                    \
  formula([](Builder& b, [[maybe_unused]] const OpView& op, const Values& v) { \
    [[maybe_unused]] const Register x = v[0];                                  \
    return Register(expression);                                               \
  })

void add_arithmetic(LoweringTable& t) {
  row(t, Op::add) = FORMULA(b.add(x, v[1]));
  row(t, Op::sub) = FORMULA(b.sub(x, v[1]));
  row(t, Op::mul) = FORMULA(b.mul(x, v[1]));
  row(t, Op::div) = FORMULA(b.div(x, v[1]));
  row(t, Op::min) = FORMULA(b.min(x, v[1]));
  row(t, Op::max) = FORMULA(b.max(x, v[1]));
  row(t, Op::mod) = FORMULA(modulo(b, op, v));
  row(t, Op::mod).accepts = accepts<false>;
  row(t, Op::pow) = {emit_pow, nullptr, nullptr, accepts<true>};
  row(t, Op::neg) = FORMULA(b.neg(x));
  row(t, Op::abs) = FORMULA(is_unsigned_integer(x.type.dtype) ? x : b.abs(x));
  row(t, Op::reciprocal) = FORMULA(b.div(like(b, x, 1), x));
  row(t, Op::sqrt) = FORMULA(b.sqrt(x));
  row(t, Op::floor) = FORMULA(b.floor(x));
  row(t, Op::ceil) = FORMULA(b.ceil(x));
  row(t, Op::round) = FORMULA(b.round_even(x));
  row(t, Op::sign) = FORMULA(sign(b, op, v));
  row(t, Op::shrink) = FORMULA(shrink(b, op, v));
  row(t, Op::bit_cast) = {emit_bit_cast, nullptr, nullptr, accepts_bit_cast};
  row(t, Op::cast) = {emit_cast, nullptr, nullptr, accepts_cast};
  row(t, Op::clip) = {emit_clip, nullptr, nullptr, nullptr};
}

void add_transcendental(LoweringTable& t) {
  row(t, Op::exp) = FORMULA(math::exp(b, x));
  row(t, Op::log) = FORMULA(math::log(b, x));
  row(t, Op::erf) = FORMULA(math::erf(b, x));
  row(t, Op::tanh) = FORMULA(math::tanh(b, x));
  row(t, Op::sigmoid) = FORMULA(math::sigmoid(b, x));
  row(t, Op::softplus) = FORMULA(math::softplus(b, x));
  row(t, Op::sin) = FORMULA(math::sin(b, x));
  row(t, Op::cos) = FORMULA(math::cos(b, x));
  row(t, Op::tan) = FORMULA(math::tan(b, x));
  row(t, Op::asin) = FORMULA(math::asin(b, x));
  row(t, Op::acos) = FORMULA(math::acos(b, x));
  row(t, Op::atan) = FORMULA(math::atan(b, x));
  row(t, Op::sinh) = FORMULA(math::sinh(b, x));
  row(t, Op::cosh) = FORMULA(math::cosh(b, x));
  row(t, Op::asinh) = FORMULA(math::asinh(b, x));
  row(t, Op::acosh) = FORMULA(math::acosh(b, x));
  row(t, Op::atanh) = FORMULA(math::atanh(b, x));
}

void add_activations(LoweringTable& t) {
  row(t, Op::relu) = FORMULA(relu(b, x));
  row(t, Op::leaky_relu) = FORMULA(lerp_negative(b, x, b.mul(like(b, x, op.f64("alpha")), x)));
  row(t, Op::prelu) = FORMULA(lerp_negative(b, x, b.mul(v[1], x)));
  row(t, Op::elu) =
      FORMULA(lerp_negative(b, x, b.mul(like(b, x, op.f64("alpha")), math::expm1(b, x))));
  row(t, Op::selu) =
      FORMULA(b.mul(like(b, x, op.f64("gamma")),
                    lerp_negative(b, x, b.mul(like(b, x, op.f64("alpha")), math::expm1(b, x)))));
  row(t, Op::celu) = FORMULA(lerp_negative(
      b, x,
      b.mul(like(b, x, op.f64("alpha")), math::expm1(b, b.div(x, like(b, x, op.f64("alpha")))))));
  row(t, Op::thresholded_relu) =
      FORMULA(b.select(b.gt(x, like(b, x, op.f64("alpha"))), x, like(b, x, 0)));
  row(t, Op::hard_sigmoid) =
      FORMULA(clamp(b, b.add(b.mul(like(b, x, op.f64("alpha")), x), like(b, x, op.f64("beta"))),
                    like(b, x, 0), like(b, x, 1)));
  row(t, Op::hard_swish) =
      FORMULA(b.mul(x, clamp(b, b.add(b.mul(like(b, x, 1.0 / 6), x), like(b, x, 0.5)),
                             like(b, x, 0), like(b, x, 1))));
  row(t, Op::softsign) = FORMULA(b.div(x, b.add(like(b, x, 1), b.abs(x))));
  row(t, Op::gelu) = FORMULA(gelu(b, op, v));
  row(t, Op::swish) = FORMULA(b.mul(x, math::sigmoid(b, b.mul(like(b, x, op.f64("alpha")), x))));
  row(t, Op::mish) = FORMULA(b.mul(x, math::tanh(b, math::softplus(b, x))));
}

void add_logic(LoweringTable& t) {
  row(t, Op::equal) = FORMULA(b.eq(x, v[1]));
  row(t, Op::greater) = FORMULA(b.gt(x, v[1]));
  row(t, Op::greater_or_equal) = FORMULA(b.ge(x, v[1]));
  row(t, Op::less) = FORMULA(b.lt(x, v[1]));
  row(t, Op::less_or_equal) = FORMULA(b.le(x, v[1]));
  row(t, Op::logical_and) = FORMULA(b.bit_and(x, v[1]));
  row(t, Op::logical_or) = FORMULA(b.bit_or(x, v[1]));
  row(t, Op::logical_xor) = FORMULA(b.bit_xor(x, v[1]));
  row(t, Op::logical_not) = FORMULA(b.bit_not(x));
  row(t, Op::bitwise_and) = FORMULA(b.bit_and(x, v[1]));
  row(t, Op::bitwise_or) = FORMULA(b.bit_or(x, v[1]));
  row(t, Op::bitwise_xor) = FORMULA(b.bit_xor(x, v[1]));
  row(t, Op::bitwise_not) = FORMULA(b.bit_not(x));
  row(t, Op::bit_shift) =
      FORMULA(op.string("direction") == "LEFT" ? b.shl(x, v[1]) : b.lshr(x, v[1]));
  row(t, Op::is_inf) = FORMULA(is_inf(b, op, v));
  row(t, Op::is_nan) = FORMULA(b.ne(x, x));
  row(t, Op::where) = FORMULA(b.select(x, v[1], v[2]));
}

#undef FORMULA

}  // namespace

void add_elementwise_lowerings(LoweringTable& table) {
  add_arithmetic(table);
  add_transcendental(table);
  add_activations(table);
  add_logic(table);
}

}  // namespace neuronc
