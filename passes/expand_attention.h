// expand-attention: attention as its products with a softmax between.
//
//   %y = attention(%q, %k, %v)          %1 = transpose(%k) {perm = [0, 1, 3, 2]}
//     {scale = 0.125}            =>     %2 = matmul(%q, %1)
//                                       %3 = mul(%2, 0.125)
//                                       %4 = softmax(%3) {axis = -1}
//                                       %y = matmul(%4, %v)
//
// The operator and what exporters write themselves meet here, so that both get the same product
// kernels, casts and fusion. Query heads that share a key head become rows of one product: keys
// are not repeated. Keys and values with a past before them are results where they are used. A query
// that sees no key has no weights, as the operator says; only masks that may hide all keys cost it.
#pragma once

#include "passes/pass.h"

namespace neuronc {

Expected<Changed> expand_attention(Module& module, const NoOptions& options, PassContext& context);

}  // namespace neuronc
