// The partition report adds up: kernels, weights and transfers of each core, and what more cores
// would do.
#include <catch2/catch.hpp>

#include "ir/module_file.h"
#include "passes/partition.h"
#include "passes/pipeline.h"
#include "passes/reference_target.h"
#include "passes/runner.h"

namespace neuronc {
namespace {

PartitionReport report_of(int64_t cores, const std::string& strategy = "pipeline") {
  Diagnostics diagnostics;
  auto module = read_module_file(NEURONC_TEXT_TESTS "/partition_pipeline.nir", diagnostics);
  const auto pipeline = parse_pipeline(
      "fuse,lay-out,partition{strategy=" + strategy + ",cores=" + std::to_string(cores) + "}",
      diagnostics);
  REQUIRE(module);
  REQUIRE(pipeline);
  const ReferenceTarget target;
  Remarks remarks;
  PassContext context{target, diagnostics, remarks};
  REQUIRE(run_pipeline(*module, *pipeline, context));
  PartitionOptions options;
  options.cores = cores;
  options.strategy = strategy;
  auto report = report_partition(*module, target, options, diagnostics);
  REQUIRE(report);
  return *report;
}

constexpr double kWeightBytes = 256 * 256 * 4;  // of each of the two weights, and of each value

}  // namespace

TEST_CASE("one core holds all weights and moves nothing") {
  const PartitionReport report = report_of(1);
  REQUIRE(report.cores.size() == 1);
  CHECK(report.cores[0].num_nodes == 4);
  CHECK(report.cores[0].weight_bytes == 2 * kWeightBytes);
  CHECK(report.cores[0].streamed_bytes == 0);
  CHECK(report.cores[0].received_bytes == 0);
  REQUIRE(report.table.size() >= 4);
  CHECK(report.period_ns == Approx(report.table[0].period_ns));
  CHECK(report.latency_ns == Approx(report.table[0].latency_ns));
  CHECK(report.table[0].latency_strategy == "one core");
  CHECK_THAT(report.more_cores, Catch::StartsWith("2 cores would serve requests"));
}

TEST_CASE("two cores hold a weight each and hand over one value") {
  const PartitionReport report = report_of(2);
  REQUIRE(report.cores.size() == 2);
  for (const CoreReport& core : report.cores) {
    CHECK(core.num_nodes == 2);
    CHECK(core.weight_bytes == kWeightBytes);
    CHECK(core.resident_bytes == kWeightBytes);
    CHECK(core.time_ns > core.compute_ns);
  }
  CHECK(report.cores[0].sent_bytes == kWeightBytes);
  CHECK(report.cores[1].received_bytes == kWeightBytes);
  // To the first core and back.
  constexpr double kHandOffNs = 2000;
  const double times_ns = report.cores[0].time_ns + report.cores[1].time_ns;
  CHECK(report.latency_ns == Approx(times_ns + 2 * kHandOffNs));
}

TEST_CASE("two cores of a team have half of every kernel and of every weight") {
  const PartitionReport one = report_of(1);
  const PartitionReport team = report_of(2, "tensor");
  CHECK(team.strategy == "tensor");
  REQUIRE(team.cores.size() == 2);
  for (const CoreReport& core : team.cores) {
    CHECK(core.num_nodes == 4);
    CHECK(core.weight_bytes == kWeightBytes);
    CHECK(core.received_bytes == 0);
    // Besides, each kernel is launched on both, and they meet three times.
    constexpr double kLaunchNs = 200, kBarrierNs = 500;
    CHECK(core.compute_ns ==
          Approx(one.cores[0].compute_ns / 2 + 4 * kLaunchNs / 2 + 3 * kBarrierNs));
  }
  CHECK(team.latency_ns < one.latency_ns);
  CHECK(team.latency_ns == Approx(team.table[1].latency_ns));
  CHECK(team.timeline.size() == 8);
}

TEST_CASE("cores beyond the kernels are empty, and more would not help") {
  const PartitionReport report = report_of(6);
  REQUIRE(report.cores.size() == 6);
  CHECK(report.cores[4].num_nodes == 0);
  CHECK(report.more_cores == "5 cores would not help: there are only 4 kernels to split");
}

TEST_CASE("a number of cores can be chosen by what they gain") {
  const PartitionReport report = report_of(0);
  CHECK(report.cores.size() == 4);
}

TEST_CASE("what is taken for latency is the fastest of the table") {
  const PartitionReport report = report_of(4, "auto");
  REQUIRE(report.table.size() >= 4);
  CHECK(report.strategy == report.table[3].latency_strategy);
  CHECK(report.latency_ns == Approx(report.table[3].latency_ns));
}

}  // namespace neuronc
