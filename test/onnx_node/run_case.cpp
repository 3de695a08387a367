// Implements run_case.h: import, then the graph evaluator.
#include "test/onnx_node/run_case.h"

#include <fmt/format.h>

#include <filesystem>

#include "compiler/runner/compare.h"
#include "compiler/onnx/import.h"
#include "compiler/onnx/test_data.h"
#include "ir/evaluate_graph.h"
#include "ir/verifier.h"

namespace neuronc::node_test {
namespace {

constexpr Tolerance kTolerance{1e-3, 1e-7, std::nullopt};

std::string summary(const Diagnostics& diagnostics) {
  for (const Diagnostic& d : diagnostics.all()) {
    if (d.severity == Severity::error) return fmt::format("[{}] {}", d.code, d.message);
  }
  return "failed without a diagnostic";
}

CaseResult run_set(const std::string& model, const std::string& folder,
                   const onnx::ModelSignature& signature) {
  Diagnostics diagnostics;
  const auto data = onnx::read_test_data(folder, signature, diagnostics);
  if (!data) return {false, summary(diagnostics)};
  onnx::ImportOptions options;
  options.input_shapes = onnx::input_shapes(*data, signature);
  auto imported = onnx::import_file(model, options, diagnostics);
  if (!imported) return {false, summary(diagnostics)};
  const Module& module = imported->module;
  if (!verify(module, diagnostics)) return {false, summary(diagnostics)};
  const auto outputs = evaluate_graph(module, module.graph(), data->inputs);
  if (!outputs) return {false, outputs.error().reason};
  for (size_t i = 0; i < data->outputs.size(); ++i) {
    const Comparison result = compare((*outputs)[i], data->outputs[i], kTolerance);
    if (!result.is_passed) return {false, fmt::format("output {}: {}", i, result.why)};
  }
  return {true, ""};
}

}  // namespace

CaseResult run_case(const std::string& folder) {
  const std::string model = folder + "/model.onnx";
  Diagnostics diagnostics;
  const auto signature = onnx::read_signature(model, diagnostics);
  if (!signature) return {false, summary(diagnostics)};
  int num_sets = 0;
  for (;; ++num_sets) {
    const std::string set = fmt::format("{}/test_data_set_{}", folder, num_sets);
    if (!std::filesystem::is_directory(set)) break;
    CaseResult result = run_set(model, set, *signature);
    if (!result.is_passed) return result;
  }
  if (num_sets == 0) return {false, "it has no data sets"};
  return {true, ""};
}

}  // namespace neuronc::node_test
