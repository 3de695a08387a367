// `neuronc verify MODEL.onnx`: compiles a model, runs it, and judges its outputs against test data
// or, without any, against the evaluator on seeded inputs.
#pragma once

#include <span>
#include <string>

namespace neuronc {

// Prints a line per output to stdout; returns the exit code, 5 where an output differs.
int run_verify(std::span<const std::string> args);

}  // namespace neuronc
