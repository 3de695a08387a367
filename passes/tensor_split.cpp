// Implements tensor_split.h.
#include "passes/tensor_split.h"

#include <algorithm>
#include <array>
#include <limits>

namespace neuronc {
namespace {

double unit_time_ns(const TensorProblem& problem, size_t unit, bool is_shared) {
  const int64_t cores = is_shared ? problem.num_cores : 1;
  return shared_time_ns(problem.units[unit], cores, problem.launch_ns);
}

// Before unit `unit`; the first one waits for nobody.
double barrier_before_ns(const TensorProblem& problem, size_t unit, bool was_shared,
                         bool is_shared) {
  return unit > 0 && (was_shared || is_shared) ? problem.barrier_ns : 0;
}

}  // namespace

double shared_time_ns(const TensorUnit& unit, int64_t num_cores, double launch_ns) {
  const int64_t tiles = std::max<int64_t>(unit.num_tiles, 1);
  const int64_t most = (tiles + num_cores - 1) / num_cores;
  const double launch = std::min(launch_ns, unit.time_ns);
  return launch + (unit.time_ns - launch) * static_cast<double>(most) / static_cast<double>(tiles);
}

double tensor_time_ns(const TensorProblem& problem, const std::vector<bool>& is_shared) {
  double time = 0;
  for (size_t u = 0; u < problem.units.size(); ++u) {
    time += unit_time_ns(problem, u, is_shared[u]) +
            barrier_before_ns(problem, u, u > 0 && is_shared[u - 1], is_shared[u]);
  }
  return time;
}

TensorSplit best_tensor_split(const TensorProblem& problem) {
  const size_t n = problem.units.size();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  // By whether the last unit is shared; where both ways are as fast it is not.
  std::array<double, 2> best{0, kInfinity};
  std::vector<std::array<bool, 2>> came_from(n);
  for (size_t u = 0; u < n; ++u) {
    std::array<double, 2> next{kInfinity, kInfinity};
    for (const bool now : {false, true}) {
      for (const bool before : {false, true}) {
        const double time = best[before] + barrier_before_ns(problem, u, before, now) +
                            unit_time_ns(problem, u, now);
        if (time >= next[now]) continue;
        next[now] = time;
        came_from[u][now] = before;
      }
    }
    best = next;
  }
  TensorSplit split;
  split.is_shared.resize(n);
  bool is_shared = n > 0 && problem.num_cores > 1 && best[1] < best[0];
  for (size_t u = n; u-- > 0;) {
    split.is_shared[u] = is_shared;
    is_shared = came_from[u][is_shared];
  }
  for (size_t u = 0; u < n; ++u) {
    const double barrier =
        barrier_before_ns(problem, u, u > 0 && split.is_shared[u - 1], split.is_shared[u]);
    const double time = unit_time_ns(problem, u, split.is_shared[u]);
    split.times_ns.push_back(barrier + time);
    split.barriers_ns += barrier;
    split.time_ns += barrier + time;
  }
  return split;
}

}  // namespace neuronc
