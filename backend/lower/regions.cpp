// Lowerings of roi_align and max_roi_pool. Where a region lies is data: coordinates are f64, as in
// the evaluator, so that both sample the same points; indices made of them are checked.
#include "backend/lower/regions.h"

#include <limits>

#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;
using kernel::Values;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Register f64_of(GroupEmitter& e, ValueId value, std::vector<Index> at) {
  return e.builder().convert(e.pull(value, LaneIndex::scalar(std::move(at))), DType::f64);
}

// lo, hi or x; NaN stays.
Register clamped(Builder& b, Register x, double lo, double hi) {
  const Register low = b.f64(lo), high = b.f64(hi);
  return b.select(b.lt(x, low), low, b.select(b.gt(x, high), high, x));
}

Register greater_of(Builder& b, Register best, Register x) {
  return b.select(b.lt(best, x), x, best);
}

// ---- roi_align

// Where a region's bins lie along one axis, and at how many points each is sampled.
struct Bins {
  Register begin, size;
  Index num_samples = 1;
};

Bins bins_of(Builder& b, const OpView& op, Register first, Register last, int64_t count) {
  const bool is_half_pixel = op.string("coordinate_transformation_mode") == "half_pixel";
  const Register scale = b.f64(op.f64("spatial_scale"));
  Register extent = b.mul(b.sub(last, first), scale);
  if (!is_half_pixel) extent = b.select(b.lt(extent, b.f64(1)), b.f64(1), extent);
  Bins bins{b.sub(b.mul(first, scale), b.f64(is_half_pixel ? 0.5 : 0)),
            b.div(extent, b.f64(static_cast<double>(count)))};
  constexpr int64_t kLimit = 1'000'000;
  bins.num_samples = std::max<int64_t>(op.i64("sampling_ratio"), 0);
  if (op.i64("sampling_ratio") > 0) return bins;
  const Register samples = b.ceil(bins.size);
  const Register is_usable =
      b.bit_and(b.ge(samples, b.f64(1)), b.lt(samples, b.f64(static_cast<double>(kLimit))));
  bins.num_samples =
      b.check_index(b.convert(b.select(is_usable, samples, b.f64(1)), DType::i64), kLimit);
  return bins;
}

Register point_of(Builder& b, const Bins& bins, Index bin, Index sample) {
  const auto number = [&](Index i) { return b.convert(b.index_value(i), DType::f64); };
  const Register within = b.div(b.add(number(sample), b.f64(0.5)), number(bins.num_samples));
  return b.add(bins.begin, b.mul(b.add(number(bin), within), bins.size));
}

// The two elements around a point along one axis, and their weights.
struct Pair {
  Index index[2];
  Register weight[2];
};

Pair pair_of(Builder& b, Register point, Register is_inside, int64_t extent) {
  const Register at =
      b.select(is_inside, clamped(b, point, 0, static_cast<double>(extent - 1)), b.f64(0));
  Pair pair;
  pair.index[0] = b.check_index(b.convert(at, DType::i64), extent);
  pair.index[1] = kernel::min(pair.index[0] + Index(1), extent - 1);
  pair.weight[1] = b.sub(at, b.convert(b.index_value(pair.index[0]), DType::f64));
  pair.weight[0] = b.sub(b.f64(1), pair.weight[1]);
  return pair;
}

Register is_near(Builder& b, Register point, int64_t extent) {
  return b.bit_and(b.ge(point, b.f64(-1)), b.le(point, b.f64(static_cast<double>(extent))));
}

// The operand's elements at a place, for the channels of `run`.
Register f64_of_run(GroupEmitter& e, const Node& node, Index batch, const LaneIndex& run, Index row,
                    Index column) {
  LaneIndex from = run;
  from.dims = {batch, run.dims[1], row, column};
  return e.builder().convert(e.pull(node.operands[0], from), DType::f64);
}

