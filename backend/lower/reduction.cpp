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
class ArgSearch {
 public:
  ArgSearch(GroupEmitter& e, const Node& node)
      : e_(e),
        b_(e.builder()),
        operand_(node.operands[0]),
        extents_(e.shape(operand_)),
        axis_(resolve_axis(node.view().i64("axis"), extents_.size())),
        keeps_dims_(node.view().i64("keepdims") != 0),
        takes_last_(node.view().i64("select_last_index") != 0) {}

  Register run(const LaneIndex& at) {
    const int lanes =
        std::min(e_.vector_lanes(carrier_of(e_.type(operand_).dtype)), e_.vector_lanes(DType::i32));
    const bool is_long = extents_[axis_] >= kFewVectors * lanes && extents_[axis_] <= INT32_MAX;
    // A long line that lies in memory as it is goes through lanes of its own, unless every lane has one.
    if (lanes > 1 && is_long && at.active <= kFewLines &&
        contiguous_dim(e_, operand_) == static_cast<int>(axis_)) {
      return by_lanes(e_, at, DType::i64,
                      [&](const LaneIndex& one) { return along_line(place_of(one), lanes); });
    }
    const LaneIndex from = place_of(at);
    return go_on(from, Index(1), {pull(from, Index(0)), b_.i64(0, at.lanes)})[1];
  }

 private:
  static constexpr int64_t kFewVectors = 4;
  static constexpr int kFewLines = 4;

  LaneIndex place_of(const LaneIndex& at) {
    const ReduceProblem problem = problem_of(operand_, {axis_}, extents_.size(), keeps_dims_);
    LaneIndex from = at.with_dims(std::vector<Index>(extents_.size(), Index(0)),
                                  std::vector<int64_t>(extents_.size(), 0));
    for (size_t d = 0; d < extents_.size(); ++d) {
      if (d == axis_) continue;
      from.dims[d] = at.dims[static_cast<size_t>(problem.result_dims[d])];
      from.steps[d] = at.steps[static_cast<size_t>(problem.result_dims[d])];
    }
    return from;
  }

  Register pull(LaneIndex from, Index i) {
    from.dims[axis_] = i;
    return e_.pull(operand_, from);
  }

  // NaN is better than every number. That is: it is better, or it is NaN and the best is not.
  Register is_better(Register x, Register best) {
    const Register compared = kGreatest ? b_.gt(x, best) : b_.lt(x, best);
    if (!is_carried_float(x)) return compared;
    return b_.bit_or(compared, b_.bit_and(b_.ne(x, x), b_.eq(best, best)));
  }

  // Whether x, which stands behind the best, takes its place.
  Register takes(Register x, Register best) {
    return takes_last_ ? b_.bit_not(is_better(best, x)) : is_better(x, best);
  }

  // The best value and its position, given those of the elements before `first`.
  Values go_on(const LaneIndex& from, Index first, const Values& so_far) {
    const Index end(extents_[axis_]);
    return e_.loop({first, end, 1}, so_far, [&](Index i, std::span<const Register> carried) {
      const Register x = pull(from, i);
      const Register takes_place = takes(x, carried[0]);
      const Register position = b_.splat(b_.index_value(i), from.lanes);
      return Values{b_.select(takes_place, x, carried[0]),
                    b_.select(takes_place, position, carried[1])};
    });
  }

  // Each lane has every `lanes`-th element; then the better half of them, and so on.
  Register along_line(const LaneIndex& line, int lanes) {
    const auto elements = [&](Index i) {
      LaneIndex from = LaneIndex::along(line.dims, axis_, lanes);
      from.dims[axis_] = i;
      return e_.pull(operand_, from);
    };
    const Register first = lane_positions(e_, Index(0), 1, lanes, DType::i32);
    const Register step = b_.constant_bits({DType::i32, lanes}, lanes);
    const int64_t whole = extents_[axis_] / lanes * lanes;
    const Values best = e_.loop({lanes, whole, lanes}, {elements(Index(0)), first, first},
                                [&](Index i, std::span<const Register> carried) {
                                  const Register x = elements(i);
                                  const Register here = b_.add(carried[2], step);
                                  const Register takes_place = takes(x, carried[0]);
                                  return Values{b_.select(takes_place, x, carried[0]),
                                                b_.select(takes_place, here, carried[1]), here};
                                });
    Register value = best[0], position = best[1];
    for (int half = lanes / 2; half > 0; half /= 2) {
      std::vector<int64_t> picks(static_cast<size_t>(lanes));
      for (int lane = 0; lane < lanes; ++lane)
        picks[static_cast<size_t>(lane)] = (lane + half) % lanes;
      const Register other = b_.shuffle(value, picks), there = b_.shuffle(position, picks);
      const Register is_equal =
          b_.bit_not(b_.bit_or(is_better(value, other), is_better(other, value)));
      const Register is_nearer = takes_last_ ? b_.gt(there, position) : b_.lt(there, position);
      const Register takes_place =
          b_.bit_or(is_better(other, value), b_.bit_and(is_equal, is_nearer));
      value = b_.select(takes_place, other, value);
      position = b_.select(takes_place, there, position);
    }
    const Values so_far{b_.extract(value, 0), b_.convert(b_.extract(position, 0), DType::i64)};
    if (whole == extents_[axis_]) return so_far[1];
    return go_on(line, Index(whole), so_far)[1];
  }

  GroupEmitter& e_;
  Builder& b_;
  ValueId operand_;
  std::vector<int64_t> extents_;
  size_t axis_;
  bool keeps_dims_, takes_last_;
};

template <bool kGreatest>
Register emit_arg(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  return ArgSearch<kGreatest>(e, node).run(at);
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
