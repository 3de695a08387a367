// Operators that make tensors out of few numbers.
#include <fmt/format.h>

#include <cmath>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kI64{DType::i64};
constexpr ResultSpec kAnyY[] = {{"y", kAny}};
constexpr ResultSpec kAnyTY[] = {{"y", kAny, 'T'}};

// ---- constant_of_shape

constexpr OperandSpec kShapeOperand[] = {{"shape", kI64}, {"value", kAny, 'T', Arity::optional}};
constexpr ResultSpec kFilled[] = {{"y", kAny, 'T'}};

Types infer_constant_of_shape(const InferInput& input) {
  const DType dtype = input.has(1) ? input.operands[1].dtype : DType::f32;
  if (const auto shape = known_ints(input, 0)) {
    for (int64_t extent : *shape) {
      if (extent < 0) return refuse(fmt::format("the shape has the extent {}", extent));
    }
    return std::vector<Type>{Type::tensor(dtype, *shape)};
  }
  const auto rank = known_length(input, 0);
  return std::vector<Type>{rank ? unknown_dims(dtype, *rank) : Type::unranked(dtype)};
}

Values evaluate_constant_of_shape(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  if (!input.has(1)) return one(Tensor::zeros(type.dtype, type.shape()));
  if (input.tensor(1).num_elements() != 1) return refuse("the value is not one element");
  return one(take_strided(input.tensor(1), type.shape(), Shape(type.dims.size(), 0), 0));
}

// ---- range

constexpr DTypeSet kRangeTypes = kFloats | DTypeSet{DType::i16, DType::i32, DType::i64};
constexpr OperandSpec kRangeOperands[] = {
    {"start", kRangeTypes, 'T'}, {"limit", kRangeTypes, 'T'}, {"delta", kRangeTypes, 'T'}};

OrRefusal<int64_t> range_count(const Tensor& start, const Tensor& limit, const Tensor& delta) {
  for (const Tensor* operand : {&start, &limit, &delta}) {
    if (operand->num_elements() != 1) return refuse("an operand of `range` is not a scalar");
  }
  if (!is_float(start.dtype())) {
    const auto span = static_cast<__int128>(limit.i64(0)) - start.i64(0);
    const auto step = static_cast<__int128>(delta.i64(0));
    if (step == 0) return refuse("the step of `range` is 0");
    if ((span > 0) != (step > 0) || span == 0) return 0;
    return static_cast<int64_t>((span + step + (step > 0 ? -1 : 1)) / step);
  }
  const double count = std::ceil((limit.f64(0) - start.f64(0)) / delta.f64(0));
  if (!(count < 0x1p40)) return refuse("`range` does not end");
  return count > 0 ? static_cast<int64_t>(count) : 0;
}

Types infer_range(const InferInput& input) {
  const DType dtype = input.operands[0].dtype;
  for (size_t i = 0; i < 3; ++i) {
    if (input.constant(i) == nullptr) return std::vector<Type>{unknown_dims(dtype, 1)};
  }
  NEURONC_ASSIGN(const int64_t count,
                 range_count(*input.constant(0), *input.constant(1), *input.constant(2)));
  return std::vector<Type>{Type::tensor(dtype, Shape{count})};
}

Values evaluate_range(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  Tensor result = Tensor::zeros(type.dtype, type.shape());
  for (int64_t i = 0; i < result.num_elements(); ++i) {
    if (is_float(type.dtype)) {
      result.set_f64(i, input.tensor(0).f64(0) + static_cast<double>(i) * input.tensor(2).f64(0));
    } else {
      result.set_i64(i, input.tensor(0).i64(0) + i * input.tensor(2).i64(0));
    }
  }
  return one(std::move(result));
}

// ---- eye_like

constexpr OperandSpec kEyeOperand[] = {{"x", kAnyNumeric}};
constexpr ResultSpec kEyeResult[] = {{"y", kAnyNumeric}};
constexpr AttributeSpec kEyeAttributes[] = {{"dtype", AttributeKind::dtype, ""},
                                            {"k", AttributeKind::i64, "0"}};

Types infer_eye_like(const InferInput& input) {
  Type type = input.operands[0];
  if (type.is_ranked && type.rank() != 2) return refuse("`eye_like` makes matrices");
  if (input.op.has("dtype")) type.dtype = input.op.dtype("dtype");
  return std::vector<Type>{std::move(type)};
}

Values evaluate_eye_like(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape shape = type.shape();
  Tensor result = Tensor::zeros(type.dtype, shape);
  const int64_t k = input.op.i64("k");
  for (int64_t row = 0; row < shape[0]; ++row) {
    if (k < -row || k >= shape[1] - row) continue;
    result.set_f64(row * shape[1] + row + k, 1);
  }
  return one(std::move(result));
}

// ---- one_hot

constexpr OperandSpec kOneHotOperands[] = {
    {"indices", kNumeric}, {"depth", kNumeric}, {"values", kAny, 'T'}};
constexpr AttributeSpec kOneHotAttributes[] = {{"axis", AttributeKind::i64, "-1"}};

