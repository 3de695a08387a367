// `neuronc [compile] MODEL.onnx -o OUT.neff`: the default command.
#pragma once

#include <span>
#include <string>

namespace neuronc {

// Writes the NEFF; messages and the operation counts go to stderr. Returns the exit code.
int run_compile(std::span<const std::string> args);

}  // namespace neuronc
