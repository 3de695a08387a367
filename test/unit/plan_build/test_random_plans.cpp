// Plans of random modules verify, and compute what the module says: with several requests in
// flight, lanes in any order, results over operands and values in each other's memory.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "backend/plan/build_plan.h"
#include "backend/plan/host_graph.h"
#include "backend/plan/prepare_host.h"
#include "break_plan.h"
#include "ir/kernel/builder.h"
#include "ir/plan/text.h"
#include "ir/plan/verify.h"
#include "plan_machine.h"
#include "random_model.h"

using namespace neuronc;
using namespace neuronc::test;

namespace {

int64_t hull_bytes(const Storage& storage, const std::vector<int64_t>& shape) {
  return ((shape[0] - 1) * storage.strides[0] + (shape[1] - 1) * storage.strides[1] + 1) * 4;
}

// Tile t computes row t of every result, element by element, from one element of each operand; the
// meaning is known to the test. No other kernel equals it.
kernel::Kernel kernel_for_test(const Module& module, const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const auto buffer_of = [&](ValueId value, kernel::Access access) {
    const Storage& storage = graph.value(value).storage;
    kernel::Buffer buffer;
    buffer.dtype = DType::u32;
    buffer.extents = graph.type(value).shape();
    if (storage) buffer.strides = storage.strides;
    buffer.access = access;
    buffer.is_noalias = false;
    return buffer;
  };
  int64_t num_tiles = 0;
  for (ValueId result : node.results) {
    num_tiles = std::max(num_tiles, graph.type(result).shape()[0]);
  }
  kernel::Builder b("k", num_tiles);
  std::vector<kernel::BufferId> operands, results;
  for (ValueId operand : node.operands) {
    const bool is_packed = module.constant_of(graph, operand) != nullptr && id.index % 2 == 0;
    kernel::Buffer buffer = buffer_of(operand, kernel::Access::read);
    if (is_packed) buffer.strides.clear();
    operands.push_back(b.parameter(std::move(buffer)));
  }
  for (ValueId result : node.results) {
    results.push_back(b.parameter(buffer_of(result, kernel::Access::write)));
  }
  b.output("workspace", DType::u8, {static_cast<int64_t>(id.index % 5) * 24});
  const kernel::Index row = num_tiles > 1 ? b.tile() : kernel::Index(0);
  for (size_t r = 0; r < node.results.size(); ++r) {
    const std::vector<int64_t> shape = graph.type(node.results[r]).shape();
    // The lower bound tells kernels apart; those that differ in a scalar alone would become one.
    b.if_then({{row, -static_cast<int64_t>(id.index), shape[0]}}, [&] {
      b.for_loop({0, shape[1], 1}, [&](kernel::Index column) {
        kernel::Value sum = b.zero({DType::u32, 1});
        for (size_t i = 0; i < operands.size(); ++i) {
          const std::vector<int64_t> from = graph.type(node.operands[i]).shape();
          const kernel::Index e = kernel::mod(row * shape[1] + column, from[0] * from[1]);
          sum = b.add(
              sum, b.load(operands[i], {kernel::floor_div(e, from[1]), kernel::mod(e, from[1])}));
        }
        b.store(results[r], {row, column}, sum);
      });
    });
  }
  return std::move(b).finish();
}

LoweredKernel lower_for_test(const Module& module, const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  LoweredKernel lowered;
  lowered.kernel = kernel_for_test(module, graph, id);
  for (size_t i = 0; i < node.operands.size(); ++i) {
    const ValueId operand = node.operands[i];
    KernelBuffer buffer;
    buffer.index = static_cast<uint32_t>(i);
    const Tensor* constant = module.constant_of(graph, operand);
    if (constant != nullptr && id.index % 2 == 0) {
      buffer.kind = KernelBuffer::Kind::packed;
      buffer.packed = *constant;
      buffer.size_bytes = constant->size_bytes();
    } else {
      const Storage& storage = graph.value(operand).storage;
      buffer.size_bytes = hull_bytes(storage, graph.type(operand).shape());
    }
    lowered.buffers.push_back(std::move(buffer));
  }
  for (size_t r = 0; r < node.results.size(); ++r) {
    const Storage& storage = graph.value(node.results[r]).storage;
    const std::vector<int64_t> shape = graph.type(node.results[r]).shape();
    KernelBuffer buffer;
    buffer.kind = KernelBuffer::Kind::result;
    buffer.index = static_cast<uint32_t>(r);
    buffer.size_bytes = hull_bytes(storage, shape);
    const bool is_alone = node.results.size() == 1;
    for (size_t i = 0; is_alone && i < node.operands.size() && buffer.in_place_of < 0; ++i) {
      const Storage& from = graph.value(node.operands[i]).storage;
      if (module.constant_of(graph, node.operands[i]) != nullptr ||
          from.strides != storage.strides || graph.type(node.operands[i]).shape() != shape) {
        continue;
      }
      buffer.in_place_of = static_cast<int32_t>(i);
    }
    lowered.buffers.push_back(std::move(buffer));
  }
  KernelBuffer workspace;
  workspace.kind = KernelBuffer::Kind::workspace;
  workspace.size_bytes = static_cast<int64_t>(id.index % 5) * 24;
  lowered.buffers.push_back(std::move(workspace));
  return lowered;
}

class Rig {
 public:
  explicit Rig(const Module& partitioned) : module(partitioned.clone()) {
    prepare_host(module);
    const auto lower = [](const Module& m, const Graph& g, NodeId n,
                          size_t) -> OrRefusal<LoweredKernel> { return lower_for_test(m, g, n); };
    auto result = lower_module(module, lower, diagnostics);
    REQUIRE(result);
    lowered = std::move(*result);
    auto built = build_plan(module, lowered, diagnostics);
    INFO(diagnostics.to_text());
    REQUIRE(built);
    plan = std::move(*built);
    for (NodeId id : module.graph().nodes()) {
      if (is_host_item(module, module.graph(), id)) host_nodes.push_back(id);
    }
  }

