// Determinants and inverses, and sequences reversed in time.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kFloatX[] = {{"x", kFloats, 'T'}};
constexpr ResultSpec kFloatY[] = {{"y", kFloats, 'T'}};

Types infer_det(const InferInput& input) {
  const Type& x = input.operands[0];
  if (!x.is_ranked) return std::vector<Type>{x};
  if (x.rank() < 2) return refuse("the operand holds no matrices");
  NEURONC_TRY(same_dim(x.dims[x.dims.size() - 2], x.dims.back(), "the matrices' extent"));
  return std::vector<Type>{ranked(x.dtype, {x.dims.begin(), x.dims.end() - 2})};
}

// Elimination with partial pivoting; `m` is [n,n] and used up.
double determinant(std::span<double> m, size_t n) {
  double result = 1;
  for (size_t k = 0; k < n; ++k) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; ++i) {
      if (std::fabs(m[i * n + k]) > std::fabs(m[pivot * n + k])) pivot = i;
    }
    if (m[pivot * n + k] == 0) return 0;
    if (pivot != k) {
      result = -result;
      for (size_t j = 0; j < n; ++j) std::swap(m[pivot * n + j], m[k * n + j]);
    }
    result *= m[k * n + k];
    for (size_t i = k + 1; i < n; ++i) {
      const double factor = m[i * n + k] / m[k * n + k];
      for (size_t j = k; j < n; ++j) m[i * n + j] -= factor * m[k * n + j];
    }
  }
  return result;
}

Values evaluate_det(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  std::vector<double> values = doubles(input.tensor(0));
  const auto n = static_cast<size_t>(input.tensor(0).shape().back());
  std::vector<double> y;
  for (int64_t i = 0; i < type.num_elements(); ++i) {
    y.push_back(determinant(std::span(values).subspan(static_cast<size_t>(i) * n * n, n * n), n));
  }
  return one(from_doubles(type.dtype, type.shape(), y));
}

Types infer_inverse(const InferInput& input) {
  const Type& x = input.operands[0];
  if (!x.is_ranked) return std::vector<Type>{x};
  if (x.rank() < 2) return refuse("the operand holds no matrices");
  NEURONC_TRY(same_dim(x.dims[x.dims.size() - 2], x.dims.back(), "the matrices' extent"));
  return std::vector<Type>{x};
}

// Gauss and Jordan's elimination with partial pivoting on [m | 1]; `m` is [n,2n].
void invert(std::span<double> m, size_t n) {
  const size_t width = 2 * n;
  const auto row = [&](size_t i) { return m.subspan(i * width, width); };
  for (size_t k = 0; k < n; ++k) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; ++i) {
      if (std::fabs(row(i)[k]) > std::fabs(row(pivot)[k])) pivot = i;
    }
    if (pivot != k) std::ranges::swap_ranges(row(pivot), row(k));
    const double head = row(k)[k];
    for (size_t j = k; j < width; ++j) row(k)[j] /= head;
    for (size_t i = 0; i < n; ++i) {
      if (i == k) continue;
      const double factor = row(i)[k];
      for (size_t j = k; j < width; ++j) row(i)[j] -= factor * row(k)[j];
    }
  }
}

Values evaluate_inverse(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const std::vector<double> values = doubles(input.tensor(0));
  const auto n = static_cast<size_t>(input.tensor(0).shape().back());
  std::vector<double> y;
  for (size_t from = 0; from < values.size(); from += n * n) {
    std::vector<double> m(2 * n * n);
    for (size_t i = 0; i < n; ++i) {
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(from + i * n), n,
                  m.begin() + static_cast<std::ptrdiff_t>(2 * i * n));
      m[(2 * i + 1) * n + i] = 1;
    }
    invert(m, n);
    for (size_t i = 0; i < n; ++i) {
      y.insert(y.end(), m.begin() + static_cast<std::ptrdiff_t>((2 * i + 1) * n),
               m.begin() + static_cast<std::ptrdiff_t>((2 * i + 2) * n));
    }
  }
  return one(from_doubles(type.dtype, type.shape(), y));
}

