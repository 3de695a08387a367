// Lowerings of grid_sample and affine_grid, in f64 as in the evaluator: a coordinate next to an
// edge falls on the same side.
#include "backend/lower/sampling.h"

#include <limits>

#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Register clamped(Builder& b, Register x, double lo, double hi) {
  const Register low = b.f64(lo), high = b.f64(hi);
  return b.select(b.lt(x, low), low, b.select(b.gt(x, high), high, x));
}

// The rest of a division by `m`, with the sign of x; exact up to quotients of 2^53, beyond which
// neighbouring coordinates are further apart than elements.
Register remainder(Builder& b, Register x, double m) {
  const Register divisor = b.f64(m), zero = b.f64(0);
  const Register quotient = b.trunc(b.div(x, divisor));
  const Register rest = b.fma(b.neg(quotient), divisor, x);
  // The quotient may have been rounded up to an integer.
  const Register over = b.select(b.lt(rest, zero), b.add(rest, divisor), rest);
  const Register under = b.select(b.gt(rest, zero), b.sub(rest, divisor), rest);
  return b.select(b.lt(x, zero), under, over);
}

// `at` folded into [low, high] by reflection.
Register reflected(Builder& b, Register at, double low, double high) {
  const double range = high - low;
  if (range <= 0) return b.f64(low);
  Register phase = remainder(b, b.sub(at, b.f64(low)), 2 * range);
  phase = b.select(b.lt(phase, b.f64(0)), b.add(phase, b.f64(2 * range)), phase);
  return b.select(b.le(phase, b.f64(range)), b.add(b.f64(low), phase),
                  b.sub(b.f64(high), b.sub(phase, b.f64(range))));
}

Register cubic_weight(Builder& b, Register distance) {
  constexpr double kA = -0.75;
  const Register d = b.abs(distance);
  const auto times = [&](Register x, Register y) { return b.mul(x, y); };
  const auto plus = [&](Register x, double c) { return b.add(x, b.f64(c)); };
  const Register near = plus(times(times(plus(times(b.f64(kA + 2), d), -(kA + 3)), d), d), 1);
  const Register far =
      plus(times(plus(times(plus(times(b.f64(kA), d), -5 * kA), d), 8 * kA), d), -4 * kA);
  return b.select(b.le(d, b.f64(1)), near, b.select(b.lt(d, b.f64(2)), far, b.f64(0)));
}

// One axis of a sample.
struct Axis {
  Builder& b;
  int64_t extent;
  std::string mode, padding;
  bool aligns;

  double last() const { return static_cast<double>(extent - 1); }
  double low() const { return aligns ? 0 : -0.5; }
  double high() const { return aligns ? last() : last() + 0.5; }

  // The tap at the integer `i`, as the padding maps it.
  SampleTap tap(Register i, Register weight) const {
    const Register is_inside = b.bit_and(b.ge(i, b.f64(0)), b.le(i, b.f64(last())));
    Register mapped = b.f64(0), is_read = is_inside;
    if (padding != "zeros") {
      is_read = b.lt(b.abs(i), b.f64(kInfinity));
      const Register folded = padding == "reflection" ? reflected(b, i, low(), high()) : i;
      mapped = clamped(b, b.round_even(folded), 0, last());
    }
    const Register at = b.select(is_inside, i, b.select(is_read, mapped, b.f64(0)));
    is_read = b.bit_and(is_read, b.ne(weight, b.f64(0)));
    return {b.check_index(b.convert(at, DType::i64), extent), is_read, weight};
  }

  std::vector<SampleTap> taps(Register position) const {
    const auto length = static_cast<double>(extent);
    const Register from_edge = b.add(position, b.f64(1));
    Register at = aligns ? b.mul(b.div(from_edge, b.f64(2)), b.f64(length - 1))
                         : b.div(b.sub(b.mul(from_edge, b.f64(length)), b.f64(1)), b.f64(2));
    if (mode == "nearest") return {tap(b.round_even(at), b.f64(1))};
    const bool is_cubic = mode == "cubic" || mode == "bicubic";
    if (!is_cubic && padding == "reflection") at = reflected(b, at, low(), high());
    if (!is_cubic && padding != "zeros") at = clamped(b, at, 0, last());
    const Register base = b.floor(at);
    std::vector<SampleTap> result;
    const int reach = is_cubic ? 1 : 0;
    for (int k = -reach; k <= 1 + reach; ++k) {
      const Register i = b.add(base, b.f64(k));
      const Register distance = b.sub(at, i);
      const Register linear = b.sub(b.f64(1), b.abs(distance));
      const Register weight =
          is_cubic ? cubic_weight(b, distance) : b.select(b.gt(linear, b.f64(0)), linear, b.f64(0));
      result.push_back(tap(i, weight));
    }
    return result;
  }
};

