// unroll-loops: puts the trips of a `loop` or `scan` one behind another in its place, where their
// number is known and they are few.
//
//   %h = loop(%n, %true, %x, %w) {                 %1 = matmul(%x, %w)
//     %m = matmul(%s, %w) ...           =>         %2 = tanh(%1)
//     %t = tanh(%m) ... }                          %3 = matmul(%2, %w) ...       (%n = constant 100)
//
// Trips share their kernels, so only the plan grows; what they work on stays on the NeuronCore. The
// condition of a loop is followed trip by trip as far as it depends on constants and the number of
// the trip. Slices that a scan reads and stacks that it makes become views.
#pragma once

#include "passes/pass.h"

namespace neuronc {

struct UnrollLoopsOptions {
  int64_t max_operations = 2048;
  std::vector<PassOption> options() {
    return {{"max-operations", &max_operations, "that the trips of one loop may make"}};
  }
};

Expected<Changed> unroll_loops(Module& module, const UnrollLoopsOptions& options,
                               PassContext& context);

}  // namespace neuronc
