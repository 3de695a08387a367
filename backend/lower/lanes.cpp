// Implements lanes.h.
#include "backend/lower/lanes.h"

#include <algorithm>

namespace neuronc {

using kernel::Builder;
using kernel::GuardRange;
using kernel::Index;
using kernel::Interval;

bool is_carried_float(Register value) {
  return value.type.dtype == DType::f32 || value.type.dtype == DType::f64;
}

Register by_lanes(GroupEmitter& e, const LaneIndex& at, DType carrier,
                  const std::function<Register(const LaneIndex&)>& element) {
  if (at.is_scalar()) return element(at);
  Builder& b = e.builder();
  Register result = b.zero({carrier, at.lanes});
  for (int lane = 0; lane < at.active; ++lane) {
    result = b.insert(result, element(at.lane(lane)), lane);
  }
  return result;
}

int64_t lane_reach(const LaneIndex& at, size_t dim) {
  return at.is_scalar() ? 0 : at.steps[dim] * (at.active - 1);
}

bool is_within(const Index& first, int64_t reach, int64_t extent) {
  const Interval range = first.interval();
  return range.lo + std::min<int64_t>(reach, 0) >= 0 &&
         range.hi + std::max<int64_t>(reach, 0) < extent;
}

GuardRange guard_between(const Index& first, int64_t reach, int64_t lo, int64_t hi) {
  return {first, lo - std::min<int64_t>(reach, 0), hi - std::max<int64_t>(reach, 0)};
}

Register lane_positions(GroupEmitter& e, const Index& first, int64_t step, int lanes, DType dtype) {
  Builder& b = e.builder();
  const Register base = b.convert(b.index_value(first), dtype);
  if (lanes == 1) return base;
  std::vector<int64_t> offsets;
  for (int64_t lane = 0; lane < lanes; ++lane) offsets.push_back(lane * step);
  return b.add(b.splat(base, lanes), b.constant_lanes({dtype, lanes}, offsets));
}

Register active_lanes(Builder& b, int lanes, int active) {
  std::vector<int64_t> bits;
  for (int lane = 0; lane < lanes; ++lane) bits.push_back(lane < active ? 1 : 0);
  return b.constant_lanes({DType::boolean, lanes}, bits);
}

Register from_f64(Builder& b, Register value, DType declared) {
  return b.convert(b.convert(value, declared), carrier_of(declared));
}

size_t resolve_axis(int64_t axis, size_t rank) {
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis);
}

LaneIndex origin(size_t rank) { return LaneIndex::scalar(std::vector<Index>(rank, Index(0))); }

int contiguous_dim(GroupEmitter& e, ValueId value) {
  const std::vector<int64_t> extents = e.shape(value);
  // Elementwise producers read their operands in the order in which they are asked.
  for (NodeId node = e.producer(value); node; node = e.producer(value)) {
    const Node& producer = e.body().node(node);
    const auto same =
        std::find_if(producer.operands.begin(), producer.operands.end(),
                     [&](ValueId operand) { return operand && e.shape(operand) == extents; });
    if (!producer.has(Trait::elementwise) || same == producer.operands.end()) break;
    value = *same;
  }
  std::vector<int64_t> strides = row_major_strides(extents);
  if (const auto memory = e.memory_of(value)) strides = memory->strides;
  for (size_t d = extents.size(); d-- > 0;) {
    if (extents[d] > 1 && strides[d] == 1) return static_cast<int>(d);
  }
  return -1;
}

}  // namespace neuronc
