// One of ONNX's operator tests: a model of one node with data sets.
#pragma once

#include <cstdint>
#include <string>

namespace neuronc::node_test {

struct CaseResult {
  bool is_passed = false;
  std::string reason;
  bool is_broken = false;  // an internal error: nothing that a model may cause
};

// How a model is run: by the graph evaluator after import, or the whole way: compiled in memory
// with FP32 throughout, loaded by the runtime, executed.
enum class Through : uint8_t { evaluator, neff };

struct CaseOptions {
  Through through = Through::neff;
  int cores = 1;
  // How many roundings of its largest element an output of halves may be off by.
  int half_roundings = 0;
};

// Runs each data set of the model in `folder` and compares (rtol 1e-3, atol 1e-7, the tolerances
// of ONNX's own runner).
CaseResult run_case(const std::string& folder, const CaseOptions& options);

}  // namespace neuronc::node_test
