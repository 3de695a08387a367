// The verifier of kernel IR. A kernel that passes runs without undefined behaviour on buffers of
// the declared sizes. It collects all errors, each with the operation as printed. Rules:
//   K1  every id names an existing entity; every operation stands in exactly one block
//   K2  operands are defined earlier in the same or an enclosing block (dominance by construction)
//   K3  a block with results or carried values ends with a yield of their types; yield is last
//   K4  operand and result types are those stated at the operation's code (kernel.h)
//   K5  lanes are 1..64; reductions take a power of two
//   K6  index expressions use only loop variables and checked values in scope, and stay within
//       +-2^62
//   K7  every load and store lies inside its buffer, lanes included, for every value of the loop
//       variables that the enclosing guards admit; a partial access proves first + active <= extent
//       and 0 <= active <= lanes
//   K8  lanes run along a dim of stride 1
//   K9  reads are not from write buffers, writes not to read buffers
//   K10 parameters have strides >= 0 and spans below 2^47; locals are dense, all together at most
//       kMaxLocalBytes; extents >= 0
//   K11 steps are positive, unroll factors 0..64, full unrolling needs constant bounds of at most
//       1024 iterations
#pragma once

#include <string>
#include <vector>

#include "ir/kernel/kernel.h"

namespace neuronc::kernel {

// Empty when the kernel is valid. At most `max_errors` are collected.
std::vector<std::string> verify(const Kernel& kernel, size_t max_errors = 20);

}  // namespace neuronc::kernel
