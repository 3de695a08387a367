// Implements verify.h.
#include "compiler/commands/verify.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "compiler/commands/batch.h"
#include "compiler/commands/models.h"
#include "compiler/driver.h"
#include "compiler/onnx/test_data.h"
#include "compiler/runner/compare.h"
#include "compiler/runner/model_runner.h"
#include "compiler/runner/nrt_runner.h"
#include "runtime/numerics.h"

namespace neuronc {
namespace {

constexpr double kDefaultMinCosine = 0.995;
constexpr uint64_t kSeed = 1;

struct VerifyArguments : BatchArguments {
  std::vector<std::string> test_data;
  std::optional<double> rtol, atol, min_cosine;
  std::string oracle;  // evaluate the module at this stage instead of running code
};

// With narrow types the cosine decides, unless a tolerance is asked for.
Tolerance tolerance_of(const VerifyArguments& arguments) {
  Tolerance tolerance;
  tolerance.rtol = arguments.rtol.value_or(tolerance.rtol);
  tolerance.atol = arguments.atol.value_or(tolerance.atol);
  const bool has_limits = arguments.rtol || arguments.atol;
  const bool is_narrow = arguments.compile.options.auto_cast != AutoCast::none;
  tolerance.min_cosine = arguments.min_cosine;
  if (!tolerance.min_cosine && is_narrow && !has_limits) tolerance.min_cosine = kDefaultMinCosine;
  return tolerance;
}

std::string figures(const Comparison& c) {
  if (!c.is_float) {
    return fmt::format("{} of {} elements differ", c.num_mismatches, c.num_elements);
  }
  std::string text = fmt::format("max abs diff {:.3g}, {:.2g} of its scale, cosine {:.6f}",
                                 c.max_abs_diff, c.max_scaled_diff, c.cosine);
  if (c.num_rows > 0) text += fmt::format(", argmax {}/{}", c.num_same_argmax, c.num_rows);
  return text;
}

// Elements of an output that are not finite where its reference is finite throughout.
std::string non_finite_text(const HostValue& output, const HostValue& reference) {
  if (output.elements.size() != 1 || reference.elements.size() != 1) return {};
  const auto find = [](const Tensor& tensor) {
    return runtime::find_non_finite(tensor.dtype(), tensor.bytes(), runtime::NumericsCheck::both);
  };
  if (!is_float(output.tensor().dtype()) || find(reference.tensor()).first >= 0) return {};
  const runtime::NonFinite found = find(output.tensor());
  return found.first < 0 ? "" : ", has " + to_text(found);
}

class Verifier {
 public:
  Verifier(const VerifyArguments& arguments, std::string model, ModelOutcome& outcome,
           Diagnostics& diagnostics)
      : arguments_(arguments),
        model_(std::move(model)),
        outcome_(outcome),
        diagnostics_(diagnostics) {}

  Expected<void> run() {
    if (model_ == kStandardStream) {
      NEURONC_ASSIGN(bytes_, read_standard_input(diagnostics_));
      is_in_memory_ = true;
      model_ = kStandardInputName;
    }
    const std::vector<std::string>& outputs = arguments_.compile.options.outputs;
    if (is_in_memory_) {
      NEURONC_ASSIGN(signature_, onnx::read_signature(bytes_, model_, diagnostics_, outputs));
    } else {
      NEURONC_ASSIGN(signature_, onnx::read_signature(model_, diagnostics_, outputs));
    }
    if (arguments_.test_data.empty()) return verify_seeded();
    for (const std::string& folder : arguments_.test_data) {
      NEURONC_ASSIGN(const onnx::TestData data,
                     onnx::read_test_data(folder, signature_, diagnostics_));
      NEURONC_TRY(verify_data(data));
    }
    return {};
  }

