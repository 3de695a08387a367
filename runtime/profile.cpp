// Implements profile.h.
#include "runtime/profile.h"

#include <utility>

namespace neuronc::runtime {

uint32_t Profile::begin_request(uint32_t group) {
  const std::lock_guard lock(mutex_);
  if (is_taken_) return kNotProfiled;
  if (num_steps_ >= kMaxSteps) {
    ++records_.num_dropped;
    return kNotProfiled;
  }
  records_.requests.push_back({group, now_ns(), 0});
  return static_cast<uint32_t>(records_.requests.size() - 1);
}

void Profile::end_request(uint32_t request) {
  const int64_t end_ns = now_ns();
  const std::lock_guard lock(mutex_);
  if (!is_taken_) records_.requests[request].end_ns = end_ns;
}

void Profile::add(uint32_t request, uint32_t lane, const std::vector<StepRecord>& steps) {
  const std::lock_guard lock(mutex_);
  if (is_taken_) return;
  num_steps_ += steps.size();
  records_.lanes.push_back({request, lane, steps});
}

Profile::Records Profile::take() {
  const std::lock_guard lock(mutex_);
  is_taken_ = true;
  return std::move(records_);
}

}  // namespace neuronc::runtime
