// What elements of integer inputs may be, where the graph says it: tools that make inputs want to
// know.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "ir/graph.h"

namespace neuronc {

// For inputs that are indices into an axis of known extent, as they are or moved about: the least
// of these extents.
std::map<std::string, int64_t> index_bounds(const Module& module);

}  // namespace neuronc
