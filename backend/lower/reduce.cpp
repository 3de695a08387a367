// Implements reduce.h.
#include "backend/lower/reduce.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "backend/lower/lanes.h"

namespace neuronc {

using kernel::Builder;
using kernel::Index;
using kernel::Values;

namespace {

constexpr int kAccumulators = 4;
constexpr int64_t kChunk = 4096;  // elements summed before their sum is added to the rest

int64_t extreme_bits(DType dtype, bool is_lowest) {
  const int bits = dtype == DType::boolean ? 1 : integer_bits(dtype);
  if (!is_signed_integer(dtype)) {
    if (is_lowest) return 0;
    return bits == 64 ? -1 : (int64_t{1} << bits) - 1;
  }
  const auto least = static_cast<int64_t>(~uint64_t{0} << (bits - 1));
  return is_lowest ? least : ~least;
}

}  // namespace

Register lowest_value(Builder& b, kernel::ValueType type) {
  if (type.dtype == DType::f32 || type.dtype == DType::f64) {
    return b.constant(type, -std::numeric_limits<double>::infinity());
  }
  return b.constant_bits(type, extreme_bits(type.dtype, true));
}

Register highest_value(Builder& b, kernel::ValueType type) {
  if (type.dtype == DType::f32 || type.dtype == DType::f64) {
    return b.constant(type, std::numeric_limits<double>::infinity());
  }
  return b.constant_bits(type, extreme_bits(type.dtype, false));
}

namespace {

// The one-instruction forms keep their second operand when either is NaN: `best` stays NaN, and a
// NaN in `x` is put in by hand.
Register extreme(Builder& b, ReduceKind kind, Register best, Register x) {
  const bool is_max = kind == ReduceKind::max;
  if (!is_carried_float(x)) return is_max ? b.max(best, x) : b.min(best, x);
  return b.select(b.ne(x, x), x, is_max ? b.max_num(x, best) : b.min_num(x, best));
}

}  // namespace

Register combine(Builder& b, ReduceKind kind, Register a, Register c) {
  switch (kind) {
    case ReduceKind::prod:
      return a.type.dtype == DType::boolean ? b.bit_and(a, c) : b.mul(a, c);
    case ReduceKind::max:
    case ReduceKind::min:
      return extreme(b, kind, a, c);
    default:
      return a.type.dtype == DType::boolean ? b.bit_or(a, c) : b.add(a, c);
  }
}

Register neutral(Builder& b, ReduceKind kind, kernel::ValueType type) {
  switch (kind) {
    case ReduceKind::prod:
      return type.dtype == DType::boolean ? b.boolean(true, type.lanes) : b.constant(type, 1);
    case ReduceKind::max:
      return lowest_value(b, type);
    case ReduceKind::min:
      return highest_value(b, type);
    default:
      return b.zero(type);
  }
}

Register combine_lanes(Builder& b, ReduceKind kind, Register value) {
  while (value.type.lanes > 1) {
    const int half = value.type.lanes / 2;
    value = combine(b, kind, b.slice(value, 0, half), b.slice(value, half, half));
  }
  return value;
}

namespace {

class Reducer {
 public:
  Reducer(GroupEmitter& e, const ReduceProblem& problem, ReduceKind kind, DType carrier,
          const LaneIndex& at)
      : e_(e), b_(e.builder()), p_(problem), kind_(kind), extents_(e.shape(problem.operand)) {
    const size_t rank = extents_.size();
    from_ = at.with_dims(std::vector<Index>(rank, Index(0)), std::vector<int64_t>(rank, 0));
    for (size_t d = 0; d < rank; ++d) {
      const int kept = p_.result_dims[d];
      if (kept < 0) continue;
      from_.dims[d] = at.dims[static_cast<size_t>(kept)];
      from_.steps[d] = at.steps[static_cast<size_t>(kept)];
    }
    for (size_t axis : p_.axes) {
      if (extents_[axis] != 1) loops_.push_back(axis);
    }
    type_ = {accumulator_of(carrier), at.lanes};
  }

  // Lanes, if any, run along kept dims.
  Register run() {
    order_loops(-1);
    return outer(0);
  }

  // Lanes run along reduced dim `axis`; `at` was a scalar.
  Register run_along(size_t axis, int lanes) {
    order_loops(static_cast<int>(axis));
    vector_lanes_ = lanes;
    return outer(0);
  }

 private:
  static DType accumulator_of(DType carrier) { return carrier; }

  // The contiguous dim comes last; the others keep their order.
  void order_loops(int last) {
    const auto it = std::find(loops_.begin(), loops_.end(), static_cast<size_t>(last));
    if (last >= 0 && it != loops_.end()) std::rotate(it, it + 1, loops_.end());
  }

  Register prepare(Register x) {
    if (kind_ == ReduceKind::sum_of_squares) return b_.mul(x, x);
    if (kind_ == ReduceKind::sum_of_absolutes) return b_.abs(x);
    return x;
  }

