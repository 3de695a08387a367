// merge-common: computes each thing once.
//
//   %1 = add(%x, %y)
//   %2 = add(%y, %x)                =>    %1 = add(%x, %y)
//   %3 = mul(%1, %2)                      %3 = mul(%1, %1)
//
// Two nodes are the same if operator, operands (in either order where that does not matter),
// attributes, result types, placement and bodies are. Random operators are never merged.
// A concat that begins with the operands of another one begins with its result instead, which
// lay-out then writes in place:
//
//   %1 = concat(%a, %b)                   %1 = concat(%a, %b)
//   %2 = concat(%a, %b, %c)         =>    %2 = concat(%1, %c)
#pragma once

#include "passes/pass.h"

namespace neuronc {

Expected<Changed> merge_common(Module& module, const NoOptions& options, PassContext& context);

}  // namespace neuronc
