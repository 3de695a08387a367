// Implements padding.h.
#include "backend/variants/convolution/padding.h"

#include <algorithm>
#include <cmath>

namespace neuronc {

using kernel::Index;

namespace {

// A register of b costs as much as so many rows that it is multiplied with: it comes from the second
// cache at best.
constexpr double kRowsPerLoad = 6;
// Smaller gains are within what a prediction is worth.
constexpr double kLeastGain = 0.96;

int64_t num_taps_met(const TapAxis& axis, int64_t first, int64_t last) {
  const kernel::Range met = taps_met(axis, Index(first), Index(last));
  return std::max<int64_t>(met.upper.constant() - met.lower.constant(), 0);
}

// Of the products along an axis, what runs of at most `run` results multiply.
double share_met(const TapAxis& axis, int64_t run) {
  int64_t met = 0;
  for (int64_t first = 0; first < axis.results; first += run) {
    const int64_t last = std::min(first + run, axis.results) - 1;
    met += (last - first + 1) * num_taps_met(axis, first, last);
  }
  return static_cast<double>(met) / static_cast<double>(axis.results * axis.taps);
}

double tile_cost(int64_t rows) { return std::max(static_cast<double>(rows), kRowsPerLoad); }

// Of `rows` rows cut into tiles.
double cost_of(const RegisterTile& tile, int64_t rows) {
  const auto whole = static_cast<double>(rows / tile.rows);
  const int64_t tail = rows % tile.rows;
  return whole * tile_cost(tile.rows) + (tail > 0 ? tile_cost(tail) : 0);
}

bool is_finite(const Tensor& weights) {
  const int64_t count = weights.num_elements();
  const auto all = [&](auto span, auto exponent) {
    bool finite = true;
    for (const auto bits : span) finite &= (bits & exponent) != exponent;
    return finite;
  };
  switch (weights.dtype()) {
    case DType::f32:
      return all(std::span(reinterpret_cast<const uint32_t*>(weights.data()), count), 0x7f800000u);
    case DType::bf16:
      return all(std::span(reinterpret_cast<const uint16_t*>(weights.data()), count), 0x7f80);
    default:
      for (int64_t i = 0; i < count; ++i) {
        if (!std::isfinite(weights.f64(i))) return false;
      }
      return true;
  }
}

}  // namespace

kernel::Range taps_met(const TapAxis& axis, Index first, Index last) {
  const Index begin = kernel::ceil_div(Index(-axis.base) - last * axis.stride, axis.dilation);
  const Index end =
      kernel::ceil_div(Index(axis.input - axis.base) - first * axis.stride, axis.dilation);
  return {kernel::max(begin, 0), kernel::min(end, axis.taps), 1};
}

std::optional<LineTiles> line_tiles(const Machine& machine, const ProductStep& step,
                                    const LineProblem& problem) {
  const auto& [depth, height, width] = problem.axes;
  if (step.is_matrix() || step.accumulator == DType::i32 || problem.weights == nullptr) {
    return std::nullopt;
  }
  const double across = cost_of(problem.across, problem.block_rows) /
                        static_cast<double>(problem.block_rows / width.results);
  LineTiles lines;
  lines.tile =
      choose_register_tile(machine, step, width.results, problem.columns, problem.row_bytes);
  lines.share = share_met(depth, 1) * share_met(height, 1) * share_met(width, lines.tile.rows);
  if (cost_of(lines.tile, width.results) * lines.share > kLeastGain * across) return std::nullopt;
  if (!is_finite(*problem.weights)) return std::nullopt;
  return lines;
}

}  // namespace neuronc
