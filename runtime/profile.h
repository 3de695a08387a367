// What a profiled model has done: when each lane ran each of its steps. A request that begins while a
// profile is being made carries it to its end; others pay one test per request.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "runtime/sync.h"

namespace neuronc::runtime {

// A step of the lane's entry block. Steps follow each other without a gap; a wait lasts from when the
// lane first stood there until it went on.
struct StepRecord {
  uint32_t step = 0;
  int64_t begin_ns = 0;
  int64_t end_ns = 0;
};

class Profile {
 public:
  struct RequestSpan {
    uint32_t group = 0;  // of cores
    int64_t begin_ns = 0;
    int64_t end_ns = 0;  // 0: it was on its way when the profile was read
  };
  struct LaneRun {
    uint32_t request = 0;  // into requests
    uint32_t lane = 0;
    std::vector<StepRecord> steps;
  };
  struct Records {
    std::vector<RequestSpan> requests;
    std::vector<LaneRun> lanes;
    uint64_t num_dropped = 0;  // requests that came when the profile was full
  };

  static constexpr uint32_t kNotProfiled = UINT32_MAX;

  // The request's number, or kNotProfiled when there is no room for more.
  uint32_t begin_request(uint32_t group);
  void end_request(uint32_t request);
  void add(uint32_t request, uint32_t lane, const std::vector<StepRecord>& steps);

  // What there is; requests still on their way are not heard of any more.
  Records take();

 private:
  static constexpr size_t kMaxSteps = size_t{4} << 20;

  std::mutex mutex_;
  Records records_;
  size_t num_steps_ = 0;
  bool is_taken_ = false;
};

}  // namespace neuronc::runtime
