// Adjoints of elementwise operators. Where a function has a corner, its gradient there is that of
// the side on which it is 0 (relu at 0, abs at 0), and the first of equal operands takes all of a
// maximum's.
#include <numbers>

#include "compiler/onnx/gradient.h"

namespace neuronc::onnx {
namespace {

using Node = AdjointNode;

// ---- of one operand: `Slope` makes the derivative, from the operand x and the result y

template <ValueId (*Slope)(Node&, ValueId x, ValueId y)>
void unary(Node& node) {
  node.set(0, node.mul(node.gradient(), Slope(node, node.operand(0), node.result())));
}

ValueId slope_abs(Node& n, ValueId x, ValueId) { return n.emit(Op::sign, {x}); }
ValueId slope_neg(Node& n, ValueId x, ValueId) { return n.number(x, -1); }
ValueId slope_exp(Node&, ValueId, ValueId y) { return y; }
ValueId slope_log(Node& n, ValueId x, ValueId) { return n.emit(Op::reciprocal, {x}); }
ValueId slope_sqrt(Node& n, ValueId x, ValueId y) { return n.div(n.number(x, 0.5), y); }
ValueId slope_reciprocal(Node& n, ValueId, ValueId y) { return n.neg(n.square(y)); }
ValueId slope_sin(Node& n, ValueId x, ValueId) { return n.emit(Op::cos, {x}); }
ValueId slope_cos(Node& n, ValueId x, ValueId) { return n.neg(n.emit(Op::sin, {x})); }
ValueId slope_tan(Node& n, ValueId, ValueId y) { return n.plus(n.square(y), 1); }
ValueId slope_sinh(Node& n, ValueId x, ValueId) { return n.emit(Op::cosh, {x}); }
ValueId slope_cosh(Node& n, ValueId x, ValueId) { return n.emit(Op::sinh, {x}); }
ValueId slope_tanh(Node& n, ValueId x, ValueId y) { return n.sub(n.number(x, 1), n.square(y)); }

// 1 / sqrt(factor * x^2 + term)
ValueId inverse_root(Node& n, ValueId x, double factor, double term) {
  const ValueId inside = n.plus(n.scaled(factor, n.square(x)), term);
  return n.emit(Op::reciprocal, {n.emit(Op::sqrt, {inside})});
}
ValueId slope_asin(Node& n, ValueId x, ValueId) { return inverse_root(n, x, -1, 1); }
ValueId slope_acos(Node& n, ValueId x, ValueId) { return n.neg(inverse_root(n, x, -1, 1)); }
ValueId slope_asinh(Node& n, ValueId x, ValueId) { return inverse_root(n, x, 1, 1); }
ValueId slope_acosh(Node& n, ValueId x, ValueId) { return inverse_root(n, x, 1, -1); }
ValueId slope_atan(Node& n, ValueId x, ValueId) {
  return n.emit(Op::reciprocal, {n.plus(n.square(x), 1)});
}
ValueId slope_atanh(Node& n, ValueId x, ValueId) {
  return n.emit(Op::reciprocal, {n.sub(n.number(x, 1), n.square(x))});
}
ValueId slope_erf(Node& n, ValueId x, ValueId) {
  const ValueId bell = n.emit(Op::exp, {n.neg(n.square(x))});
  return n.scaled(2 * std::numbers::inv_sqrtpi, bell);
}
ValueId slope_sigmoid(Node& n, ValueId x, ValueId y) { return n.mul(y, n.sub(n.number(x, 1), y)); }
ValueId slope_softplus(Node& n, ValueId x, ValueId) { return n.emit(Op::sigmoid, {x}); }
ValueId slope_softsign(Node& n, ValueId x, ValueId) {
  return n.emit(Op::reciprocal, {n.square(n.plus(n.emit(Op::abs, {x}), 1))});
}

ValueId is_positive(Node& n, ValueId x) { return n.emit(Op::greater, {x, n.number(x, 0)}); }

ValueId slope_relu(Node& n, ValueId x, ValueId) {
  return n.emit(Op::where, {is_positive(n, x), n.number(x, 1), n.number(x, 0)});
}
ValueId slope_leaky_relu(Node& n, ValueId x, ValueId) {
  const double alpha = n.op().f64("alpha");
  return n.emit(Op::where, {is_positive(n, x), n.number(x, 1), n.number(x, alpha)});
}
// alpha * (exp(x) - 1) below 0
ValueId slope_elu(Node& n, ValueId x, ValueId y) {
  const ValueId below = n.plus(y, n.op().f64("alpha"));
  return n.emit(Op::where, {is_positive(n, x), n.number(x, 1), below});
}
ValueId slope_selu(Node& n, ValueId x, ValueId y) {
  const double gamma = n.op().f64("gamma");
  const ValueId below = n.plus(y, gamma * n.op().f64("alpha"));
  return n.emit(Op::where, {is_positive(n, x), n.number(x, gamma), below});
}
ValueId slope_celu(Node& n, ValueId x, ValueId) {
  const ValueId below = n.emit(Op::exp, {n.scaled(1 / n.op().f64("alpha"), x)});
  return n.emit(Op::where, {is_positive(n, x), n.number(x, 1), below});
}
ValueId slope_hard_sigmoid(Node& n, ValueId x, ValueId y) {
  const ValueId is_inside =
      n.emit(Op::logical_and, {is_positive(n, y), n.emit(Op::less, {y, n.number(y, 1)})});
  return n.where(is_inside, n.number(x, n.op().f64("alpha")));
}
// x * clip(x / 6 + 1/2, 0, 1)
ValueId slope_hard_swish(Node& n, ValueId x, ValueId) {
  const ValueId is_above = n.emit(Op::greater_or_equal, {x, n.number(x, 3)});
  const ValueId is_inside = n.emit(Op::greater, {x, n.number(x, -3)});
  const ValueId inside = n.where(is_inside, n.plus(n.scaled(1.0 / 3, x), 0.5));
  return n.emit(Op::where, {is_above, n.number(x, 1), inside});
}
// x * tanh(softplus(x))
ValueId slope_mish(Node& n, ValueId x, ValueId) {
  const ValueId t = n.emit(Op::tanh, {n.emit(Op::softplus, {x})});
  const ValueId s = n.mul(n.sub(n.number(x, 1), n.square(t)), n.emit(Op::sigmoid, {x}));
  return n.add(t, n.mul(x, s));
}
// x * sigmoid(alpha * x)
ValueId slope_swish(Node& n, ValueId x, ValueId y) {
  const double alpha = n.op().f64("alpha");
  const ValueId s = n.emit(Op::sigmoid, {n.scaled(alpha, x)});
  return n.add(s, n.scaled(alpha, n.mul(y, n.sub(n.number(x, 1), s))));
}
// x * P(x), with P the normal distribution or its approximation by a tanh
ValueId slope_gelu(Node& n, ValueId x, ValueId) {
  if (n.op().string("approximate") == "none") {
    const ValueId e = n.emit(Op::erf, {n.scaled(std::numbers::sqrt2 / 2, x)});
    const ValueId bell = n.emit(Op::exp, {n.scaled(-0.5, n.square(x))});
    const double height = std::numbers::inv_sqrtpi / std::numbers::sqrt2;
    return n.add(n.scaled(0.5, n.plus(e, 1)), n.scaled(height, n.mul(x, bell)));
  }
  const double k = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
  const ValueId cube = n.scaled(0.044715, n.mul(x, n.square(x)));
  const ValueId t = n.emit(Op::tanh, {n.scaled(k, n.add(x, cube))});
  const ValueId inner = n.scaled(k, n.plus(n.scaled(3 * 0.044715, n.square(x)), 1));
  const ValueId slope = n.mul(n.sub(n.number(x, 1), n.square(t)), inner);
  return n.scaled(0.5, n.add(n.plus(t, 1), n.mul(x, slope)));
}
ValueId slope_zero(Node& n, ValueId x, ValueId) { return n.number(x, 0); }

// ---- of several operands

void make_identity(Node& node) { node.set(0, node.gradient()); }

void make_cast(Node& node) {
  const DType dtype = node.context().dtype_of(node.operand(0));
  node.set(0, node.emit(Op::cast, {node.gradient()}, {{"to", dtype}}));
}

void make_add(Node& node) {
  for (size_t i = 0; i < 2; ++i) {
    if (node.wants(i)) node.set(i, node.gradient());
  }
}

void make_sub(Node& node) {
  if (node.wants(0)) node.set(0, node.gradient());
  if (node.wants(1)) node.set(1, node.neg(node.gradient()));
}

void make_mul(Node& node) {
  if (node.wants(0)) node.set(0, node.mul(node.gradient(), node.operand(1)));
  if (node.wants(1)) node.set(1, node.mul(node.gradient(), node.operand(0)));
}

void make_div(Node& node) {
  const ValueId part = node.div(node.gradient(), node.operand(1));
  if (node.wants(0)) node.set(0, part);
  if (node.wants(1)) node.set(1, node.neg(node.mul(part, node.result())));
}

void make_pow(Node& node) {
  const ValueId x = node.operand(0), g = node.gradient();
  const DType dtype = node.context().dtype_of(x);
  const ValueId given = node.operand(1);
  const ValueId y = node.context().dtype_of(given) == dtype
                        ? given
                        : node.emit(Op::cast, {given}, {{"to", dtype}});
  if (node.wants(0)) {
    const ValueId less = node.emit(Op::pow, {x, node.plus(y, -1)});
    node.set(0, node.mul(g, node.mul(y, less)));
  }
  if (node.wants(1)) {
    // x^y is 0 for every y > 0 where x is 0, whose logarithm is no number.
    const ValueId log = node.where(is_positive(node, x), node.emit(Op::log, {x}));
    const ValueId slope = node.mul(node.result(), log);
    const ValueId grown = node.mul(g, slope);
    const DType wanted = node.context().dtype_of(given);
    node.set(1, wanted == dtype ? grown : node.emit(Op::cast, {grown}, {{"to", wanted}}));
  }
}

// The first operand that equals the result takes its gradient.
void make_extremum(Node& node) {
  NodeContext& context = node.context();
  ValueId is_taken;
  for (size_t i = 0; i < node.num_operands(); ++i) {
    ValueId is_it = node.emit(Op::equal, {node.operand(i), node.result()});
    const ValueId any = is_taken ? node.emit(Op::logical_or, {is_taken, is_it}) : is_it;
    if (is_taken) {
      is_it = node.emit(Op::logical_and, {is_it, node.emit(Op::logical_not, {is_taken})});
    }
    is_taken = any;
    if (context.failed()) return;
    if (node.wants(i)) node.set(i, node.where(is_it, node.gradient()));
  }
}

void make_where(Node& node) {
  const ValueId condition = node.operand(0);
  if (node.wants(1)) node.set(1, node.where(condition, node.gradient()));
  if (node.wants(2)) {
    node.set(2, node.where(node.emit(Op::logical_not, {condition}), node.gradient()));
  }
}

void make_clip(Node& node) {
  if (!node.wants(0) || node.wants(1) || node.wants(2)) {
    return node.unsupported("the gradient of a bound of `clip` is not known");
  }
  ValueId g = node.gradient();
  if (node.has(1))
    g = node.where(node.emit(Op::greater_or_equal, {node.operand(0), node.operand(1)}), g);
  if (node.has(2))
    g = node.where(node.emit(Op::less_or_equal, {node.operand(0), node.operand(2)}), g);
  node.set(0, g);
}

constexpr Adjoint kAdjoints[] = {
    {Op::abs, unary<slope_abs>},
    {Op::acos, unary<slope_acos>},
    {Op::acosh, unary<slope_acosh>},
    {Op::add, make_add},
    {Op::asin, unary<slope_asin>},
    {Op::asinh, unary<slope_asinh>},
    {Op::atan, unary<slope_atan>},
    {Op::atanh, unary<slope_atanh>},
    {Op::cast, make_cast},
    {Op::ceil, unary<slope_zero>},
    {Op::celu, unary<slope_celu>},
    {Op::clip, make_clip},
    {Op::cos, unary<slope_cos>},
    {Op::cosh, unary<slope_cosh>},
    {Op::div, make_div},
    {Op::elu, unary<slope_elu>},
    {Op::erf, unary<slope_erf>},
    {Op::exp, unary<slope_exp>},
    {Op::floor, unary<slope_zero>},
    {Op::gelu, unary<slope_gelu>},
    {Op::hard_sigmoid, unary<slope_hard_sigmoid>},
    {Op::hard_swish, unary<slope_hard_swish>},
    {Op::identity, make_identity},
    {Op::leaky_relu, unary<slope_leaky_relu>},
    {Op::log, unary<slope_log>},
    {Op::max, make_extremum},
    {Op::min, make_extremum},
    {Op::mish, unary<slope_mish>},
    {Op::mul, make_mul},
    {Op::neg, unary<slope_neg>},
    {Op::pow, make_pow},
    {Op::reciprocal, unary<slope_reciprocal>},
    {Op::relu, unary<slope_relu>},
    {Op::round, unary<slope_zero>},
    {Op::selu, unary<slope_selu>},
    {Op::sigmoid, unary<slope_sigmoid>},
    {Op::sign, unary<slope_zero>},
    {Op::sin, unary<slope_sin>},
    {Op::sinh, unary<slope_sinh>},
    {Op::softplus, unary<slope_softplus>},
    {Op::softsign, unary<slope_softsign>},
    {Op::sqrt, unary<slope_sqrt>},
    {Op::sub, make_sub},
    {Op::swish, unary<slope_swish>},
    {Op::tan, unary<slope_tan>},
    {Op::tanh, unary<slope_tanh>},
    {Op::where, make_where},
};

}  // namespace

std::span<const Adjoint> elementwise_adjoints() { return kAdjoints; }

}  // namespace neuronc::onnx
