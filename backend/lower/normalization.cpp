// Default lowerings of softmax and the normalisations: whole rows at a time (rows.h), two passes
// for statistics and one that hands results to the rest of the group. Sums and statistics are f32,
// or f64 for f64.
#include "backend/lower/default_nest.h"
#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"
#include "backend/lower/rows.h"
#include "ir/kernel/math.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;
using kernel::Values;
namespace math = kernel::math;
using Slot = RowWalk::Slot;

Register like(Builder& b, Register x, double value) { return b.constant(x.type, value); }

// Hands an element of the anchor to the group, rounded as the anchor's type says.
void finish_element(GroupEmitter& e, const Node& node, const LaneIndex& at, Register value) {
  const DType dtype = e.type(node.results[0]).dtype;
  e.provide(node.results[0], at, e.rounded(value, dtype));
  e.store_results(at);
}

OrRefusal<void> accepts_one_result(const Module&, const Graph&, const Node& node) {
  if (node.results.size() > 1) return refuse("its statistics are results too");
  return {};
}

// ---- softmax, log_softmax, lp_normalization: rows along one axis

RowSpace axis_space(const Graph& body, const Node& node) {
  RowSpace space;
  space.extents = body.type(node.operands[0]).shape();
  space.is_row.assign(space.extents.size(), false);
  space.is_row[resolve_axis(node.view().i64("axis"), space.extents.size())] = true;
  return space;
}

int64_t axis_tiles(const Graph& body, const Node& node) {
  return axis_space(body, node).num_tiles();
}

void nest_softmax(GroupEmitter& e, const Node& node) {
  Builder& b = e.builder();
  RowWalk rows(e, node.operands[0], axis_space(e.body(), node));
  rows.run([&] {
    const Register top = rows.reduce(ReduceKind::max, [&](const LaneIndex& at, const Slot& slot) {
      return rows.keep(at, slot);
    });
    const Register sum = rows.reduce(ReduceKind::sum, [&](const LaneIndex& at, const Slot& slot) {
      const Register power = math::exp(b, b.sub(rows.element(at, slot), top));
      rows.store(slot, power);
      return power;
    });
    const Register factor = b.div(like(b, sum, 1), sum);
    rows.each([&](const LaneIndex& at, const Slot& slot) {
      finish_element(e, node, at, b.mul(rows.load(slot), factor));
    });
  });
}

void nest_log_softmax(GroupEmitter& e, const Node& node) {
  Builder& b = e.builder();
  RowWalk rows(e, node.operands[0], axis_space(e.body(), node));
  rows.run([&] {
    const Register top = rows.reduce(ReduceKind::max, [&](const LaneIndex& at, const Slot& slot) {
      return rows.keep(at, slot);
    });
    const Register sum = rows.reduce(ReduceKind::sum, [&](const LaneIndex& at, const Slot& slot) {
      return math::exp(b, b.sub(rows.element(at, slot), top));
    });
    const Register log_sum = math::log(b, sum);
    rows.each([&](const LaneIndex& at, const Slot& slot) {
      finish_element(e, node, at, b.sub(b.sub(rows.element(at, slot), top), log_sum));
    });
  });
}

void nest_lp_normalization(GroupEmitter& e, const Node& node) {
  Builder& b = e.builder();
  RowWalk rows(e, node.operands[0], axis_space(e.body(), node));
  const bool is_l1 = node.view().i64("p") == 1;
  rows.run([&] {
    Register norm = rows.reduce(ReduceKind::sum, [&](const LaneIndex& at, const Slot& slot) {
      const Register x = rows.keep(at, slot);
      return is_l1 ? b.abs(x) : b.mul(x, x);
    });
    if (!is_l1) norm = b.sqrt(norm);
    // A row of zeros stays.
    norm = b.select(b.eq(norm, like(b, norm, 0)), like(b, norm, 1), norm);
    rows.each([&](const LaneIndex& at, const Slot& slot) {
      finish_element(e, node, at, b.div(rows.element(at, slot), norm));
    });
  });
}

// The position of the greatest element is found first; lanes run along another dim.
NestShape hardmax_nest(const Graph& body, const Node& node, int lanes) {
  std::vector<int64_t> rest = body.type(node.operands[0]).shape();
  rest[resolve_axis(node.view().i64("axis"), rest.size())] = 1;
  return plan_nest(rest, Storage::dense(DType::f32, rest), lanes);
}

int64_t hardmax_tiles(const Graph& body, const Node& node) {
  return hardmax_nest(body, node, 1).num_tiles;
}

