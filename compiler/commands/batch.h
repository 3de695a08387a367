// Commands over several models: which models, what is printed of them and in which format, the
// gates, the exit code of all.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "compiler/commands/compile_options.h"
#include "compiler/commands/gates.h"
#include "compiler/commands/outcome.h"
#include "compiler/commands/output_format.h"

namespace neuronc {

struct BatchArguments {
  std::string command;  // "check"
  std::vector<std::string> names;
  FormatWords formats;
  GateLimits limits;
  CompileArguments compile;
};

// The models, --format, the gates and the compile options.
void declare_batch_options(CLI::App& app, BatchArguments& arguments, GateScope scope);

// What a command does before its first model, given all of them.
using PrepareBatch =
    std::function<Expected<void>(const std::vector<std::string>& models, Diagnostics& diagnostics)>;
// What it does with a model; `index` is its place among all. Gates are applied afterwards, and
// `finish` comes behind them: a NEFF is written only then.
struct BatchSteps {
  PrepareBatch prepare;
  std::function<ModelOutcome(const std::string& model, size_t index)> run;
  std::function<void(ModelOutcome& outcome, size_t index)> finish;
};

// Runs all models and prints: text as it comes, other formats at the end. Returns the exit code.
int run_batch(BatchArguments& arguments, const BatchSteps& steps);

}  // namespace neuronc
