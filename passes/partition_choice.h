// Which split of a module over cores is predicted best: stages of teams. Private to passes/.
//
// P stages of T cores each, N = P x T: T = 1 is a pipeline, P = 1 a team that shares every kernel's tiles.
// Kernels are first split over the team (tensor_split.h), then the chain into stages (pipeline_split.h),
// whose costs take the team's rates and memory. Both are optimal; together they are so for P = 1 and T = 1.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ir/hardware_model.h"
#include "ir/target.h"
#include "passes/partition_problem.h"
#include "passes/tensor_split.h"

namespace neuronc {

enum class Objective : uint8_t { latency, throughput };

// One way to use `stages` x `team` cores.
struct Choice {
  int64_t stages = 1;
  int64_t team = 1;
  double latency_ns = 0;                 // of one request alone
  double period_ns = 0;                  // between requests
  double balance = 1;                    // the mean stage's time over the slowest's
  double moved_bytes = 0;                // between stages, a request
  double streamed_bytes = 0;             // of the weights: read from memory, a request
  double hand_over_ns = 0;               // of the latency: to the first core and back
  double barriers_ns = 0;                // of the latency
  bool has_single_kernel_stage = false;  // the slowest stage is one kernel

  int64_t num_cores() const { return stages * team; }
  double time_ns(Objective objective) const {
    return objective == Objective::latency ? latency_ns : period_ns;
  }
  std::string strategy() const;  // "pipeline", "tensor", "2 stages of 4"
};

// Of the latency: the request goes to the cores, where each stage but the first has waited for long, and the
// last one's result back to who has too. What the hand-over between stages costs anyway is not in it.
double hand_over_ns(const HardwareModel& hardware, int64_t stages, int64_t team);

class Chooser {
 public:
  Chooser(const PartitionProblem& problem, const HardwareModel& hardware)
      : problem_(problem), hardware_(hardware) {}

  // All choices for 1 to `max_cores` cores, fewest cores first; of very large graphs those of powers
  // of two.
  std::vector<Choice> choices(int64_t max_cores) const;
  Choice predict(int64_t stages, int64_t team) const;

  // The kernels of a team of `team` cores; and the chain with their times, rates and memory.
  TensorSplit split_over_team(int64_t team) const;
  SplitProblem problem_of_team(const TensorSplit& tensor, int64_t team) const;

 private:
  Choice predict(const SplitProblem& split, const TensorSplit& tensor, int64_t stages, int64_t team,
                 double period_ns) const;

  const PartitionProblem& problem_;
  const HardwareModel& hardware_;
};

// The best of those on exactly `num_cores` cores; nullptr if there are none.
const Choice* best_choice(const std::vector<Choice>& choices, int64_t num_cores,
                          Objective objective);

// Why `next`, the best on more cores, does or does not help against `now`.
std::string sentence_on(const Choice& now, const Choice* next, int64_t num_next,
                        Objective objective);

}  // namespace neuronc