void nest_hardmax(GroupEmitter& e, const Node& node) {
  Builder& b = e.builder();
  const std::vector<int64_t> shape = e.shape(node.operands[0]);
  const size_t axis = resolve_axis(node.view().i64("axis"), shape.size());
  const DType carrier = carrier_of(e.type(node.operands[0]).dtype);
  const NestShape nest = hardmax_nest(e.body(), node, e.vector_lanes(DType::i64));
  if (shape[axis] == 0) return;
  emit_nest(e, nest, [&](const LaneIndex& row) {
    LaneIndex at = row;
    const Values best = e.loop(
        {1, shape[axis], 1}, {e.pull(node.operands[0], row), b.i64(0, row.lanes)},
        [&](Index i, std::span<const Register> carried) {
          at.dims[axis] = i;
          const Register x = e.pull(node.operands[0], at);
          const Register is_greater = b.gt(x, carried[0]);
          return Values{b.select(is_greater, x, carried[0]),
                        b.select(is_greater, b.splat(b.index_value(i), row.lanes), carried[1])};
        });
    e.loop({0, shape[axis], 1}, [&](Index i) {
      at.dims[axis] = i;
      const Register is_best = b.eq(best[1], b.splat(b.index_value(i), row.lanes));
      finish_element(e, node, at, b.convert(is_best, carrier));
    });
  });
}

// ---- layer_normalization and rms_normalization: rows over the last axes

RowSpace tail_space(const Graph& body, const Node& node) {
  RowSpace space;
  space.extents = body.type(node.operands[0]).shape();
  const size_t axis = resolve_axis(node.view().i64("axis"), space.extents.size());
  for (size_t d = 0; d < space.extents.size(); ++d) space.is_row.push_back(d >= axis);
  return space;
}

int64_t tail_tiles(const Graph& body, const Node& node) {
  return tail_space(body, node).num_tiles();
}

Register inverse_deviation(GroupEmitter& e, const Node& node, RowWalk& rows, Register squares) {
  Builder& b = e.builder();
  const Register variance = b.div(squares, like(b, squares, rows.row_size()));
  const Register epsilon = like(b, squares, node.view().f64("epsilon"));
  return b.div(like(b, squares, 1), b.sqrt(b.add(variance, epsilon)));
}

Register as_carrier(Builder& b, Register value, DType carrier) { return b.convert(value, carrier); }

// The mean of the row, then the inverse deviation from it.
struct Moments {
  Register mean, inverse;
};
Moments moments_of(GroupEmitter& e, const Node& node, RowWalk& rows) {
  Builder& b = e.builder();
  const Register sum = rows.reduce(
      ReduceKind::sum, [&](const LaneIndex& at, const Slot& slot) { return rows.keep(at, slot); });
  const Register mean = b.div(sum, like(b, sum, rows.row_size()));
  const Register squares = rows.reduce(ReduceKind::sum, [&](const LaneIndex& at, const Slot& slot) {
    const Register difference = b.sub(rows.element(at, slot), mean);
    return b.mul(difference, difference);
  });
  return {mean, inverse_deviation(e, node, rows, squares)};
}

void nest_layer_normalization(GroupEmitter& e, const Node& node) {
  Builder& b = e.builder();
  RowWalk rows(e, node.operands[0], tail_space(e.body(), node));
  rows.run([&] {
    const Moments moments = moments_of(e, node, rows);
    rows.each([&](const LaneIndex& at, const Slot& slot) {
      Register y = b.mul(b.sub(rows.element(at, slot), moments.mean), moments.inverse);
      y = b.mul(y, as_carrier(b, e.pull_broadcast(node.operands[1], at), rows.carrier()));
      if (node.has_operand(2)) {
        y = b.add(y, as_carrier(b, e.pull_broadcast(node.operands[2], at), rows.carrier()));
      }
      finish_element(e, node, at, y);
    });
  });
}

void nest_rms_normalization(GroupEmitter& e, const Node& node) {
  Builder& b = e.builder();
  RowWalk rows(e, node.operands[0], tail_space(e.body(), node));
  rows.run([&] {
    const Register squares =
        rows.reduce(ReduceKind::sum, [&](const LaneIndex& at, const Slot& slot) {
          const Register x = rows.keep(at, slot);
          return b.mul(x, x);
        });
    const Register inverse = inverse_deviation(e, node, rows, squares);
    rows.each([&](const LaneIndex& at, const Slot& slot) {
      const Register scale = as_carrier(b, e.pull_broadcast(node.operands[1], at), rows.carrier());
      finish_element(e, node, at, b.mul(b.mul(rows.element(at, slot), inverse), scale));
    });
  });
}

// ---- instance_normalization and group_normalization: rows over runs of channels

RowSpace group_space(const Graph& body, const Node& node) {
  const std::vector<int64_t> x = body.type(node.operands[0]).shape();
  const int64_t groups = node.op == Op::group_normalization ? node.view().i64("num_groups") : x[1];
  RowSpace space;
  space.extents = {x[0], groups, groups == 0 ? 0 : x[1] / groups};
  space.extents.insert(space.extents.end(), x.begin() + 2, x.end());
  space.is_row.assign(space.extents.size(), true);
  space.is_row[0] = space.is_row[1] = false;
  space.split_dim = 1;
  return space;
}

