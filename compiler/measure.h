// Times kernels on this machine: what --tune decides by.
//
// Ways to compute one group run in turns on made-up operands, so that what else the machine does
// meets all of them. Constants are the real ones, in as many copies as a model has weights, so that
// they come from where they would come from in a request.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/lower/lowered.h"
#include "backend/machine.h"
#include "ir/base/expected.h"

namespace neuronc {

// Of one way: nanoseconds a run, one figure per round.
using Rounds = std::vector<double>;

struct MeasureOptions {
  int num_rounds = 7;
  int64_t weight_bytes = 0;  // of the whole model
  int num_threads = 0;       // that make the code
};

// Times `ways`, which need what this machine has. Refuses where no code can be made or run.
OrRefusal<std::vector<Rounds>> measure(std::span<const LoweredKernel> ways, const Machine& machine,
                                       const MeasureOptions& options);

// The way to take: the first, which is the predicted one, unless another is faster by more than
// measurements vary. `rounds` has the same number of rounds for each.
size_t choose_way(std::span<const Rounds> rounds);

double median(std::vector<double> values);

}  // namespace neuronc
