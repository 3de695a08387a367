// Implements batch.h.
#include "compiler/commands/batch.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <optional>

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

std::optional<OutputFormat> format_named(std::string_view name) {
  constexpr std::pair<std::string_view, OutputFormat> kNames[] = {{"text", OutputFormat::text},
                                                                  {"json", OutputFormat::json},
                                                                  {"sarif", OutputFormat::sarif},
                                                                  {"junit", OutputFormat::junit},
                                                                  {"github", OutputFormat::github}};
  for (const auto& [known, format] : kNames) {
    if (known == name) return format;
  }
  return std::nullopt;
}

Expected<void> check_formats(const BatchArguments& arguments, Diagnostics& diagnostics) {
  const auto usage = [&](std::string_view text) {
    diagnostics.report(diag::usage_error, {}, text);
    return reported();
  };
  int num_on_stdout = 0;
  for (const std::string& word : arguments.formats) {
    const size_t equals = word.find('=');
    num_on_stdout += equals == std::string::npos ? 1 : 0;
    if (num_on_stdout > 1) {
      return usage("standard output takes one format; write others as --format FORMAT=FILE");
    }
    if (equals == std::string::npos) continue;
    if (equals + 1 == word.size()) return usage(fmt::format("no file follows --format {}", word));
    if (word.starts_with("text=")) return usage("text goes to the standard streams, not to a file");
  }
  return {};
}

// What is in files first: a document that could not be written changes the exit code.
void write_documents(BatchOutcome& batch, const BatchArguments& arguments) {
  Diagnostics diagnostics;
  for (const std::string& word : arguments.formats) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) continue;
    const OutputFormat format = *format_named(word.substr(0, equals));
    static_cast<void>(write_file(word.substr(equals + 1), to_document(batch, format), diagnostics));
  }
  std::fputs(diagnostics.to_text().c_str(), stderr);
  for (const Diagnostic& d : diagnostics.all()) batch.messages.push_back(to_message(d));
  batch.exit_code = worst_exit_code(batch.exit_code, exit_code(diagnostics.worst()));
  const std::string document = to_document(batch, format_of(arguments));
  std::fwrite(document.data(), 1, document.size(), stdout);
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
  NEURONC_TRY(check_formats(arguments, diagnostics));
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

OutputFormat format_of(const BatchArguments& arguments) {
  OutputFormat format = OutputFormat::text;
  for (const std::string& word : arguments.formats) {
    if (word.find('=') == std::string::npos) format = *format_named(word);
  }
  return format;
}

void declare_batch_options(CLI::App& app, BatchArguments& arguments, GateScope scope) {
  app.add_option("model", arguments.names,
                 "models (.onnx), folders of them, patterns; `-` is standard input")
      ->required();
  app.add_option("--format", arguments.formats,
                 "what stdout gets, or FORMAT=FILE; stderr gets text in any case")
      ->allow_extra_args(false)
      ->type_name("FORMAT:{text,json,sarif,junit,github}")
      ->check([](const std::string& word) {
        return format_named(word.substr(0, word.find('=')))
                   ? ""
                   : "the formats are text, json, sarif, junit and github, not `" + word + "`";
      })
      ->group("Common options");
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
    if (format_of(arguments) == OutputFormat::text) print_tables(outcome, models->size() > 1);
  }
  if (batch.models.size() > 1 && !arguments.compile.is_quiet) print_summary(batch);
  write_documents(batch, arguments);
  return batch.exit_code;
}

}  // namespace neuronc