Values splats(Builder& b, std::span<const LaneIndex> runs, double x) {
  Values values;
  for (const LaneIndex& run : runs) values.push_back(b.f64(x, run.lanes));
  return values;
}

// The four neighbours of a point are added to the sums, or compared with the best, of every run.
Values sample(GroupEmitter& e, const Node& node, Index batch, std::span<const LaneIndex> runs,
              Register y, Register x, std::span<const Register> carried) {
  Builder& b = e.builder();
  const std::vector<int64_t> shape = e.shape(node.operands[0]);
  const bool is_max = node.view().string("mode") == "max";
  const Register is_inside = b.bit_and(is_near(b, y, shape[2]), is_near(b, x, shape[3]));
  const Pair rows = pair_of(b, y, is_inside, shape[2]);
  const Pair columns = pair_of(b, x, is_inside, shape[3]);
  Values values(carried.begin(), carried.end());
  for (int k = 0; k < 4; ++k) {
    const Register weight = b.mul(rows.weight[k / 2], columns.weight[k % 2]);
    for (size_t i = 0; i < runs.size(); ++i) {
      const int lanes = runs[i].lanes;
      const Register value =
          f64_of_run(e, node, batch, runs[i], rows.index[k / 2], columns.index[k % 2]);
      const Register term = b.select(b.splat(is_inside, lanes),
                                     b.mul(b.splat(weight, lanes), value), b.f64(0, lanes));
      values[i] = is_max ? greater_of(b, values[i], term) : b.add(values[i], term);
    }
  }
  return values;
}

RegionBin roi_align_bin(GroupEmitter& e, const Node& node, Index region, Index row, Index column) {
  Builder& b = e.builder();
  const DType dtype = e.type(node.results[0]).dtype;
  const std::vector<int64_t> x = e.shape(node.operands[0]), y = e.shape(node.results[0]);
  const auto corner = [&](int k) { return f64_of(e, node.operands[1], {region, Index(k)}); };
  const Index batch = b.check_index(e.pull(node.operands[2], LaneIndex::scalar({region})), x[0]);
  const Bins columns = bins_of(b, node.view(), corner(0), corner(2), y[3]);
  const Bins rows = bins_of(b, node.view(), corner(1), corner(3), y[2]);
  return [=, &e, &b, &node](std::span<const LaneIndex> runs) {
    const bool is_max = node.view().string("mode") == "max";
    Values values =
        e.loop({0, rows.num_samples, 1}, splats(b, runs, is_max ? -kInfinity : 0),
               [&](Index i, std::span<const Register> outer) {
                 return e.loop({0, columns.num_samples, 1}, Values(outer.begin(), outer.end()),
                               [&](Index j, std::span<const Register> carried) {
                                 return sample(e, node, batch, runs, point_of(b, rows, row, i),
                                               point_of(b, columns, column, j), carried);
                               });
               });
    const Register count = b.convert(
        b.mul(b.index_value(rows.num_samples), b.index_value(columns.num_samples)), DType::f64);
    for (size_t i = 0; i < runs.size(); ++i) {
      if (!is_max) values[i] = b.div(values[i], b.splat(count, runs[i].lanes));
      values[i] = from_f64(b, values[i], dtype);
    }
    return values;
  };
}

// ---- max_roi_pool

// To the nearest integer, halves away from zero.
Register rounded_away(Builder& b, Register x) {
  const Register whole = b.trunc(x);
  const Register one = b.select(b.lt(x, b.f64(0)), b.f64(-1), b.f64(1));
  return b.select(b.ge(b.abs(b.sub(x, whole)), b.f64(0.5)), b.add(whole, one), whole);
}

// The elements [begin, end) of an axis that a bin covers.
struct Cover {
  Index begin, end;
  Register is_empty;
};

