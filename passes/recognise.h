// recognise: puts together what exporters took apart, before any cast can come between the pieces.
//
//   %e = exp(%d)               %c = sub(%x, reduce_mean(%x))         %u = mul(%x, 0.5)
//   %s = reduce_sum(%e)        %v = reduce_mean(mul(%c, %c))         %e = erf(div(%x, 1.41421))
//   %y = div(%e, %s)           %y = div(%c, sqrt(add(%v, 1e-5)))     %y = mul(%u, add(%e, 1))
//   => softmax(%x)             => layer_normalization(%x, 1)         => gelu(%x)
//
// Softmax and its logarithm, layer and RMS normalisation (from centred values or from E[x^2] -
// mean^2; over any axes; with and without scale and bias), GELU by erf and by tanh, swish,
// hard-sigmoid, hard-swish, leaky ReLU. Factors and terms may stand in any order. An expression
// whose inner values have other users stays, with a remark. Results differ by rounding only.
#pragma once

#include "passes/pass.h"

namespace neuronc {

Expected<Changed> recognise(Module& module, const NoOptions& options, PassContext& context);

}  // namespace neuronc
