// The loops around the register tile: panels of b, and within each the rows of one block of a.
//
//   for panel: for micro tile of the block: accumulate; hand each row's registers to the epilogue
//
// The panel stays in the nearest cache while the block's rows pass by.
#pragma once

#include <functional>

#include "backend/variants/product/tile.h"

namespace neuronc {

// Half of a small second-level cache: the block of a that is read for every panel.
inline constexpr int64_t kBlockBytes = 192 * 1024;
inline int64_t block_bytes(const Machine& machine) {
  const int64_t chosen = machine.code.blocking.block_bytes;
  return chosen == 0 ? kBlockBytes : chosen;
}
// Fewer tiles are not worth sharing among cores.
inline constexpr int64_t kMinTiles = 8;
// Where a further tile costs nothing but itself, so many: lanes then share unequal blocks evenly too.
inline constexpr int64_t kEvenTiles = 2 * kMinTiles;

struct BlockLoops {
  ProductStep step;
  RegisterTile tile;
  KLoops k;
  RowOperand a;             // rows of the whole problem
  int64_t n = 0;            // columns
  kernel::Index first_row;  // of the block, in rows of the whole problem
  int64_t block_rows = 0;   // rows per block
  int64_t num_rows = 0;     // of the whole problem; rows past it do not exist
  // Register tiles end where a line of so many rows does; 0: they do not. With a block of all rows.
  int64_t line_rows = 0;
  kernel::Index first_panel = 0;
  int64_t num_panels = 0;  // runs of tile.columns() that this tile computes
  // Called once per panel, before its rows.
  std::function<void(kernel::Index panel)> begin_panel;
  // `vectors` registers of b at row `group`, from the panel's first column on.
  std::function<kernel::Values(kernel::Index panel, int vectors, kernel::Index group)> load_b;
  // The matrix of b's rows from `group` on, in the panel's v-th 16 columns: with steps by matrices.
  std::function<Register(kernel::Index panel, int v, kernel::Index group)> load_b_matrix;
  // What of each outer loop of k the `count` rows from `row` on need: the rest of a is zero for all
  // of them. None: all of it. Not with steps by matrices.
  std::function<std::vector<kernel::Range>(kernel::Index row, int count)> outer;
  // Hints that row `group` of b will be read at `column`, which may lie past the end. None: b is
  // not worth it.
  std::function<void(kernel::Index column, kernel::Index group)> prefetch;
  // One register of results: row, first column, lanes that exist.
  std::function<void(kernel::Index row, kernel::Index column, int active, Register)> store;
};

// Runs of `columns` out of n, counted as panels.
struct PanelRun {
  int64_t n = 0;
  int columns = 0;
  kernel::Index first = 0;
  int64_t count = 0;  // panels past the last one do not exist
};
// Calls body(panel, columns that exist) for every panel of the run.
void for_each_panel(GroupEmitter& emitter, const PanelRun& run,
                    const std::function<void(kernel::Index panel, int active)>& body);

void emit_blocks(GroupEmitter& emitter, const BlockLoops& loops);

}  // namespace neuronc
