// The executor, on plans given as text with kernels that are functions of this file: order,
// channels, barriers, control flow, host nodes and failing requests.
#include <algorithm>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "runtime/executor.h"
#include "test/unit/runtime/fixtures.h"

using namespace neuronc;
using namespace neuronc::runtime;
using neuronc::test::kFourCores;
using neuronc::test::kOneCore;
using neuronc::test::parsed_plan;

namespace {

int32_t add_scalar(const plan::KernelBuffer* buffers, int64_t begin, int64_t end) {
  const auto* x = static_cast<const float*>(buffers[0].data);
  const auto* k = static_cast<const float*>(buffers[1].data);
  auto* y = static_cast<float*>(buffers[2].data);
  for (int64_t i = begin; i < end; ++i) y[i] = x[i] + k[0];
  return 0;
}

int32_t check(const plan::KernelBuffer* buffers, int64_t begin, int64_t end) {
  const auto* x = static_cast<const float*>(buffers[0].data);
  auto* y = static_cast<float*>(buffers[1].data);
  for (int64_t i = begin; i < end; ++i) {
    if (x[i] < 0) return 1;
    if (x[i] > 1000) return 7;
    y[i] = x[i];
  }
  return 0;
}

// Holds a request at an element that is 500 until it is let go.
std::atomic<bool> is_held{false};

int32_t hold(const plan::KernelBuffer* buffers, int64_t begin, int64_t end) {
  const auto* x = static_cast<const float*>(buffers[0].data);
  while (x[begin] == 500 && is_held) std::this_thread::yield();
  return check(buffers, begin, end);
}

plan::KernelFunction resolve(std::string_view symbol) {
  if (symbol == "hold") return hold;
  if (symbol == "add_scalar" || symbol == "slow_add") return add_scalar;
  if (symbol == "check") return check;
  return nullptr;
}

const float kOne = 1.0f;

struct Fixture {
  explicit Fixture(std::string_view text, ExecutorOptions options = {}) : plan(parsed_plan(text)) {
    for (plan::Constant& constant : plan.constants) constant.offset_bytes = 0;
    auto created = Executor::create(plan, reinterpret_cast<const std::byte*>(&kOne), resolve,
                                    std::move(options));
    if (!created) FAIL(created.error().message);
    executor = std::move(*created);
  }

  // Runs with one input and `outputs`.
  template <class In, class... Out>
  Result<Done> run(const In& in, Out&... out) {
    const std::byte* inputs[] = {reinterpret_cast<const std::byte*>(&in)};
    std::byte* outputs[] = {reinterpret_cast<std::byte*>(&out)...};
    return executor->run({inputs, outputs, {}, {}});
  }

  plan::Plan plan;
  std::unique_ptr<Executor> executor;
};

using Four = std::array<float, 4>;

}  // namespace

TEST_CASE("a model on one core runs on the calling thread") {
  Fixture fixture(kOneCore);
  Four y{};
  REQUIRE(fixture.run(Four{1, 2, 3, 4}, y));
  CHECK(y == Four{2, 3, 4, 5});
}

TEST_CASE("a failing kernel ends its request with a status and no other") {
  const auto threading = GENERATE(Threading::caller, Threading::per_lane);
  ExecutorOptions options;
  options.threading = threading;
  Fixture fixture(kFourCores, options);
  Four y{}, x2{};
  for (int round = 0; round < 50; ++round) {
    const auto failed = fixture.run(Four{1, -2, 3, 4}, y, x2);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().code == NRT_EXEC_OOB);
    const auto other = fixture.run(Four{1, 2000, 3, 4}, y, x2);
    REQUIRE_FALSE(other);
    CHECK(other.error().code == NRT_EXEC_COMPLETED_WITH_ERR);
    CHECK(other.error().message == "kernel `check` ended with status 7");
    REQUIRE(fixture.run(Four{1, 2, 3, float(round)}, y, x2));
    CHECK(y == Four{5, 6, 7, float(round) + 4});
  }
}

