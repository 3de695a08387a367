// What a partition changes of the memory layout: an allocation is written on one lane, and other
// lanes read it only as a whole. Private to passes/.
//
//   %c = concat(%a, %b)   with %a on core 0 and the concat on core 1, both written in place
//     ->  %a in memory of its own, sent whole;  %a2 = reorder(%a) on core 1, written in place
#pragma once

#include "ir/graph.h"
#include "passes/pass.h"

namespace neuronc {

// Where a part of a concat in place is made, or read by itself, on another lane than the concat,
// gives the part memory of its own and copies it into its place by a `reorder` on the concat's
// core. Returns the number of such copies.
int64_t separate_memory(Module& module, Graph& graph, PassContext& context);

}  // namespace neuronc
