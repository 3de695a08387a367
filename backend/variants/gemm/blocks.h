// The loops around the register tile: panels of b, and within each the rows of one block of a.
//
//   for panel: for micro tile of the block: accumulate; hand each row's registers to the epilogue
//
// The panel stays in the nearest cache while the block's rows pass by.
#pragma once

#include <functional>

#include "backend/variants/gemm/microkernel.h"

namespace neuronc {

struct BlockLoops {
  RegisterTile tile;
  int64_t n = 0;            // columns
  kernel::Index first_row;  // of the block, in rows of the whole problem
  int64_t block_rows = 0;   // rows per block
  int64_t num_rows = 0;     // of the whole problem; rows past it do not exist
  kernel::Index first_panel = 0;
  int64_t num_panels = 0;  // panels this tile computes; past the last panel they do not exist
  std::vector<int64_t> k_extents;
  // One f32 of a at row `row` of the whole problem.
  std::function<Register(kernel::Index row, std::span<const kernel::Index> k)> load_a;
  // Called once per panel, before its rows.
  std::function<void(kernel::Index panel)> begin_panel;
  // The registers of b; `active` columns of the panel exist.
  std::function<kernel::Values(kernel::Index panel, int active, kernel::Index k)> load_b;
  // One register of results: row, first column, lanes that exist.
  std::function<void(kernel::Index row, kernel::Index column, int active, Register)> store;
};

void emit_blocks(GroupEmitter& emitter, const BlockLoops& loops);

}  // namespace neuronc