Cover cover_of(Builder& b, Register first, Register last, Index bin, int64_t num_bins,
               int64_t extent) {
  const Register begin = rounded_away(b, first);
  const Register span = b.add(b.sub(rounded_away(b, last), begin), b.f64(1));
  const Register size =
      b.div(b.select(b.lt(span, b.f64(1)), b.f64(1), span), b.f64(static_cast<double>(num_bins)));
  const auto scaled = [&](Index i) { return b.mul(b.convert(b.index_value(i), DType::f64), size); };
  const auto end_of = [&](Register offset) {
    // NaN becomes 0.
    const Register at = clamped(b, b.add(begin, offset), 0, static_cast<double>(extent));
    return b.check_index(b.convert(at, DType::i64), extent + 1);
  };
  const Index from = end_of(b.floor(scaled(bin))), to = end_of(b.ceil(scaled(bin + Index(1))));
  return {from, to, b.ge(b.index_value(from), b.index_value(to))};
}

RegionBin max_roi_pool_bin(GroupEmitter& e, const Node& node, Index region, Index row,
                           Index column) {
  Builder& b = e.builder();
  const DType dtype = e.type(node.results[0]).dtype;
  const std::vector<int64_t> x = e.shape(node.operands[0]), y = e.shape(node.results[0]);
  const Register scale = b.f64(node.view().f64("spatial_scale"));
  const auto number = [&](int k) { return f64_of(e, node.operands[1], {region, Index(k)}); };
  const Register given = number(0);
  const Register is_batch =
      b.bit_and(b.ge(given, b.f64(0)), b.lt(given, b.f64(static_cast<double>(x[0]))));
  const Index batch =
      b.check_index(b.convert(b.select(is_batch, given, b.f64(-1)), DType::i64), x[0]);
  const Cover rows = cover_of(b, b.mul(number(2), scale), b.mul(number(4), scale), row, y[2], x[2]);
  const Cover columns =
      cover_of(b, b.mul(number(1), scale), b.mul(number(3), scale), column, y[3], x[3]);
  return [=, &e, &b, &node](std::span<const LaneIndex> runs) {
    Values best =
        e.loop({rows.begin, rows.end, 1}, splats(b, runs, -kInfinity),
               [&](Index i, std::span<const Register> outer) {
                 return e.loop({columns.begin, columns.end, 1}, Values(outer.begin(), outer.end()),
                               [&](Index j, std::span<const Register> carried) {
                                 Values values(carried.begin(), carried.end());
                                 for (size_t k = 0; k < runs.size(); ++k) {
                                   const Register value = f64_of_run(e, node, batch, runs[k], i, j);
                                   values[k] = greater_of(b, values[k], value);
                                 }
                                 return values;
                               });
               });
    const Register is_empty = b.bit_or(rows.is_empty, columns.is_empty);
    for (size_t k = 0; k < runs.size(); ++k) {
      const int lanes = runs[k].lanes;
      best[k] = from_f64(b, b.select(b.splat(is_empty, lanes), b.f64(0, lanes), best[k]), dtype);
    }
    return best;
  };
}

Register emit_region(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const DType carrier = carrier_of(e.type(node.results[0]).dtype);
  if (num_elements(e.shape(node.operands[0])) == 0) return e.builder().zero({carrier, at.lanes});
  return by_lanes(e, at, carrier, [&](const LaneIndex& one) {
    return region_bin(e, node, one.dims[0], one.dims[2], one.dims[3])(std::span(&one, 1))[0];
  });
}

}  // namespace

RegionBin region_bin(GroupEmitter& e, const Node& node, Index region, Index row, Index column) {
  const auto bin = node.op == Op::roi_align ? roi_align_bin : max_roi_pool_bin;
  return bin(e, node, std::move(region), std::move(row), std::move(column));
}

void add_region_lowerings(LoweringTable& t) {
  row(t, Op::roi_align) = {emit_region};
  row(t, Op::max_roi_pool) = {emit_region};
}

}  // namespace neuronc