  Handlers handlers() {
    Handlers result;
    result.kernel = [this](const plan::RunKernel& step, std::span<std::byte* const> buffers) {
      run_kernel(lowered.nodes[step.kernel.index], step, buffers);
    };
    result.host_node = [this](const plan::RunHostNode& step, auto operands, auto results) {
      run_host_node(host_nodes[step.host_node], operands, results);
    };
    return result;
  }

  std::vector<Bytes> constants() const {
    std::vector<Bytes> all;
    for (const Tensor& tensor : lowered.constants.tensors()) {
      all.emplace_back(tensor.bytes().begin(), tensor.bytes().end());
    }
    return all;
  }

  Module module;
  Diagnostics diagnostics;
  LoweredModule lowered;
  plan::Plan plan;
  std::vector<NodeId> host_nodes;

 private:
  struct Memory {
    std::byte* data;
    std::vector<int64_t> shape, strides;
    std::byte* at(int64_t e) const {
      return data + 4 * (e / shape[1] * strides[0] + e % shape[1] * strides[1]);
    }
  };

  // Element by element, as kernels that work in place promise it.
  void run_kernel(const LoweredNode& entry, const plan::RunKernel& step,
                  std::span<std::byte* const> buffers) {
    const Graph& graph = module.graph();
    const Node& node = graph.node(entry.node);
    std::vector<Memory> operands, results;
    for (size_t i = 0; i < buffers.size(); ++i) {
      const KernelBuffer& buffer = entry.buffers[i];
      if (buffer.kind == KernelBuffer::Kind::workspace) {
        std::fill_n(buffers[i], buffer.size_bytes, std::byte{0xee});
        continue;
      }
      const bool is_result = buffer.kind == KernelBuffer::Kind::result;
      const ValueId value = is_result ? node.results[buffer.index] : node.operands[buffer.index];
      const std::vector<int64_t> shape = graph.type(value).shape();
      const bool is_packed = buffer.kind == KernelBuffer::Kind::packed;
      const Storage storage =
          is_packed ? Storage::dense(DType::u32, shape) : graph.value(value).storage;
      (is_result ? results : operands).push_back({buffers[i], shape, storage.strides});
    }
    for (int64_t row = step.tile_begin; row < step.tile_end; ++row) {
      for (size_t r = 0; r < results.size(); ++r) {
        if (row < results[r].shape[0]) compute_row(entry, row, r, operands, results[r]);
      }
    }
  }

  void compute_row(const LoweredNode& entry, int64_t row, size_t result_index,
                   const std::vector<Memory>& operands, const Memory& result) {
    for (int64_t e = row * result.shape[1]; e < (row + 1) * result.shape[1]; ++e) {
      std::vector<Elements> read;
      for (const Memory& operand : operands) {
        uint32_t value;
        std::memcpy(&value, operand.at(e % (operand.shape[0] * operand.shape[1])), 4);
        read.push_back({value});
      }
      const bool is_copy = module.graph().node(entry.node).op == Op::reorder;
      const uint32_t value = is_copy ? read[0][0] : mix(entry.node.index, result_index, 1, read)[0];
      std::memcpy(result.at(e), &value, 4);
    }
  }

