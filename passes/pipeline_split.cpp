// Implements pipeline_split.h.
#include "passes/pipeline_split.h"

#include <algorithm>
#include <limits>

namespace neuronc {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// With what crosses the stage's borders.
double stage_time_ns(const SplitProblem& problem, const StageCost& cost, size_t stage) {
  const bool is_from_other = problem.crosses_chips(stage);
  const bool is_to_other = problem.crosses_chips(stage + 1);
  return cost.work_ns() +
         cost.received_bytes /
             (is_from_other ? problem.chip_link_bytes_per_ns : problem.link_bytes_per_ns) +
         cost.sent_bytes /
             (is_to_other ? problem.chip_link_bytes_per_ns : problem.link_bytes_per_ns) +
         static_cast<double>(cost.num_received) *
             (is_from_other ? problem.chip_hand_off_ns : problem.hand_off_ns);
}

// The cost of [begin, end) for one `end` and a falling `begin`, kept up to date unit by unit.
class GrowingStage {
 public:
  explicit GrowingStage(const SplitProblem& problem)
      : problem_(problem),
        last_use_(problem.values.size(), -1),
        used_at_(problem.values.size(), 0),
        weight_at_(problem.weight_bytes.size(), 0) {
    for (size_t u = 0; u < problem.units.size(); ++u) {
      for (uint32_t v : problem.units[u].values_used) last_use_[v] = static_cast<int64_t>(u);
    }
  }

  void start(size_t end) {
    end_ = static_cast<int64_t>(end);
    ++stamp_;
    cost_ = {};
  }

  // Takes unit `u`, the one before those taken since `start`; the time is left to stage_time_ns.
  const StageCost& add(size_t u) {
    const SplitUnit& unit = problem_.units[u];
    cost_.compute_ns += unit.compute_ns;
    cost_.stall_ns += unit.stall_ns;
    for (uint32_t w : unit.weights_used) {
      if (weight_at_[w] == stamp_) continue;
      weight_at_[w] = stamp_;
      cost_.weight_bytes += problem_.weight_bytes[w];
    }
    for (uint32_t v : unit.values_made) {
      if (used_at_[v] == stamp_) {
        // Its users in the stage no longer receive it.
        used_at_[v] = 0;
        cost_.received_bytes -= problem_.values[v].size_bytes;
        --cost_.num_received;
      }
      if (last_use_[v] >= end_) cost_.sent_bytes += problem_.values[v].size_bytes;
    }
    for (uint32_t v : unit.values_used) {
      const CarriedValue& value = problem_.values[v];
      if (value.maker < 0 || value.maker >= static_cast<int64_t>(u)) continue;
      if (used_at_[v] == stamp_) continue;
      used_at_[v] = stamp_;
      cost_.received_bytes += value.size_bytes;
      ++cost_.num_received;
    }
    cost_.streamed_bytes = problem_.streamed_bytes(cost_.weight_bytes);
    return cost_;
  }

  // The last unit that uses each value, or -1.
  const std::vector<int64_t>& last_use() const { return last_use_; }

  // What only grows as the stage does.
  double least_ns() const { return cost_.work_ns(); }

