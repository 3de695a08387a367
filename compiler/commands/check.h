// `neuronc check MODEL.onnx`: every node's support status and placement, without making code.
#pragma once

#include <span>
#include <string>

namespace neuronc {

// Prints a line for each operation to stdout and the counts to stderr; returns the exit code.
int run_check(std::span<const std::string> args);

}  // namespace neuronc