TEST_CASE("concurrent requests stream through four lanes and keep apart") {
  ExecutorOptions options;
  Fixture fixture(kFourCores, options);
  std::atomic<int> num_wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const float v = static_cast<float>((t * 200 + i) % 990);
        Four y{}, x2{};
        const bool is_bad = i % 10 == 3;
        const auto done = fixture.run(Four{v, v + 1, v + 2, is_bad ? -1 : v}, y, x2);
        const bool is_right =
            is_bad ? !done : done && y == Four{v + 4, v + 5, v + 6, v + 4} && x2[0] == v + 1;
        if (!is_right) ++num_wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(num_wrong == 0);
}

TEST_CASE("two models take turns on shared cores without deadlock") {
  Cores cores({0, 1, 2, 3});
  ExecutorOptions forwards, backwards;
  forwards.cores = backwards.cores = &cores;
  forwards.assigned = backwards.assigned = *cores.assign(0, 4);
  std::reverse(backwards.assigned.begin(), backwards.assigned.end());
  Fixture a(kFourCores, forwards);
  Fixture b(kFourCores, backwards);
  std::atomic<int> num_right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        Four y{}, x2{};
        if ((t % 2 == 0 ? a : b).run(Four{1, 2, 3, 4}, y, x2) && y == Four{5, 6, 7, 8}) ++num_right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(num_right == 400);
}

TEST_CASE("fills, shared memory with barriers, if and loop") {
  // Each of two cores adds 1 to its half, `count` times; element 0 is replaced if it is not zero.
  constexpr std::string_view kText = R"(plan "control" {
    input 0 "x" f32[4] bytes 16
    output 0 "y" f32[4] bytes 16
    constant 0 "one" bytes 4 offset 0 hash 00000000000000000000000000000000
    kernel 0 @add_scalar buffers 3 tiles 4
    team 0 lanes 2 from 0 shared 64 { alloc "half" 0:16 epochs 1..2 }
    lane 0 core 0 arena 192 {
      alloc "count" 0:8 steps 0..4
      alloc "i" 64:8 steps 3..4
      alloc "sum" 128:16 steps 2..7
      block 0 {
        fill (w arena+0:8) 0x3:8
        barrier 0
        copy (r input0+0:16, w arena+128:16)
        loop count (r arena+0:8) trip (w arena+64:8) 1
        if (r input0+3:1) 2
        copy (r arena+128:8, w shared0+0:8)
        barrier 0
        copy (r shared0+0:16, w output0+0:16)
        barrier 0
      }
      block 1 {
        run @add_scalar tiles 0..2 (r arena+128:16, r constant0+0:4, w arena+128:16)
      }
      block 2 {
        fill (w arena+128:4) 0x42280000:4
      }
    }
    lane 1 core 1 arena 0 {
      block 0 {
        barrier 0
        copy (r input0+8:8, w shared0+8:8)
        barrier 0
        barrier 0
      }
    }
  })";
  ExecutorOptions options;
  options.threading = GENERATE(Threading::caller, Threading::per_lane);
  Fixture fixture(kText, options);
  Four y{};
  for (int round = 0; round < 20; ++round) {
    REQUIRE(fixture.run(Four{0, 2, 3, 4}, y));
    CHECK(y == Four{3, 5, 3, 4});
    REQUIRE(fixture.run(Four{1, 2, 3, 4}, y));
    CHECK(y == Four{42, 5, 3, 4});
  }
}

