// Implements gradient.h.
#include "compiler/onnx/gradient.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {

using Ints = std::vector<int64_t>;

ValueId AdjointNode::sum(ValueId a, const Ints& axes, bool keeps_axes) {
  return emit(
      Op::reduce_sum, {a, context_.ints(axes)},
      {{"keepdims", static_cast<int64_t>(keeps_axes)}, {"noop_with_empty_axes", int64_t{1}}});
}

ValueId AdjointNode::transposed(ValueId a) {
  Ints perm(shape(a).size());
  std::iota(perm.begin(), perm.end(), 0);
  if (perm.size() < 2) return a;
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return emit(Op::transpose, {a}, {{"perm", perm}});
}

void AdjointNode::set(size_t i, ValueId value) {
  const Ints from = shape(value), to = shape(operand(i));
  if (context_.failed()) return;
  if (from.size() < to.size()) {
    operand_gradients_[i] = emit(Op::expand, {value, context_.ints(to)});
    return;
  }
  const size_t extra = from.size() - to.size();
  Ints axes;
  for (size_t axis = 0; axis < from.size(); ++axis) {
    const bool is_new = axis < extra;
    if (is_new || (to[axis - extra] == 1 && from[axis] != 1)) {
      axes.push_back(static_cast<int64_t>(axis));
    }
  }
  if (!axes.empty()) value = reshape_to(context_, sum(value, axes, true), to);
  if (shape(value) != to) value = emit(Op::expand, {value, context_.ints(to)});
  operand_gradients_[i] = value;
}

AdjointFn find_adjoint(Op op) {
  for (const auto adjoints : {elementwise_adjoints(), shape_adjoints(), product_adjoints()}) {
    for (const Adjoint& adjoint : adjoints) {
      if (adjoint.op == op) return adjoint.make;
    }
  }
  return nullptr;
}

}  // namespace neuronc::onnx
