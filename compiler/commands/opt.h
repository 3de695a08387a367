// `neuronc opt FILE.nir|MODEL.onnx --passes=TEXT`: runs passes over a module and prints what
// comes out. What tests of passes, bug reports and crash reproductions are run with.
#pragma once

#include <span>
#include <string>

namespace neuronc {

// `args` are those behind `opt`. The module goes to stdout (or to -o FILE), all else to stderr.
// Returns the exit code.
int run_opt(std::span<const std::string> args);

}  // namespace neuronc
