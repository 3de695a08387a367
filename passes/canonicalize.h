// canonicalize: one way to write each thing, so that later rules need to match one form only.
//
//   %1 = identity(%x)                        (gone)
//   %2 = add(%c, %1)              =>   %2 = add(%x, %c)            constants stand second
//   %3 = squeeze(%2, %axes)            %3 = reshape(%2, {2, 3})    static shapes are spelled out
//   %4 = transpose(%3)                 %4 = transpose(%3) {perm = [1, 0]}
//   %5 = concat(%4, %y) {axis = -1}    %5 = concat(%4, %y) {axis = 1}
//
// An einsum that is a matrix product becomes one, and one of many operands several. Absent operands at the end of a list go; types
// are inferred anew. Establishes `canonical`.
#pragma once

#include "passes/pass.h"
#include "passes/rewrite.h"

namespace neuronc {

Expected<Changed> canonicalize(Module& module, const NoOptions& options, PassContext& context);

// The rules for einsum; see canonicalize_einsum.cpp.
Changed split_einsum(Rewriter& rewriter, NodeId node);
Changed make_einsum_matmul(Rewriter& rewriter, NodeId node);

}  // namespace neuronc
