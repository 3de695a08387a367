// Products of matrices.
#include <fmt/format.h>

#include <cmath>

#include "ir/ops/contraction.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kMatmulOperands[] = {{"a", kNumeric, 'T'}, {"b", kNumeric, 'T'}};
constexpr OperandSpec kGemmOperands[] = {
    {"a", kNumeric, 'T'}, {"b", kNumeric, 'T'}, {"c", kNumeric, 0, Arity::optional}};
constexpr ResultSpec kProduct[] = {{"y", kNumeric}};
constexpr AttributeSpec kMatmulAttributes[] = {kResultType};
constexpr AttributeSpec kGemmAttributes[] = {{"alpha", AttributeKind::f64, "1"},
                                             {"beta", AttributeKind::f64, "1"},
                                             kResultType,
                                             {"transA", AttributeKind::i64, "0"},
                                             {"transB", AttributeKind::i64, "0"}};

Types infer_matmul(const InferInput& input) {
  NEURONC_ASSIGN(Type type, matmul_type(input.operands[0], input.operands[1]));
  return with_result_type(input, std::vector<Type>{std::move(type)}, 2);
}

std::vector<uint64_t> bits_of(const Tensor& tensor) {
  const std::vector<int64_t> values = ints(tensor);
  return {values.begin(), values.end()};
}

Values evaluate_matmul(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& a = input.tensor(0);
  const Tensor& b = input.tensor(1);
  const Product product = product_of(a.shape(), b.shape());
  if (is_float(type.dtype)) {
    return one(from_doubles(type.dtype, type.shape(), multiply(product, doubles(a), doubles(b))));
  }
  const std::vector<uint64_t> y = multiply(product, bits_of(a), bits_of(b));
  return one(from_ints(type.dtype, type.shape(), std::vector<int64_t>(y.begin(), y.end())));
}

double matmul_flops(const OpView&, std::span<const Type> operands, std::span<const Type> results) {
  if (!operands[0].is_static() || operands[0].dims.empty()) return 0;
  return 2 * static_cast<double>(operands[0].dims.back().number()) * num_elements_of(results[0]);
}

Types infer_gemm_shape(const InferInput& input) {
  const Type& a = input.operands[0];
  const Type& b = input.operands[1];
  for (const Type* type : {&a, &b}) {
    if (type->is_ranked && type->rank() != 2) {
      return refuse(
          fmt::format("`gemm` multiplies matrices, not a tensor of rank {}", type->rank()));
    }
  }
  if (!a.is_ranked || !b.is_ranked) return std::vector<Type>{unknown_dims(a.dtype, 2)};
  const size_t a_inner = input.op.i64("transA") != 0 ? 0 : 1;
  const size_t b_inner = input.op.i64("transB") != 0 ? 1 : 0;
  NEURONC_TRY(same_dim(a.dims[a_inner], b.dims[b_inner], "the inner extent"));
  Type type = ranked(a.dtype, {a.dims[1 - a_inner], b.dims[1 - b_inner]});
  if (input.has(2)) {
    const Type pair[] = {type, input.operands[2]};
    NEURONC_ASSIGN(const Type sum, broadcast_types(pair, a.dtype));
    if (sum.is_ranked && type.is_static() && sum.is_static() && sum != type) {
      return refuse("`c` does not broadcast to the product's shape");
    }
  }
  return std::vector<Type>{std::move(type)};
}

Types infer_gemm(const InferInput& input) {
  return with_result_type(input, infer_gemm_shape(input), 2);
}

Tensor transposed(const Tensor& matrix) {
  const Shape& shape = matrix.shape();
  return take_strided(matrix, {shape[1], shape[0]}, {1, shape[1]}, 0);
}

// alpha * a * b + beta * c for numbers of type T.
template <class T>
std::vector<T> scaled_product(const EvaluateInput& input, const Product& product,
                              const std::vector<T>& a, const std::vector<T>& b,
                              const std::vector<T>& c, const Shape& shape, T alpha, T beta) {
  std::vector<T> y = multiply(product, a, b);
  for (T& value : y) value *= alpha;
  if (!input.has(2)) return y;
  size_t i = 0;
  for_each_offset(shape, broadcast_strides(input.tensor(2).shape(), shape), 0,
                  [&](int64_t offset) { y[i++] += beta * c[static_cast<size_t>(offset)]; });
  return y;
}

