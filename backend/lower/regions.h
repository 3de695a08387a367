// What the element lowerings of roi_align and max_roi_pool and their variant along channels share:
// a bin of a region is found once, for as many channels as read it.
#pragma once

#include <functional>
#include <span>

#include "backend/lower/emitter.h"

namespace neuronc {

// The carried results of a bin for runs of channels, each an index of the result.
using RegionBin = std::function<kernel::Values(std::span<const LaneIndex> runs)>;

// Finds bin (row, column) of `region`. What is given reads it, in the same scope or within.
RegionBin region_bin(GroupEmitter& e, const Node& node, kernel::Index region, kernel::Index row,
                     kernel::Index column);

}  // namespace neuronc