 private:
  // Sets of data with the same shapes share one compile.
  Expected<void> prepare(const std::map<std::string, std::vector<int64_t>>& shapes) {
    if (runner_ && shapes == shapes_) return {};
    shapes_ = shapes;
    runner_.reset();
    options_ = arguments_.compile.options;
    options_.emit_kernels = true;  // in memory; what NEURON_RT_CHECK=1 needs
    for (const auto& [name, shape] : shapes) options_.input_shapes[name] = shape;
    compilation_ = std::make_unique<Compilation>();
    NEURONC_TRY(is_in_memory_
                    ? import_model(*compilation_, bytes_, model_, ".", options_, diagnostics_)
                    : import_model(*compilation_, model_, options_, diagnostics_));
    reference_ = compilation_->model.module.clone();
    NEURONC_ASSIGN(target_, make_target(options_, diagnostics_));
    if (arguments_.oracle.empty()) return prepare_code();
    if (const auto stage = stage_from_name(arguments_.oracle); stage != Stage::imported) {
      NEURONC_TRY(run_passes(*compilation_, options_, stage.value_or(Stage::laid_out), *target_,
                             diagnostics_));
    }
    runner_ = evaluator_runner(compilation_->model.module);
    return {};
  }

  // Compiles in memory and loads the NEFF, which keeps what it needs.
  Expected<void> prepare_code() {
    NEURONC_TRY(run_passes(*compilation_, options_, Stage::partitioned, *target_, diagnostics_));
    NEURONC_TRY(generate(*compilation_, options_, diagnostics_));
    const CompileArguments& asked = arguments_.compile;
    const std::string report = report_json(*compilation_, options_);
    NEURONC_TRY(write_report(asked, report, diagnostics_));
    if (options_.time_passes) std::fputs(to_text(compilation_->pass_times).c_str(), stderr);
    if (asked.is_verbose) std::fputs(compilation_->remarks.to_text().c_str(), stderr);
    const auto neff = build_neff(neff_contents(*compilation_, options_));
    if (!neff) return failed("loading", neff.error().reason);
    Figures figures = figures_of(report);
    figures.min_cosine = outcome_.figures.min_cosine;
    figures.max_error = outcome_.figures.max_error;
    outcome_.figures = std::move(figures);
    outcome_.figures.neff_bytes = static_cast<double>(neff->size());
    compilation_.reset();
    auto runner = nrt_runner(*neff);
    if (!runner) return failed("loading", runner.error().reason);
    runner_ = std::move(*runner);
    return {};
  }

  Expected<void> verify_data(const onnx::TestData& data) {
    NEURONC_TRY(prepare(onnx::input_shapes(data, signature_)));
    const std::string label = std::filesystem::path(data.folder).filename().string();
    return judge(label, free_inputs(data.inputs), data.outputs);
  }

  // Without those that are constants of the compiled model.
  std::vector<HostValue> free_inputs(const std::vector<HostValue>& inputs) const {
    std::vector<HostValue> kept;
    for (size_t i = 0; i < inputs.size() && i < signature_.inputs.size(); ++i) {
      if (!options_.fixed_inputs.contains(signature_.inputs[i].name)) kept.push_back(inputs[i]);
    }
    return kept;
  }

  Expected<void> verify_seeded() {
    NEURONC_TRY(prepare({}));
    const Graph& graph = reference_.graph();
    const auto inputs = seeded_inputs(graph, kSeed);
    if (!inputs) return failed("seeded inputs", inputs.error().reason);
    const auto outputs = evaluator_runner(reference_)->run(*inputs);
    if (!outputs) return failed("seeded inputs", outputs.error().reason);
    return judge("seeded inputs", *inputs, *outputs);
  }

  Expected<void> failed(const std::string& label, const std::string& reason) {
    diagnostics_.report(diag::run_failed, Location{model_}, label, reason);
    return reported();
  }

  // Prints each output's figures; a difference is reported, and the next data set still runs.
  Expected<void> judge(const std::string& label, std::span<const HostValue> inputs,
                       std::span<const HostValue> references) {
    const auto outputs = runner_->run(inputs);
    if (!outputs) return failed(label, outputs.error().reason);
    const Tolerance tolerance = tolerance_of(arguments_);
    for (size_t i = 0; i < references.size() && i < outputs->size(); ++i) {
      const std::string& name = signature_.outputs[i].name;
      const Comparison comparison = compare((*outputs)[i], references[i], tolerance);
      note(label, name, comparison);
      if (format_on_stdout(arguments_.formats) == OutputFormat::text) {
        fmt::print("{}{}: {}: {}{}: {}\n", arguments_.names.size() > 1 ? model_ + ": " : "", label,
                   name, figures(comparison), non_finite_text((*outputs)[i], references[i]),
                   comparison.is_passed ? "passed" : "FAILED");
        std::fflush(stdout);
      }
      if (comparison.is_passed) continue;
      diagnostics_.report(diag::output_differs, Location{model_}, name, label, comparison.why);
    }
    return {};
  }

