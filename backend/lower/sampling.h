// What the element lowering of grid_sample and its variant along channels share: the taps of a
// sample, and their sum in f64, in the order of the evaluator.
#pragma once

#include <vector>

#include "backend/lower/emitter.h"

namespace neuronc {

struct SampleTap {
  kernel::Index index;
  Register is_read;  // false: it counts nothing
  Register weight;
};

// Per axis of the input, the taps of the sample at `place`, a result's index without its channel.
std::vector<std::vector<SampleTap>> sample_taps(GroupEmitter& e, const Node& grid_sample,
                                                std::vector<kernel::Index> place);

// The sums over the products of the axes' taps, for the channels of `at`, an index of the result
// whose lanes run along channels if there are several.
Register sum_of_taps(GroupEmitter& e, const Node& grid_sample,
                     const std::vector<std::vector<SampleTap>>& taps, const LaneIndex& at);

}  // namespace neuronc