TEST_CASE("lanes of a team run tiles of one kernel and send one slot together") {
  constexpr std::string_view kText = R"(plan "team" {
    input 0 "x" f32[4] bytes 16
    output 0 "y" f32[4] bytes 16
    constant 0 "one" bytes 4 offset 0 hash 00000000000000000000000000000000
    kernel 0 @add_scalar buffers 3 tiles 4
    channel 0 "c" bytes 16 depth 2 lane 0, 1 -> 2, 3
    team 0 lanes 2 from 0 shared 0 {}
    team 1 lanes 2 from 2 shared 0 {}
    lane 0 core 0 arena 0 { block 0 {
      acquire 0
      run @add_scalar tiles 0..2 (r input0+0:16, r constant0+0:4, w channel0+0:16 at 0:8)
      send 0
    } }
    lane 1 core 1 arena 0 { block 0 {
      acquire 0
      run @add_scalar tiles 2..4 (r input0+0:16, r constant0+0:4, w channel0+0:16 at 8:8)
      send 0
    } }
    lane 2 core 2 arena 0 { block 0 {
      recv 0
      run @add_scalar tiles 1..4 (r channel0+0:16, r constant0+0:4, w output0+0:16 at 4:12)
      release 0
    } }
    lane 3 core 3 arena 0 { block 0 {
      recv 0
      run @add_scalar tiles 0..1 (r channel0+0:16, r constant0+0:4, w output0+0:16 at 0:4)
      release 0
    } }
  })";
  ExecutorOptions options;
  options.threading = GENERATE(Threading::caller, Threading::per_lane);
  Fixture fixture(kText, options);
  for (int round = 0; round < 50; ++round) {
    Four y{};
    REQUIRE(fixture.run(Four{float(round), 1, 2, 3}, y));
    CHECK(y == Four{float(round) + 2, 3, 4, 5});
  }
}

namespace {

// Node 0 doubles into an i64 of data-dependent length; node 1 reverses; node 2 refuses; node 3
// gives a wrong type.
class TestEvaluator : public HostEvaluator {
 public:
  OrRefusal<std::vector<HostValue>> evaluate(uint32_t node,
                                             std::span<const HostValue> operands) override {
    const Tensor& x = operands[0].tensor();
    if (node == 2) return refuse("of a principle");
    if (node == 3) return std::vector<HostValue>{Tensor::scalar(DType::f64, 1)};
    if (node == 4) return std::vector<HostValue>{operands[0]};
    const int64_t count = node == 0 ? x.i64(0) : x.num_elements();
    Tensor result = Tensor::zeros(node == 0 ? DType::i64 : x.dtype(), {count});
    for (int64_t i = 0; i < count; ++i) {
      result.set_f64(i, node == 0 ? 2.0 * static_cast<double>(i) : x.f64(count - 1 - i));
    }
    return std::vector<HostValue>{std::move(result)};
  }
};

constexpr std::string_view kHost = R"(plan "host" {
  input 0 "x" f32[4] bytes 16
  output 0 "y" f32[4] bytes 16
  output 1 "z" i64[-1] bytes 0
  constant 0 "one" bytes 4 offset 0 hash 00000000000000000000000000000000
  kernel 0 @add_scalar buffers 3 tiles 4
  channel 0 "c" bytes 16 depth 1 lane 0 -> 1
  channel 1 "d" bytes 16 depth 1 lane 1 -> 0
  host_slots 1
  lane 0 core 0 arena 0 {
    block 0 {
      acquire 0
      run @add_scalar tiles 0..4 (r input0+0:16, r constant0+0:4, w channel0+0:16)
      send 0
      recv 1
      run @add_scalar tiles 0..4 (r channel1+0:16, r constant0+0:4, w output0+0:16)
      release 1
    }
  }
  lane 1 host arena 0 {
    block 0 {
      recv 0
      host 4 (r channel0+0:16 f32[4]) -> (w slot0)
      acquire 1
      host 1 (r channel0+0:16 f32[4]) -> (w channel1+0:16 f32[4])
      send 1
      release 0
      host 0 (r slot0) -> (w output1+0:0 i64[-1])
    }
  }
})";

}  // namespace

TEST_CASE("host nodes run between kernels, with results sized at run time") {
  TestEvaluator evaluator;
  ExecutorOptions options;
  options.evaluator = &evaluator;
  options.threading = GENERATE(Threading::automatic, Threading::per_lane);
  Fixture fixture(kHost, options);
  for (float length : {3.0f, 0.0f, 5.0f}) {
    const Four x{length, 1, 2, 3};
    Four y{};
    std::array<HostValue, 2> host_outputs;
    const std::byte* inputs[] = {reinterpret_cast<const std::byte*>(&x)};
    std::byte* outputs[] = {reinterpret_cast<std::byte*>(&y), nullptr};
    REQUIRE(fixture.executor->run({inputs, outputs, {}, host_outputs}));
    CHECK(y == Four{5, 4, 3, length + 2});
    CHECK(host_outputs[1].tensor().num_elements() == static_cast<int64_t>(length) + 1);
    CHECK(host_outputs[1].tensor().i64(static_cast<int64_t>(length)) == 2 * int64_t(length));
  }
}

