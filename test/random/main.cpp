// Random modules against the evaluator: `random_modules [--seed N] [--operators N] [--graphs N]`.
// Prints each failing module with the line that repeats it.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>

#include "generate.h"
#include "ir/printer.h"
#include "judge.h"

namespace neuronc::testing {
namespace {

struct Options {
  uint64_t seed = 1;
  uint64_t num_operators = 100;
  uint64_t num_graphs = 20;
  bool prints = false;
};

int run(const Options& options) {
  int num_failed = 0;
  const auto check = [&](Shape shape, uint64_t seed) {
    const Module module = random_module(seed, shape);
    if (options.prints) {
      fmt::print("{}", to_text(module));
      std::fflush(stdout);  // before what may end the process
    }
    const std::string problem = judge(module, seed);
    if (problem.empty()) return;
    ++num_failed;
    fmt::print("{}{}\n  random_modules --seed {} --operators {} --graphs {}\n\n", to_text(module),
               problem, seed, shape == Shape::one_operator ? 1 : 0, shape == Shape::graph ? 1 : 0);
    std::fflush(stdout);
  };
  fmt::print("from seed {}: {} single operators and {} graphs\n", options.seed,
             options.num_operators, options.num_graphs);
  std::fflush(stdout);
  for (uint64_t i = 0; i < options.num_operators; ++i) check(Shape::one_operator, options.seed + i);
  for (uint64_t i = 0; i < options.num_graphs; ++i) check(Shape::graph, options.seed + i);
  fmt::print("{} modules, {} wrong\n", options.num_operators + options.num_graphs, num_failed);
  return num_failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace neuronc::testing

int main(int argc, char** argv) {
  CLI::App app("Random modules, compiled in several ways, against the evaluator.",
               "random_modules");
  neuronc::testing::Options options;
  app.add_option("--seed", options.seed, "the first seed");
  app.add_option("--operators", options.num_operators, "how many single operators");
  app.add_option("--graphs", options.num_graphs, "how many graphs");
  app.add_flag("--print", options.prints, "print every module");
  CLI11_PARSE(app, argc, argv);
  // Cores enough for four stages, whatever the machine has.
  setenv("NEURON_RT_NUM_CORES", "4", 1);
  return neuronc::testing::run(options);
}
