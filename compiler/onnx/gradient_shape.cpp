// Adjoints of operators that move, cut, look up and reduce.
#include <numeric>

#include "compiler/onnx/gradient.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Node = AdjointNode;
using Ints = std::vector<int64_t>;

// The integers behind operand `i`, which must be known.
Ints known_operand(Node& node, size_t i) {
  const Tensor* tensor = node.context().known(node.operand(i));
  if (tensor != nullptr) return tensor->to_ints();
  node.unsupported("a derivative needs a constant shape, axis or index");
  return {};
}

ValueId zeros(Node& node, ValueId like, const Ints& shape) {
  return node.emit(Op::expand, {node.number(like, 0), node.context().ints(shape)});
}

ValueId cut(Node& node, ValueId x, const Ints& starts, const Ints& ends, const Ints& axes) {
  NodeContext& context = node.context();
  return node.emit(Op::slice, {x, context.ints(starts), context.ints(ends), context.ints(axes)});
}

void make_reshaped(Node& node) {
  node.set_exact(0, reshape_to(node.context(), node.gradient(), node.shape(node.operand(0))));
}

void make_transpose(Node& node) {
  Ints perm = node.op().ints("perm");
  const size_t rank = node.shape(node.operand(0)).size();
  if (perm.empty()) {
    for (size_t i = rank; i-- > 0;) perm.push_back(static_cast<int64_t>(i));
  }
  Ints inverse(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) {
    inverse[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  }
  node.set_exact(0, node.emit(Op::transpose, {node.gradient()}, {{"perm", inverse}}));
}

void make_expand(Node& node) { node.set(0, node.gradient()); }

void make_concat(Node& node) {
  const auto rank = static_cast<int64_t>(node.shape(node.result()).size());
  const int64_t axis = normalised_axis(node.context(), node.op().i64("axis"), rank);
  int64_t at = 0;
  for (size_t i = 0; i < node.num_operands() && !node.context().failed(); ++i) {
    const int64_t extent = node.shape(node.operand(i))[static_cast<size_t>(axis)];
    if (node.wants(i)) {
      node.set_exact(i, cut(node, node.gradient(), {at}, {at + extent}, {axis}));
    }
    at += extent;
  }
}

void make_split(Node& node) {
  std::vector<ValueId> parts;
  for (size_t i = 0; i < node.num_results(); ++i) {
    const ValueId given = node.gradient(i);
    parts.push_back(given ? given : zeros(node, node.operand(0), node.shape(node.result(i))));
  }
  node.set_exact(0, node.emit(Op::concat, parts, {{"axis", node.op().i64("axis")}}));
}

// Along one axis of `extent` elements: `g` is put at start, start + step, ... and 0 elsewhere.
ValueId spread(Node& node, ValueId g, int64_t axis, int64_t start, int64_t step, int64_t extent) {
  NodeContext& context = node.context();
  Ints shape = node.shape(g);
  const int64_t count = shape[static_cast<size_t>(axis)];
  Ints places(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) places[static_cast<size_t>(i)] = start + i * step;
  Ints column(shape.size(), 1);
  column[static_cast<size_t>(axis)] = count;
  const ValueId indices = node.emit(
      Op::expand, {reshape_to(context, context.ints(places), column), context.ints(shape)});
  shape[static_cast<size_t>(axis)] = extent;
  return node.emit(Op::scatter_elements, {zeros(node, g, shape), indices, g}, {{"axis", axis}});
}

ValueId padded(Node& node, ValueId g, int64_t axis, int64_t before, int64_t behind) {
  const size_t rank = node.shape(g).size();
  Ints pads(2 * rank, 0);
  pads[static_cast<size_t>(axis)] = before;
  pads[rank + static_cast<size_t>(axis)] = behind;
  return node.emit(Op::pad, {g, node.context().ints(pads)});
}

void make_slice(Node& node) {
  NodeContext& context = node.context();
  const Ints shape = node.shape(node.operand(0)), cut_shape = node.shape(node.result());
  const Ints starts = known_operand(node, 1);
  Ints axes(starts.size()), steps(starts.size(), 1);
  std::iota(axes.begin(), axes.end(), 0);
  if (node.has(3)) axes = known_operand(node, 3);
  if (node.has(4)) steps = known_operand(node, 4);
  ValueId g = node.gradient();
  for (size_t i = 0; i < starts.size() && !context.failed(); ++i) {
    const int64_t axis = normalised_axis(context, axes[i], static_cast<int64_t>(shape.size()));
    if (context.failed()) return;
    const int64_t extent = shape[static_cast<size_t>(axis)];
    const int64_t count = cut_shape[static_cast<size_t>(axis)];
    int64_t start = starts[i] < 0 ? std::max<int64_t>(starts[i] + extent, 0) : starts[i];
    start = std::min(start, steps[i] < 0 ? extent - 1 : extent);
    g = steps[i] == 1 ? padded(node, g, axis, start, extent - start - count)
                      : spread(node, g, axis, start, steps[i], extent);
  }
  node.set_exact(0, g);
}

void make_pad(Node& node) {
  NodeContext& context = node.context();
  const Ints shape = node.shape(node.operand(0));
  const Ints pads = known_operand(node, 1);
  Ints axes(shape.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (node.has(3)) axes = known_operand(node, 3);
  if (node.op().string("mode") != "constant" || node.wants(2)) {
    return node.unsupported("only padding with a constant has a derivative");
  }
  Ints ends;
  for (size_t i = 0; i < axes.size() && !context.failed(); ++i) {
    const int64_t axis = normalised_axis(context, axes[i], static_cast<int64_t>(shape.size()));
    if (context.failed()) return;
    if (pads[i] < 0 || pads[axes.size() + i] < 0) {
      return node.unsupported("padding that cuts has no derivative here");
    }
    ends.push_back(pads[i] + shape[static_cast<size_t>(axis)]);
  }
  const Ints starts(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(axes.size()));
  node.set_exact(0, cut(node, node.gradient(), starts, ends, axes));
}

void make_tile(Node& node) {
  const Ints shape = node.shape(node.operand(0)), repeats = known_operand(node, 1);
  if (node.context().failed()) return;
  Ints split, axes;
  for (size_t i = 0; i < shape.size(); ++i) {
    axes.push_back(static_cast<int64_t>(2 * i));
    split.push_back(repeats[i]);
    split.push_back(shape[i]);
  }
  const ValueId apart = reshape_to(node.context(), node.gradient(), split);
  node.set_exact(0, node.sum(apart, axes, false));
}

// Adds `g` to zeros of x's shape at `indices`, which have g's rank.
void set_scattered(Node& node, ValueId g, ValueId indices, int64_t axis) {
  const ValueId x = node.operand(0);
  node.set_exact(0, node.emit(Op::scatter_elements, {zeros(node, x, node.shape(x)), indices, g},
                              {{"axis", axis}, {"reduction", std::string("add")}}));
}

void make_gather(Node& node) {
  NodeContext& context = node.context();
  const Ints shape = node.shape(node.operand(0)), named = node.shape(node.operand(1));
  const int64_t axis =
      normalised_axis(context, node.op().i64("axis"), static_cast<int64_t>(shape.size()));
  if (context.failed()) return;
  Ints flat = shape, column(shape.size(), 1);
  flat[static_cast<size_t>(axis)] = column[static_cast<size_t>(axis)] = num_elements(named);
  const ValueId g = reshape_to(context, node.gradient(), flat);
  const ValueId indices =
      node.emit(Op::expand, {reshape_to(context, node.operand(1), column), context.ints(flat)});
  set_scattered(node, g, indices, axis);
}

void make_gather_elements(Node& node) {
  set_scattered(node, node.gradient(), node.operand(1), node.op().i64("axis"));
}

void make_cum_sum(Node& node) {
  const auto is_reverse = static_cast<int64_t>(node.op().i64("reverse") == 0);
  node.set_exact(0,
                 node.emit(Op::cum_sum, {node.gradient(), node.operand(1)},
                           {{"exclusive", node.op().i64("exclusive")}, {"reverse", is_reverse}}));
}

void make_trilu(Node& node) {
  std::vector<ValueId> operands{node.gradient()};
  if (node.has(1)) operands.push_back(node.operand(1));
  node.set_exact(0, node.emit(Op::trilu, operands, {{"upper", node.op().i64("upper")}}));
}

// ---- reductions

// The result's shape with the axes that were reduced as extents of 1.
Ints kept_shape(Node& node) {
  NodeContext& context = node.context();
  Ints shape = node.shape(node.operand(0));
  Ints axes = node.has(1) ? known_operand(node, 1) : Ints{};
  if (axes.empty() && node.op().i64("noop_with_empty_axes") == 0) {
    axes.resize(shape.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  for (int64_t axis : axes) {
    const int64_t at = normalised_axis(context, axis, static_cast<int64_t>(shape.size()));
    if (!context.failed()) shape[static_cast<size_t>(at)] = 1;
  }
  return shape;
}

ValueId spread_back(Node& node, ValueId reduced) {
  const ValueId kept = reshape_to(node.context(), reduced, kept_shape(node));
  return node.emit(Op::expand, {kept, node.context().ints(node.shape(node.operand(0)))});
}

void make_reduce_sum(Node& node) { node.set_exact(0, spread_back(node, node.gradient())); }

void make_reduce_mean(Node& node) {
  const auto whole = static_cast<double>(num_elements(node.shape(node.operand(0))));
  const auto left = static_cast<double>(num_elements(kept_shape(node)));
  const ValueId g = node.scaled(whole > 0 ? left / whole : 0, node.gradient());
  node.set_exact(0, spread_back(node, g));
}

// Elements that equal the extremum share its gradient.
void make_reduce_extremum(Node& node) {
  const ValueId x = node.operand(0);
  const Ints kept = kept_shape(node), shape = node.shape(x);
  const ValueId is_it = node.emit(Op::equal, {x, spread_back(node, node.result())});
  const ValueId ones = node.where(is_it, node.number(x, 1));
  Ints axes;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (kept[i] != shape[i]) axes.push_back(static_cast<int64_t>(i));
  }
  const ValueId share = node.div(ones, node.sum(ones, axes, true));
  node.set_exact(0, node.mul(spread_back(node, node.gradient()), share));
}

constexpr Adjoint kAdjoints[] = {
    {Op::concat, make_concat},
    {Op::cum_sum, make_cum_sum},
    {Op::expand, make_expand},
    {Op::gather, make_gather},
    {Op::gather_elements, make_gather_elements},
    {Op::pad, make_pad},
    {Op::reduce_max, make_reduce_extremum},
    {Op::reduce_mean, make_reduce_mean},
    {Op::reduce_min, make_reduce_extremum},
    {Op::reduce_sum, make_reduce_sum},
    {Op::reshape, make_reshaped},
    {Op::slice, make_slice},
    {Op::split, make_split},
    {Op::squeeze, make_reshaped},
    {Op::tile, make_tile},
    {Op::transpose, make_transpose},
    {Op::trilu, make_trilu},
    {Op::unsqueeze, make_reshaped},
};

}  // namespace

std::span<const Adjoint> shape_adjoints() { return kAdjoints; }

}  // namespace neuronc::onnx
