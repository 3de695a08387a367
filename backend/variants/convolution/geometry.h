// The numbers of a convolution or pool over one or two spatial dims, one-dimensional ones as images
// of height 1.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "backend/lower/emitter.h"
#include "backend/variants/variant.h"

namespace neuronc {

struct ConvGeometry {
  int64_t n = 1, c = 1, h = 1, w = 1;  // input
  int64_t m = 1, p = 1, q = 1;         // result channels, height, width
  int64_t r = 1, s = 1;                // window
  int64_t stride_h = 1, stride_w = 1;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int64_t groups = 1;
  size_t rank = 4;  // of input and result: 3 or 4

  bool has_padding() const { return pad_top || pad_left || pad_bottom || pad_right; }
  bool is_depthwise() const { return groups == c && groups > 1; }

  // Index of an input or result element, in the tensors' own rank.
  std::vector<kernel::Index> at(kernel::Index image, kernel::Index channel, kernel::Index row,
                                kernel::Index column) const;
  size_t row_dim() const { return 2; }
  size_t column_dim() const { return rank - 1; }
};

// Of the anchor of `context`, a convolution; refuses other ranks.
OrRefusal<ConvGeometry> conv_geometry(const GroupContext& context);

}  // namespace neuronc
