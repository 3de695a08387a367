// The verifier of plans; run by the planner's tests and by the runtime on every plan it loads.
//
// Rules (a plan that keeps them touches no memory but its own, reads nothing unwritten and ends):
//   Tables
//    1 inputs and outputs have distinct, non-empty names; a static tensor's size is that of its
//      dims and dtype; inputs are static or strings
//    2 kernel symbols are distinct and not empty; constants start on 64 bytes
//    3 lanes are cores 0, 1, ... and then at most one host lane; every lane has a block; teams are
//      of two or more core lanes, each in one team at most
//    4 a channel has a depth, one or more producers (all of one team) and consumers, ascending
//   References
//    5 every reference lies inside its space and uses it as it may be used: constants and inputs
//      are read, shared memory belongs to the lane's team, host slots to the host lane; what is
//      touched lies inside the reference; one that moves from trip to trip does so in a loop whose
//      trips are bounded, and stays inside in all of them
//    6 a kernel gets as many buffers as it takes, and tiles that it has
//    7 allocations start on 64 bytes, lie in the arena or shared memory, begin and end in one block,
//      and share bytes only if their steps or epochs do not meet; a reference lies inside one
//      allocation that is live
//   Data flow of one request
//    8 what is read has been written: in the arena and in shared memory since the allocation began,
//      in a channel by the producers before `send`, in host slots and outputs earlier; what another
//      lane of the team has written counts from the next barrier on; each output is written as a
//      whole. What one branch of an If or a loop that need not run writes does not count behind it,
//      and what a loop writes row by row counts in it only for references that move alike
//    9 between two barriers of a team no lane touches bytes that another lane of it writes, in
//      shared memory, outputs and slots not yet sent; who uses shared memory ends with a barrier
//   Order
//   10 each producer acquires, writes and sends its channels exactly once per request, every
//      consumer receives, reads and releases them exactly once, and slots are touched only between
//   11 barriers are of the lane's team, whose lanes have the same number of them
//   12 one request runs to its end: no lane waits for ever (a request can then only be held up by
//      an earlier one, so a stream of requests ends too)
//   13 host nodes are on the host lane; If and Loop name blocks of their own that come later in
//      the lane, nest at most 64 deep, and hold neither channel steps nor barriers nor host nodes
//      with slots as results; a loop has a most number of trips, a count or a condition
// All violations are collected, up to a limit, each with its lane and step.
#pragma once

#include <string>
#include <vector>

#include "ir/plan/plan.h"

namespace neuronc::plan {

// Messages like "lane 1 step 4 (`send 0`): ..."; empty for a sound plan.
std::vector<std::string> verify(const Plan& plan);

}  // namespace neuronc::plan
