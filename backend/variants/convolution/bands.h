// Rows of results in bands: those that meet the same rows of the image (planar.cpp).
//
// A plain convolution has one row in a band, a transposed one of stride s as many as it has phases along
// the height. Phases along the width are summed together where registers suffice.
#pragma once

#include <vector>

#include "backend/variants/convolution/taps.h"

namespace neuronc {

// Phases along a row of results, summed up at once.
struct BandPhases {
  std::vector<TapAxis> widths;
  // What a pixel `offset` columns behind the first is multiplied with, in rising order.
  struct Product {
    int64_t offset = 0;
    size_t phase = 0;
    int64_t tap = 0;
  };
  std::vector<Product> products;

  int64_t most_results() const { return widths.front().results; }
  int64_t least_results() const { return widths.back().results; }
  int64_t num_offsets() const;
};

// Rows of results of one phase along the height.
struct BandLine {
  TapAxis height;
  std::vector<BandPhases> groups;
};

// Line 0 has the most rows. Row r of all lines meets `rows` rows of the image, `row_step` apart, from
// r * stride + first_row on, and columns from first_column on.
struct Band {
  std::vector<BandLine> lines;
  int64_t first_row = 0, row_step = 1, rows = 1;
  int64_t first_column = 0, last_offset = 0;
  bool uses_slab = false;
  // A row of results is cut into `blocks`, each of so many runs of `vectors` vectors.
  int64_t vectors = 1, runs = 1, blocks = 1;

  const TapAxis& height() const { return lines[0].height; }
  const TapAxis& width() const { return lines[0].groups[0].widths[0]; }
  int64_t num_products() const;
  // Results of a block, in whole vectors, and the columns of the input that they meet.
  int64_t block_results(int64_t lanes) const;
  int64_t columns(int64_t lanes) const { return block_results(lanes) + last_offset; }
  // Where tap 0 of a line lies among the rows, and how far apart its taps.
  int64_t row_of(const BandLine& line) const { return (line.height.base - first_row) / row_step; }
  int64_t tap_rows(const BandLine& line) const { return line.height.dilation / row_step; }
};

// Of images of up to two dims. `slab_bytes`: more of the image are not copied at once.
Band make_band(const TapConvolution& conv, const Machine& machine, int64_t slab_bytes);

}  // namespace neuronc
