// Quantisation of tensors and its inverse.
#include "ir/ops/quantization.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace ops {

double saturated(double value, double zero_point, DType dtype) {
  const int bits = integer_bits(dtype);
  const double low = is_signed_integer(dtype) ? -std::ldexp(1, bits - 1) : 0;
  const double high = std::ldexp(1, is_signed_integer(dtype) ? bits - 1 : bits) - 1;
  if (value != value) return zero_point;
  return std::clamp(std::nearbyint(value) + zero_point, low, high);
}

static OrRefusal<void> check_scale_shape(const Shape& shape, const Shape& scale_shape, int64_t axis,
                                         int64_t block_size) {
  if (num_elements(scale_shape) == 1 && block_size == 0) return {};
  NEURONC_ASSIGN(const int64_t at, resolve_axis(axis, static_cast<int64_t>(shape.size())));
  const int64_t extent = shape[static_cast<size_t>(at)];
  if (block_size == 0) {
    if (scale_shape == Shape{extent}) return {};
    return refuse(fmt::format("the scale is not of shape [{}]", extent));
  }
  if (block_size < 0) return refuse(fmt::format("`block_size` is {}", block_size));
  Shape blocks = shape;
  blocks[static_cast<size_t>(at)] = extent / block_size + (extent % block_size != 0 ? 1 : 0);
  if (scale_shape != blocks) return refuse("the scale does not have one element per block");
  return {};
}

OrRefusal<std::vector<int64_t>> scale_indices(const Shape& shape, const Shape& scale_shape,
                                              int64_t axis, int64_t block_size) {
  NEURONC_TRY(check_scale_shape(shape, scale_shape, axis, block_size));
  std::vector<int64_t> indices(static_cast<size_t>(num_elements(shape)), 0);
  if (num_elements(scale_shape) == 1 && block_size == 0) return indices;
  const auto rank = static_cast<int64_t>(shape.size());
  NEURONC_ASSIGN(const int64_t at, resolve_axis(axis, rank));
  const AxisView view = axis_view(shape, at);
  if (block_size == 0) {
    for (size_t i = 0; i < indices.size(); ++i) {
      indices[i] = static_cast<int64_t>(i) / view.inner % view.extent;
    }
    return indices;
  }
  const int64_t num_blocks = scale_shape[static_cast<size_t>(at)];
  for (size_t i = 0; i < indices.size(); ++i) {
    const auto element = static_cast<int64_t>(i);
    const int64_t along = element / view.inner % view.extent / block_size;
    indices[i] = (element / (view.inner * view.extent) * num_blocks + along) * view.inner +
                 element % view.inner;
  }
  return indices;
}

}  // namespace ops

