// The options that compile, check and verify share, and their spelling on the command line.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "compiler/include/neuronc/compiler.h"
#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"

namespace neuronc {

// Options as they stand on the command line; `finish` makes a CompileOptions of them.
struct CompileArguments {
  CompileOptions options;
  std::string num_neuroncores = "1";
  std::string pipeline_cores;  // neuron-cc's word for a number of cores in stages
  std::string partition;       // not given: auto
  std::string optimize_for = "latency";
  std::string auto_cast = "matmult";
  std::string auto_cast_type = "bf16";
  std::string fp32_cast;
  std::string numerics = "fast";
  std::string reductions = "fixed";
  std::vector<std::string> dims;
  std::vector<std::string> input_shapes;
  std::vector<std::string> fixed_inputs;
  std::string framework = "ONNX";
  std::string io_config;
  std::string outputs;
  std::string report;
  std::string workdir;               // neuron-cc's folder for what is written
  std::string pipeline;              // neuron-cc's phases
  std::vector<std::string> ignored;  // options without an effect here, as they were written
  bool levels[4] = {};
  bool is_quiet = false;
  bool is_verbose = false;
};

// The groups of --help, in its order.
inline constexpr std::string_view kGateGroup = "Gates (exit code 5)";

// Checks of numbers that have no upper limit: CLI11's own names the type's in 300 digits.
CLI::Validator whole_number(int64_t least);
CLI::Validator non_negative();

void declare_compile_options(CLI::App& app, CompileArguments& arguments);

// Checks the words and fills `arguments.options`. Errors: NEU0003 and NEU0004, all of them.
Expected<void> finish(CompileArguments& arguments, Diagnostics& diagnostics);

// Parses `args`. A value: there is nothing to do, the command ends with this exit code; help was
// printed, or NEU0003 reported (without `diagnostics`: printed).
std::optional<int> parse_arguments(CLI::App& app, std::span<const std::string> args,
                                   Diagnostics& diagnostics);
std::optional<int> parse_arguments(CLI::App& app, std::span<const std::string> args);

// Writes a report to --report's file. Errors: NEU0002.
Expected<void> write_report(const CompileArguments& arguments, const std::string& json,
                            Diagnostics& diagnostics);

}  // namespace neuronc
