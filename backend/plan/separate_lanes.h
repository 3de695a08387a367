// Prepares a partitioned module for lanes: makes explicit every copy that crossing one costs.
//
//   %c = concat(%a, %b)   with %a on core 0 and the concat on core 1; both written in place
//     ->  %a on memory of its own, sent whole;  %a2 = reorder(%a) on core 1, written in place
//
// After it
//   - all values that are written into one base are written on one lane, that of the concat, and
//     other lanes read it only as a whole;
//   - what a host node reads of a core is dense, row-major and of the declared element type;
//   - every model output made on the host, or that no node makes, is the result of a host node and
//     of no other output.
#pragma once

#include "ir/graph.h"

namespace neuronc {

void separate_lanes(Module& module);

// The lane of a node: its core, or kHostLane.
inline constexpr int32_t kHostLane = -1;
inline int32_t lane_of(const Node& node) {
  return node.placement == Placement::host ? kHostLane : node.core;
}

}  // namespace neuronc
