// Import rules of signal operators that are not the same in ONNX and in the IR.
#include <fmt/format.h>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Ints = std::vector<int64_t>;

// com.microsoft's transforms take the last `signal_ndim` axes, the halved one last.
int64_t signal_axes(NodeContext& node, int64_t rank) {
  const int64_t count = node.i64("signal_ndim", 1);
  if (node.i64("normalized", 0) != 0) node.invalid("attribute `normalized` is not 0");
  if (node.i64("onesided", 1) != 1) node.invalid("attribute `onesided` is not 1");
  if (count < 1 || count > rank) {
    node.invalid(fmt::format("attribute `signal_ndim` is {} for {} axes", count, rank));
  }
  return count;
}

ValueId transformed(NodeContext& node, ValueId x, ValueId length, int64_t axis, bool is_inverse,
                    bool is_onesided) {
  return node.emit(Op::dft, {x, length, node.scalar_i64(axis)},
                   {{"inverse", static_cast<int64_t>(is_inverse)},
                    {"onesided", static_cast<int64_t>(is_onesided)}});
}

// Of numbers [.., 2], as reals and imaginaries [.., 1].
std::vector<ValueId> parts_of(NodeContext& node, ValueId x) {
  return node.emit_many(Op::split, {x, node.ints(Ints{1, 1})}, {{"axis", int64_t{-1}}}, 2);
}

}  // namespace

// Until opset 20 the axis was an attribute, 1 by default.
void import_dft_17(NodeContext& node, const Rule&) {
  const ValueId axis = node.scalar_i64(node.i64("axis", 1));
  emit_direct(node, Op::dft, {node.input(0), node.input(1), axis}, {"axis"});
}

// Reals [.., n] to the first n / 2 + 1 bins [.., n / 2 + 1, 2].
void import_rfft(NodeContext& node, const Rule&) {
  const Ints shape = node.shape(node.input(0));
  if (node.failed()) return;
  const auto rank = static_cast<int64_t>(shape.size());
  const int64_t count = signal_axes(node, rank);
  if (node.failed()) return;
  const ValueId numbers = node.emit(Op::unsqueeze, {node.input(0), node.ints(Ints{rank})});
  ValueId y = transformed(node, numbers, {}, rank - 1, false, true);
  for (int64_t i = 1; i < count; ++i) y = transformed(node, y, {}, rank - 1 - i, false, false);
  node.set_output(0, y);
}

// Bins [.., m, 2] to reals [.., 2 * (m - 1)], divided by the number of these along each axis.
void import_irfft(NodeContext& node, const Rule&) {
  const Ints shape = node.shape(node.input(0));
  if (node.failed()) return;
  if (shape.size() < 2 || shape.back() != 2) {
    return node.invalid("its last axis does not hold reals and imaginaries");
  }
  const auto rank = static_cast<int64_t>(shape.size()) - 1;
  const int64_t count = signal_axes(node, rank);
  if (node.failed()) return;
  Ints result(shape.begin(), shape.end() - 1);
  result.back() = 2 * (result.back() - 1);
  if (result.back() < 2) return node.invalid("it has fewer than two bins");
  ValueId y = node.input(0);
  for (int64_t i = count - 1; i > 0; --i) y = transformed(node, y, {}, rank - 1 - i, true, false);
  y = transformed(node, y, node.scalar_i64(result.back()), rank - 1, true, true);
  node.set_output(0, reshape_to(node, y, result));
}

// Products of numbers [.., 2]; the second ones conjugated by ComplexMulConj.
void import_complex_mul(NodeContext& node, const Rule&) {
  for (size_t i = 0; i < 2; ++i) {
    const Ints shape = node.shape(node.input(i));
    if (node.failed()) return;
    if (shape.empty() || shape.back() != 2) {
      return node.invalid("a last axis does not hold reals and imaginaries");
    }
  }
  const auto a = parts_of(node, node.input(0)), b = parts_of(node, node.input(1));
  if (node.failed()) return;
  const auto times = [&](ValueId x, ValueId y) { return node.emit(Op::mul, {x, y}); };
  const bool is_conjugated = node.op_type() == "ComplexMulConj";
  const ValueId real =
      node.emit(is_conjugated ? Op::add : Op::sub, {times(a[0], b[0]), times(a[1], b[1])});
  const ValueId imaginary =
      node.emit(is_conjugated ? Op::sub : Op::add, {times(a[1], b[0]), times(a[0], b[1])});
  node.set_output(0, node.emit(Op::concat, {real, imaginary}, {{"axis", int64_t{-1}}}));
}

}  // namespace neuronc::onnx
