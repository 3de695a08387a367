// Operators of object detection that pool regions.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kI64{DType::i64};

// ---- roi_align and max_roi_pool

constexpr OperandSpec kRoiAlignOperands[] = {
    {"x", kFloats, 'T'}, {"rois", kFloats, 'T'}, {"batch_indices", kI64}};
constexpr OperandSpec kRoiPoolOperands[] = {{"x", kFloats, 'T'}, {"rois", kFloats, 'T'}};
constexpr ResultSpec kFloatY[] = {{"y", kFloats, 'T'}};
constexpr AttributeSpec kRoiAlignAttributes[] = {
    {"coordinate_transformation_mode", AttributeKind::string, "\"half_pixel\""},
    {"mode", AttributeKind::string, "\"avg\""},
    {"output_height", AttributeKind::i64, "1"},
    {"output_width", AttributeKind::i64, "1"},
    {"sampling_ratio", AttributeKind::i64, "0"},
    {"spatial_scale", AttributeKind::f64, "1"}};
constexpr AttributeSpec kRoiPoolAttributes[] = {{"pooled_shape", AttributeKind::ints, "", true},
                                                {"spatial_scale", AttributeKind::f64, "1"}};

// Points per bin and axis beyond which no result would ever come.
constexpr int64_t kMaxSamplingRatio = 4096;

OrRefusal<Type> roi_type(const InferInput& input, int64_t height, int64_t width, int64_t columns) {
  const Type& x = input.operands[0];
  const Type& rois = input.operands[1];
  if (height < 1 || width < 1) return refuse("the pooled extents are less than 1");
  if (x.is_ranked && x.rank() != 4) return refuse("the operand is not of shape [N,C,H,W]");
  if (rois.is_ranked) {
    if (rois.rank() != 2) return refuse("the regions are not of rank 2");
    NEURONC_TRY(same_dim(rois.dims[1], Dim(columns), "the numbers of a region"));
  }
  return ranked(x.dtype, {rois.is_ranked ? rois.dims[0] : Dim::unknown(),
                          x.is_ranked ? x.dims[1] : Dim::unknown(), Dim(height), Dim(width)});
}

Types infer_roi_align(const InferInput& input) {
  const std::string& mode = input.op.string("mode");
  if (mode != "avg" && mode != "max") return refuse(fmt::format("`mode` is `{}`", mode));
  const int64_t ratio = input.op.i64("sampling_ratio");
  if (ratio > kMaxSamplingRatio) return refuse(fmt::format("`sampling_ratio` is {}", ratio));
  NEURONC_ASSIGN(Type type,
                 roi_type(input, input.op.i64("output_height"), input.op.i64("output_width"), 4));
  if (input.operands[2].is_ranked && input.operands[2].rank() != 1) {
    return refuse("the batch indices are not of rank 1");
  }
  if (input.operands[2].is_ranked) {
    NEURONC_ASSIGN(type.dims[0],
                   same_dim(type.dims[0], input.operands[2].dims[0], "the number of regions"));
  }
  return std::vector<Type>{std::move(type)};
}

