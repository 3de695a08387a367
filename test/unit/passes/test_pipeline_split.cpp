// The split of a chain over cores is the optimum: compared with all splits of small random chains.
#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

#include "passes/pipeline_split.h"

namespace neuronc {
namespace {

// Integers throughout, so that costs compare exactly.
SplitProblem random_problem(std::mt19937& random, size_t num_units) {
  const auto below = [&](uint32_t bound) { return static_cast<uint32_t>(random() % bound); };
  SplitProblem problem;
  problem.units.resize(num_units);
  problem.on_chip_bytes = below(200);
  problem.link_bytes_per_ns = 1 + below(4);
  problem.hand_off_ns = below(30);
  problem.is_cache = below(2) == 0;
  problem.cores_per_stage = 1 + below(3);
  problem.cores_per_chip = below(5);  // 0: one chip
  problem.chip_link_bytes_per_ns = 1;
  problem.chip_hand_off_ns = problem.hand_off_ns + below(60);
  for (size_t w = 0; w < num_units; ++w) {
    problem.weight_bytes.push_back(below(150));
    problem.units[below(static_cast<uint32_t>(num_units))].weights_used.push_back(
        static_cast<uint32_t>(w));
    problem.units[below(static_cast<uint32_t>(num_units))].weights_used.push_back(
        static_cast<uint32_t>(w));
  }
  problem.values.push_back({50, -1});
  problem.units[0].values_used.push_back(0);
  for (size_t u = 0; u < num_units; ++u) {
    problem.units[u].compute_ns = below(100);
    problem.units[u].stall_ns = below(80);
    const auto value = static_cast<uint32_t>(problem.values.size());
    problem.values.push_back({static_cast<double>(below(120)), static_cast<int64_t>(u)});
    problem.units[u].values_made.push_back(value);
    for (size_t user = u + 1; user < num_units; ++user) {
      if (user == u + 1 || below(4) == 0) problem.units[user].values_used.push_back(value);
    }
  }
  return problem;
}

struct Best {
  double period_ns = 1e300;
  double moved_bytes = 1e300;
};

// All ways to place `left` more cuts at or after `begin`, where stage number `stage` begins.
void try_all(const SplitProblem& problem, size_t begin, size_t stage, size_t left, double period,
             double moved, Best& best) {
  const size_t n = problem.units.size();
  const size_t first = left == 0 ? n : begin + 1;
  for (size_t end = first; end + left <= n; ++end) {
    const StageCost cost = stage_cost(problem, begin, end, stage);
    const double slowest = std::max(period, cost.time_ns);
    const double total = moved + cost.moved_bytes();
    if (left > 0) {
      try_all(problem, end, stage + 1, left - 1, slowest, total, best);
    } else if (slowest < best.period_ns * (1 - 1e-12) ||
               (slowest <= best.period_ns * (1 + 1e-12) && total < best.moved_bytes)) {
      best = {std::min(slowest, best.period_ns), total};
    }
  }
}

}  // namespace

TEST_CASE("splits of random chains are optimal") {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    const size_t num_units = 1 + random() % 9;
    const SplitProblem problem = random_problem(random, num_units);
    const std::vector<double> periods = best_periods_ns(problem, 5);
    REQUIRE(periods.size() == std::min<size_t>(5, num_units));
    for (size_t k = 1; k <= periods.size(); ++k) {
      Best expected;
      try_all(problem, 0, 0, k - 1, 0, 0, expected);
      CAPTURE(round, num_units, k);
      CHECK(periods[k - 1] == Approx(expected.period_ns));
      const Split split = best_split(problem, k, periods[k - 1]);
      REQUIRE(split.begins.size() == k);
      REQUIRE(split.begins[0] == 0);
      double slowest = 0;
      double moved = 0;
      for (size_t s = 0; s < k; ++s) {
        const size_t end = s + 1 < k ? split.begins[s + 1] : num_units;
        REQUIRE(split.begins[s] < end);
        const StageCost cost = stage_cost(problem, split.begins[s], end, s);
        slowest = std::max(slowest, cost.time_ns);
        moved += cost.moved_bytes();
      }
      CHECK(slowest == Approx(expected.period_ns));
      CHECK(moved == Approx(expected.moved_bytes));
    }
  }
}

TEST_CASE("equal units are split evenly, and the earlier cut wins ties") {
  SplitProblem problem;
  problem.units.resize(8, {10, 0, {}, {}, {}});
  const std::vector<double> periods = best_periods_ns(problem, 4);
  CHECK(periods == std::vector<double>{80, 40, 30, 20});
  CHECK(best_split(problem, 4, 20).begins == std::vector<size_t>{0, 2, 4, 6});
  CHECK(best_split(problem, 3, 30).begins == std::vector<size_t>{0, 2, 5});
}

TEST_CASE("weights that do not fit on chip are streamed, and a second core keeps them") {
  // A unit stalls for 90 where all of its weights are read; of both, 80 in 200 are.
  SplitProblem problem;
  problem.units = {{10, 90, {}, {}, {0}}, {10, 90, {}, {}, {1}}};
  problem.weight_bytes = {100, 100};
  problem.on_chip_bytes = 120;
  const StageCost both = stage_cost(problem, 0, 2);
  CHECK(both.streamed_bytes == 80);
  CHECK(both.time_ns == 92);
  CHECK(best_periods_ns(problem, 2) == std::vector<double>{92, 10});
}

TEST_CASE("a cache keeps nothing of weights that do not fit, other memory what fits") {
  SplitProblem problem;
  problem.units = {{10, 0, {}, {}, {0, 1}}};
  problem.weight_bytes = {100, 100};
  problem.on_chip_bytes = 120;
  problem.is_cache = true;
  CHECK(stage_cost(problem, 0, 1).streamed_bytes == 200);
  problem.on_chip_bytes = 200;
  CHECK(stage_cost(problem, 0, 1).streamed_bytes == 0);
}

TEST_CASE("what crosses from chip to chip takes longer, and cuts avoid it") {
  // Two cores a chip: the second cut of three stages is between chips. Unit 2 makes the large value.
  SplitProblem problem;
  problem.units = {
      {10, 0, {0}, {}, {}}, {10, 0, {1}, {0}, {}}, {10, 0, {2}, {1}, {}}, {10, 0, {}, {2}, {}}};
  problem.values = {{10, 0}, {10, 1}, {100, 2}};
  problem.link_bytes_per_ns = 10;
  problem.hand_off_ns = 1;
  problem.cores_per_chip = 2;
  problem.chip_link_bytes_per_ns = 1;
  problem.chip_hand_off_ns = 5;
  CHECK_FALSE(problem.crosses_chips(1));
  CHECK(problem.crosses_chips(2));
  CHECK_FALSE(problem.crosses_chips(3));
  CHECK(stage_cost(problem, 2, 3, 1).time_ns == 10 + 10 / 10.0 + 1 + 100);
  CHECK(stage_cost(problem, 2, 3, 2).time_ns == 10 + 10 + 5 + 100 / 10.0);
  const std::vector<double> periods = best_periods_ns(problem, 3);
  CHECK(best_split(problem, 3, periods[2]).begins == std::vector<size_t>{0, 1, 2});
  problem.cores_per_stage = 2;
  CHECK(problem.crosses_chips(1));
}

TEST_CASE("no units have no split") { CHECK(best_periods_ns(SplitProblem(), 3).empty()); }

}  // namespace neuronc
