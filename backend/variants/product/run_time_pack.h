// Packs one panel of a computed right operand into scratch, in the form of pack.h.
//
//   columns consecutive in memory: rows of k are interleaved by groups
//   k consecutive (a transposed operand): words of one group of bf16, or of f32, are transposed in
//   registers
//   otherwise: element by element
#pragma once

#include <functional>

#include "backend/variants/product/tile.h"

namespace neuronc {

struct RunTimeOperand {
  ValueId value;
  size_t k_dim = 0, column_dim = 0;  // of `value`
  int64_t k = 0, n = 0;
  std::function<std::vector<kernel::Index>(kernel::Index k, kernel::Index column)> at;
  // So many k's follow each other along `k_dim` before `at` goes on elsewhere; 0: all of them.
  int64_t k_extent = 0;
};

// Scratch for tile.columns() columns.
kernel::BufferId run_time_panel(GroupEmitter& emitter, const ProductStep& step,
                                const RegisterTile& tile, const RunTimeOperand& operand);

// Fills `buffer`, from its panel `to` on, with columns panel * tile.columns() and on; those past n
// are zero.
void pack_at_run_time(GroupEmitter& emitter, const ProductStep& step, const RegisterTile& tile,
                      const RunTimeOperand& operand, kernel::Index panel, kernel::BufferId buffer,
                      kernel::Index to = 0);

}  // namespace neuronc