Values evaluate_gemm(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape shape = type.shape();
  const OpView& op = input.op;
  const Tensor a = op.i64("transA") != 0 ? transposed(input.tensor(0)) : input.tensor(0);
  const Tensor b = op.i64("transB") != 0 ? transposed(input.tensor(1)) : input.tensor(1);
  const Product product = product_of(a.shape(), b.shape());
  const double alpha = op.f64("alpha"), beta = op.f64("beta");
  // Integers wrap; only where a fraction scales them do they pass through f64.
  constexpr double kMaxFactor = 0x1p62;
  const auto is_whole = [](double factor) {
    return std::trunc(factor) == factor && std::fabs(factor) <= kMaxFactor;
  };
  if (is_float(type.dtype) || !is_whole(alpha) || !is_whole(beta)) {
    const std::vector<double> c = input.has(2) ? doubles(input.tensor(2)) : std::vector<double>();
    return one(from_doubles(
        type.dtype, shape,
        scaled_product(input, product, doubles(a), doubles(b), c, shape, alpha, beta)));
  }
  const std::vector<uint64_t> c = input.has(2) ? bits_of(input.tensor(2)) : std::vector<uint64_t>();
  const std::vector<uint64_t> y = scaled_product(input, product, bits_of(a), bits_of(b), c, shape,
                                                 static_cast<uint64_t>(static_cast<int64_t>(alpha)),
                                                 static_cast<uint64_t>(static_cast<int64_t>(beta)));
  return one(from_ints(type.dtype, shape, std::vector<int64_t>(y.begin(), y.end())));
}

double gemm_flops(const OpView& op, std::span<const Type> operands, std::span<const Type> results) {
  if (!operands[0].is_static() || operands[0].rank() != 2) return 0;
  const size_t inner = op.i64("transA") != 0 ? 0 : 1;
  return 2 * static_cast<double>(operands[0].dims[inner].number()) * num_elements_of(results[0]);
}

}  // namespace

namespace ops {

OrRefusal<Type> matmul_type(const Type& a, const Type& b) {
  if (!a.is_ranked || !b.is_ranked) return Type::unranked(a.dtype);
  if (a.rank() == 0 || b.rank() == 0) return refuse("a scalar is not a matrix");
  const size_t b_inner = b.dims.size() == 1 ? 0 : b.dims.size() - 2;
  NEURONC_TRY(same_dim(a.dims.back(), b.dims[b_inner], "the inner extent"));
  const size_t a_matrix = std::min<size_t>(2, a.dims.size());
  const size_t b_matrix = std::min<size_t>(2, b.dims.size());
  const Type batches[] = {
      ranked(a.dtype, {a.dims.begin(), a.dims.end() - static_cast<std::ptrdiff_t>(a_matrix)}),
      ranked(b.dtype, {b.dims.begin(), b.dims.end() - static_cast<std::ptrdiff_t>(b_matrix)})};
  NEURONC_ASSIGN(Type type, broadcast_types(batches, a.dtype));
  if (a_matrix == 2) type.dims.push_back(a.dims[a.dims.size() - 2]);
  if (b_matrix == 2) type.dims.push_back(b.dims.back());
  return type;
}

Product product_of(Shape a, Shape b) {
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  Product product;
  product.m = a[a.size() - 2];
  product.k = a.back();
  product.n = b.back();
  const Shape a_batch(a.begin(), a.end() - 2);
  const Shape b_batch(b.begin(), b.end() - 2);
  Shape batch(std::max(a_batch.size(), b_batch.size()), 1);
  for (const Shape* part : {&a_batch, &b_batch}) {
    const size_t shift = batch.size() - part->size();
    for (size_t i = 0; i < part->size(); ++i) {
      if ((*part)[i] != 1) batch[shift + i] = (*part)[i];
    }
  }
  for_each_offset(batch, broadcast_strides(a_batch, batch), 0, [&](int64_t offset) {
    product.a_offsets.push_back(offset * product.m * product.k);
  });
  for_each_offset(batch, broadcast_strides(b_batch, batch), 0, [&](int64_t offset) {
    product.b_offsets.push_back(offset * product.k * product.n);
  });
  return product;
}

}  // namespace ops

/// The matrix product of the last two axes, numpy broadcasting over the others; an operand of rank
/// 1 is a row on the left and a column on the right, and its axis vanishes from the result.
///   y[..,i,j] = sum over k of a[..,i,k] * b[..,k,j]
/// Shapes: a [..,M,K], b [..,K,N], y [..,M,N].   Types: numbers; floats accumulate in f32 or more
/// and are rounded once to `result_type`, integers wrap.   Source: ONNX MatMul-13.
NEURONC_OP(matmul) = {"matmul",
                      "matrix product with broadcasting",
                      "ONNX MatMul-13",
                      kMatmulOperands,
                      kMatmulAttributes,
                      kProduct,
                      Trait::matmul_like | Trait::anchor,
                      Precision::matmul,
                      infer_matmul,
                      evaluate_matmul,
                      matmul_flops};

/// y = alpha * a' * b' + beta * c, where ' transposes if the attribute says so.
/// Shapes: a' [M,K], b' [K,N], c optional, broadcast to y [M,N].   Types: numbers, as matmul.
/// Source: ONNX Gemm-13.
NEURONC_OP(gemm) = {"gemm",
                    "scaled matrix product plus scaled addend",
                    "ONNX Gemm-13",
                    kGemmOperands,
                    kGemmAttributes,
                    kProduct,
                    Trait::matmul_like | Trait::anchor,
                    Precision::matmul,
                    infer_gemm,
                    evaluate_gemm,
                    gemm_flops};

}  // namespace neuronc
