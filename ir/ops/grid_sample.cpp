// Sampling at positions that a grid gives, and making affine grids.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kGridSampleOperands[] = {{"x", kFloats, 'T'}, {"grid", kFloats}};
constexpr ResultSpec kFloatY[] = {{"y", kFloats, 'T'}};
constexpr AttributeSpec kGridSampleAttributes[] = {
    {"align_corners", AttributeKind::i64, "0"},
    {"mode", AttributeKind::string, "\"linear\""},
    {"padding_mode", AttributeKind::string, "\"zeros\""}};

enum class Mode : uint8_t { linear, nearest, cubic };
enum class Padding : uint8_t { zeros, border, reflection };

OrRefusal<Mode> mode_of(const OpView& op) {
  const std::string& mode = op.string("mode");
  if (mode == "linear" || mode == "bilinear") return Mode::linear;
  if (mode == "nearest") return Mode::nearest;
  if (mode == "cubic" || mode == "bicubic") return Mode::cubic;
  return refuse(fmt::format("`mode` is `{}`", mode));
}

OrRefusal<Padding> padding_of(const OpView& op) {
  const std::string& padding = op.string("padding_mode");
  if (padding == "zeros") return Padding::zeros;
  if (padding == "border") return Padding::border;
  if (padding == "reflection") return Padding::reflection;
  return refuse(fmt::format("`padding_mode` is `{}`", padding));
}

Types infer_grid_sample(const InferInput& input) {
  const Type& x = input.operands[0];
  const Type& grid = input.operands[1];
  NEURONC_TRY(mode_of(input.op));
  NEURONC_TRY(padding_of(input.op));
  if (!x.is_ranked || !grid.is_ranked) return std::vector<Type>{Type::unranked(x.dtype)};
  if (x.rank() < 3 || grid.rank() != x.rank()) return refuse("the grid has another rank than x");
  NEURONC_TRY(same_dim(grid.dims.back(), Dim(x.rank() - 2), "the number of coordinates"));
  NEURONC_ASSIGN(const Dim batch, same_dim(x.dims[0], grid.dims[0], "the batch"));
  std::vector<Dim> dims{batch, x.dims[1]};
  dims.insert(dims.end(), grid.dims.begin() + 1, grid.dims.end() - 1);
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

// `at` folded into [low, high] by reflection.
double reflected(double at, double low, double high) {
  const double range = high - low;
  if (range <= 0) return low;
  double phase = std::fmod(at - low, 2 * range);
  if (phase < 0) phase += 2 * range;
  return phase <= range ? low + phase : high - (phase - range);
}

// Index `i` as the padding maps it into [0, extent); -1: it reads zero.
int64_t padded(double i, int64_t extent, Padding padding, bool aligns) {
  const auto last = static_cast<double>(extent - 1);
  if (i >= 0 && i <= last) return static_cast<int64_t>(i);
  if (padding == Padding::zeros || !std::isfinite(i)) return -1;
  if (padding == Padding::reflection)
    i = reflected(i, aligns ? 0 : -0.5, aligns ? last : last + 0.5);
  return static_cast<int64_t>(std::clamp(std::nearbyint(i), 0.0, last));
}

double cubic_weight(double distance) {
  constexpr double kA = -0.75;
  const double d = std::fabs(distance);
  if (d <= 1) return ((kA + 2) * d - (kA + 3)) * d * d + 1;
  return d < 2 ? ((kA * d - 5 * kA) * d + 8 * kA) * d - 4 * kA : 0;
}

struct Tap {
  int64_t index;  // -1: zero
  double weight;
};

// The taps along one axis of `extent` elements for the normalised coordinate `position`.
void axis_taps(double position, int64_t extent, Mode mode, Padding padding, bool aligns,
               std::vector<Tap>& taps) {
  taps.clear();
  const auto length = static_cast<double>(extent);
  double at = aligns ? (position + 1) / 2 * (length - 1) : ((position + 1) * length - 1) / 2;
  if (mode == Mode::nearest) {
    taps.push_back({padded(std::nearbyint(at), extent, padding, aligns), 1});
    return;
  }
  if (mode == Mode::linear && padding == Padding::border) at = std::clamp(at, 0.0, length - 1);
  if (mode == Mode::linear && padding == Padding::reflection) {
    at = reflected(at, aligns ? 0 : -0.5, aligns ? length - 1 : length - 0.5);
    at = std::clamp(at, 0.0, length - 1);
  }
  const double base = std::floor(at);
  const int reach = mode == Mode::linear ? 0 : 1;
  for (int k = -reach; k <= 1 + reach; ++k) {
    const double distance = at - (base + k);
    const double weight =
        mode == Mode::linear ? std::max(0.0, 1 - std::fabs(distance)) : cubic_weight(distance);
    taps.push_back({padded(base + k, extent, padding, aligns), weight});
  }
}

// The value at the product of the axes' taps, from axis `axis` on.
double sample(const double* plane, const Shape& extents, const std::vector<std::vector<Tap>>& taps,
              size_t axis, int64_t offset) {
  if (axis == extents.size()) return plane[offset];
  double sum = 0;
  for (const Tap& tap : taps[axis]) {
    if (tap.index < 0 || tap.weight == 0) continue;
    sum += tap.weight * sample(plane, extents, taps, axis + 1, offset * extents[axis] + tap.index);
  }
  return sum;
}

Values evaluate_grid_sample(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  NEURONC_ASSIGN(const Mode mode, mode_of(input.op));
  NEURONC_ASSIGN(const Padding padding, padding_of(input.op));
  const bool aligns = input.op.i64("align_corners") != 0;
  const Shape shape = type.shape();
  const Shape& x_shape = input.tensor(0).shape();
  const Shape extents(x_shape.begin() + 2, x_shape.end());
  const std::vector<double> x = doubles(input.tensor(0));
  const std::vector<double> grid = doubles(input.tensor(1));
  const int64_t x_plane = num_elements(extents);
  const int64_t y_plane = axis_view(shape, 2, type.rank()).extent;
  const auto rank = static_cast<int64_t>(extents.size());
  std::vector<double> y(static_cast<size_t>(type.num_elements()), 0);
  std::vector<std::vector<Tap>> taps(extents.size());
  for (int64_t i = 0; x_plane > 0 && i < shape[0] * y_plane; ++i) {
    for (int64_t axis = 0; axis < rank; ++axis) {
      // Coordinates stand innermost axis first.
      const double position = grid[static_cast<size_t>(i * rank + rank - 1 - axis)];
      axis_taps(position, extents[static_cast<size_t>(axis)], mode, padding, aligns,
                taps[static_cast<size_t>(axis)]);
    }
    for (int64_t c = 0; c < shape[1]; ++c) {
      const int64_t plane = i / y_plane * shape[1] + c;
      y[static_cast<size_t>(plane * y_plane + i % y_plane)] =
          sample(x.data() + plane * x_plane, extents, taps, 0, 0);
    }
  }
  return one(from_doubles(type.dtype, shape, y));
}

// ---- affine_grid

constexpr OperandSpec kAffineOperands[] = {{"theta", kFloats, 'T'}, {"size", DTypeSet{DType::i64}}};
constexpr AttributeSpec kAffineAttributes[] = {{"align_corners", AttributeKind::i64, "0"}};

Types infer_affine_grid(const InferInput& input) {
  const DType dtype = input.operands[0].dtype;
  const auto size = known_ints(input, 1);
  if (!size) {
    const auto rank = known_length(input, 1);
    return std::vector<Type>{rank ? unknown_dims(dtype, *rank) : Type::unranked(dtype)};
  }
  if (size->size() != 4 && size->size() != 5) return refuse("`size` has neither 4 nor 5 entries");
  const auto spatial = static_cast<int64_t>(size->size()) - 2;
  std::vector<Dim> dims{Dim((*size)[0])};
  for (size_t i = 2; i < size->size(); ++i) dims.emplace_back((*size)[i]);
  for (int64_t extent : *size) {
    if (extent < 0) return refuse("`size` has a negative entry");
  }
  dims.emplace_back(spatial);
  const Type& theta = input.operands[0];
  if (theta.is_static() && theta.shape() != Shape{(*size)[0], spatial, spatial + 1}) {
    return refuse("`theta` does not fit `size`");
  }
  return std::vector<Type>{ranked(dtype, std::move(dims))};
}

Values evaluate_affine_grid(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape shape = type.shape();
  const std::vector<double> theta = doubles(input.tensor(0));
  const bool aligns = input.op.i64("align_corners") != 0;
  const auto rank = static_cast<size_t>(shape.back());
  const Shape positions(shape.begin(), shape.end() - 1);
  std::vector<double> y;
  std::vector<double> point(rank);
  for_each_index(positions, [&](const Shape& index) {
    for (size_t axis = 0; axis < rank; ++axis) {
      const auto extent = static_cast<double>(positions[axis + 1]);
      const auto at = static_cast<double>(index[axis + 1]);
      const double centred =
          aligns ? (extent == 1 ? 0 : 2 * at / (extent - 1) - 1) : (2 * at + 1) / extent - 1;
      // Coordinates stand innermost axis first.
      point[rank - 1 - axis] = centred;
    }
    for (size_t row = 0; row < rank; ++row) {
      const double* m = theta.data() + (static_cast<size_t>(index[0]) * rank + row) * (rank + 1);
      double sum = m[rank];
      for (size_t k = 0; k < rank; ++k) sum += m[k] * point[k];
      y.push_back(sum);
    }
  });
  return one(from_doubles(type.dtype, shape, y));
}

}  // namespace

