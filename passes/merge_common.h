// merge-common: computes each thing once.
//
//   %1 = add(%x, %y)
//   %2 = add(%y, %x)                =>    %1 = add(%x, %y)
//   %3 = mul(%1, %2)                      %3 = mul(%1, %1)
//
// Two nodes are the same if operator, operands (in either order where that does not matter),
// attributes, result types, placement and bodies are. Random operators are never merged.
#pragma once

#include "passes/pass.h"

namespace neuronc {

Expected<Changed> merge_common(Module& module, const NoOptions& options, PassContext& context);

}  // namespace neuronc
