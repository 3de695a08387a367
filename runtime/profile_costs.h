// What a NEFF's metadata says of the steps of its plan: the model's nodes behind each kernel, its work,
// and the time that it was predicted to take; and from that the predicted course of a request.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/plan/plan.h"

namespace neuronc::runtime {

// A lane's share of a kernel, or a step of another kind.
struct StepCost {
  std::string label;  // "conv_1", "send x", "barrier"
  std::string kind;   // "kernel", "copy", "host" or "wait"
  std::string variant;
  std::vector<std::string> nodes;  // of the model
  double flops = 0;
  double bytes_read = 0;  // that the plan's references touch; constants too
  double bytes_written = 0;
  double predicted_ns = 0;  // 0: nothing is predicted
};

struct PredictedStep {
  double begin_ns = 0;
  double end_ns = 0;
};

struct ProfileCosts {
  std::string hardware;  // the model that predicted; empty: nothing did
  std::string strategy;
  double predicted_latency_ns = 0;
  double predicted_period_ns = 0;
  int64_t cores_per_stage = 1;
  std::vector<std::vector<StepCost>> lanes;          // by lane and step of its entry block
  std::vector<std::vector<PredictedStep>> timeline;  // the same; one request alone
};

// `json` is neff.json; what it lacks stays empty.
ProfileCosts profile_costs(const plan::Plan& plan, std::string_view isa, std::string_view json);

}  // namespace neuronc::runtime
