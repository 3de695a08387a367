// Small queries on plans.
#include "ir/plan/plan.h"

#include <algorithm>

namespace neuronc::plan {

bool is_static(const TensorSpec& tensor) {
  const bool has_unknown_dim =
      std::any_of(tensor.dims.begin(), tensor.dims.end(), [](int64_t dim) { return dim < 0; });
  return !has_unknown_dim && tensor.dtype != DType::string;
}

uint32_t num_cores(const Plan& plan) {
  return static_cast<uint32_t>(
      std::count_if(plan.lanes.begin(), plan.lanes.end(),
                    [](const Lane& lane) { return lane.kind == LaneKind::core; }));
}

}  // namespace neuronc::plan
