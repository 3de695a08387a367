// Implements batch.h.
#include "compiler/commands/batch.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "compiler/commands/format.h"
#include "compiler/commands/models.h"
#include "compiler/driver.h"
#include "compiler/public_api.h"
#include "ir/base/command.h"
#include "ir/base/text.h"
#include "ir/module_file.h"

namespace neuronc {
namespace {

// The lines that stand in stderr whatever the format: messages, counts, gates.
void print_text(const ModelOutcome& outcome, const BatchArguments& arguments) {
  for (const Message& message : outcome.messages) {
    const bool is_note = message.severity == Message::Severity::note;
    if (!is_note || !arguments.compile.is_quiet) print_error("{}\n", message.text);
  }
  if (arguments.compile.is_quiet) return;
  const OperationCounts& counts = outcome.operations;
  if (counts.num_after_optimizations > 0) {
    print_error(
        "Number of operations in model: {}\n"
        "Number of operations after optimizations: {}\n"
        "Number of operations placed on NeuronCores: {}\n",
        counts.num_in_model, counts.num_after_optimizations, counts.num_on_neuroncores);
  }
  if (outcome.is_from_cache) print_error("{} was taken from the cache\n", outcome.output);
  std::fputs(outcome.details.c_str(), stderr);
  for (const Gate& gate : outcome.gates) {
    print_error("gate {}: {}, limit {}: {}\n", gate.name, gate.measured, gate.limit,
                gate.is_passed ? "passed" : "FAILED");
  }
}

void print_summary(const BatchOutcome& batch) {
  size_t num_failed = 0;
  for (const ModelOutcome& outcome : batch.models) num_failed += outcome.exit_code != 0 ? 1 : 0;
  print_error("{} models, {} passed, {} failed\n", batch.models.size(),
              batch.models.size() - num_failed, num_failed);
  for (const ModelOutcome& outcome : batch.models) {
    if (outcome.exit_code == 0) continue;
    print_error("  FAILED (exit code {}) {}\n", outcome.exit_code, printable(outcome.model));
  }
}

// NEURONC_CACHE stands for --cache-dir; an empty one is none.
void read_environment(CompileArguments& arguments) {
  const char* dir = std::getenv("NEURONC_CACHE");
  if (arguments.options.cache_dir.empty() && dir != nullptr) arguments.options.cache_dir = dir;
}

Expected<std::vector<std::string>> prepare(BatchArguments& arguments, const BatchSteps& steps,
                                           Diagnostics& diagnostics) {
  read_environment(arguments.compile);
  arguments.limits.max_host_ops = arguments.compile.options.max_host_ops;
  const bool is_good = finish(arguments.compile, diagnostics).has_value() &&
                       check_options(arguments.compile.options, diagnostics).has_value();
  NEURONC_TRY(check_limits(arguments.limits, diagnostics));
  NEURONC_TRY(check_formats(arguments.formats, diagnostics));
  if (!is_good) return reported();
  NEURONC_ASSIGN(std::vector<std::string> models, find_models(arguments.names, diagnostics));
  if (models.size() > 1 && !arguments.compile.report.empty()) {
    diagnostics.report(diag::usage_error, {}, "--report is of one model; --format json is of all");
    return reported();
  }
  if (steps.prepare) NEURONC_TRY(steps.prepare(models, diagnostics));
  return models;
}

ModelOutcome run_model(const BatchArguments& arguments, const BatchSteps& steps,
                       const std::string& model, size_t index) {
  const auto begin = std::chrono::steady_clock::now();
  ModelOutcome outcome;
  try {
    outcome = steps.run(model, index);
  } catch (const std::bad_alloc&) {
    Diagnostics diagnostics;
    diagnostics.report(diag::out_of_memory, Location{model});
    add_messages(outcome, diagnostics, false);
  }
  outcome.model = model == kStandardStream ? std::string(kStandardInputName) : model;
  apply_gates(outcome, arguments.limits);
  if (steps.finish) steps.finish(outcome, index);
  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
  outcome.time_ms = time.count();
  return outcome;
}

}  // namespace

void declare_batch_options(CLI::App& app, BatchArguments& arguments, GateScope scope) {
  app.add_option("model", arguments.names,
                 "models (.onnx), folders of them, patterns; `-` is standard input")
      ->required();
  declare_formats(app, arguments.formats);
  declare_compile_options(app, arguments.compile);
  declare_gates(app, arguments.limits, scope);
}

int run_batch(BatchArguments& arguments, const BatchSteps& steps) {
  BatchOutcome batch;
  batch.command = arguments.command;
  Diagnostics diagnostics;
  const auto models = prepare(arguments, steps, diagnostics);
  for (const Diagnostic& d : diagnostics.all()) batch.messages.push_back(to_message(d));
  batch.exit_code = exit_code(diagnostics.worst());
  if (!models && batch.exit_code == 0) batch.exit_code = exit_code(ErrorClass::internal);
  apply_gates(batch, arguments.limits);
  for (const Message& message : batch.messages) print_error("{}\n", message.text);
  const bool is_refused = !models || batch.exit_code != 0;
  for (size_t i = 0; !is_refused && i < models->size(); ++i) {
    batch.models.push_back(run_model(arguments, steps, (*models)[i], i));
    const ModelOutcome& outcome = batch.models.back();
    batch.exit_code = worst_exit_code(batch.exit_code, outcome.exit_code);
    print_text(outcome, arguments);
    if (format_on_stdout(arguments.formats) == OutputFormat::text)
      print_tables(outcome, models->size() > 1);
  }
  if (batch.models.size() > 1 && !arguments.compile.is_quiet) print_summary(batch);
  write_documents(batch, arguments.formats, to_document);
  return batch.exit_code;
}

}  // namespace neuronc
