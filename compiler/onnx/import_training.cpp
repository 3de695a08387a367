// Import rules of the optimisers of ai.onnx.preview.training: one step of each tensor, as
// arithmetic. Inputs are the rate R, the count of steps T, then tensors X, their gradients G and
// their states.
#include <fmt/format.h>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

// Arithmetic on values of one tensor's type; scalars take part in it.
class Step {
 public:
  Step(NodeContext& node, ValueId like) : node_(node), like_(like) {}

  ValueId number(double value) { return node_.scalar_like(like_, value); }
  ValueId add(ValueId a, ValueId b) { return node_.emit(Op::add, {a, b}); }
  ValueId sub(ValueId a, ValueId b) { return node_.emit(Op::sub, {a, b}); }
  ValueId mul(ValueId a, ValueId b) { return node_.emit(Op::mul, {a, b}); }
  ValueId div(ValueId a, ValueId b) { return node_.emit(Op::div, {a, b}); }
  ValueId sqrt(ValueId a) { return node_.emit(Op::sqrt, {a}); }
  ValueId scaled(double factor, ValueId a) { return mul(number(factor), a); }
  // R and T have types of their own.
  ValueId shared(size_t input) {
    const ValueId value = node_.input(input);
    if (node_.dtype_of(value) == node_.dtype_of(like_)) return value;
    return node_.emit(Op::cast, {value}, {{"to", node_.dtype_of(like_)}});
  }
  // `later` from the second step on, `first` in the first, whose count is 0.
  ValueId by_step(ValueId later, ValueId first) {
    const ValueId count = shared(1);
    const ValueId is_later = node_.emit(Op::greater, {count, number(0)});
    return node_.emit(Op::where, {is_later, later, first});
  }

 private:
  NodeContext& node_;
  ValueId like_;
};

// The number of tensors that are stepped, each with a gradient and `num_states` states.
size_t num_tensors(NodeContext& node, size_t num_states) {
  const size_t each = 2 + num_states;
  const size_t given = node.num_inputs() < 2 ? 0 : node.num_inputs() - 2;
  if (given == 0 || given % each != 0) node.invalid("its tensors do not come in equal numbers");
  for (size_t i = 0; i < node.num_inputs(); ++i) {
    if (!node.has_input(i)) node.invalid(fmt::format("input {} is missing", i));
  }
  return node.failed() ? 0 : given / each;
}

}  // namespace

void import_adagrad(NodeContext& node, const Rule&) {
  const size_t count = num_tensors(node, 1);
  for (size_t i = 0; i < count; ++i) {
    const ValueId x = node.input(2 + i);
    Step s(node, x);
    const ValueId decay = s.add(s.number(1), s.scaled(node.f64("decay_factor", 0), s.shared(1)));
    const ValueId rate = s.div(s.shared(0), decay);
    const ValueId g =
        s.add(s.scaled(node.f64("norm_coefficient", 0), x), node.input(2 + count + i));
    const ValueId h = s.add(node.input(2 + 2 * count + i), s.mul(g, g));
    const ValueId size = s.add(s.sqrt(h), s.number(node.f64("epsilon", 1e-6)));
    node.set_output(i, s.sub(x, s.div(s.mul(rate, g), size)));
    node.set_output(count + i, h);
  }
}

void import_adam(NodeContext& node, const Rule&) {
  const size_t count = num_tensors(node, 2);
  const double alpha = node.f64("alpha", 0.9), beta = node.f64("beta", 0.999);
  for (size_t i = 0; i < count; ++i) {
    const ValueId x = node.input(2 + i);
    Step s(node, x);
    const ValueId g =
        s.add(s.scaled(node.f64("norm_coefficient", 0), x), node.input(2 + count + i));
    const ValueId v = s.add(s.scaled(alpha, node.input(2 + 2 * count + i)), s.scaled(1 - alpha, g));
    const ValueId h =
        s.add(s.scaled(beta, node.input(2 + 3 * count + i)), s.scaled(1 - beta, s.mul(g, g)));
    const ValueId size = s.add(s.sqrt(h), s.number(node.f64("epsilon", 1e-6)));
    // Both states start at 0, and are too small in the first steps.
    const auto rest = [&](double base) {
      const ValueId power = node.emit(Op::pow, {s.number(base), s.shared(1)});
      return s.sub(s.number(1), power);
    };
    const ValueId corrected = s.div(s.mul(s.shared(0), s.sqrt(rest(beta))), rest(alpha));
    const ValueId rate = s.by_step(corrected, s.shared(0));
    const ValueId moved = s.sub(x, s.mul(rate, s.div(v, size)));
    node.set_output(i, s.scaled(1 - node.f64("norm_coefficient_post", 0), moved));
    node.set_output(count + i, v);
    node.set_output(2 * count + i, h);
  }
}

void import_momentum(NodeContext& node, const Rule&) {
  const size_t count = num_tensors(node, 1);
  const double alpha = node.f64("alpha", 0.9);
  const std::string mode = node.string("mode", "standard");
  if (mode != "standard" && mode != "nesterov") {
    return node.invalid(fmt::format("attribute `mode` is `{}`", mode));
  }
  for (size_t i = 0; i < count; ++i) {
    const ValueId x = node.input(2 + i);
    Step s(node, x);
    const ValueId g =
        s.add(s.scaled(node.f64("norm_coefficient", 0), x), node.input(2 + count + i));
    const ValueId beta = s.by_step(s.number(node.f64("beta", 1)), s.number(1));
    const ValueId v = s.add(s.scaled(alpha, node.input(2 + 2 * count + i)), s.mul(beta, g));
    const ValueId direction = mode == "standard" ? v : s.add(g, s.scaled(alpha, v));
    node.set_output(i, s.sub(x, s.mul(s.shared(0), direction)));
    node.set_output(count + i, v);
  }
}

}  // namespace neuronc::onnx
