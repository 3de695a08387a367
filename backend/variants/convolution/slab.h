// The rows of the input that a tile of a convolution needs, copied to scratch with zero borders, so
// that inside it window columns and channels are consecutive.
#pragma once

#include <functional>

#include "backend/variants/convolution/geometry.h"

namespace neuronc {

struct Slab {
  const ConvGeometry& g;
  int64_t channels = 0;  // of a group
  int64_t height = 0, width = 0;
  DType dtype = DType::f32;  // of its elements
  // What padding holds, asked for where it is stored; none: zero.
  std::function<Register()> border = nullptr;
  // How far row `row` of the slab lies behind the first one in the input; none: as far as in the slab.
  std::function<kernel::Index(kernel::Index row)> distance = nullptr;
};

struct SlabPlace {
  kernel::Index image, group;
  kernel::Index first_row;  // of the input; may lie outside of it
};

// Fills `buffer` [height, width * channels]. Where the input's columns are consecutive in memory and
// its channels few (a picture as models take it), vectors of columns are interleaved; otherwise
// vectors run along channels, if those are consecutive.
void emit_slab(GroupEmitter& e, const Slab& slab, ValueId input, kernel::BufferId buffer,
               const SlabPlace& place);

}  // namespace neuronc
