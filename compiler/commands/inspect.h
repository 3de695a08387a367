// `neuronc inspect OUT.neff [--json] [--extract MEMBER]`: a NEFF's text form.
#pragma once

#include <span>
#include <string>

namespace neuronc {

// Prints to stdout; a member extracted goes to a file of its name here. Returns the exit code.
int run_inspect(std::span<const std::string> args);

}  // namespace neuronc
