// Import rules of normalisations and softmax.
#include <numeric>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Ints = std::vector<int64_t>;

ValueId reduce_mean(NodeContext& node, ValueId x, const Ints& axes) {
  return node.emit(Op::reduce_mean, {x, node.ints(axes)}, {{"keepdims", int64_t{1}}});
}

// (x - mean)^2, averaged over axes; `centered` receives x - mean.
ValueId variance(NodeContext& node, ValueId x, ValueId mean, const Ints& axes, ValueId& centered) {
  centered = node.emit(Op::sub, {x, mean});
  return reduce_mean(node, node.emit(Op::mul, {centered, centered}), axes);
}

// spatial=0 of old versions: statistics for each activation, which is plain arithmetic.
void import_per_activation(NodeContext& node) {
  const ValueId x = node.input(0);
  const ValueId epsilon = node.scalar_like(x, node.f64("epsilon", 1e-5));
  const ValueId centered = node.emit(Op::sub, {x, node.input(3)});
  const ValueId deviation = node.emit(Op::sqrt, {node.emit(Op::add, {node.input(4), epsilon})});
  const ValueId normal = node.emit(Op::div, {centered, deviation});
  const ValueId scaled = node.emit(Op::mul, {normal, node.input(1)});
  node.set_output(0, node.emit(Op::add, {scaled, node.input(2)}));
}

ValueId softmax_over(NodeContext& node, Op op, ValueId x, int64_t axis) {
  return node.emit(op, {x}, {{"axis", axis}});
}

}  // namespace

// Before opset 14 outputs beyond the first were training statistics; without them the node infers,
// whatever `is_test` says.
void import_batch_normalization(NodeContext& node, const Rule&) {
  if (!node.has_input(4)) return node.invalid("it needs five inputs");
  if (node.version() >= 14) return emit_direct(node, Op::batch_normalization, node.inputs());
  for (size_t i = 1; i < node.num_outputs(); ++i) {
    if (node.wants_output(i)) return node.unsupported("it is in training mode");
  }
  if (node.i64("spatial", 1) == 0) return import_per_activation(node);
  node.set_output(0, node.emit(Op::batch_normalization, node.inputs(),
                               {{"epsilon", node.f64("epsilon", 1e-5)}}));
}

// Before opset 21 scale and bias had one element per group, not per channel.
void import_group_normalization(NodeContext& node, const Rule&) {
  std::vector<ValueId> operands = node.inputs();
  const int64_t num_groups = node.i64("num_groups", 0);
  if (node.version() < 21 && operands.size() == 3) {
    const Ints shape = node.shape(operands[0]);
    if (node.failed()) return;
    if (num_groups < 1 || shape.size() < 2 || shape[1] % num_groups != 0) {
      return node.invalid("its channels cannot be divided into `num_groups`");
    }
    for (size_t i = 1; i < 3; ++i) {
      const ValueId column = reshape_to(node, operands[i], {num_groups, 1});
      const ValueId wide =
          node.emit(Op::expand, {column, node.ints({num_groups, shape[1] / num_groups})});
      operands[i] = reshape_to(node, wide, {shape[1]});
    }
  }
  emit_direct(node, Op::group_normalization, operands);
}

// (x - mean) / (standard deviation + 1e-9) over the axes.
void import_mean_variance_normalization(NodeContext& node, const Rule&) {
  const ValueId x = node.input(0);
  const Ints axes = node.ints("axes", {0, 2, 3});
  ValueId centered;
  const ValueId var = variance(node, x, reduce_mean(node, x, axes), axes, centered);
  const ValueId deviation = node.emit(Op::sqrt, {var});
  const ValueId divisor = node.emit(Op::add, {deviation, node.scalar_like(x, 1e-9)});
  node.set_output(0, node.emit(Op::div, {centered, divisor}));
}

void import_softmax(NodeContext& node, const Rule& rule) {
  node.set_output(0, softmax_over(node, rule.op, node.input(0), node.i64("axis", -1)));
}

// Before opset 13 the operand was seen as a matrix, split at `axis`.
void import_softmax_1(NodeContext& node, const Rule& rule) {
  const ValueId x = node.input(0);
  const int64_t rank = node.rank(x);
  if (rank == 0) return import_softmax(node, rule);
  const int64_t axis = normalised_axis(node, node.i64("axis", 1), rank, 1);
  if (node.failed()) return;
  if (axis == rank - 1) return node.set_output(0, softmax_over(node, rule.op, x, axis));
  const Ints shape = node.shape(x);
  if (node.failed()) return;
  const auto split = shape.begin() + axis;
  const int64_t rows = std::accumulate(shape.begin(), split, int64_t{1}, std::multiplies<>());
  const int64_t columns = std::accumulate(split, shape.end(), int64_t{1}, std::multiplies<>());
  if (axis < rank && columns == shape[static_cast<size_t>(axis)]) {
    return node.set_output(0, softmax_over(node, rule.op, x, axis));
  }
  const ValueId matrix = reshape_to(node, x, {rows, columns});
  node.set_output(0, reshape_to(node, softmax_over(node, rule.op, matrix, 1), shape));
}

}  // namespace neuronc::onnx