constexpr OperandSpec kReverseOperands[] = {{"x", kAny, 'T'},
                                            {"sequence_lengths", DTypeSet{DType::i64}}};
constexpr ResultSpec kAnyY[] = {{"y", kAny, 'T'}};
constexpr AttributeSpec kReverseAttributes[] = {{"batch_axis", AttributeKind::i64, "1"},
                                                {"time_axis", AttributeKind::i64, "0"}};

Types infer_reverse(const InferInput& input) {
  const Type& x = input.operands[0];
  if (x.is_ranked) {
    NEURONC_ASSIGN(const int64_t batch, resolve_axis(input.op.i64("batch_axis"), x.rank()));
    NEURONC_ASSIGN(const int64_t time, resolve_axis(input.op.i64("time_axis"), x.rank()));
    if (batch == time) return refuse("batch and time are the same axis");
    const Type& lengths = input.operands[1];
    if (lengths.is_ranked) {
      if (lengths.rank() != 1) return refuse("the sequence lengths are not of rank 1");
      NEURONC_TRY(same_dim(lengths.dims[0], x.dims[static_cast<size_t>(batch)], "the batch"));
    }
  }
  return infer_as_first(input);
}

Values evaluate_reverse(const EvaluateInput& input) {
  NEURONC_TRY(actual_type(input));
  const Tensor& x = input.tensor(0);
  NEURONC_ASSIGN(const int64_t batch, resolve_axis(input.op.i64("batch_axis"), x.rank()));
  NEURONC_ASSIGN(const int64_t time, resolve_axis(input.op.i64("time_axis"), x.rank()));
  const auto time_at = static_cast<size_t>(time);
  const std::vector<int64_t> lengths = ints(input.tensor(1));
  for (int64_t length : lengths) {
    if (length < 0 || length > x.shape()[time_at]) {
      return refuse(fmt::format("a sequence length is {}", length));
    }
  }
  const Shape strides = row_major_strides(x.shape());
  std::vector<int64_t> offsets;
  for_each_index(x.shape(), [&](const Shape& index) {
    const int64_t length = lengths[static_cast<size_t>(index[static_cast<size_t>(batch)])];
    int64_t offset = 0;
    for (size_t i = 0; i < index.size(); ++i) offset += index[i] * strides[i];
    if (index[time_at] < length) {
      offset += (length - 1 - 2 * index[time_at]) * strides[time_at];
    }
    offsets.push_back(offset);
  });
  return one(take(x, x.shape(), offsets));
}

}  // namespace

/// y = the determinants of the matrices in the last two axes.
/// Shapes: x [..,M,M], y [..].   Types: floats.   Source: ONNX Det-22.
NEURONC_OP(det) = {"det",
                   "determinants of matrices",
                   "ONNX Det-22",
                   kFloatX,
                   {},
                   kFloatY,
                   Trait::none,
                   Precision::statistic,
                   infer_det,
                   evaluate_det,
                   flops_per_operand<4>};

/// y = the inverses of the matrices in the last two axes; those of singular ones hold infinities or
/// NaN.
/// Shapes: x, y [..,M,M].   Types: floats.   Source: com.microsoft Inverse-1.
NEURONC_OP(inverse) = {"inverse",
                       "inverses of matrices",
                       "com.microsoft Inverse-1",
                       kFloatX,
                       {},
                       kFloatY,
                       Trait::none,
                       Precision::statistic,
                       infer_inverse,
                       evaluate_inverse,
                       flops_per_operand<4>};

/// y = x with the first sequence_lengths[b] elements along `time_axis` reversed, for each index b
/// of `batch_axis`.   Types: any.   Source: ONNX ReverseSequence-10.
NEURONC_OP(reverse_sequence) = {"reverse_sequence",
                                "sequences reversed up to their length",
                                "ONNX ReverseSequence-10",
                                kReverseOperands,
                                kReverseAttributes,
                                kAnyY,
                                Trait::moves_data,
                                Precision::exact,
                                infer_reverse,
                                evaluate_reverse,
                                no_flops};

}  // namespace neuronc
