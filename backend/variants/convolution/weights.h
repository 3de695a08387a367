// Constant weights of a convolution over one or two dims, packed for products.
#pragma once

#include "backend/variants/convolution/geometry.h"
#include "backend/variants/product/tile.h"

namespace neuronc {

// Element of weights [m, c/groups, r, s] that stands at row k of b, k running over (r, s, c), in
// the column of result channel m.
int64_t weight_offset(const ConvGeometry& g, int64_t k, int64_t m);

// The panels (product/pack.h) of all groups behind one another, their rows over (r, s, c). With
// `crosses_columns` one group of k may reach from one window column into the next. Packed once for
// all variants and instruction sets.
Tensor packed_weights(const GroupContext& context, const ConvGeometry& g, bool crosses_columns);

}  // namespace neuronc
