// Lowers one fused group, or one reorder, to a kernel.
#pragma once

#include "backend/lower/lowered.h"
#include "backend/machine.h"
#include "ir/base/expected.h"

namespace neuronc {

// `node` is a group or a reorder of `graph`, at stage laid_out or later. The kernel is named by
// what it does ("conv_3x3_64x64_relu"), not by the model's node: equal kernels are emitted once.
// `pass` counts the variants to pass over, from the one that the group names on; behind the last
// one comes the default lowering.
// Errors: an operator without lowering, which placement should have kept on the host; no variant
// left.
OrRefusal<LoweredKernel> lower_group(const Module& module, const Graph& graph, NodeId node,
                                     const Machine& machine, size_t pass = 0);

}  // namespace neuronc