namespace {

constexpr DTypeSet kStored{DType::i2, DType::i4, DType::i8, DType::i16,
                           DType::u2, DType::u4, DType::u8, DType::u16};
constexpr DTypeSet kQuantised = kStored | kSmallFloats;
constexpr DTypeSet kI32{DType::i32};
constexpr DTypeSet kScales = kFloats | kSmallFloats;

constexpr OperandSpec kQuantizeOperands[] = {{"x", kFloats | kI32},
                                             {"scale", kScales | kI32},
                                             {"zero_point", kQuantised, 'Z', Arity::optional}};
constexpr ResultSpec kQuantizeResults[] = {{"y", kQuantised}};
constexpr AttributeSpec kQuantizeAttributes[] = {{"axis", AttributeKind::i64, "1"},
                                                 {"block_size", AttributeKind::i64, "0"},
                                                 {"output_dtype", AttributeKind::dtype, ""},
                                                 {"precision", AttributeKind::dtype, ""},
                                                 {"saturate", AttributeKind::i64, "1"}};

// The scale's shape, and the zero point's: the scale's, or one number where that is one.
OrRefusal<void> check_parameters(const InferInput& input) {
  const Type& scale = input.operands[1];
  if (!scale.is_static()) return {};
  if (input.operands[0].is_static()) {
    NEURONC_TRY(check_scale_shape(input.operands[0].shape(), scale.shape(), input.op.i64("axis"),
                                  input.op.i64("block_size")));
  }
  if (!input.has(2) || !input.operands[2].is_static()) return {};
  const Type& zero_point = input.operands[2];
  const bool are_numbers = scale.num_elements() == 1 && zero_point.num_elements() == 1;
  if (are_numbers || scale.dims == zero_point.dims) return {};
  return refuse("the zero point has another shape than the scale");
}

Types infer_quantize(const InferInput& input) {
  NEURONC_TRY(check_parameters(input));
  Type type = input.operands[0];
  type.dtype = DType::u8;
  if (input.op.has("output_dtype")) type.dtype = input.op.dtype("output_dtype");
  if (input.has(2)) {
    const DType given = input.operands[2].dtype;
    if (input.op.has("output_dtype") && type.dtype != given) {
      return refuse("`output_dtype` is not the zero point's type");
    }
    type.dtype = given;
  }
  if (!kQuantised.contains(type.dtype)) {
    return refuse(fmt::format("`output_dtype` is {}", name(type.dtype)));
  }
  return std::vector<Type>{std::move(type)};
}

Values evaluate_quantize(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const Tensor& scale = input.tensor(1);
  NEURONC_ASSIGN(
      const std::vector<int64_t> indices,
      scale_indices(x.shape(), scale.shape(), input.op.i64("axis"), input.op.i64("block_size")));
  const Saturate saturate = input.op.i64("saturate") != 0 ? Saturate::yes : Saturate::no;
  Tensor y = Tensor::zeros(type.dtype, type.shape());
  for (int64_t i = 0; i < y.num_elements(); ++i) {
    const int64_t at = indices[static_cast<size_t>(i)];
    // The quotient is an f32 number, so that ties are the same ones everywhere.
    const auto quotient = static_cast<float>(x.f64(i) / scale.f64(at));
    const double zero_point = input.has(2) ? input.tensor(2).f64(at) : 0;
    if (is_integer(type.dtype)) {
      y.set_f64(i, saturated(quotient, zero_point, type.dtype));
    } else {
      y.mutable_as<uint8_t>()[static_cast<size_t>(i)] =
          f32_to_small_float(type.dtype, quotient + static_cast<float>(zero_point), saturate);
    }
  }
  return one(std::move(y));
}

constexpr OperandSpec kDequantizeOperands[] = {
    {"x", kQuantised | kI32, 'Q'},
    {"scale", kScales},
    {"zero_point", kQuantised | kI32, 'Q', Arity::optional}};
constexpr ResultSpec kDequantizeResults[] = {{"y", kFloats}};
constexpr AttributeSpec kDequantizeAttributes[] = {{"axis", AttributeKind::i64, "1"},
                                                   {"block_size", AttributeKind::i64, "0"},
                                                   {"output_dtype", AttributeKind::dtype, ""}};

Types infer_dequantize(const InferInput& input) {
  NEURONC_TRY(check_parameters(input));
  Type type = input.operands[0];
  type.dtype =
      input.op.has("output_dtype") ? input.op.dtype("output_dtype") : input.operands[1].dtype;
  if (!kFloats.contains(type.dtype)) {
    return refuse(fmt::format("the result would be {}", name(type.dtype)));
  }
  return std::vector<Type>{std::move(type)};
}

Values evaluate_dequantize(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const Tensor& scale = input.tensor(1);
  NEURONC_ASSIGN(
      const std::vector<int64_t> indices,
      scale_indices(x.shape(), scale.shape(), input.op.i64("axis"), input.op.i64("block_size")));
  std::vector<double> y = doubles(x);
  for (size_t i = 0; i < y.size(); ++i) {
    const double zero_point = input.has(2) ? input.tensor(2).f64(indices[i]) : 0;
    y[i] = (y[i] - zero_point) * scale.f64(indices[i]);
  }
  return one(from_doubles(type.dtype, type.shape(), y));
}

constexpr OperandSpec kDynamicOperands[] = {{"x", DTypeSet{DType::f32}}};
constexpr ResultSpec kDynamicResults[] = {{"y", DTypeSet{DType::u8}},
                                          {"scale", DTypeSet{DType::f32}},
                                          {"zero_point", DTypeSet{DType::u8}}};

Types infer_dynamic_quantize(const InferInput& input) {
  Type y = input.operands[0];
  y.dtype = DType::u8;
  std::vector<Type> types{y, ranked(DType::f32, {}), ranked(DType::u8, {})};
  types.resize(std::min<size_t>(types.size(), input.num_results));
  return types;
}

constexpr DTypeSet kBytes{DType::i8, DType::u8};
constexpr OperandSpec kTableOperands[] = {{"x", kBytes}};
constexpr ResultSpec kTableResults[] = {{"y", kBytes}};
constexpr AttributeSpec kTableAttributes[] = {{"table", AttributeKind::ints, "", true},
                                              {"to", AttributeKind::dtype, "", true}};
constexpr size_t kNumBytes = 256;

Types infer_table(const InferInput& input) {
  Type type = input.operands[0];
  type.dtype = input.op.dtype("to");
  if (!kBytes.contains(type.dtype)) return refuse(fmt::format("`to` is {}", name(type.dtype)));
  const std::vector<int64_t>& table = input.op.ints("table");
  if (table.size() != kNumBytes) {
    return refuse(fmt::format("`table` has {} entries instead of 256", table.size()));
  }
  const double low = type.dtype == DType::i8 ? -128 : 0;
  for (int64_t entry : table) {
    if (entry < low || entry > low + 255) {
      return refuse(fmt::format("`table` holds {}, which is no {}", entry, name(type.dtype)));
    }
  }
  return std::vector<Type>{std::move(type)};
}

Values evaluate_table(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const std::vector<int64_t>& table = input.op.ints("table");
  const Tensor& x = input.tensor(0);
  Tensor y = Tensor::zeros(type.dtype, type.shape());
  for (int64_t i = 0; i < x.num_elements(); ++i) {
    y.set_i64(i, table[static_cast<size_t>(x.i64(i) & 0xff)]);
  }
  return one(std::move(y));
}

// In f32 throughout, as the definition says: the zero point and ties depend on it.
Values evaluate_dynamic_quantize(const EvaluateInput& input) {
  NEURONC_ASSIGN(const std::vector<Type> types, actual_types(input));
  const auto x = input.tensor(0).as<float>();
  float low = 0;
  float high = 0;
  for (float value : x) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  const float scale = high == low ? 1.0f : (high - low) / 255.0f;
  const double zero_point = saturated((0.0f - low) / scale, 0, DType::u8);
  Tensor y = Tensor::zeros(DType::u8, types[0].shape());
  for (size_t i = 0; i < x.size(); ++i) {
    y.set_f64(static_cast<int64_t>(i), saturated(x[i] / scale, zero_point, DType::u8));
  }
  std::vector<HostValue> results{std::move(y), Tensor::scalar(DType::f32, scale),
                                 Tensor::scalar(DType::u8, zero_point)};
  results.resize(types.size());
  return results;
}

}  // namespace

