// Private to the interpreter: lane-wise functions on dense registers, one per operation and type,
// chosen when the tape is made. A register holds its lanes as memory would; bool is a byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ir/kernel/kernel.h"

namespace neuronc::kernel::interpreter {

// What a lane function needs; offsets are in bytes from the start of the register file.
struct LaneStep {
  uint32_t result = 0;
  uint32_t operands[3] = {};
  int32_t lanes = 0;          // of the result
  int32_t operand_lanes = 0;  // of the first operand
  int32_t select_lanes = 0;   // of the condition of a select
  const int64_t* immediates = nullptr;
  size_t num_immediates = 0;
};

using LaneFunction = void (*)(const LaneStep& step, std::byte* registers);

// The function for an operation without memory, indices or control.
LaneFunction lane_function(OpCode code, DType operand, DType second_operand, DType result);
LaneFunction convert_function(DType from, DType to);
LaneFunction dot_function(DType a);
LaneFunction matrix_dot_function(DType a);
void zero_lanes(const LaneStep& step, std::byte* registers);

}  // namespace neuronc::kernel::interpreter
