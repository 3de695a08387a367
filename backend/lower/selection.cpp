// The lowering of top_k: k passes over a line, each of which finds the best element behind the one
// before in the order of the result. No index comes from data, so lanes have lines of their own.
#include "backend/lower/default_nest.h"
#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;
using kernel::Values;

// Whether x stands before y for its value alone; NaN is the greatest.
Register is_better(Builder& b, bool largest, Register x, Register y) {
  const Register greater = largest ? x : y, less = largest ? y : x;
  const Register compared = b.gt(greater, less);
  if (!is_carried_float(x)) return compared;
  return b.bit_or(compared, b.bit_and(b.ne(greater, greater), b.eq(less, less)));
}

NestShape lines_of(const std::vector<int64_t>& shape, size_t axis, int lanes) {
  std::vector<int64_t> rest = shape;
  rest[axis] = 1;
  return plan_nest(rest, Storage::dense(DType::f32, rest), lanes);
}

int64_t top_k_tiles(const Graph& body, const Node& node) {
  const std::vector<int64_t> shape = body.type(node.operands[0]).shape();
  return lines_of(shape, resolve_axis(node.view().i64("axis"), shape.size()), 1).num_tiles;
}

// The best element of a line behind (value, position) `last`: value and position.
Values find_next(GroupEmitter& e, const Node& node, LaneIndex at, size_t axis, const Values& last) {
  Builder& b = e.builder();
  const bool largest = node.view().i64("largest") != 0;
  const int64_t extent = e.shape(node.operands[0])[axis];
  const Register none = b.i64(-1, at.lanes);
  const Values initial{b.zero(last[0].type), none};
  return e.loop({0, extent, 1}, initial, [&](Index i, std::span<const Register> best) {
    at.dims[axis] = i;
    const Register x = e.pull(node.operands[0], at);
    const Register position = b.splat(b.index_value(i), at.lanes);
    // Of equal elements the first comes first.
    const Register is_tied =
        b.bit_and(b.bit_not(is_better(b, largest, x, last[0])), b.gt(position, last[1]));
    const Register is_behind = b.bit_or(b.bit_or(is_better(b, largest, last[0], x), is_tied),
                                        b.lt(last[1], b.i64(0, at.lanes)));
    const Register is_next =
        b.bit_or(is_better(b, largest, x, best[0]), b.lt(best[1], b.i64(0, at.lanes)));
    const Register takes = b.bit_and(is_behind, is_next);
    return Values{b.select(takes, x, best[0]), b.select(takes, position, best[1])};
  });
}

void nest_top_k(GroupEmitter& e, const Node& node) {
  Builder& b = e.builder();
  const std::vector<int64_t> shape = e.shape(node.operands[0]);
  const size_t axis = resolve_axis(node.view().i64("axis"), shape.size());
  const int64_t k = e.shape(node.results[0])[axis];
  if (k == 0) return;
  const DType carrier = carrier_of(e.type(node.operands[0]).dtype);
  emit_nest(e, lines_of(shape, axis, e.vector_lanes(DType::i64)), [&](const LaneIndex& line) {
    LaneIndex to = line;
    const Values before{b.zero({carrier, line.lanes}), b.i64(-1, line.lanes)};
    e.loop({0, k, 1}, before, [&](Index j, std::span<const Register> last) {
      const Values next = find_next(e, node, line, axis, {last[0], last[1]});
      to.dims[axis] = j;
      for (size_t i = 0; i < node.results.size(); ++i) e.provide(node.results[i], to, next[i]);
      e.store_results(to);
      return next;
    });
  });
}

}  // namespace

void add_selection_lowerings(LoweringTable& t) {
  row(t, Op::top_k) = {nullptr, nest_top_k, top_k_tiles};
}

}  // namespace neuronc