TEST_CASE("an output sized at run time is read by a later host node") {
  TestEvaluator evaluator;
  ExecutorOptions options;
  options.evaluator = &evaluator;
  Fixture fixture(R"(plan "read_output" {
  input 0 "x" f32[4] bytes 16
  output 0 "z" i64[-1] bytes 0
  output 1 "reversed" i64[-1] bytes 0
  host_slots 0
  lane 0 core 0 arena 0 {
    block 0 {
    }
  }
  lane 1 host arena 0 {
    block 0 {
      host 0 (r input0+0:16 f32[4]) -> (w output0+0:0 i64[-1])
      host 1 (r output0+0:0 i64[-1]) -> (w output1+0:0 i64[-1])
    }
  }
})",
                  options);
  const Four x{3, 0, 0, 0};
  std::array<HostValue, 2> host_outputs;
  const std::byte* inputs[] = {reinterpret_cast<const std::byte*>(&x)};
  std::byte* outputs[] = {nullptr, nullptr};
  REQUIRE(fixture.executor->run({inputs, outputs, {}, host_outputs}));
  REQUIRE(host_outputs[0].tensor().num_elements() == host_outputs[1].tensor().num_elements());
  CHECK(host_outputs[0].tensor().i64(2) == 4);
  CHECK(host_outputs[1].tensor().i64(0) == 4);
}

namespace {

// Remembers where its operands and results were.
class TracingEvaluator : public TestEvaluator {
 public:
  OrRefusal<std::vector<HostValue>> evaluate(uint32_t node,
                                             std::span<const HostValue> operands) override {
    operands_at.push_back(operands[0].tensor().data());
    auto results = TestEvaluator::evaluate(node, operands);
    if (results) results_at.push_back(results->front().tensor().data());
    return results;
  }
  std::vector<const std::byte*> operands_at, results_at;
};

}  // namespace

TEST_CASE("host nodes share what slots hold, and find their memory again in the next request") {
  TracingEvaluator evaluator;
  ExecutorOptions options;
  options.evaluator = &evaluator;
  Fixture fixture(R"(plan "shared_slots" {
  input 0 "x" f32[4] bytes 16
  output 0 "z" i64[-1] bytes 0
  host_slots 3
  lane 0 core 0 arena 0 {
    block 0 {
    }
  }
  lane 1 host arena 0 {
    block 0 {
      host 0 (r input0+0:16 f32[4]) -> (w slot0)
      host 4 (r slot0) -> (w slot1)
      host 1 (r slot1) -> (w slot2)
      host 4 (r slot2) -> (w output0+0:0 i64[-1])
    }
  }
})",
                  options);
  const uint64_t before = fixture.executor->memory_bytes();
  uint64_t after_first = 0;
  for (float length : {40000.0f, 39000.0f}) {
    evaluator.operands_at.clear();
    evaluator.results_at.clear();
    const Four x{length, 0, 0, 0};
    std::array<HostValue, 1> host_outputs;
    const std::byte* inputs[] = {reinterpret_cast<const std::byte*>(&x)};
    std::byte* outputs[] = {nullptr};
    REQUIRE(fixture.executor->run({inputs, outputs, {}, host_outputs}));
    const Tensor& z = host_outputs[0].tensor();
    REQUIRE(z.num_elements() == static_cast<int64_t>(length));
    CHECK(z.i64(0) == 2 * (static_cast<int64_t>(length) - 1));
    CHECK(z.i64(z.num_elements() - 1) == 0);
    CHECK(evaluator.operands_at[2] == evaluator.results_at[0]);  // through slot 1
    CHECK(z.data() != evaluator.operands_at[3]);                 // the caller's own
    // Slots 0 and 1 ended behind their last reader: the output lies where they were.
    CHECK(z.data() == evaluator.results_at[0]);
    if (after_first == 0) after_first = fixture.executor->memory_bytes();
  }
  CHECK(after_first > before);
  CHECK(fixture.executor->memory_bytes() == after_first + (after_first - before));
}

