// `neuronc diff OLD NEW`: what changed between two NEFFs, or models that are compiled for it.
#pragma once

#include <span>
#include <string>

namespace neuronc {

// Prints the differences to stdout; returns the exit code, 5 where --fail-on says so.
int run_diff(std::span<const std::string> args);

}  // namespace neuronc