Types infer_one_hot(const InferInput& input) {
  const Type& indices = input.operands[0];
  const DType dtype = input.operands[2].dtype;
  if (!indices.is_ranked) return std::vector<Type>{Type::unranked(dtype)};
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), indices.rank() + 1));
  Dim depth;
  if (const Tensor* value = input.constant(1)) {
    if (value->num_elements() != 1) return refuse("`depth` is not one number");
    depth = std::max<int64_t>(value->i64(0), 0);
  }
  std::vector<Dim> dims = indices.dims;
  dims.insert(dims.begin() + axis, depth);
  return std::vector<Type>{ranked(dtype, std::move(dims))};
}

Values evaluate_one_hot(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& indices = input.tensor(0);
  const Tensor& values = input.tensor(2);
  if (values.num_elements() != 2) return refuse("`values` is not a pair");
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), type.rank()));
  const AxisView view = axis_view(type.shape(), axis);
  Tensor result = Tensor::zeros(type.dtype, type.shape());
  for (int64_t i = 0; i < result.num_elements(); ++i) {
    const int64_t outer = i / (view.extent * view.inner);
    int64_t hot = indices.i64(outer * view.inner + i % view.inner);
    if (hot < 0) hot += view.extent;
    copy_element(result, i, values, i / view.inner % view.extent == hot ? 1 : 0);
  }
  return one(std::move(result));
}

// ---- trilu

constexpr OperandSpec kTriluOperands[] = {{"x", kAnyNumeric, 'T'}, {"k", kI64, 0, Arity::optional}};
constexpr AttributeSpec kTriluAttributes[] = {{"upper", AttributeKind::i64, "1"}};

Values evaluate_trilu(const EvaluateInput& input) {
  NEURONC_TRY(actual_type(input));
  const Tensor& x = input.tensor(0);
  if (x.rank() < 2) return refuse("`trilu` needs matrices");
  const int64_t k = input.has(1) && input.tensor(1).num_elements() > 0 ? input.tensor(1).i64(0) : 0;
  const bool upper = input.op.i64("upper") != 0;
  const int64_t rows = x.shape()[x.shape().size() - 2];
  const int64_t columns = x.shape().back();
  std::vector<int64_t> offsets;
  for (int64_t i = 0; i < x.num_elements(); ++i) {
    const int64_t diagonal = i % columns - i / columns % rows;
    offsets.push_back((upper ? diagonal >= k : diagonal <= k) ? i : -1);
  }
  return one(take(x, x.shape(), offsets));
}

}  // namespace

/// y = `value` (one element; default f32 0) everywhere in a tensor of the given shape.
/// Types: any.   Source: ONNX ConstantOfShape-21, its value made an operand.
NEURONC_OP(constant_of_shape) = {"constant_of_shape",
                                 "one value everywhere",
                                 "ONNX ConstantOfShape-21",
                                 kShapeOperand,
                                 {},
                                 kFilled,
                                 Trait::moves_data,
                                 Precision::exact,
                                 infer_constant_of_shape,
                                 evaluate_constant_of_shape,
                                 no_flops};

/// y[i] = start + i * delta, up to but without `limit`.
/// Shapes: y [max(ceil((limit - start) / delta), 0)].   Types: f16 to f64, i16, i32, i64.
/// Errors: a step of 0.   Source: ONNX Range-11.
NEURONC_OP(range) = {
    "range",     "evenly spaced numbers", "ONNX Range-11", kRangeOperands, {},      kAnyTY,
    Trait::none, Precision::fixed,        infer_range,     evaluate_range, no_flops};

/// y[i,j] = 1 where j - i = k, else 0, in the shape of x.   Types: numbers.
/// Source: ONNX EyeLike-22.
NEURONC_OP(eye_like) = {"eye_like",     "ones on a diagonal", "ONNX EyeLike-22", kEyeOperand,
                        kEyeAttributes, kEyeResult,           Trait::none,       Precision::exact,
                        infer_eye_like, evaluate_eye_like,    no_flops};

/// y[.., d, ..] = values[1] where d = indices[..] (negative ones counted from the end), values[0]
/// elsewhere; d is the new axis `axis` of extent `depth`.   Types: any.   Source: ONNX OneHot-11.
NEURONC_OP(one_hot) = {"one_hot",         "one value at an index, another elsewhere",
                       "ONNX OneHot-11",  kOneHotOperands,
                       kOneHotAttributes, kAnyTY,
                       Trait::none,       Precision::exact,
                       infer_one_hot,     evaluate_one_hot,
                       no_flops};

/// y[..,i,j] = x[..,i,j] where j - i >= k (upper) or j - i <= k, else 0.   Types: numbers and bool.
/// Source: ONNX Trilu-14.
NEURONC_OP(trilu) = {"trilu",
                     "the upper or lower triangle",
                     "ONNX Trilu-14",
                     kTriluOperands,
                     kTriluAttributes,
                     kAnyTY,
                     Trait::moves_data | Trait::idempotent,
                     Precision::exact,
                     infer_as_first,
                     evaluate_trilu,
                     no_flops};

}  // namespace neuronc
