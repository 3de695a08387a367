// The commands that print the project's tables: operators, passes, diagnostics.
#pragma once

#include <span>
#include <string>

namespace neuronc {

// Each returns the exit code; `args` are those behind the command's name.
int run_list_operators(std::span<const std::string> args);  // list_operators.cpp
int run_list_passes(std::span<const std::string> args);
int run_list_errors(std::span<const std::string> args);
int run_explain(std::span<const std::string> args);

}  // namespace neuronc
