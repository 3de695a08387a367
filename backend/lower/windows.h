// The loops over the taps of a sliding window, shared by pools and plain convolutions.
//
// In the interior of the input all taps of a window exist: no guards. Near the borders the loops
// run over exactly the taps that do. Lanes along spatial dims go together in the interior only.
#pragma once

#include <functional>

#include "backend/lower/emitter.h"
#include "ir/ops/window.h"

namespace neuronc {

// Where one window reads: for each spatial axis, the tap (offset inside the window) and the
// position in the input.
struct Tap {
  std::vector<kernel::Index> offset;
  std::vector<kernel::Index> position;
};

class WindowWalk {
 public:
  // `at` indexes the result [N, C, spatial...]; `input` are the input's spatial extents.
  WindowWalk(GroupEmitter& e, const Window& window, std::vector<int64_t> input,
             const LaneIndex& at);

  // Whether lanes along spatial dims might need different taps: then only the interior may be
  // walked with all lanes.
  bool lanes_differ() const { return lanes_differ_; }
  // Whether the window lies inside the input for every index, and the guards that say so.
  bool is_always_inside() const { return guards_.empty(); }
  const std::vector<kernel::GuardRange>& interior() const { return guards_; }

  using Body = std::function<kernel::Values(const Tap&, std::span<const Register>)>;
  // Folds `body` over the taps in row-major order. In the interior small windows are unrolled.
  kernel::Values fold_interior(const kernel::Values& initial, const Body& body) const;
  // Only over taps inside the input; not for lanes that differ.
  kernel::Values fold_border(const kernel::Values& initial, const Body& body) const;

  // How many taps of axis `axis` lie inside [-pads_begin, input + pads_end), or, without padding,
  // inside the input.
  kernel::Index num_taps(size_t axis, int64_t pads_begin, int64_t pads_end) const;

  // Steps of lanes in the input, per spatial axis.
  const std::vector<int64_t>& steps() const { return steps_; }

 private:
  kernel::Values fold(size_t axis, Tap& tap, const kernel::Values& carried, bool is_border,
                      const Body& body) const;

  GroupEmitter& e_;
  Window window_;
  std::vector<int64_t> input_;
  std::vector<kernel::Index> first_;  // position of tap 0, lane 0
  std::vector<int64_t> steps_;
  std::vector<kernel::GuardRange> guards_;
  bool lanes_differ_ = false;
};

// Computes one result: `all` where every lane's window lies inside, `border` otherwise, lane by
// lane where lanes differ.
Register choose_window(GroupEmitter& e, const WindowWalk& walk, const LaneIndex& at, DType carrier,
                       const std::function<Register()>& interior,
                       const std::function<Register()>& border,
                       const std::function<Register(const LaneIndex&)>& one_lane);

}  // namespace neuronc
