// What groups cost: tables are read by rows, a variant's time is its anchor's, work behind it adds.
#include <catch2/catch.hpp>
#include <string>

#include "backend/cpu_target.h"
#include "ir/parser.h"
#include "passes/pipeline.h"
#include "passes/runner.h"

namespace neuronc {
namespace {

Machine machine() {
  Diagnostics diagnostics;
  auto hardware = load_hardware_model("host", diagnostics);
  REQUIRE(hardware);
  Machine made;
  made.isa = common_isa();
  made.hardware = *hardware;
  return made;
}

// Of all kernels of a module with these lines, at stage laid_out.
GroupCost cost_of(const std::string& lines) {
  Diagnostics diagnostics;
  auto module =
      parse_module("nir 1\nmodule \"m\" stage cast {\n" + lines + "}\n", "test", {}, diagnostics);
  REQUIRE(module);
  const CpuTarget target(machine());
  Remarks remarks;
  PassContext context{target, diagnostics, remarks};
  const auto pipeline = parse_pipeline("fuse,lay-out", diagnostics);
  REQUIRE(pipeline);
  REQUIRE(run_pipeline(*module, *pipeline, context));
  GroupCost sum;
  for (NodeId id : module->graph().nodes()) {
    const GroupCost cost = target.cost(*module, module->graph(), id, target.machine().hardware);
    sum.time_ns += cost.time_ns;
    sum.flops += cost.flops;
    sum.weight_bytes += cost.weight_bytes;
  }
  return sum;
}

constexpr double kTolerated = 1e-9;

}  // namespace

TEST_CASE("a gather reads the rows that it copies, not its table", "[cost]") {
  const GroupCost cost = cost_of(
      "input %i : i64[3]\n"
      "%t = constant {0.5, ...} : f32[100000,64] core\n"
      "%0 = gather(%t, %i) : f32[3,64] core\n"
      "%1 = exp(%0) : f32[3,64] core\n"
      "output %1 as \"y\"\n");
  CHECK(cost.weight_bytes == 3 * 64 * 4);
  CHECK(cost.time_ns < 2 * machine().hardware.launch_ns + 1000);
}

TEST_CASE("attention costs two products and a softmax", "[cost]") {
  const GroupCost cost = cost_of(
      "input %q : f32[1,12,128,64]\n"
      "input %k : f32[1,12,128,64]\n"
      "input %v : f32[1,12,128,64]\n"
      "%0 = attention(%q, %k, %v) : f32[1,12,128,64] core\n"
      "output %0 as \"y\"\n");
  const double products_ns = 4.0 * 12 * 128 * 128 * 64 / machine().hardware.f32_flops_per_s * 1e9;
  CHECK(cost.time_ns > products_ns);
  // As elementwise work its products alone would take eight times as long.
  CHECK(cost.time_ns < 3 * products_ns);
  CHECK(cost.flops == Approx(4.0 * 12 * 128 * 128 * 64));
}

TEST_CASE("pooling regions costs some operations for each neighbour of a sample", "[cost]") {
  const GroupCost cost = cost_of(
      "input %x : f32[1,256,10,10]\n"
      "input %r : f32[150,4]\n"
      "input %b : i64[150]\n"
      "%0 = roi_align(%x, %r, %b) {output_height = 7, output_width = 7, sampling_ratio = 2} "
      ": f32[150,256,7,7] core\n"
      "output %0 as \"y\"\n");
  const double neighbours = 150.0 * 7 * 7 * 256 * 4 * 4;
  const double least_ns = 16 * neighbours / machine().hardware.f32_flops_per_s * 1e9;
  CHECK(cost.time_ns > least_ns);
  CHECK(cost.time_ns < 2 * least_ns);
}

TEST_CASE("work behind a product adds to its time", "[cost]") {
  const std::string product =
      "input %x : f32[256,256]\n"
      "%w = constant {0.5, ...} : f32[256,256] core\n"
      "%0 = matmul(%x, %w) : f32[256,256] core\n";
  const double plain_ns = cost_of(product + "output %0 as \"y\"\n").time_ns;
  const double with_gelu_ns =
      cost_of(product + "%1 = gelu(%0) : f32[256,256] core\noutput %1 as \"y\"\n").time_ns;
  const double gelu_ns = 256.0 * 256 * 16 / machine().hardware.vector_flops_per_s * 1e9;
  CHECK(with_gelu_ns >= plain_ns + gelu_ns);
}

TEST_CASE("what no core holds is moved at the rate of memory", "[cost]") {
  const HardwareModel hardware = machine().hardware;
  const auto time_ns = [&](int64_t elements) {
    const std::string type = "f32[" + std::to_string(elements) + "]";
    const GroupCost cost =
        cost_of("input %x : " + type + "\n%0 = relu(%x) : " + type + " core\noutput %0 as \"y\"\n");
    return cost.time_ns - hardware.launch_ns;
  };
  const auto fitting = static_cast<int64_t>(hardware.on_chip_bytes_per_core / 8);
  const double bytes = 8.0 * static_cast<double>(fitting);
  CHECK(time_ns(fitting) == Approx(bytes / hardware.on_chip_bytes_per_s * 1e9).epsilon(kTolerated));
  CHECK(time_ns(2 * fitting) ==
        Approx(2 * bytes / hardware.dram_bytes_per_s() * 1e9).epsilon(kTolerated));
}

}  // namespace neuronc
