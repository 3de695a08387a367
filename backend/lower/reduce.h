// Reductions over axes, element by element of the result: the loops that reductions, global pools
// and searches share.
//
// The order of every sum is fixed by shapes and memory order alone. Where the reduced dim is the
// contiguous one, lanes run along it: four vector accumulators, folded pairwise at the end. Else
// lanes run along a kept dim. Each run along the innermost reduced dim is summed on its own and
// then added, so that long sums are sums of short ones.
#pragma once

#include <functional>
#include <vector>

#include "backend/lower/emitter.h"

namespace neuronc {

enum class ReduceKind : uint8_t { sum, mean, prod, max, min, sum_of_squares, sum_of_absolutes };

struct ReduceProblem {
  ValueId operand;
  std::vector<size_t> axes;      // reduced dims of the operand, ascending
  std::vector<int> result_dims;  // per operand dim: the result dim it is kept as, -1: reduced
};

// The least and the greatest value of a type: minus and plus infinity for floats.
Register lowest_value(kernel::Builder& b, kernel::ValueType type);
Register highest_value(kernel::Builder& b, kernel::ValueType type);

// Two partial results combined.
Register combine(kernel::Builder& b, ReduceKind kind, Register a, Register c);
// What a reduction of nothing gives.
Register neutral(kernel::Builder& b, ReduceKind kind, kernel::ValueType type);
// All lanes combined, the lower half with the upper; a power of two lanes.
Register combine_lanes(kernel::Builder& b, ReduceKind kind, Register value);

// The reduction at result index `at`, rounded to what `dtype` holds.
Register reduce_element(GroupEmitter& e, const ReduceProblem& problem, ReduceKind kind, DType dtype,
                        const LaneIndex& at);

}  // namespace neuronc
