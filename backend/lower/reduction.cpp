// Default lowerings of reductions over axes and of searches along one.
#include <algorithm>

#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"
#include "backend/lower/reduce.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;
using kernel::Values;

// Which operand dims are reduced, read off the constant axes or, where there are none, off the
// attribute that says what none means.
std::vector<size_t> axes_of(GroupEmitter& e, const Node& node) {
  const size_t rank = e.shape(node.operands[0]).size();
  std::vector<size_t> axes;
  if (node.has_operand(1)) {
    const Tensor* tensor = e.constant_of(node.operands[1]);
    if (tensor != nullptr) {
      for (int64_t axis : tensor->to_ints()) axes.push_back(resolve_axis(axis, rank));
    }
  }
  if (axes.empty() && node.view().i64("noop_with_empty_axes") == 0) {
    for (size_t d = 0; d < rank; ++d) axes.push_back(d);
  }
  std::sort(axes.begin(), axes.end());
  return axes;
}

ReduceProblem problem_of(ValueId operand, std::vector<size_t> axes, size_t rank, bool keeps_dims) {
  ReduceProblem problem{operand, std::move(axes), {}};
  int kept = 0;
  for (size_t d = 0; d < rank; ++d) {
    const bool is_reduced = std::binary_search(problem.axes.begin(), problem.axes.end(), d);
    problem.result_dims.push_back(is_reduced ? -1 : kept);
    if (!is_reduced || keeps_dims) ++kept;
  }
  return problem;
}

template <ReduceKind kKind>
Register emit_reduce(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const ReduceProblem problem =
      problem_of(node.operands[0], axes_of(e, node), e.shape(node.operands[0]).size(),
                 node.view().i64("keepdims") != 0);
  return reduce_element(e, problem, kKind, e.type(node.results[0]).dtype, at);
}

OrRefusal<void> accepts_axes(const Module& module, const Graph& graph, const Node& node) {
  if (!node.has_operand(1)) return {};
  const Tensor* axes = module.constant_of(graph, node.operands[1]);
  if (axes == nullptr && graph.type(node.operands[1]).num_elements() != 0) {
    return refuse("its axes are not constant");
  }
  return {};
}

// Integer means divide the exact sum: types narrower than i64 would wrap before the division.
OrRefusal<void> accepts_mean(const Module& module, const Graph& graph, const Node& node) {
  const DType dtype = graph.type(node.operands[0]).dtype;
  if (!is_float(dtype) && dtype != DType::i64) return refuse("its mean is of narrow integers");
  return accepts_axes(module, graph, node);
}

// ---- arg_max and arg_min: the position is carried with the best value

template <bool kGreatest>
Register emit_arg(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const std::vector<int64_t> extents = e.shape(node.operands[0]);
  const size_t axis = resolve_axis(node.view().i64("axis"), extents.size());
  const ReduceProblem problem =
      problem_of(node.operands[0], {axis}, extents.size(), node.view().i64("keepdims") != 0);
  const bool takes_last = node.view().i64("select_last_index") != 0;
  LaneIndex from = at.with_dims(std::vector<Index>(extents.size(), Index(0)),
                                std::vector<int64_t>(extents.size(), 0));
  for (size_t d = 0; d < extents.size(); ++d) {
    if (d == axis) continue;
    from.dims[d] = at.dims[static_cast<size_t>(problem.result_dims[d])];
    from.steps[d] = at.steps[static_cast<size_t>(problem.result_dims[d])];
  }
  const auto pull = [&](Index i) {
    from.dims[axis] = i;
    return e.pull(node.operands[0], from);
  };
  // NaN is better than every number. That is: it is better, or it is NaN and the best is not.
  const auto is_better = [&](Register x, Register best) {
    const Register compared = kGreatest ? b.gt(x, best) : b.lt(x, best);
    if (!is_carried_float(x)) return compared;
    return b.bit_or(compared, b.bit_and(b.ne(x, x), b.eq(best, best)));
  };
  const Values initial{pull(0), b.i64(0, at.lanes)};
  return e.loop({1, extents[axis], 1}, initial, [&](Index i, std::span<const Register> carried) {
    const Register x = pull(i);
    const Register takes =
        takes_last ? b.bit_not(is_better(carried[0], x)) : is_better(x, carried[0]);
    const Register position = b.splat(b.index_value(i), at.lanes);
    return Values{b.select(takes, x, carried[0]), b.select(takes, position, carried[1])};
  })[1];
}

}  // namespace

void add_reduction_lowerings(LoweringTable& t) {
  row(t, Op::reduce_sum) = {emit_reduce<ReduceKind::sum>, nullptr, nullptr, accepts_axes};
  row(t, Op::reduce_mean) = {emit_reduce<ReduceKind::mean>, nullptr, nullptr, accepts_mean};
  row(t, Op::reduce_prod) = {emit_reduce<ReduceKind::prod>, nullptr, nullptr, accepts_axes};
  row(t, Op::reduce_max) = {emit_reduce<ReduceKind::max>, nullptr, nullptr, accepts_axes};
  row(t, Op::reduce_min) = {emit_reduce<ReduceKind::min>, nullptr, nullptr, accepts_axes};
  row(t, Op::arg_max) = {emit_arg<true>};
  row(t, Op::arg_min) = {emit_arg<false>};
}

}  // namespace neuronc
