// Implements windows.h.
#include "backend/lower/windows.h"

#include "backend/lower/lanes.h"

namespace neuronc {

using kernel::Index;
using kernel::Values;

namespace {
// Larger windows stay loops.
constexpr int64_t kMaxUnrolledTaps = 16;
}  // namespace

WindowWalk::WindowWalk(GroupEmitter& e, const Window& window, std::vector<int64_t> input,
                       const LaneIndex& at)
    : e_(e), window_(window), input_(std::move(input)) {
  for (size_t axis = 0; axis < window_.rank(); ++axis) {
    first_.push_back(at.dims[axis + 2] * Index(window_.strides[axis]) -
                     Index(window_.pads_begin[axis]));
    steps_.push_back(at.steps[axis + 2] * window_.strides[axis]);
    const int64_t span = (window_.kernel[axis] - 1) * window_.dilations[axis];
    const int64_t reach = steps_[axis] * (at.active - 1);
    if (is_within(first_[axis], span + reach, input_[axis])) continue;
    guards_.push_back(guard_between(first_[axis], span + reach, 0, input_[axis]));
    lanes_differ_ |= at.varies(axis + 2);
  }
}

Values WindowWalk::fold(size_t axis, Tap& tap, const Values& carried, bool is_border,
                        const Body& body) const {
  if (axis == window_.rank()) return body(tap, carried);
  const int64_t extent = window_.kernel[axis], dilation = window_.dilations[axis];
  const bool needs_bounds =
      is_border && !is_within(first_[axis], (extent - 1) * dilation, input_[axis]);
  const auto visit = [&](Index offset, Index position, const Values& values) {
    tap.offset[axis] = offset;
    tap.position[axis] = position;
    return fold(axis + 1, tap, values, is_border, body);
  };
  const auto as_values = [](std::span<const Register> values) {
    return Values(values.begin(), values.end());
  };
  if (!needs_bounds) {
    int64_t taps = 1;
    for (int64_t k : window_.kernel) taps *= k;
    if (!is_border && taps <= kMaxUnrolledTaps) {
      Values values = carried;
      for (int64_t k = 0; k < extent; ++k) {
        values = visit(Index(k), first_[axis] + Index(k * dilation), values);
      }
      return values;
    }
    return e_.loop({0, extent, 1}, carried, [&](Index k, std::span<const Register> values) {
      return visit(k, first_[axis] + k * Index(dilation), as_values(values));
    });
  }
  if (dilation == 1) {
    // The loop runs over positions, so that its bounds are what keeps them inside.
    const kernel::Range range{kernel::max(first_[axis], 0),
                              kernel::min(first_[axis] + Index(extent), input_[axis]), 1};
    return e_.loop(range, carried, [&](Index at, std::span<const Register> values) {
      return visit(at - first_[axis], at, as_values(values));
    });
  }
  return e_.loop({0, extent, 1}, carried, [&](Index k, std::span<const Register> values) {
    const Index position = first_[axis] + k * Index(dilation);
    return e_.choose(
        {{position, 0, input_[axis]}}, [&] { return visit(k, position, as_values(values)); },
        [&] { return as_values(values); });
  });
}

Values WindowWalk::fold_interior(const Values& initial, const Body& body) const {
  Tap tap{std::vector<Index>(window_.rank()), std::vector<Index>(window_.rank())};
  return fold(0, tap, initial, false, body);
}

Values WindowWalk::fold_border(const Values& initial, const Body& body) const {
  Tap tap{std::vector<Index>(window_.rank()), std::vector<Index>(window_.rank())};
  return fold(0, tap, initial, true, body);
}

Index WindowWalk::num_taps(size_t axis, int64_t pads_begin, int64_t pads_end) const {
  const int64_t dilation = window_.dilations[axis];
  const Index first = first_[axis];
  // Taps k with -pads_begin <= first + k * dilation < input + pads_end.
  const Index lower = kernel::max(kernel::ceil_div(Index(-pads_begin) - first, dilation), 0);
  const Index upper = kernel::min(
      kernel::ceil_div(Index(input_[axis] + pads_end) - first, dilation), window_.kernel[axis]);
  return kernel::max(upper - lower, 0);
}

Register choose_window(GroupEmitter& e, const WindowWalk& walk, const LaneIndex& at, DType carrier,
                       const std::function<Register()>& interior,
                       const std::function<Register()>& border,
                       const std::function<Register(const LaneIndex&)>& one_lane) {
  if (walk.is_always_inside()) return interior();
  const auto elsewhere = [&]() -> Values {
    if (!walk.lanes_differ()) return {border()};
    return {by_lanes(e, at, carrier, one_lane)};
  };
  for (const kernel::GuardRange& guard : walk.interior()) {
    if (guard.lo >= guard.hi) return elsewhere()[0];  // the window is larger than the input
  }
  return e.choose(walk.interior(), [&] { return Values{interior()}; }, elsewhere)[0];
}

}  // namespace neuronc
