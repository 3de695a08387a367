// Implements what elementwise.h does not inline.
#include "ir/ops/elementwise.h"

namespace neuronc::ops {

PairedRuns paired_runs(const Shape& shape, const Shape& a, const Shape& b) {
  PairedRuns runs{shape, broadcast_strides(a, shape), broadcast_strides(b, shape)};
  merge_dims(runs.dims, runs.a_strides, runs.b_strides);
  if (runs.dims.empty()) return runs;
  runs.length = runs.dims.back();
  runs.a_step = runs.a_strides.back();
  runs.b_step = runs.b_strides.back();
  runs.dims.pop_back();
  runs.a_strides.pop_back();
  runs.b_strides.pop_back();
  return runs;
}

}  // namespace neuronc::ops
