// The extents of linear_attention, for its definition and its lowering.
#pragma once

#include "ir/op.h"

namespace neuronc::ops {

struct LinearAttentionShape {
  int64_t batch = 0, length = 0, q_heads = 0, kv_heads = 0, key_size = 0, value_size = 0;
  bool is_gated = false, is_corrected = false;
  double scale = 1;
};
OrRefusal<LinearAttentionShape> linear_attention_shape(const OpView& op, const Type& query,
                                                       const Type& value);

}  // namespace neuronc::ops
