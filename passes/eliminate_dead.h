// eliminate-dead: erases nodes whose results nobody uses, bodies included.
//
//   %1 = relu(%x) : f32[4]          (erased)
//   %2 = exp(%x) : f32[4]     =>    %2 = exp(%x) : f32[4]
//   output %2                       output %2
//
// Every operator is a function of its operands, so an unused node has no effect. Inputs and
// outputs of a graph are its signature and stay.
#pragma once

#include "passes/pass.h"

namespace neuronc {

Expected<Changed> eliminate_dead(Module& module, const NoOptions& options, PassContext& context);

}  // namespace neuronc