/// y[n,c,p..] = x[n,c] sampled at grid[n,p..], whose coordinates (innermost axis first) run from -1
/// to 1 over the elements' edges, or over their centres with `align_corners`; linear, nearest or
/// cubic (a = -0.75). Outside: zeros, the border, or reflection.
/// Shapes: x [N,C,D...], grid [N,P...,rank], y [N,C,P...].   Types: floats.
/// Source: ONNX GridSample-22.
NEURONC_OP(grid_sample) = {"grid_sample",         "x sampled at given positions",
                           "ONNX GridSample-22",  kGridSampleOperands,
                           kGridSampleAttributes, kFloatY,
                           Trait::anchor,         Precision::statistic,
                           infer_grid_sample,     evaluate_grid_sample,
                           flops_per_result<16>};

/// y[n,p..] = theta[n] x (coordinates of p, 1), for grid_sample.
/// Shapes: theta [N,r,r+1], size [N,C,D...], y [N,D...,r].   Types: floats.
/// Source: ONNX AffineGrid-20.
NEURONC_OP(affine_grid) = {"affine_grid",        "positions moved by an affine map",
                           "ONNX AffineGrid-20", kAffineOperands,
                           kAffineAttributes,    kFloatY,
                           Trait::none,          Precision::statistic,
                           infer_affine_grid,    evaluate_affine_grid,
                           flops_per_result<8>};

}  // namespace neuronc
