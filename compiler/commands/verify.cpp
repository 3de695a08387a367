// Implements verify.h.
#include "compiler/commands/verify.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <new>

#include "compiler/commands/compile_options.h"
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

struct VerifyArguments {
  CompileArguments compile;
  std::string model;
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
  Verifier(const VerifyArguments& arguments, Diagnostics& diagnostics)
      : arguments_(arguments), diagnostics_(diagnostics) {}

  Expected<void> run() {
    NEURONC_ASSIGN(signature_, onnx::read_signature(arguments_.model, diagnostics_,
                                                    arguments_.compile.options.outputs));
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
    NEURONC_TRY(import_model(*compilation_, arguments_.model, options_, diagnostics_));
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
    NEURONC_TRY(write_report(asked, report_json(*compilation_, options_), diagnostics_));
    if (options_.time_passes) std::fputs(to_text(compilation_->pass_times).c_str(), stderr);
    if (asked.is_verbose) std::fputs(compilation_->remarks.to_text().c_str(), stderr);
    const auto neff = build_neff(neff_contents(*compilation_, options_));
    if (!neff) return failed("loading", neff.error().reason);
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
    diagnostics_.report(diag::run_failed, Location{arguments_.model}, label, reason);
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
      fmt::print("{}: {}: {}{}: {}\n", label, name, figures(comparison),
                 non_finite_text((*outputs)[i], references[i]),
                 comparison.is_passed ? "passed" : "FAILED");
      std::fflush(stdout);
      if (comparison.is_passed) continue;
      diagnostics_.report(diag::output_differs, Location{arguments_.model}, name, label,
                          comparison.why);
    }
    return {};
  }

  const VerifyArguments& arguments_;
  Diagnostics& diagnostics_;
  onnx::ModelSignature signature_;
  CompileOptions options_;
  std::map<std::string, std::vector<int64_t>> shapes_;
  std::unique_ptr<Compilation> compilation_;
  std::unique_ptr<Target> target_;
  std::unique_ptr<ModelRunner> runner_;
  Module reference_;
};

Expected<void> verify(VerifyArguments& arguments, Diagnostics& diagnostics) {
  NEURONC_TRY(finish(arguments.compile, diagnostics));
  NEURONC_TRY(check_options(arguments.compile.options, diagnostics));
  return Verifier(arguments, diagnostics).run();
}

}  // namespace

int run_verify(std::span<const std::string> args) {
  CLI::App app("Compiles a model, runs it, and compares its outputs with their references.",
               "neuronc verify");
  VerifyArguments arguments;
  app.add_option("model", arguments.model, "the model (.onnx)")->required();
  app.add_option("--test-data", arguments.test_data, "a folder of input_N.pb and output_N.pb")
      ->allow_extra_args(false);
  app.add_option("--rtol", arguments.rtol, "|d| <= atol + rtol * |reference|");
  app.add_option("--atol", arguments.atol, "|d| <= atol + rtol * |reference|");
  app.add_option("--min-cosine", arguments.min_cosine, "least cosine of a float output");
  app.add_option("--oracle", arguments.oracle, "evaluate the module at this stage instead of code")
      ->group("");
  declare_compile_options(app, arguments.compile);
  if (const auto code = parse_arguments(app, args)) return *code;
  Diagnostics diagnostics;
  bool is_done = false;
  try {
    is_done = verify(arguments, diagnostics).has_value();
  } catch (const std::bad_alloc&) {
    diagnostics.report(diag::out_of_memory, {});
  }
  std::fputs(diagnostics.to_text().c_str(), stderr);
  if (!is_done && !diagnostics.has_errors()) return exit_code(ErrorClass::internal);
  return exit_code(diagnostics.worst());
}

}  // namespace neuronc
