// Implements default_nest.h.
#include "backend/lower/default_nest.h"

#include "ir/base/check.h"

namespace neuronc {

using kernel::Index;

NestShape plan_nest(const std::vector<int64_t>& extents, const Storage& storage, int lanes,
                    int64_t max_tiles) {
  NestShape nest;
  nest.extents = extents;
  nest.order = storage.order(extents);
  nest.lanes = lanes;
  // The innermost dim is left to the lanes, the one around it to a loop.
  for (size_t i = 0; i + 2 < nest.order.size(); ++i) {
    const int64_t extent = extents[static_cast<size_t>(nest.order[i])];
    if (nest.num_tiles * extent > max_tiles) break;
    nest.num_tiles *= extent;
    nest.num_tile_dims = i + 1;
  }
  if (nest.num_tiles == 1 && nest.order.size() >= 2) {
    // Two dims of substance: rows are the tiles.
    const size_t rows = nest.order.size() - 2;
    const int64_t extent = extents[static_cast<size_t>(nest.order[rows])];
    if (extent <= max_tiles) {
      nest.num_tiles = extent;
      nest.num_tile_dims = rows + 1;
    }
  }
  return nest;
}

std::vector<Index> tile_indices(GroupEmitter& emitter, const NestShape& nest) {
  std::vector<Index> dims(nest.extents.size(), Index(0));
  Index rest = nest.num_tiles > 1 ? emitter.builder().tile() : Index(0);
  for (size_t i = nest.num_tile_dims; i-- > 0;) {
    const auto dim = static_cast<size_t>(nest.order[i]);
    const int64_t extent = nest.extents[dim];
    if (extent == 1) continue;
    dims[dim] = kernel::mod(rest, extent);
    rest = kernel::floor_div(rest, extent);
  }
  return dims;
}

namespace {

void emit_lanes(GroupEmitter& emitter, const NestShape& nest, std::vector<Index> dims,
                const std::function<void(const LaneIndex&)>& body) {
  if (nest.order.empty()) {
    body(LaneIndex::scalar({}));
    return;
  }
  const auto inner = static_cast<size_t>(nest.order.back());
  const int64_t extent = nest.extents[inner];
  const int64_t whole = extent / nest.lanes * nest.lanes;
  const auto run = [&](Index i, int active) {
    dims[inner] = i;
    body(LaneIndex::along(dims, inner, nest.lanes, active));
  };
  if (whole == nest.lanes) {
    run(Index(0), nest.lanes);
  } else if (whole > 0) {
    emitter.loop({0, whole, nest.lanes}, [&](Index i) { run(i, nest.lanes); });
  }
  const auto rest = static_cast<int>(extent - whole);
  if (rest == 1) {
    dims[inner] = Index(whole);
    body(LaneIndex::scalar(dims));
  } else if (rest > 0) {
    run(Index(whole), rest);
  }
}

void emit_loops(GroupEmitter& emitter, const NestShape& nest, size_t depth, std::vector<Index> dims,
                const std::function<void(const LaneIndex&)>& body) {
  if (depth + 1 >= nest.order.size()) {
    emit_lanes(emitter, nest, std::move(dims), body);
    return;
  }
  const auto dim = static_cast<size_t>(nest.order[depth]);
  if (nest.extents[dim] == 1) {
    emit_loops(emitter, nest, depth + 1, std::move(dims), body);
    return;
  }
  emitter.loop({0, nest.extents[dim], 1}, [&](Index i) {
    dims[dim] = i;
    emit_loops(emitter, nest, depth + 1, dims, body);
  });
}

}  // namespace

void emit_nest(GroupEmitter& emitter, const NestShape& nest,
               const std::function<void(const LaneIndex&)>& body) {
  for (int64_t extent : nest.extents) {
    if (extent == 0) return;
  }
  emit_loops(emitter, nest, nest.num_tile_dims, tile_indices(emitter, nest), body);
}

}  // namespace neuronc
