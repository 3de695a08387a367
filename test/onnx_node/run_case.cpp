// Implements run_case.h.
#include "test/onnx_node/run_case.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "compiler/include/neuronc/compiler.h"
#include "compiler/onnx/import.h"
#include "compiler/onnx/test_data.h"
#include "compiler/runner/compare.h"
#include "compiler/runner/model_runner.h"
#include "compiler/runner/nrt_runner.h"
#include "ir/verifier.h"

namespace neuronc::node_test {
namespace {

constexpr Tolerance kTolerance{1e-3, 1e-7, std::nullopt};

// One rounding of a half, relative to the number; none for other types.
double half_rounding(DType dtype) {
  return dtype == DType::f16 ? 0x1p-11 : dtype == DType::bf16 ? 0x1p-9 : 0;
}

// Where an operator becomes several that each round to halves, so many roundings of the largest
// element may come together.
Tolerance tolerance_of(const HostValue& reference, int half_roundings) {
  Tolerance tolerance = kTolerance;
  if (reference.kind != Type::Kind::tensor) return tolerance;
  const Tensor& tensor = reference.tensor();
  const double rounding = half_roundings * half_rounding(tensor.dtype());
  double largest = 0;
  for (int64_t i = 0; rounding > 0 && i < tensor.num_elements(); ++i) {
    if (std::isfinite(tensor.f64(i))) largest = std::max(largest, std::abs(tensor.f64(i)));
  }
  tolerance.atol = std::max(tolerance.atol, rounding * largest);
  return tolerance;
}

std::string summary(const Diagnostics& diagnostics) {
  for (const Diagnostic& d : diagnostics.all()) {
    if (d.severity == Severity::error) return fmt::format("[{}] {}", d.code, d.message);
  }
  return "failed without a diagnostic";
}

using Outputs = OrRefusal<std::vector<HostValue>>;

Outputs evaluate(const std::string& model, const onnx::ImportOptions& options,
                 const std::vector<HostValue>& inputs) {
  Diagnostics diagnostics;
  const auto imported = onnx::import_file(model, options, diagnostics);
  if (!imported) return refuse(summary(diagnostics));
  if (!verify(imported->module, diagnostics)) return refuse(summary(diagnostics));
  return evaluator_runner(imported->module)->run(inputs);
}

Outputs execute(const std::string& model, const onnx::ImportOptions& import,
                const std::vector<HostValue>& inputs, int cores, bool& is_broken) {
  CompileOptions options;
  options.num_neuroncores = cores;
  options.auto_cast = AutoCast::none;
  options.input_shapes = import.input_shapes;
  const CompileResult result = compile_file(model, options);
  is_broken = result.exit_code == exit_code(ErrorClass::internal);
  if (!result.is_ok()) return refuse("NEFF: " + result.messages_text());
  auto runner = nrt_runner(result.neff);
  if (!runner) return refuse("NEFF: " + runner.error().reason);
  auto outputs = (*runner)->run(inputs);
  if (!outputs) return refuse("NEFF: " + outputs.error().reason);
  return outputs;
}

// Some data files hold the bits of BF16 numbers as uint16.
HostValue as_declared(HostValue value, const std::string& type) {
  const bool is_bits = value.kind == Type::Kind::tensor && type.starts_with("bf16[") &&
                       value.tensor().dtype() == DType::u16;
  if (!is_bits) return value;
  const Tensor& bits = value.tensor();
  return Tensor::from<uint16_t>(DType::bf16, bits.shape(), bits.as<uint16_t>());
}

CaseResult run_set(const std::string& model, const std::string& folder,
                   const onnx::ModelSignature& signature, const CaseOptions& options) {
  Diagnostics diagnostics;
  auto data = onnx::read_test_data(folder, signature, diagnostics);
  if (!data) return {false, summary(diagnostics)};
  for (size_t i = 0; i < data->inputs.size(); ++i) {
    data->inputs[i] = as_declared(std::move(data->inputs[i]), signature.inputs[i].type);
  }
  onnx::ImportOptions import;
  import.input_shapes = onnx::input_shapes(*data, signature);
  bool is_broken = false;
  const Outputs outputs = options.through == Through::evaluator
                              ? evaluate(model, import, data->inputs)
                              : execute(model, import, data->inputs, options.cores, is_broken);
  if (!outputs) return {false, outputs.error().reason, is_broken};
  for (size_t i = 0; i < data->outputs.size(); ++i) {
    const HostValue reference = as_declared(data->outputs[i], signature.outputs[i].type);
    const Comparison result =
        compare((*outputs)[i], reference, tolerance_of(reference, options.half_roundings));
    if (!result.is_passed) return {false, fmt::format("output {}: {}", i, result.why)};
  }
  return {true, ""};
}

}  // namespace

CaseResult run_case(const std::string& folder, const CaseOptions& options) {
  const std::string model = folder + "/model.onnx";
  Diagnostics diagnostics;
  const auto signature = onnx::read_signature(model, diagnostics);
  if (!signature) return {false, summary(diagnostics)};
  int num_sets = 0;
  for (;; ++num_sets) {
    const std::string set = fmt::format("{}/test_data_set_{}", folder, num_sets);
    if (!std::filesystem::is_directory(set)) break;
    CaseResult result = run_set(model, set, *signature, options);
    if (!result.is_passed) return result;
  }
  if (num_sets == 0) return {false, "it has no data sets"};
  return {true, ""};
}

}  // namespace neuronc::node_test
