// Rules of recognise: activation functions. Each reads a product (or a maximum) apart into its
// coefficient and factors, so that the order of the exporter does not matter.
#include <algorithm>
#include <cmath>
#include <optional>

#include "passes/recognise_rules.h"

namespace neuronc {
namespace {

constexpr double kSqrtHalf = 0.70710678118654752;
constexpr double kSqrtTwoOverPi = 0.79788456080286536;
constexpr double kCubicGelu = 0.044715;

bool is_near(double a, double b, DType dtype) { return Match::is_near(a, b, dtype); }

Attempt rewrite(Module& module, Graph& graph, NodeId root, const Match& match, Op op, ValueId x,
                std::vector<NamedAttribute> attributes = {}) {
  const std::string what(name(op));
  if (!match.is_closed(root)) return Attempt::missed(what + " not recognised: " + kOtherUsers);
  return Attempt::of(graph, replace_root(module, graph, root, op, {x}, std::move(attributes)),
                     what);
}

// `value` = coefficient * x?
bool is_multiple(Match& match, ValueId value, double coefficient, ValueId x, DType dtype) {
  const Product product = match.product(value);
  return product.factors == std::vector<ValueId>{x} &&
         is_near(product.coefficient, coefficient, dtype);
}

// `value` = 0.044715 * x^3?
bool is_cubic_part(Match& match, ValueId value, ValueId x, DType dtype) {
  const Product cube = match.product(value);
  return cube.factors == std::vector<ValueId>{x, x, x} &&
         is_near(cube.coefficient, kCubicGelu, dtype);
}

// `value` = sqrt(2/pi) * (x + 0.044715 x^3), or sqrt(2/pi) * x * (1 + 0.044715 x^2)?
bool is_tanh_argument(Match& match, ValueId value, ValueId x, DType dtype) {
  const Product outer = match.product(value);
  if (!is_near(outer.coefficient, kSqrtTwoOverPi, dtype)) return false;
  if (outer.factors.size() == 1) {
    const Sum sum = match.sum(outer.factors[0]);
    if (sum.constant != 0 || sum.terms.size() != 2) return false;
    if (sum.terms[0].coefficient != 1 || sum.terms[1].coefficient != 1) return false;
    const size_t linear = sum.terms[0].value == x ? 0 : 1;
    return sum.terms[linear].value == x &&
           is_cubic_part(match, sum.terms[1 - linear].value, x, dtype);
  }
  if (outer.factors.size() != 2) return false;
  const size_t linear = outer.factors[0] == x ? 0 : 1;
  if (outer.factors[linear] != x) return false;
  const Sum sum = match.sum(outer.factors[1 - linear]);
  if (!is_near(sum.constant, 1, dtype) || sum.terms.size() != 1) return false;
  const Product square = match.product(sum.terms[0].value);
  return square.factors == std::vector<ValueId>{x, x} &&
         is_near(square.coefficient * sum.terms[0].coefficient, kCubicGelu, dtype);
}

// 0.5 * x * (1 + erf(x / sqrt(2))) or 0.5 * x * (1 + tanh(...)), the half anywhere.
Attempt match_gelu(Module& module, Graph& graph, NodeId root) {
  const ValueId y = graph.node(root).results[0];
  const DType dtype = graph.type(y).dtype;
  for (size_t i = 0; i < 2; ++i) {
    Match match(module, graph);
    const Product product = match.product(y);
    if (product.factors.size() != 2) return Attempt::not_this();
    const ValueId x = product.factors[i];
    const Sum sum = match.sum(product.factors[1 - i]);
    if (sum.terms.size() != 1) continue;
    // constant + c * f, where both times the outer coefficient are a half.
    Product inner = match.product(sum.terms[0].value);
    if (inner.factors.size() != 1) continue;
    const double slope = product.coefficient * sum.terms[0].coefficient * inner.coefficient;
    if (!is_near(product.coefficient * sum.constant, 0.5, dtype) || !is_near(slope, 0.5, dtype)) {
      continue;
    }
    const ValueId f = inner.factors[0];
    if (const NodeId erf = match.inside(f, Op::erf)) {
      if (!is_multiple(match, match.operand(erf, 0), kSqrtHalf, x, dtype)) continue;
      return rewrite(module, graph, root, match, Op::gelu, x);
    }
    if (const NodeId tanh = match.inside(f, Op::tanh)) {
      if (!is_tanh_argument(match, match.operand(tanh, 0), x, dtype)) continue;
      return rewrite(module, graph, root, match, Op::gelu, x,
                     {{"approximate", std::string("tanh")}});
    }
  }
  return Attempt::not_this();
}

// The x of clip(x, low, high), also written with min and max.
std::optional<ValueId> clipped(Match& match, ValueId value, double low, double high) {
  const auto bound = [&](NodeId node, double number) -> std::optional<ValueId> {
    for (size_t i = 0; i < 2; ++i) {
      if (match.is_splat(match.operand(node, i), number) ||
          (number == 0 && match.splat(match.operand(node, i)) == 0.0)) {
        return match.operand(node, 1 - i);
      }
    }
    return std::nullopt;
  };
  const auto is_bound = [&](ValueId operand, double number) {
    const auto constant = match.splat(operand);
    return constant && (number == 0 ? *constant == 0 : Match::is_near(*constant, number));
  };
  if (const NodeId clip = match.inside(value, Op::clip)) {
    if (!is_bound(match.operand(clip, 1), low) || !is_bound(match.operand(clip, 2), high)) {
      return std::nullopt;
    }
    return match.operand(clip, 0);
  }
  if (const NodeId min = match.inside(value, Op::min)) {
    const auto inner = bound(min, high);
    if (!inner) return std::nullopt;
    if (low == 0) {
      if (const NodeId relu = match.inside(*inner, Op::relu)) return match.operand(relu, 0);
    }
    const NodeId max = match.inside(*inner, Op::max);
    return max ? bound(max, low) : std::nullopt;
  }
  if (const NodeId max = match.inside(value, Op::max)) {
    const auto inner = bound(max, low);
    const NodeId min = inner ? match.inside(*inner, Op::min) : NodeId();
    return min ? bound(min, high) : std::nullopt;
  }
  return std::nullopt;
}

// The x of clip(x + 3, 0, 6).
std::optional<ValueId> shifted_relu6(Match& match, ValueId value) {
  const auto inner = clipped(match, value, 0, 6);
  if (!inner) return std::nullopt;
  const DType dtype = match.graph().type(*inner).dtype;
  const Sum sum = match.sum(*inner);
  if (sum.terms.size() != 1 || sum.terms[0].coefficient != 1) return std::nullopt;
  if (!is_near(sum.constant, 3, dtype)) return std::nullopt;
  return sum.terms[0].value;
}

bool is_hard_swish_gate(const Graph& graph, NodeId gate) {
  const OpView view = graph.node(gate).view();
  const DType dtype = graph.type(graph.node(gate).results[0]).dtype;
  return is_near(view.f64("alpha"), 1.0 / 6, dtype) && is_near(view.f64("beta"), 0.5, dtype);
}

// x * clip(x + 3, 0, 6) / 6, or x * hard_sigmoid(x).
Attempt match_hard_swish(Module& module, Graph& graph, NodeId root) {
  const ValueId y = graph.node(root).results[0];
  const DType dtype = graph.type(y).dtype;
  for (size_t i = 0; i < 2; ++i) {
    Match match(module, graph);
    const Product product = match.product(y);
    if (product.factors.size() != 2) return Attempt::not_this();
    const ValueId x = product.factors[i];
    const ValueId gate = product.factors[1 - i];
    if (is_near(product.coefficient, 1, dtype)) {
      const NodeId sigmoid = match.inside(gate, Op::hard_sigmoid);
      if (sigmoid && match.operand(sigmoid, 0) == x && is_hard_swish_gate(graph, sigmoid)) {
        return rewrite(module, graph, root, match, Op::hard_swish, x);
      }
    }
    if (!is_near(product.coefficient, 1.0 / 6, dtype)) continue;
    if (shifted_relu6(match, gate) == x) {
      return rewrite(module, graph, root, match, Op::hard_swish, x);
    }
  }
  return Attempt::not_this();
}

// clip(x + 3, 0, 6) / 6. Where it gates its own x it is left to hard-swish.
Attempt match_hard_sigmoid(Module& module, Graph& graph, NodeId root) {
  Match match(module, graph);
  const ValueId y = graph.node(root).results[0];
  const Product product = match.product(y);
  if (product.factors.size() != 1) return Attempt::not_this();
  if (!is_near(product.coefficient, 1.0 / 6, graph.type(y).dtype)) return Attempt::not_this();
  const auto x = shifted_relu6(match, product.factors[0]);
  if (!x) return Attempt::not_this();
  return rewrite(module, graph, root, match, Op::hard_sigmoid, *x,
                 {{"alpha", 1.0 / 6}, {"beta", 0.5}});
}

// x * sigmoid(alpha * x)
Attempt match_swish(Module& module, Graph& graph, NodeId root) {
  for (size_t i = 0; i < 2; ++i) {
    Match match(module, graph);
    const ValueId x = match.operand(root, i);
    const NodeId sigmoid = match.inside(match.operand(root, 1 - i), Op::sigmoid);
    if (!sigmoid) continue;
    double alpha = 1;
    if (match.operand(sigmoid, 0) != x) {
      const Product argument = match.product(match.operand(sigmoid, 0));
      if (argument.factors != std::vector<ValueId>{x}) continue;
      alpha = argument.coefficient;
    }
    if (!std::isfinite(alpha)) continue;
    return rewrite(module, graph, root, match, Op::swish, x, {{"alpha", alpha}});
  }
  return Attempt::not_this();
}

// max(x, alpha * x) with 0 < alpha <= 1
Attempt match_leaky_relu(Module& module, Graph& graph, NodeId root) {
  for (size_t i = 0; i < 2; ++i) {
    Match match(module, graph);
    const ValueId x = match.operand(root, i);
    if (!graph.producer(match.operand(root, 1 - i))) continue;
    const Product product = match.product(match.operand(root, 1 - i));
    if (product.factors != std::vector<ValueId>{x}) continue;
    if (!(product.coefficient > 0 && product.coefficient <= 1)) continue;
    return rewrite(module, graph, root, match, Op::leaky_relu, x, {{"alpha", product.coefficient}});
  }
  return Attempt::not_this();
}

constexpr Rule kRules[] = {{Op::mul, match_gelu},         {Op::mul, match_hard_swish},
                           {Op::mul, match_swish},        {Op::mul, match_hard_sigmoid},
                           {Op::div, match_gelu},         {Op::div, match_hard_swish},
                           {Op::div, match_hard_sigmoid}, {Op::max, match_leaky_relu}};

}  // namespace

std::span<const Rule> activation_rules() { return kRules; }

}  // namespace neuronc