TEST_CASE("host nodes that refuse or give another type end the request") {
  const auto [from, to, message] = GENERATE(table<std::string, std::string, std::string>(
      {{"host 4", "host 2", "host node 2: of a principle"},
       {"host 1", "host 3", "a host node's result has another type than the plan states"}}));
  std::string text(kHost);
  text.replace(text.find(from), from.size(), to);
  TestEvaluator evaluator;
  ExecutorOptions options;
  options.evaluator = &evaluator;
  Fixture fixture(text, options);
  const Four x{1, 1, 2, 3};
  Four y{};
  std::array<HostValue, 2> host_outputs;
  const std::byte* inputs[] = {reinterpret_cast<const std::byte*>(&x)};
  std::byte* outputs[] = {reinterpret_cast<std::byte*>(&y), nullptr};
  const auto done = fixture.executor->run({inputs, outputs, {}, host_outputs});
  REQUIRE_FALSE(done);
  CHECK(done.error().message == message);
}

namespace {

// Refuses a first buffer that is not 16 bytes long.
class TestChecker : public KernelChecker {
 public:
  OrRefusal<int32_t> run(plan::KernelId kernel, const plan::KernelBuffer* buffers,
                         std::span<const int64_t> sizes_bytes, int64_t begin, int64_t end,
                         std::string&) override {
    if (sizes_bytes[0] != 16) return refuse("v1 = load %x[4]: out of bounds");
    return kernel.index == 0 ? add_scalar(buffers, begin, end) : check(buffers, begin, end);
  }
};

}  // namespace

TEST_CASE("a checker runs kernels in place of their code, knowing the buffers' sizes") {
  TestChecker checker;
  ExecutorOptions options;
  options.checker = &checker;
  Fixture fixture(kOneCore, options);
  Four y{};
  REQUIRE(fixture.run(Four{1, 2, 3, 4}, y));
  CHECK(y == Four{2, 3, 4, 5});
  std::string narrow(kOneCore);
  narrow.replace(narrow.find("check tiles 0..4 (r input0+0:16"), 31,
                 "check tiles 0..4 (r input0+0:12");
  Fixture other(narrow, options);
  const auto done = other.run(Four{1, 2, 3, 4}, y);
  REQUIRE_FALSE(done);
  CHECK(done.error().code == NRT_EXEC_OOB);
  CHECK(done.error().message == "kernel `check`: v1 = load %x[4]: out of bounds");
}

TEST_CASE("a kernel that the code does not have is named") {
  const plan::Plan plan = parsed_plan(kOneCore);
  const auto created = Executor::create(
      plan, nullptr, [](std::string_view) -> plan::KernelFunction { return nullptr; }, {});
  REQUIRE_FALSE(created);
  CHECK(created.error().code == NRT_INVALID);
  CHECK(created.error().message.find("`") != std::string::npos);
}

namespace {

// kOneCore or kFourCores with its first kernel holding.
std::string held(std::string_view text) {
  std::string result(text);
  for (size_t at = 0; (at = result.find("@check", at)) != std::string::npos;) {
    result.replace(at, 6, "@hold");
  }
  return result;
}

RequestIo io_of(std::vector<const std::byte*>& inputs, std::vector<std::byte*>& outputs) {
  return {inputs, outputs, {}, {}};
}

}  // namespace

