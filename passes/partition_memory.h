// What a partition changes of the memory layout: an allocation is written by one core. Private to
// passes/.
#pragma once

#include "ir/graph.h"
#include "passes/pass.h"

namespace neuronc {

// Where a part of a concat in place is made on another core than the concat, gives the part memory
// of its own, dense in the same dim order, and copies it into its place by a `reorder` on the
// concat's core. Returns the number of such copies.
int64_t separate_memory(Module& module, Graph& graph, PassContext& context);

}  // namespace neuronc
