// Convolutions of every rank, plain and transposed, as products over taps.
//
// Along each of three axes (missing ones have extent 1) result r and tap t meet at one input
// position, and the result lies at one place:
//
//   position(r, t) = r * stride + t * dilation + base         place(r) = r * spread + offset
//
// A plain convolution is one such problem. A transposed one of stride s falls apart into s phases
// per axis: results of one phase meet the same taps, so that each phase is a plain convolution of
// stride 1 and nothing is multiplied by the zeros between inserted pixels. Phases that read the
// same pixels are one problem with more columns.
#pragma once

#include <array>
#include <vector>

#include "backend/variants/variant.h"
#include "ir/ops/window.h"

namespace neuronc {

struct TapAxis {
  int64_t input = 1;    // extent of the input
  int64_t results = 1;  // of this problem
  int64_t taps = 1;
  int64_t stride = 1, dilation = 1, base = 0;
  int64_t spread = 1, offset = 0;             // places of results
  int64_t first_weight = 0, weight_step = 1;  // window element of tap t; none where it is below 0

  int64_t position_end(int64_t r_count) const {
    return (r_count - 1) * stride + (taps - 1) * dilation + 1;
  }
  // Whether every tap of every result lies inside the input.
  bool is_inside() const { return base >= 0 && base + position_end(results) <= input; }
  // Whether results differ only in where they lie.
  bool reads_as(const TapAxis& other) const;
};

struct TapProblem {
  std::array<TapAxis, 3> axes;  // depth, height, width
  // Further phases with the same taps: their axes, which differ in places and weights alone.
  std::vector<std::array<TapAxis, 3>> phases;  // the first is `axes`

  bool is_inside() const;
  int64_t num_taps() const { return axes[0].taps * axes[1].taps * axes[2].taps; }
};

struct TapConvolution {
  size_t rank = 4;  // of input and result: 3, 4 or 5
  bool is_transposed = false;
  int64_t n = 0, groups = 1;
  int64_t channels = 0, columns = 0;  // of a group
  std::array<int64_t, 3> window{1, 1, 1};
  std::array<int64_t, 3> result{1, 1, 1};  // extents
  std::vector<TapProblem> problems;

  bool is_depthwise() const { return channels == 1 && groups > 1; }
  // Index of an element of input or result, in their own rank.
  std::vector<kernel::Index> at(kernel::Index image, kernel::Index channel,
                                const std::array<kernel::Index, 3>& place) const;
  // Element of the weights [m, c/g, window] or, transposed, [c, m/g, window]; -1: it is zero.
  int64_t weight_at(int64_t group, int64_t column, int64_t channel,
                    const std::array<int64_t, 3>& element) const;
};

// Of the anchor of `context`, a conv or conv_transpose of up to three spatial dims.
OrRefusal<TapConvolution> tap_convolution(const GroupContext& context);

}  // namespace neuronc
