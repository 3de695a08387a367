// join-attention: products with a softmax between become attention again, which one kernel computes.
//
//   %1 = matmul(%q, %k) : f32[1,8,512,512]      %t = transpose(%k) {perm = [0, 1, 3, 2]}
//   %2 = mul(%1, 0.125)                     =>  %y = attention(%q, %t, %v, %mask)
//   %3 = add(%2, %mask)                               {has_nan_rows = 1, result_type = f32, scale = 0.125}
//   %4 = softmax(%3)
//   %5 = cast(%4) {to = bf16}
//   %y = matmul(%5, %v)
//
// Runs behind the casts, so that operands have the types they are multiplied in, and what exporters
// write themselves is found like what expand-attention made. Scores must have no other user. A mask
// is added or selected, several are added up; one that only hides later keys becomes `is_causal` and is
// compared by position.
// Rows without a key give NaN, as softmax does, or 0 where the model says so; in the latter case NaN
// among the scores stays NaN, as in PyTorch. The target says whether one kernel is faster than three.
#pragma once

#include "passes/pass.h"

namespace neuronc {

Expected<Changed> join_attention(Module& module, const NoOptions& options, PassContext& context);

}  // namespace neuronc
