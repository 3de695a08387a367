// The window of deform_columns, for its definition and its lowering.
#pragma once

#include "ir/op.h"

namespace neuronc::ops {

struct DeformWindow {
  int64_t kernel[2] = {0, 0}, strides[2] = {1, 1}, dilations[2] = {1, 1};
  int64_t pads[4] = {0, 0, 0, 0};  // begins, then ends
  int64_t groups = 1;
};
OrRefusal<DeformWindow> deform_window(const OpView& op);

}  // namespace neuronc::ops