int64_t group_tiles(const Graph& body, const Node& node) {
  return group_space(body, node).num_tiles();
}

Register pull_channel(GroupEmitter& e, ValueId value, const LaneIndex& at) {
  return e.pull(value, at.with_dims({at.dims[1]}, {at.steps[1]}));
}

void nest_group_normalization(GroupEmitter& e, const Node& node) {
  Builder& b = e.builder();
  RowWalk rows(e, node.operands[0], group_space(e.body(), node));
  rows.run([&] {
    const Moments moments = moments_of(e, node, rows);
    rows.each([&](const LaneIndex& at, const Slot& slot) {
      const Register y = b.mul(b.sub(rows.element(at, slot), moments.mean), moments.inverse);
      const Register scale = pull_channel(e, node.operands[1], at);
      finish_element(e, node, at, b.add(b.mul(y, scale), pull_channel(e, node.operands[2], at)));
    });
  });
}

// ---- batch_normalization and lrn: elements by themselves

Register emit_batch_normalization(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const DType carrier = carrier_of(e.type(node.operands[0]).dtype);
  const auto channel = [&](size_t i) {
    const LaneIndex index =
        at.dims.size() < 2 ? origin(1) : at.with_dims({at.dims[1]}, {at.steps[1]});
    const Register value = b.convert(e.pull(node.operands[i], index), carrier);
    return b.splat(value, at.lanes);
  };
  const Register x = e.pull(node.operands[0], at);
  const Register deviation = b.sqrt(b.add(channel(4), like(b, x, node.view().f64("epsilon"))));
  const Register factor = b.div(channel(1), deviation);
  const Register y = b.add(b.mul(b.sub(x, channel(3)), factor), channel(2));
  return e.rounded(y, e.type(node.results[0]).dtype);
}

OrRefusal<void> accepts_batch(const Module&, const Graph&, const Node& node) {
  if (node.view().i64("training_mode") != 0) return refuse("it is in training mode");
  if (node.results.size() > 1) return refuse("its statistics are results too");
  return {};
}

// The sum of squares over the channels around each; powers as exp and log do them.
Register emit_lrn(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  if (at.varies(1)) {
    return by_lanes(e, at, carrier_of(e.type(node.operands[0]).dtype),
                    [&](const LaneIndex& one) { return emit_lrn(e, node, 0, one); });
  }
  Builder& b = e.builder();
  const OpView op = node.view();
  const int64_t size = op.i64("size");
  const int64_t channels = e.shape(node.operands[0])[1];
  const Register x = e.pull(node.operands[0], at);
  const Index c = at.dims[1];
  const kernel::Range around{kernel::max(c - Index((size - 1) / 2), 0),
                             kernel::min(c + Index(size / 2 + 1), channels), 1};
  const Register sum =
      e.loop(around, Values{like(b, x, 0)}, [&](Index j, std::span<const Register> carried) {
        LaneIndex from = at;
        from.dims[1] = j;
        const Register v = e.pull(node.operands[0], from);
        return Values{b.add(carried[0], b.mul(v, v))};
      })[0];
  const double alpha = op.f64("alpha") / static_cast<double>(size);
  const Register base = b.add(like(b, x, op.f64("bias")), b.mul(like(b, x, alpha), sum));
  const double beta = op.f64("beta");
  Register power;
  if (beta == 0.75) {
    const Register root = b.sqrt(base);
    power = b.mul(root, b.sqrt(root));
  } else if (beta == 0.5) {
    power = b.sqrt(base);
  } else {
    power = math::pow(b, base, like(b, x, beta));
  }
  return e.rounded(b.div(x, power), e.type(node.results[0]).dtype);
}

}  // namespace

void add_normalization_lowerings(LoweringTable& t) {
  row(t, Op::softmax) = {nullptr, nest_softmax, axis_tiles};
  row(t, Op::log_softmax) = {nullptr, nest_log_softmax, axis_tiles};
  row(t, Op::hardmax) = {nullptr, nest_hardmax, hardmax_tiles};
  row(t, Op::lp_normalization) = {nullptr, nest_lp_normalization, axis_tiles};
  row(t, Op::layer_normalization) = {nullptr, nest_layer_normalization, tail_tiles,
                                     accepts_one_result};
  row(t, Op::rms_normalization) = {nullptr, nest_rms_normalization, tail_tiles};
  row(t, Op::instance_normalization) = {nullptr, nest_group_normalization, group_tiles};
  row(t, Op::group_normalization) = {nullptr, nest_group_normalization, group_tiles};
  row(t, Op::batch_normalization) = {emit_batch_normalization, nullptr, nullptr, accepts_batch};
  row(t, Op::lrn) = {emit_lrn};
}

}  // namespace neuronc