// The sum over the product of the axes' taps, from axis `axis` on.
Register sum_from(GroupEmitter& e, ValueId x, const std::vector<std::vector<SampleTap>>& taps,
                  size_t axis, LaneIndex& at) {
  Builder& b = e.builder();
  if (axis == taps.size()) return b.convert(e.pull(x, at), DType::f64);
  Register sum = b.f64(0, at.lanes);
  for (const SampleTap& tap : taps[axis]) {
    at.dims[axis + 2] = tap.index;
    const Register term = b.mul(b.splat(tap.weight, at.lanes), sum_from(e, x, taps, axis + 1, at));
    sum = b.add(sum, b.select(b.splat(tap.is_read, at.lanes), term, b.f64(0, at.lanes)));
  }
  return sum;
}

Register emit_grid_sample(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const DType dtype = e.type(node.results[0]).dtype;
  if (num_elements(e.shape(node.operands[0])) == 0) {
    return e.builder().zero({carrier_of(dtype), at.lanes});
  }
  return by_lanes(e, at, carrier_of(dtype), [&](const LaneIndex& one) {
    std::vector<Index> place{one.dims[0]};
    place.insert(place.end(), one.dims.begin() + 2, one.dims.end());
    const auto taps = sample_taps(e, node, std::move(place));
    return from_f64(e.builder(), sum_of_taps(e, node, taps, one), dtype);
  });
}

OrRefusal<void> accepts_grid_sample(const Module&, const Graph& graph, const Node& node) {
  if (graph.type(node.operands[0]).rank() > 5) return refuse("it samples more than three axes");
  return {};
}

// ---- affine_grid

Register emit_affine_grid(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const DType dtype = e.type(node.results[0]).dtype;
  const std::vector<int64_t> y = e.shape(node.results[0]);
  const bool aligns = node.view().i64("align_corners") != 0;
  return by_lanes(e, at, carrier_of(dtype), [&](const LaneIndex& one) {
    const auto rank = static_cast<size_t>(y.back());
    const auto theta = [&](size_t k) {
      const LaneIndex from =
          LaneIndex::scalar({one.dims[0], one.dims.back(), Index(static_cast<int64_t>(k))});
      return b.convert(e.pull(node.operands[0], from), DType::f64);
    };
    Register sum = theta(rank);
    for (size_t k = 0; k < rank; ++k) {
      // Coordinates stand innermost axis first.
      const size_t axis = rank - k;
      const auto extent = static_cast<double>(y[axis]);
      const Register twice = b.mul(b.f64(2), b.convert(b.index_value(one.dims[axis]), DType::f64));
      Register centred = b.f64(0);
      if (!aligns) {
        centred = b.sub(b.div(b.add(twice, b.f64(1)), b.f64(extent)), b.f64(1));
      } else if (extent != 1) {
        centred = b.sub(b.div(twice, b.f64(extent - 1)), b.f64(1));
      }
      sum = b.add(sum, b.mul(theta(k), centred));
    }
    return from_f64(b, sum, dtype);
  });
}

}  // namespace

std::vector<std::vector<SampleTap>> sample_taps(GroupEmitter& e, const Node& node,
                                                std::vector<Index> place) {
  Builder& b = e.builder();
  const OpView op = node.view();
  const std::vector<int64_t> x = e.shape(node.operands[0]);
  const size_t rank = x.size() - 2;
  place.emplace_back(0);
  std::vector<std::vector<SampleTap>> taps;
  for (size_t axis = 0; axis < rank; ++axis) {
    // Coordinates stand innermost axis first.
    place.back() = Index(static_cast<int64_t>(rank - 1 - axis));
    const Register position =
        b.convert(e.pull(node.operands[1], LaneIndex::scalar(place)), DType::f64);
    const Axis line{b, x[axis + 2], op.string("mode"), op.string("padding_mode"),
                    op.i64("align_corners") != 0};
    taps.push_back(line.taps(position));
  }
  return taps;
}

Register sum_of_taps(GroupEmitter& e, const Node& node,
                     const std::vector<std::vector<SampleTap>>& taps, const LaneIndex& at) {
  LaneIndex from = at;
  return sum_from(e, node.operands[0], taps, 0, from);
}

void add_sampling_lowerings(LoweringTable& t) {
  row(t, Op::grid_sample) = {emit_grid_sample, nullptr, nullptr, accepts_grid_sample};
  row(t, Op::affine_grid) = {emit_affine_grid};
}

}  // namespace neuronc
