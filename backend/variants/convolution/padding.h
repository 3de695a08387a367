// Windows that reach far into padding: which of their taps meet the input at all.
//
// Register tiles that end where a line of results does have few taps in common with padding; those
// that are zero for all results of a tile are not multiplied. What is left out is acc + 0 * w, which
// is acc while w is finite: weights that are not keep every product of these variants. (Others never
// multiply padding, and so give infinity where these give NaN.)
#pragma once

#include <array>
#include <optional>

#include "backend/variants/convolution/taps.h"
#include "backend/variants/product/tile.h"

namespace neuronc {

// The taps that lie in the input for any of the results `first` to `last`.
kernel::Range taps_met(const TapAxis& axis, kernel::Index first, kernel::Index last);

struct LineTiles {
  RegisterTile tile;  // of one line of results
  double share = 1;   // of all products, what it multiplies
};

struct LineProblem {
  std::array<TapAxis, 3> axes;
  int64_t columns = 0;
  int64_t row_bytes = 0;   // between rows of a in memory
  RegisterTile across;     // the tile that passes from line to line
  int64_t block_rows = 0;  // of a block that it covers
  const Tensor* weights = nullptr;
};

// Tiles of lines, where they are faster than tiles across them.
std::optional<LineTiles> line_tiles(const Machine& machine, const ProductStep& step,
                                    const LineProblem& problem);

}  // namespace neuronc
