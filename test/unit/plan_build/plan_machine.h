// Runs plans in plain memory, kernels and host nodes being functions of the test: several requests
// in flight, lanes taking turns at random. What a correct plan computes does not depend on that.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <span>
#include <vector>

#include "ir/plan/plan.h"

namespace neuronc::test {

using Bytes = std::vector<std::byte>;

// What a request brings and takes.
struct Request {
  std::vector<Bytes> inputs;
  std::vector<Bytes> outputs;
};

struct Handlers {
  std::function<void(const plan::RunKernel&, std::span<std::byte* const>)> kernel;
  // Operands and results as bytes; results of host slots are resized by the handler.
  std::function<void(const plan::RunHostNode&, std::span<const std::span<const std::byte>>,
                     std::span<Bytes>)>
      host_node;
};

class PlanMachine {
 public:
  PlanMachine(const plan::Plan& plan, std::vector<Bytes> constants, Handlers handlers,
              uint32_t seed);
  // Runs all requests; false if no lane can go on.
  bool run(std::vector<Request>& requests);

 private:
  struct LaneState {
    size_t request = 0;
    size_t step = 0;
    Bytes arena;
    size_t num_barriers = 0;
    bool has_arrived = false;
    std::map<uint32_t, Bytes> host_slots;
  };
  struct ChannelState {
    std::vector<Bytes> slots;
    std::map<uint32_t, size_t> num_sent;      // by producer lane
    std::map<uint32_t, size_t> num_released;  // by consumer lane
  };
  bool pass_barrier(size_t lane, size_t team);
  bool try_step(size_t lane, std::vector<Request>& requests);
  void run_host_node(const plan::RunHostNode& step, LaneState& lane, Request& request);
  std::byte* address(const plan::BufferRef& ref, LaneState& lane, Request& request);

  const plan::Plan& plan_;
  std::vector<Bytes> constants_;
  Handlers handlers_;
  std::vector<LaneState> lanes_;
  std::vector<ChannelState> channels_;
  std::vector<Bytes> shared_;  // by team
  std::vector<size_t> num_arrivals_;
  std::mt19937 random_;
};

}  // namespace neuronc::test
