// What element lowerings share about lanes: taking them apart, guarding them.
#pragma once

#include <functional>

#include "backend/lower/emitter.h"

namespace neuronc {

bool is_carried_float(Register value);

// The scalar `element` of every active lane, put together; inactive lanes are 0.
Register by_lanes(GroupEmitter& e, const LaneIndex& at, DType carrier,
                  const std::function<Register(const LaneIndex&)>& element);

// How far the last active lane stands behind the first along `dim`; may be negative.
int64_t lane_reach(const LaneIndex& at, size_t dim);

// Whether first and first + reach both lie in [0, extent), shown by loop bounds alone.
bool is_within(const kernel::Index& first, int64_t reach, int64_t extent);

// The guard that first and first + reach lie in [lo, hi).
kernel::GuardRange guard_between(const kernel::Index& first, int64_t reach, int64_t lo, int64_t hi);

// Lane l is `first + l * step`, in `dtype`.
Register lane_positions(GroupEmitter& e, const kernel::Index& first, int64_t step, int lanes,
                        DType dtype = DType::i64);

// True for lanes below `active`.
Register active_lanes(kernel::Builder& b, int lanes, int active);

// An f64 rounded once to what `declared` holds, as it is carried.
Register from_f64(kernel::Builder& b, Register value, DType declared);

// `axis` counted from the front.
size_t resolve_axis(int64_t axis, size_t rank);

// All zeros: the index of the one element of a scalar operand of any rank.
LaneIndex origin(size_t rank);

// The dim along which consecutive elements of `value` are consecutive in memory: of the operand it
// is computed from where the body computes it elementwise. -1: none of the dims larger than 1.
int contiguous_dim(GroupEmitter& e, ValueId value);

}  // namespace neuronc
