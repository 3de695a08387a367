// The events of a profile's trace, as runtime/profile_trace.cpp writes them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/tools/tool.h"

namespace neuronc::tools {

struct ProfileEvent {
  int64_t thread = 0;
  int64_t lane = 0;
  int64_t step = 0;
  int64_t request = 0;
  std::string name;
  std::string kind;
  std::string variant;
  std::vector<std::string> nodes;
  double begin_us = 0;
  double duration_us = 0;
  double predicted_us = 0;
  double flops = 0;
  double bytes = 0;
};

struct ProfileTrace {
  struct Request {
    double begin_us = 0;
    double end_us = 0;
  };

  std::string model, target, strategy, hardware;
  int64_t cores_per_stage = 1;
  uint64_t num_dropped = 0;
  double predicted_latency_us = 0;
  double predicted_period_us = 0;
  std::vector<Request> requests;
  std::vector<ProfileEvent> measured;
  std::vector<ProfileEvent> predicted;  // one request
  std::map<int64_t, std::string> thread_names;

  std::string thread_name(int64_t thread) const {
    const auto it = thread_names.find(thread);
    return it == thread_names.end() ? fmt::format("thread {}", thread) : it->second;
  }
};

// Errors: the file cannot be read, or is no profile.
Outcome<ProfileTrace> read_trace(const std::string& file);

}  // namespace neuronc::tools
