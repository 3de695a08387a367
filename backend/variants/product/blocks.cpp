// Implements blocks.h.
#include "backend/variants/product/blocks.h"

#include <algorithm>
#include <optional>

namespace neuronc {

using kernel::Index;
using kernel::Values;

namespace {

// `rows` rows from `row`, against one panel of which `active` columns exist.
// With `next`, the column whose rows are asked for on the way.
void emit_tile(GroupEmitter& emitter, const BlockLoops& loops, Index panel, int active, Index row,
               int rows, std::optional<Index> next = std::nullopt) {
  const RegisterTile& tile = loops.tile;
  MicroKernel micro;
  micro.step = loops.step;
  micro.rows = rows;
  micro.vectors = tile.active_vectors(active);
  micro.lanes = tile.lanes;
  micro.first_row = row;
  micro.k = &loops.k;
  micro.a = &loops.a;
  micro.load_b = [&](Index group) { return loops.load_b(panel, micro.vectors, group); };
  if (next) micro.prefetch = [&](Index group) { loops.prefetch(*next, group); };
  const Values sums = emit_micro_kernel(emitter, micro);
  // Column by column, so that operands that vary along columns alone are loaded once.
  for (int v = 0; v < micro.vectors; ++v) {
    for (int i = 0; i < rows; ++i) {
      loops.store(row + Index(i), panel * tile.columns() + Index(v * tile.lanes),
                  std::min(tile.lanes, active - v * tile.lanes),
                  sums[static_cast<size_t>(i * micro.vectors + v)]);
    }
  }
}

void emit_rows(GroupEmitter& emitter, const BlockLoops& loops, Index panel, int active) {
  const int rows = loops.tile.rows;
  const int64_t whole_tiles = loops.num_rows / rows;
  const auto tail = static_cast<int>(loops.num_rows % rows);
  const int64_t tiles_per_block = (loops.block_rows + rows - 1) / rows;
  const bool is_one_block = loops.block_rows >= loops.num_rows;
  if (loops.begin_panel) loops.begin_panel(panel);
  const auto body = [&](Index i) {
    const Index row = loops.first_row + i * rows;
    // Row tile i asks for the i-th vector of the next panel, a row with every step of k, so that
    // weights come from memory while the core multiplies.
    const bool is_worth_it = loops.prefetch && tiles_per_block > 1;
    const auto next = panel * loops.tile.columns() + Index(loops.tile.columns()) +
                      kernel::min(i, loops.tile.vectors - 1) * loops.tile.lanes;
    emit_tile(emitter, loops, panel, active, row, rows,
              is_worth_it ? std::optional(next) : std::nullopt);
  };
  if (is_one_block) {
    if (whole_tiles == 1) {
      body(Index(0));
    } else if (whole_tiles > 1) {
      emitter.loop({0, whole_tiles, 1}, body);
    }
    if (tail > 0) {
      emit_tile(emitter, loops, panel, active, loops.first_row + Index(whole_tiles * rows), tail);
    }
    return;
  }
  emitter.loop({0, tiles_per_block, 1}, [&](Index i) {
    const Index row = loops.first_row + i * rows;
    emitter.when({{row, 0, loops.num_rows - rows + 1}}, [&] { body(i); });
  });
  if (tail == 0) return;
  // The last rows belong to the block that reaches the end.
  const int64_t last = whole_tiles * rows;
  emitter.when({{loops.first_row, loops.num_rows - loops.block_rows, last + 1}},
               [&] { emit_tile(emitter, loops, panel, active, Index(last), tail); });
}

}  // namespace

void emit_blocks(GroupEmitter& emitter, const BlockLoops& loops) {
  const int columns = loops.tile.columns();
  const int64_t whole_panels = loops.n / columns;
  const auto tail = static_cast<int>(loops.n % columns);
  const int64_t all_panels = whole_panels + (tail > 0 ? 1 : 0);
  if (loops.num_panels >= all_panels) {
    if (whole_panels == 1) {
      emit_rows(emitter, loops, Index(0), columns);
    } else if (whole_panels > 1) {
      emitter.loop({0, whole_panels, 1},
                   [&](Index panel) { emit_rows(emitter, loops, panel, columns); });
    }
    if (tail > 0) emit_rows(emitter, loops, Index(whole_panels), tail);
    return;
  }
  emitter.loop({0, loops.num_panels, 1}, [&](Index i) {
    const Index panel = loops.first_panel + i;
    emitter.when({{panel, 0, whole_panels}}, [&] { emit_rows(emitter, loops, panel, columns); });
  });
  if (tail == 0) return;
  emitter.when({{loops.first_panel, whole_panels - loops.num_panels + 1, whole_panels + 1}},
               [&] { emit_rows(emitter, loops, Index(whole_panels), tail); });
}

}  // namespace neuronc
