// inline-branches: puts the branches of an if_else in its place, so that no host decides.
//
//   %y = if_else(%c, %x) {                         %1 = mul(%x, %x)
//     %1 = mul(%a, %a) ... }, {         =>         %2 = relu(%x)
//     %2 = relu(%a) ... }                          %y = where(%c, %1, %2)
//
// A condition that is constant leaves one branch. Otherwise both are computed and the condition
// selects, where that is little work and neither can end the request, draws random numbers or changes
// shapes: operators of the host, and those that take indices from data, keep the branches apart. Branches
// of more work become blocks of the plan, of which a core runs the one that is wanted.
#pragma once

#include "passes/pass.h"

namespace neuronc {

struct InlineBranchesOptions {
  int64_t max_flops = 200'000;  // some microseconds
  std::vector<PassOption> options() {
    return {{"max-flops", &max_flops, "of a branch that may not be wanted"}};
  }
};

Expected<Changed> inline_branches(Module& module, const InlineBranchesOptions& options,
                                  PassContext& context);

}  // namespace neuronc
