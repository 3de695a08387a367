// A lane's steps made ready to run: kernels are function pointers, buffer references are pointers.
//
// Pointers into memory that stays (arena, constants, shared) are resolved at load. Those
// that change from request to request (inputs, outputs, channel slots) are named by a list of
// patches that a request's beginning applies; running it then touches the plan no more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "ir/plan/kernel_abi.h"
#include "ir/plan/plan.h"
#include "runtime/status.h"

namespace neuronc::runtime {

// Gives a kernel's code by its symbol; nullptr if there is none.
using KernelResolver = std::function<plan::KernelFunction(std::string_view symbol)>;

// Base addresses of the memory that outlives requests.
struct StaticMemory {
  std::byte* arena = nullptr;   // of the lane
  std::byte* shared = nullptr;  // of the lane's team
  const std::byte* weights = nullptr;
};

enum class StepKind : uint8_t {
  run_kernel,
  acquire,
  send,
  recv,
  release,
  barrier,
  fill,
  copy,
  host_node,
  if_,
  loop,
};

struct ProgramStep {
  StepKind kind = StepKind::barrier;
  // Kernel, channel, team, host node (of LaneProgram::host_nodes) or block.
  uint32_t index = 0;
  uint32_t else_block = 0;    // 0: none
  uint32_t first_buffer = 0;  // of LaneProgram::buffers
  uint32_t num_buffers = 0;   // of a kernel
  plan::KernelFunction function = nullptr;
  int64_t begin = 0;        // tiles; or the pattern of a fill
  int64_t end = 0;          // tiles; or the pattern's size of a fill
  uint64_t size_bytes = 0;  // of a fill or copy
  // Of LaneProgram::dead_slots: what nothing reads behind this step.
  uint32_t first_dead_slot = 0;
  uint32_t num_dead_slots = 0;
  // Of a loop: its most trips are `end`, its iteration is `first_buffer`; kNone: it has none.
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t count_buffer = kNone;
  uint32_t condition_buffer = kNone;
  uint32_t first_moving = 0;  // of LaneProgram::moving
  uint32_t num_moving = 0;
};

// A buffer that moves from trip to trip of a loop.
struct MovingBuffer {
  uint32_t buffer = 0;
  int64_t stride_bytes = 0;
};

// buffers[buffer] is base(space, index) + offset_bytes.
struct Patch {
  uint32_t buffer = 0;
  plan::Space space = plan::Space::input;
  uint32_t index = 0;
  uint64_t offset_bytes = 0;
};

struct LaneProgram {
  std::vector<std::vector<ProgramStep>> blocks;
  std::vector<plan::KernelBuffer> buffers;
  std::vector<int64_t> sizes_bytes;                  // of the buffers, for checked runs
  std::vector<Patch> patches;                        // for each request
  std::vector<MovingBuffer> moving;                  // of each loop, in a row
  std::vector<const plan::RunHostNode*> host_nodes;  // in the plan, which outlives the program
  std::vector<uint32_t> dead_slots;
};

// Errors: NRT_INVALID for a kernel the code does not have.
Result<LaneProgram> make_program(const plan::Plan& plan, size_t lane, const StaticMemory& memory,
                                 const KernelResolver& resolver);

// Writes `size_bytes` of the repeated pattern.
void fill_bytes(void* target, uint64_t size_bytes, uint64_t pattern, uint32_t pattern_bytes);

}  // namespace neuronc::runtime