/// y = saturate(round(x / scale) + zero_point), ties to even; to f8 and f4 types without rounding
/// to an integer. One scale per tensor, per index of `axis`, or per `block_size` elements along it.
/// Shapes: y as x; scale and zero_point [], [extent], or x's with the axis divided into blocks.
/// Types: floats or i32 to the zero point's, `output_dtype`'s or u8.
/// Source: ONNX QuantizeLinear-23.
NEURONC_OP(quantize_linear) = {
    "quantize_linear",   "x in steps of a scale", "ONNX QuantizeLinear-23", kQuantizeOperands,
    kQuantizeAttributes, kQuantizeResults,        Trait::elementwise,       Precision::fixed,
    infer_quantize,      evaluate_quantize,       flops_per_result<3>};

/// y = (x - zero_point) * scale; scales as in quantize_linear.
/// Types: quantised to the scale's type or `output_dtype`.   Source: ONNX DequantizeLinear-23.
NEURONC_OP(dequantize_linear) = {"dequantize_linear",        "quantised numbers made floats",
                                 "ONNX DequantizeLinear-23", kDequantizeOperands,
                                 kDequantizeAttributes,      kDequantizeResults,
                                 Trait::elementwise,         Precision::fixed,
                                 infer_dequantize,           evaluate_dequantize,
                                 flops_per_result<2>};

/// y = table[x's bits], read as an unsigned number. Made of functions of one quantised number.
/// Shapes: any; table 256 entries.   Types: i8, u8 to `to`, i8 or u8.
NEURONC_OP(byte_table) = {"byte_table",
                          "a function of bytes, by its 256 values",
                          "neuronc",
                          kTableOperands,
                          kTableAttributes,
                          kTableResults,
                          Trait::elementwise | Trait::internal,
                          Precision::fixed,
                          infer_table,
                          evaluate_table,
                          flops_per_result<1>};

/// scale = (max(x, 0) - min(x, 0)) / 255 (1 if all are 0), zero_point = round(-min / scale),
/// y = saturate(round(x / scale) + zero_point).   Shapes: y as x, the others [].
/// Types: f32 to u8.   Source: ONNX DynamicQuantizeLinear-11.
NEURONC_OP(dynamic_quantize_linear) = {"dynamic_quantize_linear",
                                       "x quantised by its own range",
                                       "ONNX DynamicQuantizeLinear-11",
                                       kDynamicOperands,
                                       {},
                                       kDynamicResults,
                                       Trait::reduction,
                                       Precision::fixed,
                                       infer_dynamic_quantize,
                                       evaluate_dynamic_quantize,
                                       flops_per_operand<5>};

}  // namespace neuronc
