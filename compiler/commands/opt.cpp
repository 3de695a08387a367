// Implements opt.h.
#include "compiler/commands/opt.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "compiler/commands/compile_options.h"
#include "compiler/driver.h"
#include "compiler/onnx/import.h"
#include "ir/module_file.h"
#include "ir/printer.h"
#include "ir/tensor_text.h"
#include "ir/verifier.h"
#include "passes/pipeline.h"
#include "passes/reference_target.h"
#include "passes/runner.h"

namespace neuronc {
namespace {

struct OptOptions {
  std::string file;
  std::string passes;
  std::string output;
  std::string target = "reference";
  std::vector<std::string> dims;  // NAME=N
  bool shows_remarks = false;
  bool shows_times = false;
  bool is_quiet = false;
  RunnerOptions runner;
};

void declare_options(CLI::App& app, OptOptions& options, bool& verifies_each,
                     bool (&has_level)[4]) {
  app.add_option("file", options.file, "the module (.nir) or model (.onnx)")->required();
  app.add_option("--passes", options.passes, "the pipeline; `neuronc list-passes` lists passes");
  app.add_option(
      "--target", options.target,
      "the machine that passes ask: a processor as --target-cpu takes it, or `reference`");
  app.add_option("--dim", options.dims, "NAME=N: the number of a symbolic dim")
      ->allow_extra_args(false);
  app.add_option("-o,--output", options.output, "write the module here instead of to stdout");
  app.add_option("--print-after", options.runner.print_after, "a pass, or `all`");
  app.add_flag("--print-changed", options.runner.print_changed, "print after each change");
  app.add_option("--stop-after", options.runner.stop_after, "end the pipeline behind this pass");
  app.add_option("--dump-dir", options.runner.dump_dir, "a file here after each change");
  app.add_option("--crash-dir", options.runner.crash_dir, "where reproductions of failures go");
  app.add_flag("--time-passes", options.shows_times, "print how long each pass took");
  app.add_flag("--remarks", options.shows_remarks, "print what was done, and what not and why");
  app.add_flag("--verify-each", verifies_each, "verify the module after each change");
  app.add_flag("-q,--quiet", options.is_quiet, "do not print the module");
  const std::span<const OptimizationLevel> levels = optimization_levels();
  for (size_t i = 0; i < levels.size(); ++i) {
    app.add_flag("--" + std::string(levels[i].name), has_level[i], std::string(levels[i].summary));
  }
}

Expected<onnx::ImportOptions> import_options(const OptOptions& options, Diagnostics& diagnostics) {
  onnx::ImportOptions import;
  for (const std::string& dim : options.dims) {
    const size_t equals = dim.find('=');
    int64_t number = 0;
    if (equals == std::string::npos || !int_from_text(dim.substr(equals + 1), number)) {
      diagnostics.report(diag::usage_error, {}, "--dim takes NAME=N, not `" + dim + "`");
      return reported();
    }
    import.dims[dim.substr(0, equals)] = number;
  }
  return import;
}

Expected<Module> read_module(const OptOptions& options, Diagnostics& diagnostics) {
  if (!options.file.ends_with(".onnx")) return read_module_file(options.file, diagnostics);
  NEURONC_ASSIGN(const onnx::ImportOptions import, import_options(options, diagnostics));
  NEURONC_ASSIGN(onnx::ImportedModel model, onnx::import_file(options.file, import, diagnostics));
  return std::move(model.module);
}

Expected<std::unique_ptr<Target>> target_of(const std::string& name, Diagnostics& diagnostics) {
  if (name == "reference") return std::make_unique<ReferenceTarget>();
  CompileOptions options;
  options.target_cpu = name;
  return make_target(options, diagnostics);
}

Expected<void> run(const OptOptions& options, Diagnostics& diagnostics) {
  // A module may be rewritten in place; a model cannot be.
  if (options.file.ends_with(".onnx")) {
    NEURONC_TRY(check_output(options.file, options.output, diagnostics));
  }
  NEURONC_ASSIGN(const Pipeline pipeline, parse_pipeline(options.passes, diagnostics));
  NEURONC_ASSIGN(Module module, read_module(options, diagnostics));
  NEURONC_TRY(verify(module, diagnostics, options.file));
  NEURONC_ASSIGN(const std::unique_ptr<Target> target, target_of(options.target, diagnostics));
  Remarks remarks;
  PassContext context{*target, diagnostics, remarks};
  const auto result = run_pipeline(module, pipeline, context, options.runner);
  if (options.shows_remarks) std::fputs(remarks.to_text().c_str(), stderr);
  if (!result) return reported();
  if (options.shows_times) std::fputs(to_text(result->times).c_str(), stderr);
  NEURONC_TRY(verify(module, diagnostics, options.file));
  if (!options.output.empty()) return write_module_file(module, options.output, diagnostics);
  if (!options.is_quiet) std::fputs(to_text(module).c_str(), stdout);
  return {};
}

}  // namespace

int run_opt(std::span<const std::string> args) {
  CLI::App app("Runs passes over a module in text form.", "neuronc opt");
  OptOptions options;
  bool verifies_each = false;
  bool has_level[4] = {};
  declare_options(app, options, verifies_each, has_level);
  if (const auto code = parse_arguments(app, args)) return *code;
  if (verifies_each) options.runner.verify_each = VerifyEach::yes;
  for (size_t i = 0; i < optimization_levels().size(); ++i) {
    if (has_level[i]) options.passes = optimization_levels()[i].pipeline;
  }
  Diagnostics diagnostics;
  const bool is_done = run(options, diagnostics).has_value();
  std::fputs(diagnostics.to_text().c_str(), stderr);
  if (!is_done && !diagnostics.has_errors()) return exit_code(ErrorClass::internal);
  return exit_code(diagnostics.worst());
}

}  // namespace neuronc
