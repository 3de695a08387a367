// join-quantized: computes in integers what a model says in quantised numbers, before constants are
// folded to floats.
//
//   dequantize -> conv, matmul, gemm <- dequantize of constant weights
//     => conv_integer or matmul_integer of the bytes, its sums times the scales (+ the bias)
//   dequantize -> reshape, transpose, concat, max_pool... -> quantize with equal parameters
//     => the operator on the bytes
//   dequantize -> quantize with equal parameters
//     => the bytes
//   dequantize -> elementwise, of one number -> quantize
//     => a table of its 256 results
//   conv_integer and q_linear_conv of groups too small for a product (depthwise)
//     => conv of the centred bytes in f32, which holds their sums exactly
//
// Weights have one scale, or one per output channel or column; activations have one. Products and
// sums become exact, so results differ from the floats' by rounding only. Dequantised convolutions
// whose groups are too small for a product stay as they are.
#pragma once

#include "passes/pass.h"

namespace neuronc {

Expected<Changed> join_quantized(Module& module, const NoOptions& options, PassContext& context);

}  // namespace neuronc
