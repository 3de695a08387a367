// The loop nest every group can take: over the elements of its results, in memory order, vectors
// along the innermost dim, one pull per vector.
#pragma once

#include <functional>

#include "backend/lower/emitter.h"

namespace neuronc {

// How the elements of one shape are walked: which dims make up the tiles, which are loops, which
// has the lanes.
struct NestShape {
  std::vector<int64_t> extents;
  std::vector<int> order;    // dims from outermost to innermost, extent-1 dims first
  size_t num_tile_dims = 0;  // leading dims of `order` that the tile index runs over
  int64_t num_tiles = 1;
  int lanes = 1;  // along order.back()
};

// `storage` says the memory order; `max_tiles` bounds how finely tiles are cut.
NestShape plan_nest(const std::vector<int64_t>& extents, const Storage& storage, int lanes,
                    int64_t max_tiles = 4096);

// Calls `body` for every run of lanes, tile dims taken from the builder's tile index.
void emit_nest(GroupEmitter& emitter, const NestShape& nest,
               const std::function<void(const LaneIndex&)>& body);

// Indices of the tile dims at the current tile: the others are 0.
std::vector<kernel::Index> tile_indices(GroupEmitter& emitter, const NestShape& nest);

}  // namespace neuronc
