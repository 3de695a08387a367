// Runs a module through the evaluator and, compiled in several ways, through the runtime.
#pragma once

#include <cstdint>
#include <string>

#include "ir/graph.h"

namespace neuronc::testing {

// What is wrong, for people; empty where everything agrees:
//   - without casts, each way of compiling and the evaluator, within what FP32 arithmetic and the
//     module's own sensitivity allow; integers exactly
//   - 1 and 4 cores, bit for bit
std::string judge(const Module& module, uint64_t seed);

}  // namespace neuronc::testing
