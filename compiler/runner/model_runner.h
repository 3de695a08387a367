// Runs a model on values: by the graph evaluator, the oracle of all tests, or compiled, through the
// runtime.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/base/expected.h"
#include "ir/graph.h"
#include "ir/tensor.h"

namespace neuronc {

class ModelRunner {
 public:
  virtual ~ModelRunner() = default;
  // One value per graph output.
  virtual OrRefusal<std::vector<HostValue>> run(std::span<const HostValue> inputs) = 0;
};

// Evaluates `module`, which must outlive the runner.
std::unique_ptr<ModelRunner> evaluator_runner(const Module& module);

// Inputs of the graph's types, the same for the same seed: floats are normally distributed,
// integers small and not negative; sequences have three elements. Refuses strings.
OrRefusal<std::vector<HostValue>> seeded_inputs(const Graph& graph, uint64_t seed);

}  // namespace neuronc