// The four neighbours of a point in a plane, with their weights; none outside it.
struct Neighbours {
  bool is_inside = false;
  int64_t offsets[4] = {};
  double weights[4] = {};
};
Neighbours neighbours_of(double y, double x, int64_t height, int64_t width) {
  Neighbours result;
  // A point that is no number lies outside too, and an empty plane has no inside.
  result.is_inside = height > 0 && width > 0 && y >= -1 && y <= static_cast<double>(height) &&
                     x >= -1 && x <= static_cast<double>(width);
  if (!result.is_inside) return result;
  y = std::clamp(y, 0.0, static_cast<double>(height - 1));
  x = std::clamp(x, 0.0, static_cast<double>(width - 1));
  const auto top = static_cast<int64_t>(y);
  const auto left = static_cast<int64_t>(x);
  const int64_t bottom = std::min(top + 1, height - 1);
  const int64_t right = std::min(left + 1, width - 1);
  const double fy = y - static_cast<double>(top);
  const double fx = x - static_cast<double>(left);
  return {true,
          {top * width + left, top * width + right, bottom * width + left, bottom * width + right},
          {(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx}};
}

// Where a region's bins lie, along one axis.
struct Bins {
  double begin = 0, size = 0;
  int64_t num_samples = 1;
  double at(int64_t bin, int64_t sample) const {
    return begin + (static_cast<double>(bin) +
                    (static_cast<double>(sample) + 0.5) / static_cast<double>(num_samples)) *
                       size;
  }
};
Bins bins_of(const OpView& op, double first, double last, int64_t count) {
  const bool is_half_pixel = op.string("coordinate_transformation_mode") == "half_pixel";
  const double shift = is_half_pixel ? 0.5 : 0;
  const double scale = op.f64("spatial_scale");
  double extent = (last - first) * scale;
  if (!is_half_pixel) extent = std::max(extent, 1.0);
  const int64_t ratio = op.i64("sampling_ratio");
  Bins bins{first * scale - shift, extent / static_cast<double>(count), ratio};
  if (ratio <= 0) {
    const double samples = std::ceil(bins.size);
    bins.num_samples = samples >= 1 && samples < 1e6 ? static_cast<int64_t>(samples) : 1;
  }
  return bins;
}

Values evaluate_roi_align(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape shape = type.shape();
  const Shape& x_shape = input.tensor(0).shape();
  const std::vector<double> x = doubles(input.tensor(0));
  const std::vector<double> rois = doubles(input.tensor(1));
  const bool is_max = input.op.string("mode") == "max";
  const int64_t plane = x_shape[2] * x_shape[3];
  std::vector<double> y(static_cast<size_t>(type.num_elements()));
  for (int64_t r = 0; r < shape[0]; ++r) {
    const int64_t batch = input.tensor(2).i64(r);
    if (batch < 0 || batch >= x_shape[0]) return refuse("a batch index is out of range");
    const double* roi = rois.data() + 4 * r;
    const Bins columns = bins_of(input.op, roi[0], roi[2], shape[3]);
    const Bins rows = bins_of(input.op, roi[1], roi[3], shape[2]);
    for (int64_t i = 0; i < shape[1] * shape[2] * shape[3]; ++i) {
      const double* values = x.data() + (batch * shape[1] + i / (shape[2] * shape[3])) * plane;
      double sum = 0;
      double best = -std::numeric_limits<double>::infinity();
      for (int64_t sy = 0; sy < rows.num_samples; ++sy) {
        for (int64_t sx = 0; sx < columns.num_samples; ++sx) {
          const Neighbours near =
              neighbours_of(rows.at(i / shape[3] % shape[2], sy), columns.at(i % shape[3], sx),
                            x_shape[2], x_shape[3]);
          for (int k = 0; k < 4; ++k) {
            const double term = near.is_inside ? near.weights[k] * values[near.offsets[k]] : 0;
            sum += term;
            best = std::max(best, term);
          }
        }
      }
      const auto count = static_cast<double>(rows.num_samples * columns.num_samples);
      y[static_cast<size_t>(r * shape[1] * shape[2] * shape[3] + i)] = is_max ? best : sum / count;
    }
  }
  return one(from_doubles(type.dtype, shape, y));
}

Types infer_roi_pool(const InferInput& input) {
  const Shape& pooled = input.op.ints("pooled_shape");
  if (pooled.size() != 2) return refuse("`pooled_shape` does not have two entries");
  NEURONC_ASSIGN(Type type, roi_type(input, pooled[0], pooled[1], 5));
  return std::vector<Type>{std::move(type)};
}

// The elements [begin, end) of an axis that bin `bin` covers.
std::pair<int64_t, int64_t> covered(double first, double last, int64_t bin, int64_t num_bins,
                                    int64_t extent) {
  const double begin = std::round(first);
  const double size = std::max(std::round(last) - begin + 1, 1.0) / static_cast<double>(num_bins);
  const auto clamp = [&](double at) {
    if (at != at) return int64_t{0};
    return static_cast<int64_t>(std::clamp(at, 0.0, static_cast<double>(extent)));
  };
  return {clamp(begin + std::floor(static_cast<double>(bin) * size)),
          clamp(begin + std::ceil(static_cast<double>(bin + 1) * size))};
}

Values evaluate_roi_pool(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape shape = type.shape();
  const Shape& x_shape = input.tensor(0).shape();
  const std::vector<double> x = doubles(input.tensor(0));
  const std::vector<double> rois = doubles(input.tensor(1));
  const double scale = input.op.f64("spatial_scale");
  std::vector<double> y;
  for (int64_t r = 0; r < shape[0]; ++r) {
    const double* roi = rois.data() + 5 * r;
    if (!(roi[0] >= 0 && roi[0] < static_cast<double>(x_shape[0]))) {
      return refuse("a batch index is out of range");
    }
    for (int64_t i = 0; i < shape[1] * shape[2] * shape[3]; ++i) {
      const int64_t channel = i / (shape[2] * shape[3]);
      const auto rows =
          covered(roi[2] * scale, roi[4] * scale, i / shape[3] % shape[2], shape[2], x_shape[2]);
      const auto columns =
          covered(roi[1] * scale, roi[3] * scale, i % shape[3], shape[3], x_shape[3]);
      const bool is_empty = rows.first >= rows.second || columns.first >= columns.second;
      double best = is_empty ? 0 : -std::numeric_limits<double>::infinity();
      const double* plane =
          x.data() + (static_cast<int64_t>(roi[0]) * shape[1] + channel) * x_shape[2] * x_shape[3];
      for (int64_t row = rows.first; row < rows.second; ++row) {
        for (int64_t column = columns.first; column < columns.second; ++column) {
          best = std::max(best, plane[row * x_shape[3] + column]);
        }
      }
      y.push_back(best);
    }
  }
  return one(from_doubles(type.dtype, shape, y));
}

}  // namespace

/// Samples each region bilinearly at `sampling_ratio`^2 points per bin (0: as many as the bin has
/// pixels) and takes their mean, or the greatest weighted neighbour (mode max).
/// Shapes: x [N,C,H,W], rois [R,4] as x1,y1,x2,y2, batch_indices [R], y [R,C,height,width].
/// Types: floats.   Source: ONNX RoiAlign-22.
NEURONC_OP(roi_align) = {"roi_align",        "regions sampled to one size", "ONNX RoiAlign-22",
                         kRoiAlignOperands,  kRoiAlignAttributes,           kFloatY,
                         Trait::anchor,      Precision::statistic,          infer_roi_align,
                         evaluate_roi_align, flops_per_result<32>};

/// y = the greatest element of each of `pooled_shape` bins of each region; 0 for empty bins.
/// Shapes: x [N,C,H,W], rois [R,5] as batch,x1,y1,x2,y2, y [R,C,height,width].   Types: floats.
/// Source: ONNX MaxRoiPool-22.
NEURONC_OP(max_roi_pool) = {"max_roi_pool",       "the greatest elements of regions",
                            "ONNX MaxRoiPool-22", kRoiPoolOperands,
                            kRoiPoolAttributes,   kFloatY,
                            Trait::anchor,        Precision::statistic,
                            infer_roi_pool,       evaluate_roi_pool,
                            flops_per_result<8>};

}  // namespace neuronc