// Adds 1 in each of four trips and stacks element 0 of the sums, from the last place on.
constexpr std::string_view kLoops = R"(plan "loops" {
  input 0 "x" f32[4] bytes 16
  output 0 "y" f32[4] bytes 16
  output 1 "x2" f32[4] bytes 16
  constant 0 "one" bytes 4 offset 0 hash 00000000000000000000000000000000
  kernel 0 @add_scalar buffers 3 tiles 4
  lane 0 core 0 arena 192 {
    alloc "trip" 0:8 steps 1..3
    alloc "sum" 64:16 steps 0..4
    block 0 {
      copy (r input0+0:16, w arena+64:16)
      loop most 4 trip (w arena+0:8) 1
      copy (r arena+64:16, w output0+0:16)
    }
    block 1 {
      run @add_scalar tiles 0..4 (r arena+64:16, r constant0+0:4, w arena+64:16)
      copy (r arena+64:4, w output1+12:4 step -4)
    }
  }
})";

TEST_CASE("references of a loop move with its trips, forwards and backwards") {
  Fixture fixture{std::string(kLoops)};
  for (int round = 0; round < 3; ++round) {
    Four y{}, x2{};
    REQUIRE(fixture.run(Four{1, 2, 3, 0}, y, x2));
    CHECK(y == Four{5, 6, 7, 4});
    CHECK(x2 == Four{5, 4, 3, 2});
  }
}

TEST_CASE("a loop that nothing but a deadline ends leaves the model in order") {
  const bool is_one = GENERATE(true, false);
  std::string text = R"(plan "endless" {
    input 0 "x" f32[4] bytes 16
    output 0 "y" f32[4] bytes 16
    output 1 "x2" f32[4] bytes 16
    kernel 0 @add_scalar buffers 3 tiles 4
    lane 0 core 0 arena 64 {
      alloc "trip" 0:8 steps 2..3
      block 0 {
        copy (r input0+0:16, w output0+0:16)
        copy (r input0+0:16, w output1+0:16)
        loop while (r input0+12:1) trip (w arena+0:8) 1
      }
      block 1 { copy (r input0+0:16, w output0+0:16) }
    }
  )";
  if (!is_one) text += "lane 1 core 1 arena 0 { block 0 { } }\n";
  Fixture fixture(text + "}");
  Four x{1, 2, 3, 1.0000001f}, y{}, x2{};
  std::vector<const std::byte*> inputs = {reinterpret_cast<const std::byte*>(&x)};
  std::vector<std::byte*> outputs = {reinterpret_cast<std::byte*>(&y),
                                     reinterpret_cast<std::byte*>(&x2)};
  const auto late = fixture.executor->run_until(io_of(inputs, outputs),
                                                Clock::now() + std::chrono::milliseconds(300));
  REQUIRE_FALSE(late);
  CHECK(late.error().code == NRT_TIMEOUT);
  REQUIRE(fixture.run(Four{1, 2, 3, 4}, y, x2));
  CHECK(y == Four{1, 2, 3, 4});
}

TEST_CASE("counts below zero and beyond the most trips are harmless") {
  const auto [count, trips] = GENERATE(table<std::string, float>(
      {{"0xffffffffffffffff", 0.0f}, {"0x0", 0.0f}, {"0x2", 2.0f}, {"0x7fffffffffffffff", 5.0f}}));
  std::string text = R"(plan "counts" {
    input 0 "x" f32[4] bytes 16
    output 0 "y" f32[4] bytes 16
    output 1 "x2" f32[4] bytes 16
    constant 0 "one" bytes 4 offset 0 hash 00000000000000000000000000000000
    kernel 0 @add_scalar buffers 3 tiles 4
    lane 0 core 0 arena 128 {
      alloc "count" 0:8 steps 0..4
      alloc "trip" 64:8 steps 3..4
      block 0 {
        fill (w arena+0:8) COUNT:8
        copy (r input0+0:16, w output0+0:16)
        copy (r input0+0:16, w output1+0:16)
        loop most 5 count (r arena+0:8) trip (w arena+64:8) 1
      }
      block 1 { run @add_scalar tiles 0..4 (r output0+0:16, r constant0+0:4, w output0+0:16) }
    }
  })";
  text.replace(text.find("COUNT"), 5, count);
  Fixture fixture(text);
  Four y{}, x2{};
  REQUIRE(fixture.run(Four{1, 2, 3, 4}, y, x2));
  CHECK(y == Four{1 + trips, 2 + trips, 3 + trips, 4 + trips});
}

