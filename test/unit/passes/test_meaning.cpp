// Passes keep the meaning of modules: the text tests of recognise give the same outputs before and
// after, up to rounding; those of cast and narrow-edges up to what narrow types round.
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "ir/evaluate_graph.h"
#include "ir/module_file.h"
#include "passes/pipeline.h"
#include "passes/reference_target.h"
#include "passes/runner.h"

namespace neuronc {
namespace {

std::vector<HostValue> random_inputs(const Graph& graph) {
  std::mt19937 random(11);
  std::vector<HostValue> inputs;
  for (ValueId input : graph.inputs()) {
    const Type& type = graph.type(input);
    Tensor tensor = Tensor::zeros(type.dtype, type.shape());
    for (int64_t i = 0; i < tensor.num_elements(); ++i) {
      // 24 bits of a uniform number in [-4, 4), the same on every machine.
      tensor.set_f64(i, static_cast<double>(random() >> 8) / (1 << 21) - 4);
    }
    inputs.emplace_back(std::move(tensor));
  }
  return inputs;
}

std::vector<HostValue> outputs_of(const Module& module) {
  auto outputs = evaluate_graph(module, module.graph(), random_inputs(module.graph()));
  if (!outputs) FAIL(outputs.error().reason);
  return std::move(*outputs);
}

// The largest difference, against the largest magnitude of each output.
double difference(const std::vector<HostValue>& a, const std::vector<HostValue>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t k = 0; k < a.size(); ++k) {
    const Tensor& x = a[k].tensor();
    const Tensor& y = b[k].tensor();
    REQUIRE(x.type() == y.type());
    double scale = 1e-30;
    double error = 0;
    for (int64_t i = 0; i < x.num_elements(); ++i) {
      REQUIRE(std::isfinite(y.f64(i)));
      scale = std::max(scale, std::fabs(x.f64(i)));
      error = std::max(error, std::fabs(x.f64(i) - y.f64(i)));
    }
    worst = std::max(worst, error / scale);
  }
  return worst;
}

// Runs `passes` over every text test whose name begins with `prefix`.
int check_files(const std::string& prefix, const char* passes, double tolerance) {
  int num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(NEURONC_TEXT_TESTS)) {
    if (!entry.path().filename().string().starts_with(prefix)) continue;
    CAPTURE(entry.path().string(), passes);
    Diagnostics diagnostics;
    auto module = read_module_file(entry.path().string(), diagnostics);
    const auto pipeline = parse_pipeline(passes, diagnostics);
    REQUIRE(module);
    REQUIRE(pipeline);
    const std::vector<HostValue> before = outputs_of(*module);
    const ReferenceTarget target;
    Remarks remarks;
    PassContext context{target, diagnostics, remarks};
    REQUIRE(run_pipeline(*module, *pipeline, context));
    CHECK(difference(before, outputs_of(*module)) <= tolerance);
    ++num_files;
  }
  return num_files;
}

}  // namespace

TEST_CASE("recognised expressions mean what they meant") {
  CHECK(check_files("recognise_", "recognise", 2e-6) >= 8);
}

TEST_CASE("quantised numbers computed in integers mean what they meant") {
  CHECK(check_files("join_quantized", "join-quantized", 2e-6) == 5);
}

TEST_CASE("cast modules are close to what they were") {
  CHECK(check_files("cast_", "cast", 0.02) >= 3);
  CHECK(check_files("narrow_edges", "fuse,narrow-edges{min-elements=16}", 0.02) == 3);
}

}  // namespace neuronc
