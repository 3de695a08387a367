// Pools over any number of spatial axes, and over all of them.
#include <cmath>
#include <limits>

#include "ir/ops/common.h"
#include "ir/ops/pool_windows.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kMaxPoolTypes = kFloats | DTypeSet{DType::i8, DType::u8};
constexpr OperandSpec kMaxPoolOperands[] = {{"x", kMaxPoolTypes, 'T'}};
constexpr ResultSpec kMaxPoolResults[] = {{"y", kMaxPoolTypes, 'T'},
                                          {"indices", DTypeSet{DType::i64}, 0, Arity::optional}};
constexpr OperandSpec kPoolOperands[] = {{"x", kFloats, 'T'}};
constexpr ResultSpec kPoolResults[] = {{"y", kFloats, 'T'}};
constexpr AttributeSpec kMaxPoolAttributes[] = {
    {"ceil_mode", AttributeKind::i64, "0"},          {"dilations", AttributeKind::ints, "[]"},
    {"kernel_shape", AttributeKind::ints, "", true}, {"pads", AttributeKind::ints, "[]"},
    {"storage_order", AttributeKind::i64, "0"},      {"strides", AttributeKind::ints, "[]"}};
constexpr AttributeSpec kAveragePoolAttributes[] = {
    {"ceil_mode", AttributeKind::i64, "0"},   {"count_include_pad", AttributeKind::i64, "0"},
    {"dilations", AttributeKind::ints, "[]"}, {"kernel_shape", AttributeKind::ints, "", true},
    {"pads", AttributeKind::ints, "[]"},      {"strides", AttributeKind::ints, "[]"}};
// The row-major offset within a plane turned column-major, for storage_order 1.
int64_t column_major(int64_t offset, const Shape& spatial) {
  int64_t result = 0;
  int64_t stride = num_elements(spatial);
  if (stride == 0) return 0;  // a window in the padding of nothing
  for (size_t i = spatial.size(); i-- > 0;) {
    stride /= spatial[i];
    result += offset % spatial[i] * stride;
    offset /= spatial[i];
  }
  return result;
}

Values evaluate_max_pool(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const std::vector<double> values = doubles(x);
  const Shape spatial(x.shape().begin() + 2, x.shape().end());
  const int64_t x_plane = num_elements(spatial);
  const bool is_column_major = input.op.i64("storage_order") != 0;
  std::vector<double> y(static_cast<size_t>(type.num_elements()));
  std::vector<int64_t> indices(y.size());
  const double lowest = is_float(x.dtype()) ? -std::numeric_limits<double>::infinity()
                                            : (x.dtype() == DType::i8 ? -128 : 0);
  NEURONC_TRY(
      for_each_window(input, type.shape(), [&](int64_t plane, const Cover& cover, int64_t result) {
        double best = lowest;
        int64_t best_offset = cover.offsets.empty() ? 0 : cover.offsets[0];
        for (int64_t offset : cover.offsets) {
          const double value = values[static_cast<size_t>(plane * x_plane + offset)];
          if (value > best || (value != value && best == best)) {
            best = value;
            best_offset = offset;
          }
        }
        if (is_column_major) best_offset = column_major(best_offset, spatial);
        y[static_cast<size_t>(result)] = best;
        indices[static_cast<size_t>(result)] = plane * x_plane + best_offset;
      }));
  std::vector<HostValue> results{from_doubles(type.dtype, type.shape(), y)};
  if (input.num_results > 1) results.emplace_back(from_ints(DType::i64, type.shape(), indices));
  return results;
}

Values evaluate_average_pool(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const std::vector<double> values = doubles(x);
  const int64_t x_plane = axis_view(x.shape(), 2, x.rank()).extent;
  const bool counts_pads = input.op.i64("count_include_pad") != 0;
  std::vector<double> y(static_cast<size_t>(type.num_elements()));
  NEURONC_TRY(
      for_each_window(input, type.shape(), [&](int64_t plane, const Cover& cover, int64_t result) {
        double sum = 0;
        for (int64_t offset : cover.offsets) {
          sum += values[static_cast<size_t>(plane * x_plane + offset)];
        }
        const auto count =
            counts_pads ? cover.num_padded : static_cast<int64_t>(cover.offsets.size());
        y[static_cast<size_t>(result)] = count == 0 ? 0 : sum / static_cast<double>(count);
      }));
  return one(from_doubles(type.dtype, type.shape(), y));
}

Values evaluate_global_average_pool(const EvaluateInput& input) {
  return pool_planes(input, [](std::span<const double> plane) {
    double sum = 0;
    for (double value : plane) sum += value;
    return sum / static_cast<double>(plane.size());
  });
}

Values evaluate_global_max_pool(const EvaluateInput& input) {
  return pool_planes(input, [](std::span<const double> plane) {
    double best = -std::numeric_limits<double>::infinity();
    for (double value : plane) {
      if (value > best || value != value) best = value;
      if (best != best) break;
    }
    return best;
  });
}

}  // namespace

/// y = the greatest element under each window; elements outside the input count as the least value,
/// NaN wins. `indices` are offsets into x, each plane row-major (column-major with storage_order
/// 1). Shapes: x [N,C,D...], y and indices [N,C,P...]; windows as ir/ops/window.h. Types: floats,
/// i8, u8.   Source: ONNX MaxPool-22.
NEURONC_OP(max_pool) = {"max_pool",         "the greatest element under each window",
                        "ONNX MaxPool-22",  kMaxPoolOperands,
                        kMaxPoolAttributes, kMaxPoolResults,
                        Trait::anchor,      Precision::exact,
                        infer_pool,         evaluate_max_pool,
                        pool_flops};

/// y = the mean under each window, over the elements inside the input, or inside the padded input
/// with `count_include_pad`; never over what `ceil_mode` adds beyond it.
/// Shapes: as max_pool.   Types: floats.   Source: ONNX AveragePool-22.
NEURONC_OP(average_pool) = {"average_pool",
                            "the mean under each window",
                            "ONNX AveragePool-22",
                            kPoolOperands,
                            kAveragePoolAttributes,
                            kPoolResults,
                            Trait::anchor,
                            Precision::statistic,
                            infer_pool,
                            evaluate_average_pool,
                            pool_flops};

/// y[n,c] = mean of x[n,c,..].   Shapes: x [N,C,D...], y [N,C,1...].   Types: floats.
///   Source: ONNX GlobalAveragePool-22.
NEURONC_OP(global_average_pool) = {"global_average_pool",
                                   "the mean of each plane",
                                   "ONNX GlobalAveragePool-22",
                                   kPoolOperands,
                                   {},
                                   kPoolResults,
                                   Trait::reduction | Trait::anchor,
                                   Precision::statistic,
                                   infer_global_pool,
                                   evaluate_global_average_pool,
                                   flops_per_operand<1>};

/// y[n,c] = the greatest of x[n,c,..].   Shapes: x [N,C,D...], y [N,C,1...].   Types: floats.
///   Source: ONNX GlobalMaxPool-22.
NEURONC_OP(global_max_pool) = {"global_max_pool",
                               "the greatest element of each plane",
                               "ONNX GlobalMaxPool-22",
                               kPoolOperands,
                               {},
                               kPoolResults,
                               Trait::reduction | Trait::anchor,
                               Precision::exact,
                               infer_global_pool,
                               evaluate_global_max_pool,
                               flops_per_operand<1>};

}  // namespace neuronc
