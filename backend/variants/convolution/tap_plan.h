// How a convolution over taps (taps.h) is cut into loops: what tap_products.cpp emits.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "backend/variants/convolution/padding.h"
#include "backend/variants/convolution/taps.h"

namespace neuronc {

// One problem's loops.
struct TapPart {
  TapProblem problem;
  bool uses_slab = false;
  RegisterTile tile;
  KLoops k;
  std::optional<LineTiles> lines;  // where windows reach far into padding
  int64_t phase_columns = 0;       // of one phase: whole registers where there are several
  int64_t columns = 0;             // of all its phases
  int64_t block_height = 0;        // result rows in a block
  std::array<int64_t, 3> slab{};
  int64_t num_blocks = 0;  // of one image and group
  int64_t slab_elements() const { return slab[0] * slab[1] * slab[2]; }
  int64_t block_rows() const { return block_height * problem.axes[2].results; }
};

struct TapPlan {
  TapConvolution conv;
  ProductStep step;
  bool has_constant_weights = false;
  std::vector<TapPart> parts;

  int64_t tiles_of(const TapPart& part) const { return conv.n * conv.groups * part.num_blocks; }
  int64_t num_tiles() const {
    int64_t count = 0;
    for (const TapPart& part : parts) count += tiles_of(part);
    return count;
  }
};

OrRefusal<TapPlan> make_tap_plan(const GroupContext& context);

}  // namespace neuronc
