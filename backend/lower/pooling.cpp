// Default lowerings of pools: a fold over the taps of each window. On channels-last memory lanes
// run along channels, so windows in the interior are straight lines of vector instructions.
#include <limits>

#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"
#include "backend/lower/reduce.h"
#include "backend/lower/windows.h"
#include "ir/base/check.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;
using kernel::Values;

struct Pool {
  GroupEmitter& e;
  const Node& node;
  Window window;
  std::vector<int64_t> input;  // spatial extents

  Pool(GroupEmitter& emitter, const Node& pool) : e(emitter), node(pool) {
    auto read = window_of(node.view(), node.view().ints("kernel_shape"));
    NEURONC_CHECK(read.has_value());
    window = std::move(*read);
    const std::vector<int64_t> x = e.shape(node.operands[0]);
    input.assign(x.begin() + 2, x.end());
  }

  DType carrier() const { return carrier_of(e.type(node.operands[0]).dtype); }

  Register pull(const LaneIndex& at, const Tap& tap, const std::vector<int64_t>& steps) const {
    LaneIndex from = at;
    for (size_t axis = 0; axis < input.size(); ++axis) {
      from.dims[axis + 2] = tap.position[axis];
      from.steps[axis + 2] = steps[axis];
    }
    return e.pull(node.operands[0], from);
  }
};

// ---- max_pool

Register fold_max(const Pool& pool, const LaneIndex& at, bool is_border) {
  Builder& b = pool.e.builder();
  const WindowWalk walk(pool.e, pool.window, pool.input, at);
  const kernel::ValueType type{pool.carrier(), at.lanes};
  const Register lowest = lowest_value(b, type);
  const auto body = [&](const Tap& tap, std::span<const Register> best) {
    return Values{combine(b, ReduceKind::max, best[0], pool.pull(at, tap, walk.steps()))};
  };
  return (is_border ? walk.fold_border({lowest}, body) : walk.fold_interior({lowest}, body))[0];
}

Register emit_max_pool(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const Pool pool(e, node);
  const WindowWalk walk(e, pool.window, pool.input, at);
  return choose_window(
      e, walk, at, pool.carrier(), [&] { return fold_max(pool, at, false); },
      [&] { return fold_max(pool, at, true); },
      [&](const LaneIndex& one) { return emit_max_pool(e, node, 0, one); });
}

OrRefusal<void> accepts_max_pool(const Module&, const Graph& graph, const Node& node) {
  if (node.results.size() > 1 && !graph.value(node.results[1]).is_unused()) {
    return refuse("its indices are used");
  }
  if (node.results.size() > 1) return refuse("it has a second result");
  return {};
}

// ---- average_pool and lp_pool

using Preparation = Register (*)(Builder&, Register);
Register as_is(Builder&, Register x) { return x; }
Register absolute(Builder& b, Register x) { return b.abs(x); }
Register squared(Builder& b, Register x) { return b.mul(x, x); }

Register fold_sum(const Pool& pool, const LaneIndex& at, bool is_border, Preparation prepare) {
  Builder& b = pool.e.builder();
  const WindowWalk walk(pool.e, pool.window, pool.input, at);
  const auto body = [&](const Tap& tap, std::span<const Register> sum) {
    return Values{b.add(sum[0], prepare(b, pool.pull(at, tap, walk.steps())))};
  };
  const Values zero{b.zero({pool.carrier(), at.lanes})};
  return (is_border ? walk.fold_border(zero, body) : walk.fold_interior(zero, body))[0];
}

// The number of taps that count, for windows that may reach over the border.
Register count_taps(const Pool& pool, const LaneIndex& at, bool counts_pads) {
  Builder& b = pool.e.builder();
  const WindowWalk walk(pool.e, pool.window, pool.input, at);
  Register count = b.i64(1);
  for (size_t axis = 0; axis < pool.input.size(); ++axis) {
    const int64_t before = counts_pads ? pool.window.pads_begin[axis] : 0;
    const int64_t behind = counts_pads ? pool.window.pads_end[axis] : 0;
    count = b.mul(count, b.index_value(walk.num_taps(axis, before, behind)));
  }
  return b.splat(b.convert(count, pool.carrier()), at.lanes);
}

