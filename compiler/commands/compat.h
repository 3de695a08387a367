// `neuronc compat M.neff`: whether this machine, or one of another instruction set, runs a NEFF.
#pragma once

#include <span>
#include <string>

namespace neuronc {

// Prints what fits and what is missing to stdout; 0 it runs, 3 it does not, 1 it is no sound NEFF.
int run_compat(std::span<const std::string> args);

}  // namespace neuronc
