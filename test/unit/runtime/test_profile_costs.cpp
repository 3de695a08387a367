// What a profile takes from a NEFF's metadata: rows of kernels for steps, and the predicted course.
#include "runtime/profile_costs.h"
#include "test/unit/runtime/fixtures.h"

namespace neuronc::test {
namespace {

using runtime::ProfileCosts;

// Each core has one `slow_add` of another time; one row is of another instruction set.
constexpr std::string_view kFourCoresJson = R"({
  "partition": {"hardware": "h", "strategy": "pipeline", "period_ns": 4000, "launch_ns": 10,
                "hand_off_ns": 100, "barrier_ns": 50, "on_chip_bytes_per_s": 16e9},
  "kernels": [
    {"isa": "other", "symbol": "slow_add", "core": 0, "predicted": {"time_ns": 7, "flops": 1}},
    {"isa": "x", "symbol": "slow_add", "core": 0, "nodes": [{"name": "first"}, {"name": "relu"}],
     "predicted": {"time_ns": 1000, "flops": 8}},
    {"isa": "x", "symbol": "slow_add", "core": 1, "nodes": [{"name": "second"}],
     "predicted": {"time_ns": 2000, "flops": 8}},
    {"isa": "x", "symbol": "slow_add", "core": 2, "predicted": {"time_ns": 3000}},
    {"isa": "x", "symbol": "slow_add", "core": 3, "predicted": {"time_ns": 4000}}]})";

// A kernel of eight tiles that two lanes share, five and three, between barriers.
constexpr std::string_view kTeam = R"(plan "team" {
  input 0 "x" f32[8] bytes 32
  output 0 "y" f32[8] bytes 32
  kernel 0 @a buffers 2 tiles 8
  team 0 lanes 2 from 0 shared 64 {
    alloc "t" 0:32 epochs 0..1
  }
  lane 0 core 0 arena 0 {
    block 0 {
      run @a tiles 0..5 (r input0+0:32 at 0:20, w shared0+0:32 at 0:20)
      barrier 0
      run @a tiles 0..8 (r shared0+0:32, w output0+0:32)
      barrier 0
    }
  }
  lane 1 core 1 arena 0 {
    block 0 {
      run @a tiles 5..8 (r input0+0:32 at 20:12, w shared0+0:32 at 20:12)
      barrier 0
      barrier 0
    }
  }
})";

}  // namespace

TEST_CASE("steps have the rows of their core, and follow hand-overs", "[profile]") {
  const plan::Plan plan = parsed_plan(kFourCores);
  const ProfileCosts costs = runtime::profile_costs(plan, "x", kFourCoresJson);
  CHECK(costs.hardware == "h");
  CHECK(costs.lanes[0][2].nodes == std::vector<std::string>{"first", "relu"});
  CHECK(costs.lanes[0][2].predicted_ns == 1000);
  CHECK(costs.lanes[0][2].flops == 8);
  CHECK(costs.lanes[1][2].nodes == std::vector<std::string>{"second"});
  CHECK(costs.lanes[0][1].label == "acquire a");
  CHECK(costs.lanes[1][0].kind == "wait");
  // Requests come by a hand-over of 100, as each value does; core 3 copies 16 bytes in 1 ns.
  CHECK(costs.timeline[0][2].end_ns == 1100);
  CHECK(costs.timeline[1][0].end_ns == 1200);
  CHECK(costs.timeline[2][0].end_ns == 3300);
  CHECK(costs.timeline[3][1].end_ns == 10400);
  CHECK(costs.timeline[3].back().end_ns == 10401);
  CHECK(costs.predicted_latency_ns == 10501);
}

TEST_CASE("shares of a kernel have their part of its time, and barriers wait for the slowest",
          "[profile]") {
  const plan::Plan plan = parsed_plan(kTeam);
  const ProfileCosts costs = runtime::profile_costs(plan, "x", R"({
    "partition": {"launch_ns": 200, "hand_off_ns": 1000, "barrier_ns": 50},
    "kernels": [
      {"isa": "x", "symbol": "a", "core": 0, "num_cores": 2, "nodes": [{"name": "shared"}],
       "predicted": {"time_ns": 1000, "flops": 80}},
      {"isa": "x", "symbol": "a", "core": 0, "nodes": [{"name": "alone"}],
       "predicted": {"time_ns": 600, "flops": 80}}]})");
  CHECK(costs.lanes[0][0].predicted_ns == 200 + 800 * 5.0 / 8);
  CHECK(costs.lanes[1][0].predicted_ns == 200 + 800 * 3.0 / 8);
  CHECK(costs.lanes[1][0].flops == 30);
  CHECK(costs.lanes[1][0].bytes_read == 12);
  CHECK(costs.lanes[1][0].bytes_written == 12);
  CHECK(costs.lanes[0][2].nodes == std::vector<std::string>{"alone"});
  CHECK(costs.timeline[1][1].begin_ns == 1500);
  CHECK(costs.timeline[1][1].end_ns == 1750);
  CHECK(costs.timeline[0][2].end_ns == 2350);
  CHECK(costs.timeline[1].back().end_ns == 2400);
}

TEST_CASE("weights that are read from memory take as long as that does", "[profile]") {
  const plan::Plan plan = parsed_plan(kOneCore);
  const ProfileCosts costs = runtime::profile_costs(plan, "x", R"({
    "partition": {"launch_ns": 10, "dram_bytes_per_s_per_core": 2e9,
                  "cores": [{"weight_bytes": 100, "streamed_bytes": 50}]},
    "kernels": [
      {"isa": "x", "symbol": "check", "core": 0,
       "predicted": {"time_ns": 500, "weight_bytes": 400}},
      {"isa": "x", "symbol": "add_scalar", "core": 0,
       "predicted": {"time_ns": 60, "weight_bytes": 400}}]})");
  CHECK(costs.lanes[0][0].predicted_ns == 500);
  CHECK(costs.lanes[0][1].predicted_ns == 10 + 400 * 0.5 / 2);
}

TEST_CASE("metadata that says nothing predicts nothing", "[profile]") {
  const plan::Plan plan = parsed_plan(kFourCores);
  for (const std::string_view json :
       {"", "{", "[]", "{}", R"({"partition": 3, "kernels": {}})",
        R"({"kernels": [1, {"isa": "x"}, {"isa": "x", "symbol": "slow_add", "core": "a"}]})",
        R"({"kernels": [{"isa": "x", "symbol": "slow_add", "nodes": 3, "predicted": []}]})"}) {
    const ProfileCosts costs = runtime::profile_costs(plan, "x", json);
    CHECK(costs.predicted_latency_ns == 0);
    CHECK(costs.lanes[0][2].label == "slow_add");
  }
}

}  // namespace neuronc::test