  // For the gates and the documents: the worst of all outputs.
  void note(const std::string& label, const std::string& name, const Comparison& c) {
    outcome_.outputs.push_back({label, name, c.max_abs_diff, c.cosine, c.num_mismatches,
                                c.num_elements, c.is_float, c.is_passed});
    if (!c.is_float) return;
    Figures& figures = outcome_.figures;
    figures.min_cosine = std::min(figures.min_cosine.value_or(1), c.cosine);
    // A NaN is no small error.
    const double error = std::isnan(c.max_abs_diff) ? HUGE_VAL : c.max_abs_diff;
    figures.max_error = std::max(figures.max_error.value_or(0), error);
  }

  const VerifyArguments& arguments_;
  std::string model_;
  std::vector<std::byte> bytes_;  // of a model from standard input
  bool is_in_memory_ = false;
  ModelOutcome& outcome_;
  Diagnostics& diagnostics_;
  onnx::ModelSignature signature_;
  CompileOptions options_;
  std::map<std::string, std::vector<int64_t>> shapes_;
  std::unique_ptr<Compilation> compilation_;
  std::unique_ptr<Target> target_;
  std::unique_ptr<ModelRunner> runner_;
  Module reference_;
};

ModelOutcome verify(const VerifyArguments& arguments, const std::string& model) {
  ModelOutcome outcome;
  Diagnostics diagnostics;
  const bool is_done = Verifier(arguments, model, outcome, diagnostics).run().has_value();
  add_messages(outcome, diagnostics, is_done);
  return outcome;
}

Expected<void> prepare(VerifyArguments& arguments, const std::vector<std::string>& models,
                       Diagnostics& diagnostics) {
  arguments.limits.min_cosine = tolerance_of(arguments).min_cosine;
  if (models.size() < 2 || arguments.test_data.empty()) return {};
  diagnostics.report(diag::usage_error, {}, "--test-data is of one model");
  return reported();
}

}  // namespace

int run_verify(std::span<const std::string> args) {
  constexpr const char* kGroup = "Comparison";
  CLI::App app("Compiles models, runs them, and compares their outputs with references.",
               "neuronc verify");
  VerifyArguments arguments;
  arguments.command = "verify";
  app.add_option("--test-data", arguments.test_data, "a folder of input_N.pb and output_N.pb")
      ->allow_extra_args(false)
      ->group(kGroup);
  app.add_option("--rtol", arguments.rtol, "|d| <= atol + rtol * |reference|")
      ->check(non_negative())
      ->group(kGroup);
  app.add_option("--atol", arguments.atol, "|d| <= atol + rtol * |reference|")
      ->check(non_negative())
      ->group(kGroup);
  app.add_option("--min-cosine", arguments.min_cosine, "least cosine of a float output")
      ->check(CLI::Range(-1.0, 1.0))
      ->group(kGroup);
  app.add_option("--max-error", arguments.limits.max_error,
                 "greatest absolute difference of a float output")
      ->check(non_negative())
      ->group(kGroup);
  app.add_option("--oracle", arguments.oracle, "evaluate the module at this stage instead of code")
      ->group("");
  declare_batch_options(app, arguments, GateScope::code);
  if (const auto code = parse_arguments(app, args)) return *code;
  BatchSteps steps;
  steps.prepare = [&](const std::vector<std::string>& models, Diagnostics& diagnostics) {
    return prepare(arguments, models, diagnostics);
  };
  steps.run = [&](const std::string& model, size_t) { return verify(arguments, model); };
  return run_batch(arguments, steps);
}

}  // namespace neuronc
