// The text form of a plan, as `neuronc inspect` shows it and tests write it; parse(print(p)) == p.
//
//   plan "tiny" {
//     input 0 "x" f32[4] bytes 16
//     output 0 "y" f32[4] bytes 16
//     constant 0 "w" bytes 64 offset 0 hash 00000000000000000000000000000000
//     kernel 0 @scale buffers 2 tiles 4
//     channel 0 "x/y" bytes 64 depth 2 lane 0 -> 1
//     team 0 lanes 2 from 0 shared 64 {
//       alloc "s" 0:64 epochs 0..1
//     }
//     host_slots 0
//     lane 0 core 0 arena 64 {
//       alloc "t" 0:64 steps 0..1
//       block 0 {
//         run @scale tiles 0..4 (r input0+0:16, w arena+0:16)
//         acquire 0
//         copy (r arena+0:16, w channel0+0:16)
//         send 0
//       }
//     }
//   }
//
// A reference that touches only a part says where, from its pointer on: `w shared0+0:64 at 0:8` or,
// for 4 ranges of 8 bytes every 16, `at 0:8*4/16`.
//
// One that moves from trip to trip of its loop says how far: `r input0+0:16 step 16`.
//
// Further steps: `recv 0`, `release 0`, `barrier 0`, `if (r arena+0:1) 1 else 2`,
// `loop most 9 count (r arena+0:8) while (r arena+64:1) trip (w arena+8:8) 1` with at least one of the
// bounds, `host 3 (r slot0, r arena+0:16 f32[4]) -> (w slot1)`.
// Numbers in front are the entity's index and must count up. `#` starts a comment.
#pragma once

#include <string>
#include <string_view>

#include "ir/base/expected.h"
#include "ir/plan/plan.h"

namespace neuronc::plan {

std::string to_text(const Plan& plan);

// One line, as in the text form; the plan gives the kernels' names.
std::string to_text(const Plan& plan, const Step& step);
std::string to_text(const BufferRef& ref);

// Errors name the line: "line 7: expected `:`".
OrRefusal<Plan> parse_plan(std::string_view text);

}  // namespace neuronc::plan
