// Implements partition_choice.h.
#include "passes/partition_choice.h"

#include <fmt/format.h>

#include <algorithm>

namespace neuronc {
namespace {

// Less than a hundredth is within what predictions are good for.
constexpr double kNoticeable = 1.01;
// Every choice takes time quadratic in the units.
constexpr size_t kManyUnits = 256;

bool is_power_of_two(int64_t n) { return (n & (n - 1)) == 0; }

}  // namespace

double hand_over_ns(const HardwareModel& hardware, int64_t stages, int64_t team) {
  if (stages * team == 1) return 0;
  const double waking_ns = std::max(hardware.wake_ns, hardware.hand_off_ns);
  return hardware.hand_off_ns + waking_ns +
         static_cast<double>(stages - 1) * (waking_ns - hardware.hand_off_ns);
}

std::string Choice::strategy() const {
  if (team == 1) return "pipeline";
  if (stages == 1) return "tensor";
  return fmt::format("{} stages of {}", stages, team);
}

TensorSplit Chooser::split_over_team(int64_t team) const {
  TensorProblem tensor;
  tensor.num_cores = team;
  tensor.launch_ns = hardware_.launch_ns;
  const bool is_on_one_chip = static_cast<double>(team) <= hardware_.cores_per_chip;
  tensor.barrier_ns = is_on_one_chip || hardware_.chip_barrier_ns <= 0 ? hardware_.barrier_ns
                                                                       : hardware_.chip_barrier_ns;
  tensor.units = problem_.tensor_units;
  return best_tensor_split(tensor);
}

SplitProblem Chooser::problem_of_team(const TensorSplit& tensor, int64_t team) const {
  SplitProblem split = problem_.split;
  const auto cores = static_cast<double>(team);
  split.on_chip_bytes *= cores;
  split.cores_per_stage = team;
  for (SplitUnit& unit : split.units) unit.compute_ns = unit.stall_ns = 0;
  for (size_t i = 0; i < problem_.kernels.size(); ++i) {
    SplitUnit& unit = split.units[problem_.unit_of_kernel[i]];
    unit.compute_ns += tensor.times_ns[i];
    unit.stall_ns += stall_ns(problem_.kernel_weight_bytes[i], tensor.times_ns[i],
                              hardware_.dram_bytes_per_s(cores));
  }
  return split;
}

Choice Chooser::predict(const SplitProblem& split, const TensorSplit& tensor, int64_t stages,
                        int64_t team, double period_ns) const {
  Choice choice;
  choice.stages = stages;
  choice.team = team;
  choice.period_ns = period_ns;
  choice.barriers_ns = tensor.barriers_ns;
  const size_t n = split.units.size();
  Split cut;
  cut.begins = {0};
  if (stages > 1) cut = best_split(split, static_cast<size_t>(stages), period_ns);
  for (size_t s = 0; s < cut.begins.size(); ++s) {
    const size_t end = s + 1 < cut.begins.size() ? cut.begins[s + 1] : n;
    const StageCost cost = stage_cost(split, cut.begins[s], end, s);
    choice.latency_ns += cost.time_ns;
    choice.streamed_bytes += cost.streamed_bytes;
    choice.moved_bytes += cost.received_bytes;
    choice.has_single_kernel_stage |=
        end - cut.begins[s] == 1 && cost.time_ns >= period_ns / kNoticeable;
  }
  // Stages of a stream of requests read at once, and share their chips' memory.
  const double memory_ns =
      choice.streamed_bytes /
      (hardware_.dram_bytes_per_s(static_cast<double>(choice.num_cores())) * 1e-9);
  choice.period_ns = std::max(choice.period_ns, memory_ns);
  choice.balance = choice.period_ns > 0
                       ? choice.latency_ns / (static_cast<double>(stages) * choice.period_ns)
                       : 1;
  choice.hand_over_ns = hand_over_ns(hardware_, choice.stages, choice.team);
  choice.latency_ns += choice.hand_over_ns;
  return choice;
}

Choice Chooser::predict(int64_t stages, int64_t team) const {
  const TensorSplit tensor = split_over_team(team);
  const SplitProblem split = problem_of_team(tensor, team);
  const std::vector<double> periods = best_periods_ns(split, static_cast<size_t>(stages));
  if (periods.empty()) return Choice{stages, team};
  const auto used = static_cast<int64_t>(periods.size());
  return predict(split, tensor, used, team, periods.back());
}

std::vector<Choice> Chooser::choices(int64_t max_cores) const {
  std::vector<Choice> all;
  if (problem_.split.units.empty()) return all;
  const bool is_sparse = problem_.split.units.size() > kManyUnits;
  for (int64_t team = 1; team <= max_cores; ++team) {
    if (is_sparse && !is_power_of_two(team)) continue;
    const TensorSplit tensor = split_over_team(team);
    const SplitProblem split = problem_of_team(tensor, team);
    const std::vector<double> periods =
        best_periods_ns(split, static_cast<size_t>(max_cores / team));
    for (size_t i = 0; i < periods.size(); ++i) {
      const auto stages = static_cast<int64_t>(i) + 1;
      if (is_sparse && !is_power_of_two(stages)) continue;
      all.push_back(predict(split, tensor, stages, team, periods[i]));
    }
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Choice& a, const Choice& b) { return a.num_cores() < b.num_cores(); });
  return all;
}

const Choice* best_choice(const std::vector<Choice>& choices, int64_t num_cores,
                          Objective objective) {
  const Choice* best = nullptr;
  for (const Choice& choice : choices) {
    if (choice.num_cores() != num_cores) continue;
    if (best == nullptr || choice.time_ns(objective) < best->time_ns(objective)) best = &choice;
  }
  return best;
}

std::string sentence_on(const Choice& now, const Choice* next, int64_t num_next,
                        Objective objective) {
  const std::string_view what =
      objective == Objective::latency ? "answer a request" : "serve requests";
  if (next == nullptr) {
    return fmt::format("{} cores would not help: there are too few kernels to split", num_next);
  }
  const double then_ns = next->time_ns(objective), now_ns = now.time_ns(objective);
  if (then_ns * kNoticeable < now_ns) {
    return fmt::format("{} cores would {} {:.2f} times as fast", num_next, what, now_ns / then_ns);
  }
  std::string_view why = "the hand-over would cost what they gain";
  const double meeting_ns = next->barriers_ns + next->hand_over_ns - now.barriers_ns;
  if (next->team > 1 && (then_ns - meeting_ns) * kNoticeable >= now_ns) {
    why = "kernels are too small to share, or have tiles that do not divide";
  } else if (next->team > 1 && next->barriers_ns > next->hand_over_ns) {
    why = "the barriers would cost what they gain";
  } else if (next->team == 1 && next->has_single_kernel_stage) {
    why = "the slowest core runs a single kernel";
  }
  return fmt::format("{} cores would not help: {}", num_next, why);
}

}  // namespace neuronc
