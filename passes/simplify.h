// simplify: algebra that makes a module smaller and never worse. Rules stand by topic:
//
//   simplify_identity.cpp   x*1, x+0, x/1, cast to the same type, -(-x), relu(relu(x)), ...
//   simplify_shape.cpp      reshape of reshape, transpose of transpose, slices and pads of nothing
//   simplify_weights.cpp    what follows or precedes a convolution goes into its weights:
//                           normalisation by constants, scales, offsets, zero padding
//
//   %1 = conv(%x, %w)                             %1 = conv(%x, %w', %b')
//   %2 = batch_normalization(%1, ...)       =>
//   %3 = transpose(%2) {perm = [0, 2, 1]}
//   %4 = transpose(%3) {perm = [0, 2, 1]}
//
// Laws: a rule never makes more work; it matches canonical forms only; it reads constants, types
// and uses, nothing else. Sums and products of constants are not reordered: that would change how
// results are rounded. Folding a scale into weights rounds once, as the scale itself would.
#pragma once

#include <span>

#include "passes/pass.h"
#include "passes/rewrite.h"

namespace neuronc {

Expected<Changed> simplify(Module& module, const NoOptions& options, PassContext& context);

// A rule looks at one node; see rewrite.h.
using SimplifyRule = Changed (*)(Rewriter& rewriter, NodeId node);
std::span<const SimplifyRule> identity_rules();
std::span<const SimplifyRule> shape_rules();
std::span<const SimplifyRule> weight_rules();

}  // namespace neuronc