TEST_CASE("a request that misses its deadline names its step and leaves the model") {
  const bool is_one = GENERATE(true, false);
  Fixture fixture(held(is_one ? kOneCore : kFourCores));
  Four x{500, 2, 3, 4}, y{}, x2{};
  std::vector<const std::byte*> inputs = {reinterpret_cast<const std::byte*>(&x)};
  std::vector<std::byte*> outputs = {reinterpret_cast<std::byte*>(&y),
                                     reinterpret_cast<std::byte*>(&x2)};
  // Half a second on a busy machine to begin, to notice the deadline and to end within the grace.
  const auto soon = [] { return Clock::now() + std::chrono::milliseconds(500); };
  const auto far = [] { return Clock::now() + std::chrono::seconds(30); };
  REQUIRE(fixture.executor->run_until(io_of(inputs, outputs), far()));
  is_held = true;
  SECTION("when the kernel ends within the time of grace") {
    std::thread release([] {
      std::this_thread::sleep_for(std::chrono::milliseconds(1000));
      is_held = false;
    });
    const auto late = fixture.executor->run_until(io_of(inputs, outputs), soon());
    release.join();
    REQUIRE_FALSE(late);
    CHECK(late.error().code == NRT_TIMEOUT);
    CHECK(late.error().message.find("core 0, step 1 of") != std::string::npos);
    CHECK(late.error().message.find("kernel `hold`") != std::string::npos);
  }
  SECTION("when it does not, the model is out of use until it does") {
    const auto stuck = fixture.executor->run_until(io_of(inputs, outputs), soon());
    REQUIRE_FALSE(stuck);
    CHECK(stuck.error().code == NRT_EXEC_UNIT_UNRECOVERABLE);
    CHECK(stuck.error().message.find("core 0, step 1 of") != std::string::npos);
    CHECK(fixture.executor->is_stuck());
    const auto refused = fixture.executor->run(io_of(inputs, outputs));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == NRT_EXEC_UNIT_UNRECOVERABLE);
    is_held = false;
    while (fixture.executor->is_stuck()) std::this_thread::yield();
  }
  is_held = false;
  REQUIRE(fixture.executor->run(io_of(inputs, outputs)));
  CHECK(y[1] == (is_one ? 3 : 6));
}

TEST_CASE("asynchronous requests complete in order, and a full queue says so") {
  const bool is_one = GENERATE(true, false);
  Fixture fixture(held(is_one ? kOneCore : kFourCores));
  constexpr size_t kRequests = 32;
  std::vector<Four> x(kRequests, Four{1, 2, 3, 4}), y(kRequests), x2(kRequests);
  x[0][0] = 500;
  std::vector<std::vector<const std::byte*>> inputs;
  std::vector<std::vector<std::byte*>> outputs;
  std::vector<int> order;
  std::atomic<size_t> num_completed{0};
  is_held = true;
  for (size_t i = 0; i < kRequests; ++i) {
    inputs.push_back({reinterpret_cast<const std::byte*>(&x[i])});
    outputs.push_back({reinterpret_cast<std::byte*>(&y[i]), reinterpret_cast<std::byte*>(&x2[i])});
    x[i][1] = i == 7 ? -1.0f : 2.0f;
  }
  for (size_t i = 0; i < kRequests; ++i) {
    REQUIRE(fixture.executor->submit(io_of(inputs[i], outputs[i]), [&, i](const Status& status) {
      if ((status.code == NRT_SUCCESS) == (i != 7)) order.push_back(static_cast<int>(i));
      ++num_completed;
    }));
  }
  const auto full = fixture.executor->submit(io_of(inputs[0], outputs[0]), [](const Status&) {});
  REQUIRE_FALSE(full);
  CHECK(full.error().code == NRT_QUEUE_FULL);
  is_held = false;
  while (num_completed < kRequests) std::this_thread::yield();
  REQUIRE(order.size() == kRequests);
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK(y[31] == (is_one ? Four{2, 3, 4, 5} : Four{5, 6, 7, 8}));
}
