// Matrix products and convolutions of integers, with zero points, and their quantised results.
#include <fmt/format.h>

#include "ir/ops/contraction.h"
#include "ir/ops/quantization.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kBytes{DType::i8, DType::u8};
constexpr DTypeSet kI32{DType::i32};
constexpr ResultSpec kI32Y[] = {{"y", kI32}};
constexpr AttributeSpec kConvAttributes[] = {{"dilations", AttributeKind::ints, "[]"},
                                             {"group", AttributeKind::i64, "1"},
                                             {"pads", AttributeKind::ints, "[]"},
                                             {"strides", AttributeKind::ints, "[]"}};
constexpr OperandSpec kMatmulIntegerOperands[] = {{"a", kBytes, 'A'},
                                                  {"b", kBytes, 'B'},
                                                  {"a_zero_point", kBytes, 'A', Arity::optional},
                                                  {"b_zero_point", kBytes, 'B', Arity::optional}};
constexpr OperandSpec kConvIntegerOperands[] = {{"x", kBytes, 'A'},
                                                {"w", kBytes, 'B'},
                                                {"x_zero_point", kBytes, 'A', Arity::optional},
                                                {"w_zero_point", kBytes, 'B', Arity::optional}};
constexpr OperandSpec kQLinearMatmulOperands[] = {
    {"a", kBytes, 'A'},        {"a_scale", kFloats, 'S'},    {"a_zero_point", kBytes, 'A'},
    {"b", kBytes, 'B'},        {"b_scale", kFloats, 'S'},    {"b_zero_point", kBytes, 'B'},
    {"y_scale", kFloats, 'S'}, {"y_zero_point", kBytes, 'Y'}};
constexpr OperandSpec kQLinearConvOperands[] = {
    {"x", kBytes, 'A'},        {"x_scale", kFloats, 'S'},     {"x_zero_point", kBytes, 'A'},
    {"w", kBytes, 'B'},        {"w_scale", kFloats, 'S'},     {"w_zero_point", kBytes, 'B'},
    {"y_scale", kFloats, 'S'}, {"y_zero_point", kBytes, 'Y'}, {"b", kI32, 0, Arity::optional}};
constexpr ResultSpec kQuantisedY[] = {{"y", kBytes, 'Y'}};

// Which parameter (scale, zero point) belongs to each element of an operand.
enum class Along : uint8_t { rows, columns, outputs };

// The values of `parameter` for each element of a tensor of `shape`: one for all, one per row or
// column of its matrices, or one per index of its first axis.
OrRefusal<std::vector<double>> spread(const Tensor& parameter, const Shape& shape, Along along) {
  const std::vector<double> values = doubles(parameter);
  const auto count = static_cast<size_t>(num_elements(shape));
  if (values.size() == 1) return std::vector<double>(count, values[0]);
  Shape own = parameter.shape();
  if (own.size() == 1 && !shape.empty()) {
    // One number per row or column, of every matrix.
    own.assign(shape.size(), 1);
    const size_t axis = along == Along::outputs ? 0
                        : along == Along::rows  ? shape.size() - std::min<size_t>(2, shape.size())
                                                : shape.size() - 1;
    own[axis] = parameter.shape()[0];
  }
  bool fits = own.size() == shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i) fits = own[i] == 1 || own[i] == shape[i];
  if (!fits) return refuse("a scale or zero point does not fit its operand");
  std::vector<double> result;
  result.reserve(count);
  for_each_offset(shape, broadcast_strides(own, shape), 0,
                  [&](int64_t offset) { result.push_back(values[static_cast<size_t>(offset)]); });
  return result;
}

// Operand `i` less its zero point (operand `zero_point`, if there is one).
OrRefusal<std::vector<double>> centred(const EvaluateInput& input, size_t i, size_t zero_point,
                                       Along along) {
  std::vector<double> values = doubles(input.tensor(i));
  if (!input.has(zero_point)) return values;
  NEURONC_ASSIGN(const std::vector<double> shift,
                 spread(input.tensor(zero_point), input.tensor(i).shape(), along));
  for (size_t k = 0; k < values.size(); ++k) values[k] -= shift[k];
  return values;
}

OrRefusal<void> check_scalars(const EvaluateInput& input, std::initializer_list<size_t> operands) {
  for (size_t i : operands) {
    if (input.tensor(i).num_elements() != 1) {
      return refuse(fmt::format("`{}` is not one number", input.op.def.operands[i].name));
    }
  }
  return {};
}

