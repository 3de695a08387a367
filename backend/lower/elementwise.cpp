// Default lowerings of elementwise operators: one row each, a formula over registers.
//
// min_num and max_num are one instruction; with the constant first they pass NaN on, as ONNX wants.
#include <limits>

#include "backend/lower/lowering.h"
#include "ir/base/check.h"
#include "ir/kernel/math.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Value;
using kernel::Values;
namespace math = kernel::math;

// The formula of an operator, over operands already broadcast and carried.
using Formula = Value (*)(Builder&, const OpView&, const Values&);

template <Formula kFormula>
Value emit(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Values operands;
  for (ValueId operand : node.operands) {
    operands.push_back(operand ? e.pull_broadcast(operand, at) : Value());
  }
  const Value result = kFormula(e.builder(), node.view(), operands);
  // Arithmetic declared in a 16-bit float rounds after each operator.
  const DType dtype = e.type(node.results[0]).dtype;
  if (dtype == DType::bf16) return e.builder().round_to_bf16(result);
  if (dtype == DType::f16) {
    return e.builder().convert(e.builder().convert(result, DType::f16), DType::f32);
  }
  return result;
}

Value like(Builder& b, Value x, double value) { return b.constant(x.type, value); }
bool is_floating(Value x) { return x.type.dtype == DType::f32 || x.type.dtype == DType::f64; }

Value relu(Builder& b, Value x) {
  return is_floating(x) ? b.max_num(like(b, x, 0), x) : b.max(x, like(b, x, 0));
}
// NaN passes: hi < v ? hi : v.
Value clamp(Builder& b, Value x, Value lo, Value hi) {
  if (!is_floating(x)) return b.min(b.max(x, lo), hi);
  return b.min_num(hi, b.max_num(lo, x));
}
Value lerp_negative(Builder& b, Value x, Value negative) {
  return b.select(b.lt(x, like(b, x, 0)), negative, x);
}

Value clip(Builder& b, const OpView&, const Values& v) {
  Value x = v[0];
  const bool has_lo = v.size() > 1 && v[1].id, has_hi = v.size() > 2 && v[2].id;
  if (has_lo) x = is_floating(x) ? b.max_num(v[1], x) : b.max(x, v[1]);
  if (has_hi) x = is_floating(x) ? b.min_num(v[2], x) : b.min(x, v[2]);
  return x;
}

// Integer modulo takes the divisor's sign unless fmod asks for the dividend's.
Value modulo(Builder& b, const OpView& op, const Values& v) {
  const Value remainder = b.rem(v[0], v[1]);
  if (op.i64("fmod") != 0 || is_unsigned_integer(v[0].type.dtype)) return remainder;
  const Value zero = like(b, v[0], 0);
  const Value differs = b.ne(b.lt(remainder, zero), b.lt(v[1], zero));
  const Value wrong = b.bit_and(differs, b.ne(remainder, zero));
  return b.select(wrong, b.add(remainder, v[1]), remainder);
}

Value power(Builder& b, const OpView&, const Values& v) {
  return math::pow(b, v[0], b.convert(v[1], v[0].type.dtype));
}

// pow with the exponents that models use spelled out: exact and free of expansions.
Value emit_pow(GroupEmitter& e, const Node& node, size_t result, const LaneIndex& at) {
  const Tensor* exponent = e.constant_of(node.operands[1]);
  if (exponent != nullptr && exponent->num_elements() == 1 &&
      e.type(node.operands[0]).dtype == DType::f32) {
    Builder& b = e.builder();
    const double p = exponent->f64(0);
    const Value x = e.pull_broadcast(node.operands[0], at);
    if (p == 1) return x;
    if (p == 2) return b.mul(x, x);
    if (p == 3) return b.mul(b.mul(x, x), x);
  }
  return emit<power>(e, node, result, at);
}

Value sign(Builder& b, const OpView&, const Values& v) {
  const Value zero = like(b, v[0], 0);
  if (is_unsigned_integer(v[0].type.dtype)) {
    return b.select(b.ne(v[0], zero), like(b, v[0], 1), zero);
  }
  const Value negative = b.select(b.lt(v[0], zero), like(b, v[0], -1), zero);
  const Value signum = b.select(b.gt(v[0], zero), like(b, v[0], 1), negative);
  return is_floating(v[0]) ? b.select(b.ne(v[0], v[0]), v[0], signum) : signum;
}

