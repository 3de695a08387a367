// The lowering of deform_columns: coordinates in f64 as in the evaluator, so that one next to an
// integer falls on the same side; four loads of what lies inside.
#include "ir/ops/deform_columns.h"

#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"
#include "ir/base/check.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;

// One axis of a tap: its lower neighbour, and how far it stands behind it.
struct Axis {
  Register low, fraction;
  int64_t extent;
};

Axis axis_at(Builder& b, Index first, Register offset, int64_t extent) {
  const Register start = b.convert(b.index_value(first), DType::f64);
  const Register at = b.add(start, b.convert(offset, DType::f64));
  const Register low = b.floor(at);
  return {low, b.sub(at, low), extent};
}

Register emit_deform_columns(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const DType dtype = e.type(node.results[0]).dtype;
  if (!at.is_scalar()) {
    return by_lanes(e, at, carrier_of(dtype),
                    [&](const LaneIndex& one) { return emit_deform_columns(e, node, 0, one); });
  }
  const auto window = ops::deform_window(node.view());
  NEURONC_CHECK(window.has_value());
  const ops::DeformWindow& w = *window;
  const std::vector<int64_t> x = e.shape(node.operands[0]);
  const Index group = kernel::floor_div(at.dims[1], x[1] / w.groups);
  const Index tap = (group * Index(w.kernel[0]) + at.dims[2]) * Index(w.kernel[1]) + at.dims[3];
  const auto parameter = [&](size_t operand, Index channel) {
    return e.pull(node.operands[operand],
                  LaneIndex::scalar({at.dims[0], channel, at.dims[4], at.dims[5]}));
  };
  const auto axis = [&](size_t d) {
    const Index first = at.dims[4 + d] * Index(w.strides[d]) +
                        at.dims[2 + d] * Index(w.dilations[d]) - Index(w.pads[d]);
    const Register offset = parameter(1, tap * Index(2) + Index(static_cast<int64_t>(d)));
    return axis_at(b, first, offset, x[2 + d]);
  };
  const Axis row = axis(0), column = axis(1);
  const Register zero = b.f64(0), unit = b.f64(1);
  // A neighbour's weight is 0 where it lies outside; its index is then that of the first.
  const auto neighbour = [&](const Axis& a, int64_t step, Register& weight) {
    const Register place = b.add(a.low, b.f64(static_cast<double>(step)));
    const Register is_inside =
        b.bit_and(b.ge(place, zero), b.lt(place, b.f64(static_cast<double>(a.extent))));
    weight = b.select(is_inside, step == 0 ? b.sub(unit, a.fraction) : a.fraction, zero);
    return b.check_index(b.convert(b.select(is_inside, place, zero), DType::i64), a.extent);
  };
  Register sum = zero;
  for (int64_t i = 0; i < 2; ++i) {
    Register down = zero;
    const Index r = neighbour(row, i, down);
    for (int64_t j = 0; j < 2; ++j) {
      Register right = zero;
      const Index c = neighbour(column, j, right);
      const Register value =
          e.pull(node.operands[0], LaneIndex::scalar({at.dims[0], at.dims[1], r, c}));
      const Register weight = b.mul(down, right);
      const Register part = b.mul(weight, b.convert(value, DType::f64));
      sum = b.add(sum, b.select(b.eq(weight, zero), zero, part));
    }
  }
  if (node.has_operand(2)) sum = b.mul(sum, b.convert(parameter(2, tap), DType::f64));
  return from_f64(b, sum, dtype);
}

OrRefusal<void> accepts_deform_columns(const Module&, const Graph& graph, const Node& node) {
  if (graph.type(node.operands[0]).num_elements() == 0) return refuse("its operand is empty");
  return {};
}

}  // namespace

void add_deform_columns_lowerings(LoweringTable& t) {
  row(t, Op::deform_columns) = {emit_deform_columns, nullptr, nullptr, accepts_deform_columns};
}

}  // namespace neuronc
