// Implements compile.h.
#include "compiler/commands/compile.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "compiler/commands/batch.h"
#include "compiler/commands/models.h"
#include "compiler/driver.h"
#include "compiler/public_api.h"
#include "ir/base/output_file.h"
#include "ir/module_file.h"

namespace neuronc {
namespace {

// Shows on a terminal what a compile of more than a second is doing, in one line that goes away.
class ProgressLine {
 public:
  ProgressLine() : is_shown_(isatty(STDERR_FILENO) == 1), begin_(Clock::now()) {}
  ~ProgressLine() {
    if (is_drawn_) std::fputs("\r\x1b[K", stderr);
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  bool show(const Progress& progress) {
    const Clock::time_point now = Clock::now();
    if (!is_shown_ || now - begin_ < kPatience || now - drawn_at_ < kInterval) return true;
    drawn_at_ = now;
    is_drawn_ = true;
    const std::string_view unit = progress.phase == "code" ? "kernel " : "";
    std::string line = fmt::format("\r\x1b[Kneuronc: {}", progress.phase);
    if (!progress.detail.empty()) line += fmt::format(": {}", progress.detail);
    if (progress.total > 0)
      line += fmt::format(": {}{} of {}", unit, progress.done, progress.total);
    std::fputs(line.c_str(), stderr);
    std::fflush(stderr);
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kPatience{1000};
  static constexpr std::chrono::milliseconds kInterval{100};

  bool is_shown_;
  bool is_drawn_ = false;
  Clock::time_point begin_;
  Clock::time_point drawn_at_;
};

struct CompileJob {
  BatchArguments arguments;
  std::string output;
  std::string depfile;
  std::vector<std::string> outputs;  // of each model
  CompileResult result;              // of the model at work

  // A NEFF that a gate may still refuse is not written yet.
  bool is_held_back(const std::string& output_name) const {
    const GateLimits& limits = arguments.limits;
    return limits.has_any() || !limits.deny.empty() || output_name == kStandardStream;
  }
};

// The line is gone before the result is printed.
CompileResult compile(CompileJob& job, const std::string& model, const std::string& output,
                      Diagnostics& diagnostics) {
  ProgressLine line;
  CompileOptions& options = job.arguments.compile.options;
  if (!job.arguments.compile.is_quiet) {
    options.progress = [&line](const Progress& progress) { return line.show(progress); };
  }
  if (model == kStandardStream) {
    const auto bytes = read_standard_input(diagnostics);
    return bytes ? compile_bytes(*bytes, std::string(kStandardInputName), options, ".")
                 : CompileResult();
  }
  if (job.is_held_back(output)) return compile_file(model, options);
  return compile_file_to(model, output, options);
}

std::string details_of(const CompileResult& result, const CompileArguments& arguments) {
  std::string text = result.details.times;
  if (arguments.is_verbose) text += result.details.partition + result.details.remarks;
  return text;
}

ModelOutcome run(CompileJob& job, const std::string& model, size_t index) {
  ModelOutcome outcome;
  Diagnostics diagnostics;
  outcome.output = job.outputs[index];
  job.result = compile(job, model, outcome.output, diagnostics);
  const CompileResult& result = job.result;
  if (diagnostics.has_errors()) {
    add_messages(outcome, diagnostics, false);
    return outcome;
  }
  outcome.exit_code = result.exit_code;
  outcome.messages = result.messages;
  outcome.operations = result.operations;
  outcome.is_from_cache = result.is_from_cache;
  outcome.figures = figures_of(result.report_json);
  outcome.details = details_of(result, job.arguments.compile);
  std::error_code error;
  const auto size_bytes =
      result.neff.empty() ? std::filesystem::file_size(outcome.output, error) : result.neff.size();
  if (result.is_ok() && !error) outcome.figures.neff_bytes = static_cast<double>(size_bytes);
  return outcome;
}

// `OUTPUT: FILE FILE`, as make and ninja read it.
std::string depfile_text(const std::string& output, const std::vector<std::string>& files) {
  const auto escaped = [](const std::string& path) {
    std::string text;
    for (const char c : path) {
      if (c == ' ' || c == '#' || c == '\\') text += '\\';
      if (c == '$') text += '$';
      text += c;
    }
    return text;
  };
  std::string text = escaped(output) + ":";
  for (const std::string& file : files) text += " \\\n  " + escaped(file);
  return text + "\n";
}

// Writes what was held back until the gates had their say, the report and the dependencies.
void finish_model(CompileJob& job, ModelOutcome& outcome) {
  Diagnostics diagnostics;
  const CompileResult& result = job.result;
  if (!result.neff.empty() && outcome.exit_code == 0 && outcome.output == kStandardStream) {
    std::fwrite(result.neff.data(), 1, result.neff.size(), stdout);
  } else if (!result.neff.empty() && outcome.exit_code == 0) {
    const std::string error = write_output_file(outcome.output, result.neff);
    if (!error.empty()) diagnostics.report(diag::cannot_write_file, {}, outcome.output, error);
  }
  if (!job.depfile.empty() && outcome.exit_code == 0) {
    static_cast<void>(
        write_file(job.depfile, depfile_text(outcome.output, result.input_files), diagnostics));
  }
  static_cast<void>(write_report(job.arguments.compile, result.report_json, diagnostics));
  add_messages(outcome, diagnostics, !diagnostics.has_errors());
  if (outcome.exit_code != 0) outcome.output.clear();
}

// neuron-cc writes below its working folder.
void use_workdir(CompileJob& job) {
  const std::string& workdir = job.arguments.compile.workdir;
  if (workdir.empty() || job.output == kStandardStream) return;
  const std::string inside = (std::filesystem::path(workdir) / job.output).string();
  std::error_code error;
  std::filesystem::create_directories(workdir, error);
  job.output = job.output.empty() ? workdir + "/" : inside;
}

Expected<void> prepare(CompileJob& job, const std::vector<std::string>& models,
                       Diagnostics& diagnostics) {
  const auto usage = [&](std::string_view text) {
    diagnostics.report(diag::usage_error, {}, text);
    return reported();
  };
  if (job.output == kStandardStream &&
      format_on_stdout(job.arguments.formats) != OutputFormat::text) {
    return usage("standard output takes the NEFF or a document, not both");
  }
  if (job.output == kStandardStream && isatty(STDOUT_FILENO) == 1) {
    return usage("a NEFF is not for a terminal; send standard output to a file or a pipe");
  }
  if (!job.depfile.empty() && models.size() > 1) return usage("--depfile is of one model");
  use_workdir(job);
  NEURONC_ASSIGN(job.outputs, output_names(models, job.output, diagnostics));
  for (size_t i = 0; i < models.size(); ++i) {
    if (models[i] == kStandardStream || job.outputs[i] == kStandardStream) continue;
    for (const std::string& file : {job.arguments.compile.report, job.depfile}) {
      NEURONC_TRY(check_output(models[i], file, diagnostics));
      NEURONC_TRY(check_output(job.outputs[i], file, diagnostics));
    }
    NEURONC_TRY(check_output(models[i], job.outputs[i], diagnostics));
  }
  return {};
}

}  // namespace

int run_compile(std::span<const std::string> args) {
  CLI::App app("Compiles ONNX models for NeuronCores.", "neuronc compile");
  CompileJob job;
  job.arguments.command = "compile";
  app.add_option(
         "-o,--output", job.output,
         "the NEFF to write, or a folder; default: the model's name with .neff; `-`: stdout")
      ->group("Common options");
  declare_batch_options(app, job.arguments, GateScope::code);
  app.add_option("--depfile", job.depfile, "write which files were read, for make and ninja")
      ->group("Cores and code");
  if (const auto code = parse_arguments(app, args)) return *code;
  job.arguments.compile.options.crash_dir = ".";
  BatchSteps steps;
  steps.prepare = [&](const std::vector<std::string>& models, Diagnostics& diagnostics) {
    return prepare(job, models, diagnostics);
  };
  steps.run = [&](const std::string& model, size_t index) { return run(job, model, index); };
  steps.finish = [&](ModelOutcome& outcome, size_t) { finish_model(job, outcome); };
  return run_batch(job.arguments, steps);
}

}  // namespace neuronc
