// Import rules of reductions: axes become operands, compositions are taken apart.
#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

// The axes operand, from the attribute of older versions or the second input.
ValueId axes_of(NodeContext& node) {
  if (node.has_input(1)) return node.input(1);
  const std::vector<int64_t> axes = node.ints("axes");
  return axes.empty() ? ValueId() : node.ints(axes);
}

ValueId reduce(NodeContext& node, Op op, ValueId x, int64_t keepdims) {
  return node.emit(
      op, {x, axes_of(node)},
      {{"keepdims", keepdims}, {"noop_with_empty_axes", node.i64("noop_with_empty_axes", 0)}});
}

ValueId reduce(NodeContext& node, Op op, ValueId x) {
  return reduce(node, op, x, node.i64("keepdims", 1));
}

// Roots and logarithms of integers are taken in f32 and truncated.
ValueId as_float(NodeContext& node, ValueId x) {
  if (!is_integer(node.dtype_of(x))) return x;
  return node.emit(Op::cast, {x}, {{"to", DType::f64}});
}
ValueId like_input(NodeContext& node, ValueId y) {
  const DType wanted = node.dtype_of(node.input(0));
  if (node.dtype_of(y) == wanted) return y;
  return node.emit(Op::cast, {y}, {{"to", wanted}});
}

}  // namespace

void import_reduce(NodeContext& node, const Rule& rule) {
  node.set_output(0, reduce(node, rule.op, node.input(0)));
}

void import_reduce_l1(NodeContext& node, const Rule&) {
  node.set_output(0, reduce(node, Op::reduce_sum, node.emit(Op::abs, {node.input(0)})));
}

void import_reduce_sum_square(NodeContext& node, const Rule&) {
  const ValueId x = node.input(0);
  node.set_output(0, reduce(node, Op::reduce_sum, node.emit(Op::mul, {x, x})));
}

void import_reduce_l2(NodeContext& node, const Rule&) {
  const ValueId x = as_float(node, node.input(0));
  const ValueId sum = reduce(node, Op::reduce_sum, node.emit(Op::mul, {x, x}));
  node.set_output(0, like_input(node, node.emit(Op::sqrt, {sum})));
}

void import_reduce_log_sum(NodeContext& node, const Rule&) {
  const ValueId sum = reduce(node, Op::reduce_sum, as_float(node, node.input(0)));
  node.set_output(0, like_input(node, node.emit(Op::log, {sum})));
}

// log(sum(exp(x - m))) + m with m the greatest element, 0 where that is infinite.
void import_reduce_log_sum_exp(NodeContext& node, const Rule&) {
  const ValueId x = as_float(node, node.input(0));
  const ValueId zero = node.scalar_like(x, 0);
  const auto finite = [&](ValueId greatest) {
    return node.emit(Op::where, {node.emit(Op::is_inf, {greatest}), zero, greatest});
  };
  const ValueId greatest = finite(reduce(node, Op::reduce_max, x, 1));
  const ValueId powers = node.emit(Op::exp, {node.emit(Op::sub, {x, greatest})});
  const ValueId log = node.emit(Op::log, {reduce(node, Op::reduce_sum, powers)});
  const bool keeps_dims = node.i64("keepdims", 1) != 0;
  const ValueId added = keeps_dims ? greatest : finite(reduce(node, Op::reduce_max, x, 0));
  node.set_output(0, like_input(node, node.emit(Op::add, {log, added})));
}

// The loss of the log probabilities, which are the second result.
void import_softmax_cross_entropy_loss(NodeContext& node, const Rule& rule) {
  const ValueId logs = node.emit(Op::log_softmax, {node.input(0)}, {{"axis", int64_t{1}}});
  std::vector<NamedAttribute> attributes{{"reduction", node.string("reduction", "mean")}};
  if (node.has("ignore_index")) {
    attributes.push_back({"ignore_index", node.i64("ignore_index", 0)});
  }
  node.set_output(0, node.emit(rule.op, {logs, node.input(1), node.input(2)}, attributes));
  if (node.wants_output(1)) node.set_output(1, logs);
}

// Until opset 10 the number of elements was an attribute.
void import_top_k_1(NodeContext& node, const Rule&) {
  const int64_t k = node.i64("k", -1);
  const auto results = node.emit_many(Op::top_k, {node.input(0), node.ints({k})},
                                      {{"axis", node.i64("axis", -1)}}, 2);
  node.set_output(0, results[0]);
  node.set_output(1, results[1]);
}

}  // namespace neuronc::onnx