Tensor i32_from(const Shape& shape, const std::vector<double>& sums) {
  Tensor result = Tensor::zeros(DType::i32, shape);
  for (size_t i = 0; i < sums.size(); ++i) {
    result.set_i64(static_cast<int64_t>(i), static_cast<int64_t>(sums[i]));  // wraps
  }
  return result;
}

// ---- matrix products

Types infer_matmul_of(const InferInput& input, size_t a, size_t b, DType dtype) {
  NEURONC_ASSIGN(Type type, matmul_type(input.operands[a], input.operands[b]));
  type.dtype = dtype;
  return std::vector<Type>{std::move(type)};
}

Types infer_matmul_integer(const InferInput& input) {
  return infer_matmul_of(input, 0, 1, DType::i32);
}

Types infer_q_linear_matmul(const InferInput& input) {
  return infer_matmul_of(input, 0, 3, input.operands[7].dtype);
}

OrRefusal<std::vector<double>> integer_product(const EvaluateInput& input, size_t a, size_t b,
                                               size_t a_zero_point, size_t b_zero_point) {
  NEURONC_ASSIGN(const std::vector<double> left, centred(input, a, a_zero_point, Along::rows));
  NEURONC_ASSIGN(const std::vector<double> right, centred(input, b, b_zero_point, Along::columns));
  return multiply(product_of(input.tensor(a).shape(), input.tensor(b).shape()), left, right);
}

Values evaluate_matmul_integer(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  NEURONC_ASSIGN(const std::vector<double> sums, integer_product(input, 0, 1, 2, 3));
  return one(i32_from(type.shape(), sums));
}

// Quantises sums: round(sum * (a_scale * b_scale / y_scale)) + zero point, the factor in f32.
Tensor requantised(const Type& type, const std::vector<double>& sums,
                   const std::vector<double>& a_scales, const std::vector<double>& b_scales,
                   const Tensor& y_scale, const Tensor& y_zero_point) {
  Tensor y = Tensor::zeros(type.dtype, type.shape());
  for (size_t i = 0; i < sums.size(); ++i) {
    const auto factor = static_cast<float>(a_scales[i] * b_scales[i] / y_scale.f64(0));
    y.set_f64(static_cast<int64_t>(i),
              saturated(static_cast<float>(sums[i] * factor), y_zero_point.f64(0), type.dtype));
  }
  return y;
}

Values evaluate_q_linear_matmul(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  NEURONC_TRY(check_scalars(input, {6, 7}));
  NEURONC_ASSIGN(const std::vector<double> sums, integer_product(input, 0, 3, 2, 5));
  NEURONC_ASSIGN(const std::vector<double> a_scales,
                 spread(input.tensor(1), type.shape(), Along::rows));
  NEURONC_ASSIGN(const std::vector<double> b_scales,
                 spread(input.tensor(4), type.shape(), Along::columns));
  return one(requantised(type, sums, a_scales, b_scales, input.tensor(6), input.tensor(7)));
}

// ---- convolutions

Types infer_conv_of(const InferInput& input, size_t x, size_t w, size_t b, DType dtype) {
  const Type types[] = {input.operands[x], input.operands[w],
                        input.has(b) ? input.operands[b] : Type()};
  NEURONC_ASSIGN(std::vector<Type> result, infer_conv_shape({input.op, types, {}, 1}));
  result[0].dtype = dtype;
  return result;
}

Types infer_conv_integer(const InferInput& input) {
  return infer_conv_of(input, 0, 1, SIZE_MAX, DType::i32);
}

Types infer_q_linear_conv(const InferInput& input) {
  return infer_conv_of(input, 0, 3, 8, input.operands[7].dtype);
}

Values evaluate_conv_integer(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  if (input.has(2)) NEURONC_TRY(check_scalars(input, {2}));
  NEURONC_ASSIGN(std::vector<double> x, centred(input, 0, 2, Along::outputs));
  NEURONC_ASSIGN(std::vector<double> w, centred(input, 1, 3, Along::outputs));
  NEURONC_ASSIGN(const std::vector<double> sums,
                 convolve(input.op, {std::move(x), input.tensor(0).shape()},
                          {std::move(w), input.tensor(1).shape()}, type.shape()));
  return one(i32_from(type.shape(), sums));
}

