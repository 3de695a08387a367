// Random modules: single operators in every element type, and graphs of a dozen operators. What a
// seed gives depends on the seed alone.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/graph.h"

namespace neuronc::testing {

enum class Shape : uint8_t { one_operator, graph };

// A module of stage `imported` with named inputs and outputs; all types are static.
Module random_module(uint64_t seed, Shape shape);

// Inputs for it. Integers take their whole range where they are data alone.
std::vector<HostValue> random_inputs(const Module& module, uint64_t seed);

}  // namespace neuronc::testing
