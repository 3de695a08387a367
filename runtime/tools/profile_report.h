// What a profile's trace (nrt_profile_stop) says, summed up: where the time of a request goes, how much of
// it the cores wait, and how far what was predicted is from what was measured.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/tools/tool.h"

namespace neuronc::tools {

// A step of a lane's program, over all profiled requests.
struct StepProfile {
  std::string core;  // "core 0", "host 0"
  int64_t lane = 0;
  int64_t step = 0;
  std::string name;
  std::string kind;  // "kernel", "copy", "host" or "wait"
  std::string variant;
  std::vector<std::string> nodes;
  double median_us = 0;
  double predicted_us = 0;  // 0: not
  double flops = 0;
  double bytes = 0;  // read and written
};

struct CoreProfile {
  std::string name;
  int64_t lane = 0;
  double busy = 0;   // shares of the time from the first request's beginning to the last one's end
  double waits = 0;  // for other cores, in the middle of a request
  double idle = 0;   // without a request
  double work_us = 0;  // of a request: the sum of the medians of its kernels and copies
  double predicted_us = 0;
};

struct ProfileReport {
  std::string model;
  std::string target;
  std::string strategy;
  std::string hardware;  // empty: nothing was predicted
  int64_t cores_per_stage = 1;
  uint64_t num_requests = 0;
  uint64_t num_dropped = 0;
  double latency_us = 0;  // median
  double period_us = 0;   // between the ends of requests
  double predicted_latency_us = 0;
  double predicted_period_us = 0;
  std::vector<StepProfile> steps;  // by lane, in order
  std::vector<CoreProfile> cores;

  // Of predicted kernels: |measured - predicted| / measured; negative: nothing was predicted.
  double median_error = -1;
  double weighted_error =
      -1;  // by the time that each takes: |measured - predicted| of all / measured
  int64_t slowest_stage = 0;
  int64_t predicted_slowest_stage = 0;

  int64_t num_stages() const;
};

struct ProfileTrace;
ProfileReport sum_up(const ProfileTrace& trace);

// Errors name the file and what is wrong with it.
Outcome<ProfileReport> read_profile(const std::string& file);

// Tables: the `num_steps` longest steps, and the cores.
std::string to_text(const ProfileReport& report, size_t num_steps);

// A self-contained page of the trace: the timeline of some requests, measured and predicted, and the
// tables.
Outcome<std::string> profile_page(const std::string& file);

}  // namespace neuronc::tools