Value gelu(Builder& b, const OpView& op, const Values& v) {
  const Value x = v[0];
  const Value half = b.mul(like(b, x, 0.5), x);
  Value inner;
  if (op.string("approximate") == "tanh") {
    const Value cube = b.mul(b.mul(x, x), x);
    const Value poly = b.fma(like(b, x, 0.044715), cube, x);
    inner = math::tanh(b, b.mul(like(b, x, 0.79788456080286535588), poly));
  } else {
    inner = math::erf(b, b.mul(like(b, x, 0.70710678118654752440), x));
  }
  return b.mul(half, b.add(like(b, x, 1), inner));
}

Value cast_carried(Builder& b, Value x, DType to) {
  switch (to) {
    case DType::bf16:
      return x.type.dtype == DType::f32 ? b.round_to_bf16(x)
                                        : b.convert(b.convert(x, DType::bf16), DType::f32);
    case DType::f16: return b.convert(b.convert(x, DType::f16), DType::f32);
    default: return b.convert(x, to);
  }
}

Value emit_cast(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const DType from = e.type(node.operands[0]).dtype, to = e.type(node.results[0]).dtype;
  Value x = e.pull_broadcast(node.operands[0], at);
  if (from == to || (to == DType::f32 && carrier_of(from) == DType::f32)) return x;
  const bool is_narrow = to == DType::bf16 || to == DType::f16;
  if (is_narrow && !is_floating(x)) x = e.builder().convert(x, DType::f32);
  return cast_carried(e.builder(), x, to);
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

#define FORMULA(expression)                                                       \
  emit<+[](Builder& b, [[maybe_unused]] const OpView& op, const Values& v) -> Value { \
    [[maybe_unused]] const Value x = v[0];                                        \
    return expression;                                                            \
  }>

void add_arithmetic(LoweringTable& t) {
  row(t, Op::add) = {FORMULA(b.add(x, v[1]))};
  row(t, Op::sub) = {FORMULA(b.sub(x, v[1]))};
  row(t, Op::mul) = {FORMULA(b.mul(x, v[1]))};
  row(t, Op::div) = {FORMULA(b.div(x, v[1]))};
  row(t, Op::min) = {FORMULA(b.min(x, v[1]))};
  row(t, Op::max) = {FORMULA(b.max(x, v[1]))};
  row(t, Op::mod) = {emit<modulo>, nullptr, nullptr, accepts<false>};
  row(t, Op::pow) = {emit_pow, nullptr, nullptr, accepts<true>};
  row(t, Op::neg) = {FORMULA(b.neg(x))};
  row(t, Op::abs) = {FORMULA(is_unsigned_integer(x.type.dtype) ? x : b.abs(x))};
  row(t, Op::reciprocal) = {FORMULA(b.div(like(b, x, 1), x))};
  row(t, Op::sqrt) = {FORMULA(b.sqrt(x))};
  row(t, Op::floor) = {FORMULA(b.floor(x))};
  row(t, Op::ceil) = {FORMULA(b.ceil(x))};
  row(t, Op::round) = {FORMULA(b.round_even(x))};
  row(t, Op::sign) = {emit<sign>};
  row(t, Op::cast) = {emit_cast, nullptr, nullptr, accepts_cast};
  row(t, Op::clip) = {emit<clip>};
}

void add_transcendental(LoweringTable& t) {
  row(t, Op::exp) = {FORMULA(math::exp(b, x))};
  row(t, Op::log) = {FORMULA(math::log(b, x))};
  row(t, Op::erf) = {FORMULA(math::erf(b, x))};
  row(t, Op::tanh) = {FORMULA(math::tanh(b, x))};
  row(t, Op::sigmoid) = {FORMULA(math::sigmoid(b, x))};
  row(t, Op::softplus) = {FORMULA(math::softplus(b, x))};
  row(t, Op::sin) = {FORMULA(math::sin(b, x))};
  row(t, Op::cos) = {FORMULA(math::cos(b, x))};
  row(t, Op::tan) = {FORMULA(math::tan(b, x))};
  row(t, Op::asin) = {FORMULA(math::asin(b, x))};
  row(t, Op::acos) = {FORMULA(math::acos(b, x))};
  row(t, Op::atan) = {FORMULA(math::atan(b, x))};
  row(t, Op::sinh) = {FORMULA(math::sinh(b, x))};
  row(t, Op::cosh) = {FORMULA(math::cosh(b, x))};
  row(t, Op::asinh) = {FORMULA(math::asinh(b, x))};
  row(t, Op::acosh) = {FORMULA(math::acosh(b, x))};
  row(t, Op::atanh) = {FORMULA(math::atanh(b, x))};
}

void add_activations(LoweringTable& t) {
  row(t, Op::relu) = {FORMULA(relu(b, x))};
  row(t, Op::leaky_relu) = {
      FORMULA(lerp_negative(b, x, b.mul(like(b, x, op.f64("alpha")), x)))};
  row(t, Op::prelu) = {FORMULA(lerp_negative(b, x, b.mul(v[1], x)))};
  row(t, Op::elu) = {FORMULA(
      lerp_negative(b, x, b.mul(like(b, x, op.f64("alpha")), math::expm1(b, x))))};
  row(t, Op::selu) = {FORMULA(b.mul(
      like(b, x, op.f64("gamma")),
      lerp_negative(b, x, b.mul(like(b, x, op.f64("alpha")), math::expm1(b, x)))))};
  row(t, Op::celu) = {FORMULA(lerp_negative(
      b, x,
      b.mul(like(b, x, op.f64("alpha")),
            math::expm1(b, b.div(x, like(b, x, op.f64("alpha")))))))};
  row(t, Op::thresholded_relu) = {FORMULA(
      b.select(b.gt(x, like(b, x, op.f64("alpha"))), x, like(b, x, 0)))};
  row(t, Op::hard_sigmoid) = {FORMULA(
      clamp(b, b.add(b.mul(like(b, x, op.f64("alpha")), x), like(b, x, op.f64("beta"))),
            like(b, x, 0), like(b, x, 1)))};
  row(t, Op::hard_swish) = {FORMULA(b.mul(
      x, clamp(b, b.add(b.mul(like(b, x, 1.0 / 6), x), like(b, x, 0.5)), like(b, x, 0),
               like(b, x, 1))))};
  row(t, Op::softsign) = {FORMULA(b.div(x, b.add(like(b, x, 1), b.abs(x))))};
  row(t, Op::gelu) = {emit<gelu>};
  row(t, Op::silu) = {FORMULA(b.mul(x, math::sigmoid(b, x)))};
  row(t, Op::mish) = {FORMULA(b.mul(x, math::tanh(b, math::softplus(b, x))))};
}

void add_logic(LoweringTable& t) {
  row(t, Op::equal) = {FORMULA(b.eq(x, v[1]))};
  row(t, Op::greater) = {FORMULA(b.gt(x, v[1]))};
  row(t, Op::greater_or_equal) = {FORMULA(b.ge(x, v[1]))};
  row(t, Op::less) = {FORMULA(b.lt(x, v[1]))};
  row(t, Op::less_or_equal) = {FORMULA(b.le(x, v[1]))};
  row(t, Op::logical_and) = {FORMULA(b.bit_and(x, v[1]))};
  row(t, Op::logical_or) = {FORMULA(b.bit_or(x, v[1]))};
  row(t, Op::logical_xor) = {FORMULA(b.bit_xor(x, v[1]))};
  row(t, Op::logical_not) = {FORMULA(b.bit_not(x))};
  row(t, Op::bitwise_and) = {FORMULA(b.bit_and(x, v[1]))};
  row(t, Op::bitwise_or) = {FORMULA(b.bit_or(x, v[1]))};
  row(t, Op::bitwise_xor) = {FORMULA(b.bit_xor(x, v[1]))};
  row(t, Op::bitwise_not) = {FORMULA(b.bit_not(x))};
  row(t, Op::bit_shift) = {
      FORMULA(op.string("direction") == "LEFT" ? b.shl(x, v[1]) : b.lshr(x, v[1]))};
  row(t, Op::is_nan) = {FORMULA(b.ne(x, x))};
  row(t, Op::where) = {FORMULA(b.select(x, v[1], v[2]))};
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