  Register outer(size_t depth) {
    if (loops_.empty()) return combine(b_, kind_, neutral(b_, kind_, type_), element());
    if (depth + 1 == loops_.size()) return chunks(loops_[depth]);
    const Values initial{neutral(b_, kind_, type_)};
    return e_.loop({0, extents_[loops_[depth]], 1}, initial,
                   [&](Index i, std::span<const Register> sum) {
                     from_.dims[loops_[depth]] = i;
                     return Values{combine(b_, kind_, sum[0], outer(depth + 1))};
                   })[0];
  }

  // The innermost reduced dim, in chunks if it is long.
  Register chunks(size_t axis) {
    const int64_t extent = extents_[axis];
    if (extent <= kChunk + kChunk / 2) return inner(axis, Index(0), extent);
    const int64_t whole = extent / kChunk * kChunk;
    Register sum =
        e_.loop({0, whole, kChunk}, Values{neutral(b_, kind_, type_)},
                [&](Index begin, std::span<const Register> carried) {
                  return Values{combine(b_, kind_, carried[0], inner(axis, begin, kChunk))};
                })[0];
    if (whole < extent) sum = combine(b_, kind_, sum, inner(axis, Index(whole), extent - whole));
    return sum;
  }

  Register element() { return prepare(e_.pull(p_.operand, from_)); }

  Register inner(size_t axis, Index begin, int64_t count) {
    const int lanes = vector_lanes_;
    const kernel::ValueType type{type_.dtype, lanes > 1 ? lanes : type_.lanes};
    const auto at = [&](Index i, int active) {
      from_.dims[axis] = begin + i;
      if (lanes == 1) return element();
      LaneIndex run = LaneIndex::along(from_.dims, axis, lanes, active);
      Register x = prepare(e_.pull(p_.operand, run));
      if (active == lanes) return x;
      return b_.select(active_lanes(b_, lanes, active), x, neutral(b_, kind_, type));
    };
    Values sums;
    const int64_t stride = int64_t{lanes} * kAccumulators;
    const int64_t unrolled = count / stride * stride;
    const int used = unrolled > 0 ? kAccumulators : 1;
    for (int k = 0; k < used; ++k) sums.push_back(neutral(b_, kind_, type));
    if (unrolled > 0) {
      sums = e_.loop({0, unrolled, stride}, sums, [&](Index i, std::span<const Register> carried) {
        Values next;
        for (int k = 0; k < kAccumulators; ++k) {
          next.push_back(
              combine(b_, kind_, carried[static_cast<size_t>(k)], at(i + Index(k * lanes), lanes)));
        }
        return next;
      });
    }
    int64_t done = unrolled;
    for (size_t k = 0; done + lanes <= count; done += lanes, ++k) {
      Register& sum = sums[k % sums.size()];
      sum = combine(b_, kind_, sum, at(Index(done), lanes));
    }
    if (done < count) {
      sums.back() =
          combine(b_, kind_, sums.back(), at(Index(done), static_cast<int>(count - done)));
    }
    while (sums.size() > 1) {
      Values halves;
      for (size_t k = 0; k + 1 < sums.size(); k += 2) {
        halves.push_back(combine(b_, kind_, sums[k], sums[k + 1]));
      }
      sums = std::move(halves);
    }
    return lanes > 1 ? combine_lanes(b_, kind_, sums[0]) : sums[0];
  }

  GroupEmitter& e_;
  Builder& b_;
  const ReduceProblem& p_;
  ReduceKind kind_;
  std::vector<int64_t> extents_;
  LaneIndex from_;
  std::vector<size_t> loops_;
  kernel::ValueType type_;
  int vector_lanes_ = 1;
};

}  // namespace

Register reduce_element(GroupEmitter& e, const ReduceProblem& problem, ReduceKind kind, DType dtype,
                        const LaneIndex& at) {
  Builder& b = e.builder();
  const DType carrier = carrier_of(e.type(problem.operand).dtype);
  const std::vector<int64_t> extents = e.shape(problem.operand);
  const int contiguous = contiguous_dim(e, problem.operand);
  const int lanes = e.vector_lanes(carrier);
  const bool runs_along = contiguous >= 0 &&
                          problem.result_dims[static_cast<size_t>(contiguous)] < 0 && lanes > 1 &&
                          std::has_single_bit(static_cast<unsigned>(lanes)) &&
                          extents[static_cast<size_t>(contiguous)] >= lanes;
  Register result;
  if (runs_along) {
    result = by_lanes(e, at, carrier, [&](const LaneIndex& one) {
      return Reducer(e, problem, kind, carrier, one)
          .run_along(static_cast<size_t>(contiguous), lanes);
    });
  } else {
    result = Reducer(e, problem, kind, carrier, at).run();
  }
  if (kind == ReduceKind::mean) {
    int64_t count = 1;
    for (size_t axis : problem.axes) count *= extents[axis];
    result = b.div(result, b.constant(result.type, static_cast<double>(count)));
  }
  return e.rounded(result, dtype);
}

}  // namespace neuronc
