// inline-branches: puts the branches of an if_else in its place, so that no host decides.
//
//   %y = if_else(%c, %x) {                         %1 = mul(%x, %x)
//     %1 = mul(%a, %a) ... }, {         =>         %2 = relu(%x)
//     %2 = relu(%a) ... }                          %y = where(%c, %1, %2)
//
// A condition that is constant leaves one branch. Otherwise both are computed and the condition
// selects, where neither can end the request, draws random numbers or changes shapes: operators of
// the host, and those that take indices from data, keep the branches apart. Twice the work of a
// branch at most, against the host's evaluator, which is slower by orders of magnitude.
#pragma once

#include "passes/pass.h"

namespace neuronc {

Expected<Changed> inline_branches(Module& module, const NoOptions& options, PassContext& context);

}  // namespace neuronc