 private:
  const SplitProblem& problem_;
  std::vector<int64_t> last_use_;
  std::vector<uint32_t> used_at_;  // the stamp of the stage that receives the value
  std::vector<uint32_t> weight_at_;
  uint32_t stamp_ = 0;
  int64_t end_ = 0;
  StageCost cost_;
};

using Table = std::vector<std::vector<double>>;  // [number of stages][units covered]

// Sums of the same numbers in another order differ by rounding.
constexpr double kSlack = 1 + 1e-12;

// The time of the stage [0, end), for each end.
std::vector<double> prefix_times(const SplitProblem& problem,
                                 const std::vector<int64_t>& last_use) {
  const size_t n = problem.units.size();
  std::vector<double> times{0};
  std::vector<bool> has_weight(problem.weight_bytes.size(), false);
  std::vector<double> dying(n + 1, 0);  // bytes whose last use is in the unit
  StageCost cost;
  for (size_t u = 0; u < n; ++u) {
    cost.compute_ns += problem.units[u].compute_ns;
    cost.stall_ns += problem.units[u].stall_ns;
    for (uint32_t w : problem.units[u].weights_used) {
      if (!has_weight[w]) cost.weight_bytes += problem.weight_bytes[w];
      has_weight[w] = true;
    }
    for (uint32_t v : problem.units[u].values_made) {
      if (last_use[v] <= static_cast<int64_t>(u)) continue;
      cost.sent_bytes += problem.values[v].size_bytes;
      dying[static_cast<size_t>(last_use[v])] += problem.values[v].size_bytes;
    }
    cost.sent_bytes -= dying[u];
    cost.streamed_bytes = problem.streamed_bytes(cost.weight_bytes);
    times.push_back(stage_time_ns(problem, cost, 0));
  }
  return times;
}

}  // namespace

StageCost stage_cost(const SplitProblem& problem, size_t begin, size_t end, size_t stage) {
  GrowingStage growing(problem);
  growing.start(end);
  StageCost cost;
  for (size_t u = end; u-- > begin;) cost = growing.add(u);
  cost.time_ns = stage_time_ns(problem, cost, stage);
  return cost;
}

std::vector<double> best_periods_ns(const SplitProblem& problem, size_t max_stages) {
  const size_t n = problem.units.size();
  max_stages = std::min(max_stages, n);
  if (max_stages == 0) return {};
  GrowingStage stage(problem);
  Table best(max_stages + 1, std::vector<double>(n + 1, kInfinity));
  best[1] = prefix_times(problem, stage.last_use());
  best[1][0] = kInfinity;
  for (size_t end = 2; end <= n && max_stages > 1; ++end) {
    stage.start(end);
    for (size_t begin = end; begin-- > 1;) {
      const StageCost& cost = stage.add(begin);
      bool can_improve = false;
      for (size_t k = 2; k <= std::min(max_stages, end); ++k) {
        const double time = stage_time_ns(problem, cost, k - 1);
        best[k][end] = std::min(best[k][end], std::max(best[k - 1][begin], time));
        can_improve |= stage.least_ns() < best[k][end];
      }
      if (!can_improve) break;
    }
  }
  std::vector<double> periods;
  for (size_t k = 1; k <= max_stages; ++k) periods.push_back(best[k][n]);
  return periods;
}

Split best_split(const SplitProblem& problem, size_t num_stages, double period_ns) {
  const size_t n = problem.units.size();
  const double limit = period_ns * kSlack;
  GrowingStage stage(problem);
  Table moved(num_stages + 1, std::vector<double>(n + 1, kInfinity));
  std::vector<std::vector<uint32_t>> cut(num_stages + 1, std::vector<uint32_t>(n + 1, 0));
  moved[0][0] = 0;
  for (size_t end = 1; end <= n; ++end) {
    stage.start(end);
    for (size_t begin = end; begin-- > 0;) {
      const StageCost& cost = stage.add(begin);
      if (stage.least_ns() > limit) break;
      for (size_t k = 1; k <= std::min(num_stages, begin + 1); ++k) {
        if (stage_time_ns(problem, cost, k - 1) > limit) continue;
        // Not greater rather than less: of equal splits the one with the earlier cut stays.
        const double total = moved[k - 1][begin] + cost.moved_bytes();
        if (total > moved[k][end] || total == kInfinity) continue;
        moved[k][end] = total;
        cut[k][end] = static_cast<uint32_t>(begin);
      }
    }
  }
  Split split;
  split.period_ns = period_ns;
  split.begins.resize(num_stages);
  size_t end = n;
  for (size_t k = num_stages; k > 0; --k) {
    end = cut[k][end];
    split.begins[k - 1] = end;
  }
  return split;
}

}  // namespace neuronc
