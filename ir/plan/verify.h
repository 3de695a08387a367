// The verifier of plans; run by the planner's tests and by the runtime on every plan it loads.
//
// Rules (a plan that keeps them touches no memory but its own, reads nothing unwritten and ends):
//   Tables
//    1 inputs and outputs have distinct, non-empty names; a static tensor's size is that of its
//      dims and dtype; inputs are static or strings; no output is bound to an input yet
//    2 kernel symbols are distinct and not empty; constants start on 64 bytes
//    3 lanes are cores 0, 1, ... and then at most one host lane; every lane has a block
//    4 a channel has a depth, a producer and one or more consumers, ascending
//   References
//    5 every reference lies inside its space and uses it as it may be used: constants and inputs
//      are read, `expanded` is written by init only, host slots belong to the host lane
//    6 a kernel gets as many buffers as it takes, and tiles that it has
//    7 allocations start on 64 bytes, lie in the arena, and share bytes only if their steps do not
//      meet; an arena reference lies inside one allocation that is live at its step
//   Data flow of one request
//    8 what is read has been written: in the arena since the allocation began (persistent ones by
//      init), in a channel by the producer before `send` (or by init), in host slots, `shared` and
//      outputs earlier; each output is written as a whole
//    9 shared memory written between two barriers is not touched there by another lane, and a lane
//      that uses it ends with a barrier
//   Order
//   10 a producer acquires, writes and sends each of its channels exactly once per request, every
//      consumer receives, reads and releases it exactly once, and slots are touched only between
//   11 all core lanes have the same number of barriers; the host lane has none
//   12 one request runs to its end: no lane waits for ever (a request can then only be held up by
//      an earlier one, so a stream of requests ends too)
//   13 host nodes are on the host lane; If and Loop name blocks of their own that come later in
//      the lane, and hold neither channel steps nor barriers nor host nodes with slots as results
//   14 init runs kernels, fills and copies on constants, `expanded`, persistent allocations and
//      (fills only) channels
// All violations are collected, up to a limit, each with its lane and step.
#pragma once

#include <string>
#include <vector>

#include "ir/plan/plan.h"

namespace neuronc::plan {

// Messages like "lane 1 step 4 (`send 0`): ..."; empty for a sound plan.
std::vector<std::string> verify(const Plan& plan);

}  // namespace neuronc::plan