  void run_host_node(NodeId id, std::span<const std::span<const std::byte>> operands,
                     std::span<Bytes> results) {
    const Node& node = module.graph().node(id);
    std::vector<Elements> whole;
    for (const auto& bytes : operands) {
      Elements elements(bytes.size() / 4);
      std::memcpy(elements.data(), bytes.data(), bytes.size());
      whole.push_back(std::move(elements));
    }
    const int64_t n = module.graph().type(node.results[0]).num_elements();
    const Elements values = node.op == Op::identity ? whole[0] : mix(id.index, 0, n, whole);
    results[0].resize(values.size() * 4);
    std::memcpy(results[0].data(), values.data(), results[0].size());
  }
};

void check_model(uint32_t seed, int32_t num_cores, Lanes lanes) {
  INFO("seed " << seed << ", cores " << num_cores);
  const RandomModel model(seed, num_cores, lanes);
  Rig rig(model.module);
  INFO(plan::to_text(rig.plan));
  std::mt19937 random(seed);
  std::vector<Request> requests(5);
  std::vector<std::vector<Elements>> expected;
  for (Request& request : requests) {
    std::vector<Elements> inputs;
    for (const plan::TensorSpec& input : rig.plan.inputs) {
      Elements elements(input.size_bytes / 4);
      for (uint32_t& element : elements) element = static_cast<uint32_t>(random());
      Bytes bytes(input.size_bytes);
      std::memcpy(bytes.data(), elements.data(), bytes.size());
      request.inputs.push_back(std::move(bytes));
      inputs.push_back(std::move(elements));
    }
    for (const plan::TensorSpec& output : rig.plan.outputs) {
      request.outputs.emplace_back(output.size_bytes, std::byte{0x77});
    }
    expected.push_back(model.evaluate(inputs));
  }
  PlanMachine machine(rig.plan, rig.constants(), rig.handlers(), seed);
  REQUIRE(machine.run(requests));
  for (size_t r = 0; r < requests.size(); ++r) {
    for (size_t i = 0; i < expected[r].size(); ++i) {
      Elements actual(requests[r].outputs[i].size() / 4);
      std::memcpy(actual.data(), requests[r].outputs[i].data(), requests[r].outputs[i].size());
      INFO("request " << r << ", output " << i);
      REQUIRE(actual == expected[r][i]);
    }
  }
}

}  // namespace

TEST_CASE("plans of random models on one core compute what the models say") {
  for (uint32_t seed = 0; seed < 400; ++seed) check_model(seed, 1, Lanes::pipeline);
}

TEST_CASE("plans of random models cut into stages compute what the models say") {
  for (uint32_t seed = 1000; seed < 1400; ++seed) check_model(seed, seed % 4 + 2, Lanes::pipeline);
}

TEST_CASE("plans of random models scattered over cores compute what the models say") {
  for (uint32_t seed = 2000; seed < 2400; ++seed) check_model(seed, seed % 4 + 2, Lanes::random);
}

TEST_CASE("plans of random models shared by a team compute what the models say") {
  for (uint32_t seed = 3000; seed < 3400; ++seed) check_model(seed, seed % 4 + 2, Lanes::team);
}

TEST_CASE("plans of random models in stages of teams compute what the models say") {
  for (uint32_t seed = 4000; seed < 4400; ++seed) {
    check_model(seed, seed % 4 + 3, Lanes::stages_of_teams);
  }
}

TEST_CASE("a thousand broken plans of teams are refused") {
  int num_broken = 0;
  for (uint32_t seed = 5000; num_broken < 1000; ++seed) {
    REQUIRE(seed < 9000);
    const Lanes lanes = seed % 2 == 0 ? Lanes::team : Lanes::stages_of_teams;
    const Rig rig(RandomModel(seed, seed % 4 + 2, lanes).module);
    std::mt19937 random(seed);
    for (int i = 0; i < 4; ++i) {
      plan::Plan broken = rig.plan;
      if (!break_plan(broken, random)) continue;
      ++num_broken;
      INFO("seed " << seed << ", case " << i << "\n" << plan::to_text(broken));
      REQUIRE(!plan::verify(broken).empty());
    }
  }
}
