// Implements bands.h.
#include "backend/variants/convolution/bands.h"

#include <algorithm>
#include <set>

#include "backend/variants/product/blocks.h"

namespace neuronc {

namespace {

constexpr int64_t kMostVectors = 4;

int64_t round_up(int64_t x, int64_t unit) { return (x + unit - 1) / unit * unit; }
int64_t ceil_div(int64_t x, int64_t unit) { return (x + unit - 1) / unit; }

// Phases of a stride above the kernel may meet none.
bool meets_pixels(const TapAxis& axis) { return axis.first_weight >= 0; }

// The lines of every phase, their groups still one phase each.
std::vector<BandLine> lines_of(const TapConvolution& conv) {
  std::vector<BandLine> lines;
  for (const TapProblem& problem : conv.problems) {
    for (const auto& [depth, height, width] : problem.phases) {
      auto line =
          std::find_if(lines.begin(), lines.end(), [&height = height](const BandLine& other) {
            return other.height.offset == height.offset;
          });
      if (line == lines.end()) line = lines.insert(lines.end(), {height, {}});
      line->groups.push_back({{width}, {}});
    }
  }
  const auto by_offset = [](const TapAxis& a, const TapAxis& b) { return a.offset < b.offset; };
  for (BandLine& line : lines) {
    std::sort(line.groups.begin(), line.groups.end(),
              [&](const BandPhases& a, const BandPhases& b) {
                return by_offset(a.widths[0], b.widths[0]);
              });
  }
  std::sort(lines.begin(), lines.end(),
            [&](const BandLine& a, const BandLine& b) { return by_offset(a.height, b.height); });
  return lines;
}

void join_phases(BandLine& line) {
  for (size_t i = 1; i < line.groups.size(); ++i) {
    line.groups[0].widths.push_back(line.groups[i].widths[0]);
  }
  line.groups.resize(1);
}

void list_products(BandPhases& group, const TapAxis& height, int64_t first_column) {
  if (!meets_pixels(height)) return;
  for (size_t phase = 0; phase < group.widths.size(); ++phase) {
    const TapAxis& width = group.widths[phase];
    if (!meets_pixels(width)) continue;
    for (int64_t tap = 0; tap < width.taps; ++tap) {
      group.products.push_back({width.base - first_column + tap * width.dilation, phase, tap});
    }
  }
  std::stable_sort(group.products.begin(), group.products.end(),
                   [](const auto& a, const auto& b) { return a.offset < b.offset; });
}

// Rows and columns of the image that the band meets; phases of a row become one group where their sums
// fit into registers.
void join_lines(Band& band, const TapConvolution& conv, int64_t accumulators) {
  int64_t last_row = INT64_MIN;
  band.first_row = band.first_column = INT64_MAX;
  for (BandLine& line : band.lines) {
    const TapAxis& height = line.height;
    const auto phases = static_cast<int64_t>(line.groups.size());
    for (const BandPhases& group : line.groups) {
      if (!meets_pixels(height) || !meets_pixels(group.widths[0])) continue;
      band.first_row = std::min(band.first_row, height.base);
      last_row = std::max(last_row, height.base + (height.taps - 1) * height.dilation);
      TapAxis width = group.widths[0];
      // Joined phases have as many results as the first.
      width.results = line.groups[0].most_results();
      band.first_column = std::min(band.first_column, width.base);
      band.uses_slab = band.uses_slab || !width.is_inside() || !height.is_inside();
    }
    if (phases > 1 && phases * conv.columns <= accumulators) join_phases(line);
  }
  if (last_row == INT64_MIN) band.first_row = band.first_column = last_row = 0;
  if (band.lines.size() == 1) band.row_step = band.height().dilation;
  band.rows = (last_row - band.first_row) / band.row_step + 1;
}

// Vectors of a row that are summed up at once: as even shares of the row.
int64_t vectors_of(const Band& band, const TapConvolution& conv, const Machine& machine) {
  const auto phases = static_cast<int64_t>(band.lines[0].groups[0].widths.size());
  const int64_t accumulators = machine.isa.num_vector_registers * 5 / 8;
  const int64_t most = std::clamp<int64_t>(accumulators / (phases * conv.columns), 1, kMostVectors);
  const int64_t all = std::max<int64_t>(band.width().results / machine.lanes(4), 1);
  return ceil_div(all, ceil_div(all, most));
}

// Long rows are cut where there are few of them, or where their copies would not stay cached.
void cut_rows(Band& band, const TapConvolution& conv, const Machine& machine, int64_t slab_bytes) {
  const int64_t lanes = machine.lanes(4);
  const int64_t all = ceil_div(band.width().results, band.vectors * lanes);
  const int64_t num_rows = conv.n * band.height().results;
  band.runs = all;
  if (band.uses_slab) {
    const int64_t column_bytes = conv.channels * band.rows * 4;
    const int64_t most = slab_bytes / column_bytes - band.last_offset;
    if (band.columns(lanes) > most) {
      band.runs =
          std::max<int64_t>(std::min(most, kBlockBytes / column_bytes) / (band.vectors * lanes), 1);
    }
  }
  if (num_rows < kMinTiles) {
    const int64_t blocks = ceil_div(kEvenTiles, num_rows);
    // So short that what lies between blocks would be copied twice as often.
    const int64_t least = ceil_div(4 * band.last_offset, band.vectors * lanes);
    band.runs = std::min(band.runs, std::max({ceil_div(all, blocks), least, int64_t{1}}));
  }
  band.blocks = ceil_div(all, band.runs);
  band.runs = ceil_div(all, band.blocks);
  band.blocks = ceil_div(all, band.runs);
}

}  // namespace

int64_t BandPhases::num_offsets() const {
  std::set<int64_t> offsets;
  for (const Product& product : products) offsets.insert(product.offset);
  return static_cast<int64_t>(offsets.size());
}

int64_t Band::num_products() const {
  size_t count = 0;
  for (const BandLine& line : lines) {
    for (const BandPhases& group : line.groups) count += group.products.size();
  }
  return static_cast<int64_t>(count);
}

int64_t Band::block_results(int64_t lanes) const {
  return blocks == 1 ? round_up(width().results, lanes) : runs * vectors * lanes;
}

Band make_band(const TapConvolution& conv, const Machine& machine, int64_t slab_bytes) {
  Band band{lines_of(conv)};
  join_lines(band, conv, machine.isa.num_vector_registers * 3 / 4);
  for (BandLine& line : band.lines) {
    for (BandPhases& group : line.groups) {
      list_products(group, line.height, band.first_column);
      for (const auto& product : group.products) {
        band.last_offset = std::max(band.last_offset, product.offset);
      }
    }
  }
  band.vectors = vectors_of(band, conv, machine);
  cut_rows(band, conv, machine, slab_bytes);
  return band;
}

}  // namespace neuronc
