// Splits a chain of work into consecutive stages, one a core: the exact optimum, by dynamic
// programming. Knows units, carriers and weights; nothing of graphs.
//
// The time of stage [i, j) is what its units compute, plus waiting for the weights that do not fit on
// chip, plus receiving and sending what crosses its borders:
//   compute + stalls * (weights that are not kept on chip) / weights
//           + (received + sent bytes) / link rate + hand-off * (messages received)
// Weights are read while their unit computes; it stalls for what that takes longer. Rate and hand-off between neighbouring stages are those between chips if the stages are on two;
// what is received counts as coming from the stage before, what is sent as going to the one behind.
// A request leaves the pipeline every max over stages; that is what the split makes least. Among
// all such splits it takes the one that moves the fewest bytes, among these the earliest cuts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace neuronc {

// Something a unit makes and later units (or it alone) read. Values from outside have no maker.
struct CarriedValue {
  double size_bytes = 0;
  int64_t maker = -1;  // unit; -1: from outside, taken by whichever stage uses it at no cost
};

struct SplitUnit {
  double compute_ns = 0;
  double stall_ns = 0;  // where none of its weights are on chip
  std::vector<uint32_t> values_made;
  std::vector<uint32_t> values_used;
  std::vector<uint32_t> weights_used;
};

struct SplitProblem {
  std::vector<SplitUnit> units;
  std::vector<CarriedValue> values;
  std::vector<double> weight_bytes;
  double on_chip_bytes = 0;
  bool is_cache = false;  // what does not fit as a whole is not kept at all
  double link_bytes_per_ns = 1;
  double hand_off_ns = 0;
  // Between chips; stages have `cores_per_stage` cores each, from the first of a chip on.
  double chip_link_bytes_per_ns = 1;
  double chip_hand_off_ns = 0;
  int64_t cores_per_stage = 1;
  int64_t cores_per_chip = 0;  // 0: all are on one chip

  // Whether `stage` begins on another chip than the stage before it ends.
  bool crosses_chips(size_t stage) const {
    if (stage == 0 || cores_per_chip == 0) return false;
    const int64_t first = static_cast<int64_t>(stage) * cores_per_stage;
    return first / cores_per_chip != (first - 1) / cores_per_chip;
  }
  double streamed_bytes(double weights) const {
    if (weights <= on_chip_bytes) return 0;
    return is_cache ? weights : weights - on_chip_bytes;
  }
};

struct StageCost {
  double compute_ns = 0;
  double stall_ns = 0;  // if none of the weights are kept
  double weight_bytes = 0;
  double streamed_bytes = 0;  // of the weights: what does not fit on chip
  double received_bytes = 0;
  double sent_bytes = 0;  // a value counts once, however many stages read it
  int64_t num_received = 0;
  double time_ns = 0;
  double moved_bytes() const { return received_bytes + sent_bytes; }
  // Computing, and waiting for the weights that are streamed.
  double work_ns() const {
    return compute_ns + (weight_bytes > 0 ? stall_ns * streamed_bytes / weight_bytes : 0);
  }
};

// The cost of units [begin, end) as stage number `stage`.
StageCost stage_cost(const SplitProblem& problem, size_t begin, size_t end, size_t stage = 0);

// The least possible time of the slowest stage for 1, 2, ... `max_stages` non-empty stages (fewer
// entries where there are fewer units). Work: units^2 at worst, far less where stages are short.
std::vector<double> best_periods_ns(const SplitProblem& problem, size_t max_stages);

struct Split {
  std::vector<size_t> begins;  // of each stage, ascending; the first is 0
  double period_ns = 0;        // of the slowest stage
};

// The best split into `num_stages` stages, given its entry of best_periods_ns.
Split best_split(const SplitProblem& problem, size_t num_stages, double period_ns);

}  // namespace neuronc