Register average(const Pool& pool, const LaneIndex& at, bool is_border) {
  Builder& b = pool.e.builder();
  const Register sum = fold_sum(pool, at, is_border, as_is);
  if (!is_border) {
    double taps = 1;
    for (int64_t extent : pool.window.kernel) taps *= static_cast<double>(extent);
    return b.div(sum, b.constant(sum.type, taps));
  }
  const Register count = count_taps(pool, at, pool.node.view().i64("count_include_pad") != 0);
  // A window with no taps gives 0, not 0/0.
  return b.div(sum, b.max_num(count, b.constant(count.type, 1)));
}

Register emit_average_pool(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const Pool pool(e, node);
  const WindowWalk walk(e, pool.window, pool.input, at);
  const Register result = choose_window(
      e, walk, at, pool.carrier(), [&] { return average(pool, at, false); },
      [&] { return average(pool, at, true); },
      [&](const LaneIndex& one) { return emit_average_pool(e, node, 0, one); });
  return e.rounded(result, e.type(node.results[0]).dtype);
}

Register emit_lp_pool(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const Pool pool(e, node);
  Builder& b = e.builder();
  const WindowWalk walk(e, pool.window, pool.input, at);
  const bool is_l1 = node.view().i64("p") == 1;
  const auto norm = [&](bool is_border) {
    const Register sum = fold_sum(pool, at, is_border, is_l1 ? absolute : squared);
    return is_l1 ? sum : b.sqrt(sum);
  };
  const Register result = choose_window(
      e, walk, at, pool.carrier(), [&] { return norm(false); }, [&] { return norm(true); },
      [&](const LaneIndex& one) { return emit_lp_pool(e, node, 0, one); });
  return e.rounded(result, e.type(node.results[0]).dtype);
}

OrRefusal<void> accepts_lp(const Module&, const Graph&, const Node& node) {
  const int64_t p = node.view().i64("p");
  if (p != 1 && p != 2) return refuse("its norm is neither 1 nor 2");
  return {};
}

// ---- global pools: reductions over all spatial dims

ReduceProblem planes_of(GroupEmitter& e, const Node& node) {
  ReduceProblem problem{node.operands[0], {}, {}};
  const size_t rank = e.shape(node.operands[0]).size();
  for (size_t d = 0; d < rank; ++d) {
    problem.result_dims.push_back(d < 2 ? static_cast<int>(d) : -1);
    if (d >= 2) problem.axes.push_back(d);
  }
  return problem;
}

template <ReduceKind kKind>
Register emit_global(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  return reduce_element(e, planes_of(e, node), kKind, e.type(node.results[0]).dtype, at);
}

Register emit_global_lp(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const bool is_l1 = node.view().i64("p") == 1;
  const DType dtype = e.type(node.results[0]).dtype;
  const Register sum = reduce_element(
      e, planes_of(e, node), is_l1 ? ReduceKind::sum_of_absolutes : ReduceKind::sum_of_squares,
      carrier_of(dtype), at);
  return e.rounded(is_l1 ? sum : b.sqrt(sum), dtype);
}

}  // namespace

void add_pooling_lowerings(LoweringTable& t) {
  row(t, Op::max_pool) = {emit_max_pool, nullptr, nullptr, accepts_max_pool};
  row(t, Op::average_pool) = {emit_average_pool};
  row(t, Op::lp_pool) = {emit_lp_pool, nullptr, nullptr, accepts_lp};
  row(t, Op::global_average_pool) = {emit_global<ReduceKind::mean>};
  row(t, Op::global_max_pool) = {emit_global<ReduceKind::max>};
  row(t, Op::global_lp_pool) = {emit_global_lp, nullptr, nullptr, accepts_lp};
}

}  // namespace neuronc