Values evaluate_q_linear_conv(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  NEURONC_TRY(check_scalars(input, {1, 2, 6, 7}));
  const Shape shape = type.shape();
  NEURONC_ASSIGN(std::vector<double> x, centred(input, 0, 2, Along::outputs));
  NEURONC_ASSIGN(std::vector<double> w, centred(input, 3, 5, Along::outputs));
  NEURONC_ASSIGN(std::vector<double> sums,
                 convolve(input.op, {std::move(x), input.tensor(0).shape()},
                          {std::move(w), input.tensor(3).shape()}, shape));
  const std::vector<double> w_scale = doubles(input.tensor(4));
  if (w_scale.size() != 1 && static_cast<int64_t>(w_scale.size()) != shape[1]) {
    return refuse("`w_scale` does not have one number per output channel");
  }
  const AxisView view = axis_view(shape, 1);
  std::vector<double> w_scales(sums.size(), w_scale.empty() ? 1 : w_scale[0]);
  for (size_t i = 0; i < sums.size(); ++i) {
    const size_t channel = i / static_cast<size_t>(view.inner) % static_cast<size_t>(view.extent);
    if (w_scale.size() > 1) w_scales[i] = w_scale[channel];
    if (input.has(8)) sums[i] += input.tensor(8).f64(static_cast<int64_t>(channel));
  }
  const std::vector<double> x_scales(sums.size(), input.tensor(1).f64(0));
  return one(requantised(type, sums, x_scales, w_scales, input.tensor(6), input.tensor(7)));
}

// Two per product; `kW` is the operand of weights.
template <size_t kW>
double conv_flops(const OpView&, std::span<const Type> operands, std::span<const Type> results) {
  const Type& w = operands[kW];
  if (!w.is_static() || w.dims.empty() || w.dims[0].number() == 0) return 0;
  return 2 * num_elements_of(w) / static_cast<double>(w.dims[0].number()) *
         num_elements_of(results[0]);
}

double matmul_flops(const OpView&, std::span<const Type> operands, std::span<const Type> results) {
  if (!operands[0].is_static() || operands[0].dims.empty()) return 0;
  return 2 * static_cast<double>(operands[0].dims.back().number()) * num_elements_of(results[0]);
}

}  // namespace

/// y = (a - a_zero_point) x (b - b_zero_point), exact modulo 2^32; zero points are one number, or
/// one per row of a and column of b.   Shapes: as matmul.   Types: i8 or u8 to i32. Source: ONNX
/// MatMulInteger-10.
NEURONC_OP(matmul_integer) = {"matmul_integer",
                              "matrix product of integers",
                              "ONNX MatMulInteger-10",
                              kMatmulIntegerOperands,
                              {},
                              kI32Y,
                              Trait::anchor,
                              Precision::fixed,
                              infer_matmul_integer,
                              evaluate_matmul_integer,
                              matmul_flops};

/// y = saturate(round(sum * a_scale * b_scale / y_scale) + y_zero_point) of the product of the
/// centred operands; scales and zero points of a and b are one number or one per row or column.
/// Shapes: as matmul.   Types: i8 or u8.   Source: ONNX QLinearMatMul-21.
NEURONC_OP(q_linear_matmul) = {"q_linear_matmul",
                               "matrix product of quantised numbers",
                               "ONNX QLinearMatMul-21",
                               kQLinearMatmulOperands,
                               {},
                               kQuantisedY,
                               Trait::anchor,
                               Precision::fixed,
                               infer_q_linear_matmul,
                               evaluate_q_linear_matmul,
                               matmul_flops};

/// y = the convolution of x - x_zero_point with w - w_zero_point, exact modulo 2^32; padding is the
/// zero point. `w_zero_point` is one number or one per output channel.   Shapes: as conv.
/// Types: i8 or u8 to i32.   Source: ONNX ConvInteger-10.
NEURONC_OP(conv_integer) = {"conv_integer",        "convolution of integers",
                            "ONNX ConvInteger-10", kConvIntegerOperands,
                            kConvAttributes,       kI32Y,
                            Trait::anchor,         Precision::fixed,
                            infer_conv_integer,    evaluate_conv_integer,
                            conv_flops<1>};

/// y = saturate(round((sum + b) * x_scale * w_scale / y_scale) + y_zero_point) of the convolution
/// of the centred operands; `w_scale` and `w_zero_point` are one number or one per output channel.
/// Shapes: as conv.   Types: i8 or u8, b i32.   Source: ONNX QLinearConv-10.
NEURONC_OP(q_linear_conv) = {"q_linear_conv",       "convolution of quantised numbers",
                             "ONNX QLinearConv-10", kQLinearConvOperands,
                             kConvAttributes,       kQuantisedY,
                             Trait::anchor,         Precision::fixed,
                             infer_q_linear_conv,   evaluate_q_linear_conv,
                             conv_flops<3>};

}  // namespace neuronc
