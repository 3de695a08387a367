// On how many cores of a team each kernel of a chain runs: the exact optimum, by dynamic programming.
// Knows times and tiles; nothing of graphs.
//
// A kernel of time t and n tiles takes, shared by w cores,
//   launch + (t - launch) * ceil(n / w) / n
// and a barrier stands before it unless it and the kernel before it both run on the first core alone. So
// a run of kernels too small to share stays on one core, without barriers, where that is faster.
#pragma once

#include <cstdint>
#include <vector>

namespace neuronc {

struct TensorUnit {
  double time_ns = 0;     // on one core
  int64_t num_tiles = 1;  // that cores may share
};

struct TensorProblem {
  std::vector<TensorUnit> units;  // in execution order
  int64_t num_cores = 1;
  double launch_ns = 0;
  double barrier_ns = 0;
};

struct TensorSplit {
  std::vector<bool> is_shared;   // by unit: by all cores, otherwise the first one's alone
  std::vector<double> times_ns;  // of each unit, its barrier included
  double time_ns = 0;            // of them all
  double barriers_ns = 0;        // of that: meeting
};

// The time of a unit that `num_cores` share.
double shared_time_ns(const TensorUnit& unit, int64_t num_cores, double launch_ns);

TensorSplit best_tensor_split(const TensorProblem& problem);

// The time of the units shared as `is_shared` says: what the split makes least.
double tensor_time_ns(const TensorProblem& problem, const std::vector<bool>& is_shared);

}  // namespace neuronc
