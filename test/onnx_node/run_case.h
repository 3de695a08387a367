// One of ONNX's operator tests: a model of one node with data sets.
#pragma once

#include <string>

namespace neuronc::node_test {

struct CaseResult {
  bool is_passed = false;
  std::string reason;  // of the failure
};

// Imports the model in `folder`, runs each of its data sets, and compares (rtol 1e-3, atol 1e-7,
// the tolerances of ONNX's own runner).
CaseResult run_case(const std::string& folder);

}  // namespace neuronc::node_test
