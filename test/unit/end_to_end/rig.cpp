// Implements rig.h.
#include "rig.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <random>
#include <thread>

#include "backend/compile_module.h"
#include "backend/neff_json.h"
#include "backend/neff_writer.h"
#include "ir/evaluate_graph.h"
#include "ir/parser.h"
#include "ir/printer.h"
#include "ir/verifier.h"
#include "passes/pipeline.h"
#include "passes/reference_target.h"
#include "passes/runner.h"
#include "runtime/include/nrt/nrt.hpp"

namespace neuronc::test {

Module parse_for_test(std::string_view text) {
  Diagnostics diagnostics;
  auto module = parse_module(text, "test.nir", {}, diagnostics);
  INFO(text << diagnostics.to_text());
  REQUIRE(module);
  const bool is_sound = verify(*module, diagnostics).has_value();
  INFO(diagnostics.to_text());
  REQUIRE(is_sound);
  return std::move(*module);
}

std::vector<HostValue> seeded_inputs(const Module& module, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<HostValue> inputs;
  for (ValueId input : module.graph().inputs()) {
    const Type& type = module.graph().type(input);
    Tensor tensor = Tensor::zeros(type.dtype, type.shape());
    for (int64_t i = 0; i < tensor.num_elements(); ++i) {
      if (is_integer(type.dtype)) {
        tensor.set_i64(i, static_cast<int64_t>(random() % 5));
      } else {
        tensor.set_f64(i, static_cast<double>(random() % 4001) / 1000.0 - 2.0);
      }
    }
    inputs.emplace_back(std::move(tensor));
  }
  return inputs;
}

std::vector<HostValue> evaluate(const Module& module, const std::vector<HostValue>& inputs) {
  auto outputs = evaluate_graph(module, module.graph(), inputs);
  INFO((outputs ? std::string() : outputs.error().reason));
  REQUIRE(outputs);
  return std::move(*outputs);
}

std::vector<std::byte> compile_to_neff(const Module& source, int num_cores, int opt_level) {
  Module module = source.clone();
  Diagnostics diagnostics;
  Remarks remarks;
  const ReferenceTarget target;
  PassContext context{target, diagnostics, remarks};
  const std::string passes = "fuse,lay-out,partition{cores=" + std::to_string(num_cores) + "}";
  auto pipeline = parse_pipeline(passes, diagnostics);
  REQUIRE(pipeline);
  RunnerOptions runner;
  runner.verify_each = VerifyEach::yes;
  const bool is_run = run_pipeline(module, *pipeline, context, runner).has_value();
  INFO(diagnostics.to_text());
  REQUIRE(is_run);
  auto hardware = load_hardware_model("host", diagnostics);
  REQUIRE(hardware);
  const Machine machine{*describe("x86-64-v3"), *hardware, {.opt_level = opt_level}};
  auto compiled = compile_module(module, machine, {}, diagnostics);
  INFO(to_text(module));
  INFO(diagnostics.to_text());
  REQUIRE(compiled);
  NeffContents contents;
  contents.name = module.name;
  contents.compiler_version = "test";
  contents.json = neff_json({&*compiled, 1}, {});
  contents.host_nir = compiled->host_nir;
  if (!compiled->host_nirc.empty()) {
    contents.more.push_back({"host.nirc", std::as_bytes(std::span(compiled->host_nirc))});
  }
  contents.variants.push_back(
      {compiled->isa, compiled->code, compiled->plan, compiled->kernel_text});
  for (size_t i = 0; i < compiled->constants.size(); ++i) {
    contents.constants.push_back(
        {compiled->plan.constants[i].hash, compiled->constants[i].bytes()});
  }
  auto neff = build_neff(contents);
  INFO((neff ? std::string() : neff.error().reason));
  REQUIRE(neff);
  return std::move(*neff);
}

namespace {

// Logical cores enough for every test, whatever the machine has.
void init_runtime() {
  static const bool is_ready = [] {
    setenv("NEURON_RT_NUM_CORES", "4", 1);
    return nrt_init(NRT_FRAMEWORK_TYPE_NO_FW, "", "") == NRT_SUCCESS;
  }();
  REQUIRE(is_ready);
}

void check_close(const HostValue& expected, const Bytes& actual, double tolerance) {
  const Tensor& tensor = expected.tensor();
  REQUIRE(actual.size() == static_cast<size_t>(tensor.size_bytes()));
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    const double want = tensor.f64(i);
    const double have = load_as_f64(tensor.dtype(), actual.data(), i);
    if (std::isnan(want) && std::isnan(have)) continue;
    INFO("element " << i << ": expected " << want << ", got " << have);
    if (!(std::abs(want - have) <= tolerance * (1 + std::abs(want)))) REQUIRE(want == have);
  }
}

}  // namespace

std::vector<std::vector<Bytes>> run_neff(const std::vector<std::byte>& neff,
                                         const std::vector<std::vector<HostValue>>& requests,
                                         int num_threads) {
  init_runtime();
  std::string error;
  const std::optional<nrt::Model> model = nrt::Model::load(neff, error);
  INFO(error);
  REQUIRE(model);
  std::vector<std::vector<Bytes>> results(requests.size());
  std::atomic<size_t> next{0};
  std::atomic<int> num_failed{0};
  const auto work = [&] {
    for (size_t r = next++; r < requests.size(); r = next++) {
      std::vector<std::span<const std::byte>> inputs;
      for (const HostValue& value : requests[r]) inputs.push_back(value.tensor().bytes());
      std::vector<std::span<std::byte>> outputs;
      for (const nrt::TensorInfo& info : model->outputs()) {
        results[r].emplace_back(info.size_bytes, std::byte{0xcc});
      }
      for (Bytes& bytes : results[r]) outputs.emplace_back(bytes);
      std::string message;
      if (model->run(inputs, outputs, message) != NRT_SUCCESS) ++num_failed;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < num_threads; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  REQUIRE(num_failed == 0);
  return results;
}

void check_model(std::string_view text, double tolerance) {
  INFO(text);
  const Module module = parse_for_test(text);
  std::vector<std::vector<HostValue>> requests;
  for (uint32_t seed = 1; seed <= 8; ++seed) requests.push_back(seeded_inputs(module, seed));
  const auto on_one = run_neff(compile_to_neff(module, 1), requests);
  for (size_t r = 0; r < requests.size(); ++r) {
    const std::vector<HostValue> expected = evaluate(module, requests[r]);
    for (size_t i = 0; i < expected.size(); ++i) check_close(expected[i], on_one[r][i], tolerance);
  }
  for (int num_cores : {2, 4}) {
    INFO(num_cores << " cores");
    const std::vector<std::byte> neff = compile_to_neff(module, num_cores);
    const bool is_equal = run_neff(neff, requests, 8) == on_one;
    REQUIRE(is_equal);
  }
}

}  // namespace neuronc::test
