// The split over the cores of a team is the best of all splits, and keeps small kernels together.
#include <catch2/catch.hpp>
#include <random>

#include "passes/tensor_split.h"

namespace neuronc {
namespace {

double best_by_trying(const TensorProblem& problem) {
  const size_t n = problem.units.size();
  double best = 1e300;
  for (uint32_t bits = 0; bits < 1U << n; ++bits) {
    std::vector<bool> is_shared(n);
    for (size_t u = 0; u < n; ++u) is_shared[u] = (bits >> u & 1) != 0;
    best = std::min(best, tensor_time_ns(problem, is_shared));
  }
  return best;
}

}  // namespace

TEST_CASE("no other choice of shared kernels is faster") {
  std::mt19937 random(7);
  const auto below = [&random](uint32_t n) { return random() % n; };
  for (int round = 0; round < 500; ++round) {
    TensorProblem problem;
    problem.num_cores = 2 + below(7);
    problem.launch_ns = below(300);
    problem.barrier_ns = below(3000);
    const size_t n = 1 + below(10);
    for (size_t u = 0; u < n; ++u)
      problem.units.push_back({1.0 * below(8000), static_cast<int64_t>(1 + below(20))});
    const TensorSplit split = best_tensor_split(problem);
    CAPTURE(round);
    CHECK(split.time_ns == Approx(best_by_trying(problem)));
    CHECK(split.time_ns == Approx(tensor_time_ns(problem, split.is_shared)));
  }
}

TEST_CASE("kernels that a barrier costs more than sharing gains stay on one core") {
  TensorProblem problem{{{100000, 8}, {300, 8}, {400, 8}, {300, 8}}, 4, 100, 500};
  CHECK(best_tensor_split(problem).is_shared == std::vector<bool>{true, false, false, false});
  problem.barrier_ns = 0;
  CHECK(best_tensor_split(problem).is_shared == std::vector<bool>(4, true));
}

TEST_CASE("tiles that do not divide leave cores idle") {
  CHECK(shared_time_ns({900, 9}, 2, 0) == Approx(500));
  CHECK(shared_time_ns({900, 1}, 4, 0) == Approx(900));
  CHECK(shared_time_ns({1000, 8}, 4, 200) == Approx(400));
}

}  // namespace neuronc
