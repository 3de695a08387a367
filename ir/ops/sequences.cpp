// Sequences of tensors and optional values; all live on the host.
#include <fmt/format.h>

#include <algorithm>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kSequenceOperand[] = {{"sequence", kAny, 'T', Arity::required, true}};
constexpr OperandSpec kSequenceAt[] = {{"sequence", kAny, 'T', Arity::required, true},
                                       {"position", kIndices}};
constexpr OperandSpec kSequenceErase[] = {{"sequence", kAny, 'T', Arity::required, true},
                                          {"position", kIndices, 0, Arity::optional}};
constexpr OperandSpec kSequenceInsert[] = {{"sequence", kAny, 'T', Arity::required, true},
                                           {"tensor", kAny, 'T'},
                                           {"position", kIndices, 0, Arity::optional}};
constexpr OperandSpec kTensors[] = {{"tensors", kAny, 'T', Arity::variadic}};
constexpr OperandSpec kSplitOperands[] = {{"x", kAny, 'T'},
                                          {"split", kIndices, 0, Arity::optional}};
constexpr OperandSpec kAnything[] = {{"x", kAny, 'T', Arity::optional, true}};
constexpr ResultSpec kSequenceResult[] = {{"y", kAny, 'T', Arity::required, true}};
constexpr ResultSpec kTensorResult[] = {{"y", kAny, 'T'}};
constexpr ResultSpec kLengthResult[] = {{"length", DTypeSet{DType::i64}}};
constexpr ResultSpec kBoolResult[] = {{"y", kBool}};
constexpr AttributeSpec kDtype[] = {{"dtype", AttributeKind::dtype, "f32"}};
constexpr AttributeSpec kOptionalType[] = {{"dtype", AttributeKind::dtype, "f32"},
                                           {"is_sequence", AttributeKind::i64, "0"}};
constexpr AttributeSpec kConcatAttributes[] = {{"axis", AttributeKind::i64, "", true},
                                               {"new_axis", AttributeKind::i64, "0"}};
constexpr AttributeSpec kSplitAttributes[] = {{"axis", AttributeKind::i64, "0"},
                                              {"keepdims", AttributeKind::i64, "1"}};

Type any_shape(Type::Kind kind, DType dtype) {
  Type type = Type::unranked(dtype);
  type.kind = kind;
  return type;
}

HostValue sequence_of(std::vector<Tensor> elements) {
  HostValue value;
  value.kind = Type::Kind::sequence;
  value.elements = std::move(elements);
  return value;
}

Values one_value(HostValue value) {
  std::vector<HostValue> values;
  values.push_back(std::move(value));
  return values;
}

OrRefusal<void> check_sequence(const InferInput& input) {
  if (input.operands[0].kind == Type::Kind::sequence) return {};
  return refuse("the first operand is not a sequence");
}

// `position` in [0, size], negative ones counted from the end; `size` itself only to insert.
OrRefusal<size_t> resolve_position(const EvaluateInput& input, size_t operand, size_t size,
                                   size_t limit) {
  if (input.tensor(operand).num_elements() != 1) return refuse("the position is not one number");
  int64_t position = input.tensor(operand).i64(0);
  if (position < 0) position += static_cast<int64_t>(size);
  if (position < 0 || position > static_cast<int64_t>(limit)) {
    return refuse(fmt::format("position {} lies outside a sequence of {} tensors",
                              input.tensor(operand).i64(0), size));
  }
  return static_cast<size_t>(position);
}

// ---- making and taking apart

Types infer_sequence_empty(const InferInput& input) {
  return std::vector<Type>{any_shape(Type::Kind::sequence, input.op.dtype("dtype"))};
}
Values evaluate_sequence_empty(const EvaluateInput&) { return one_value(sequence_of({})); }

// What tensors of both types have in common, as a tensor's type.
Type common_type(const Type& a, const Type& b) {
  if (!a.is_ranked || !b.is_ranked || a.rank() != b.rank()) return Type::unranked(a.dtype);
  Type type = ranked(a.dtype, a.dims);
  for (size_t i = 0; i < type.dims.size(); ++i) {
    if (a.dims[i] != b.dims[i]) type.dims[i] = Dim::unknown();
  }
  return type;
}

Type element_of(const Type& sequence) {
  Type element = sequence;
  element.kind = Type::Kind::tensor;
  return element;
}

Types infer_sequence_construct(const InferInput& input) {
  Type element = input.operands[0];
  for (const Type& operand : input.operands) element = common_type(element, operand);
  return std::vector<Type>{Type::sequence(std::move(element))};
}
Values evaluate_sequence_construct(const EvaluateInput& input) {
  std::vector<Tensor> elements;
  for (const HostValue* operand : input.operands) elements.push_back(operand->tensor());
  return one_value(sequence_of(std::move(elements)));
}

Types infer_sequence_insert(const InferInput& input) {
  NEURONC_TRY(check_sequence(input));
  return std::vector<Type>{
      Type::sequence(common_type(element_of(input.operands[0]), input.operands[1]))};
}
Types infer_same_sequence(const InferInput& input) {
  NEURONC_TRY(check_sequence(input));
  return std::vector<Type>{input.operands[0]};
}
Types infer_element(const InferInput& input) {
  NEURONC_TRY(check_sequence(input));
  return std::vector<Type>{element_of(input.operands[0])};
}

Values evaluate_sequence_at(const EvaluateInput& input) {
  const std::vector<Tensor>& elements = input.operands[0]->elements;
  if (elements.empty()) return refuse("the sequence is empty");
  NEURONC_ASSIGN(const size_t at, resolve_position(input, 1, elements.size(), elements.size() - 1));
  return one(elements[at]);
}

Values evaluate_sequence_insert(const EvaluateInput& input) {
  std::vector<Tensor> elements = input.operands[0]->elements;
  size_t at = elements.size();
  if (input.has(2)) {
    NEURONC_ASSIGN(at, resolve_position(input, 2, elements.size(), elements.size()));
  }
  elements.insert(elements.begin() + static_cast<std::ptrdiff_t>(at), input.tensor(1));
  return one_value(sequence_of(std::move(elements)));
}

Values evaluate_sequence_erase(const EvaluateInput& input) {
  std::vector<Tensor> elements = input.operands[0]->elements;
  if (elements.empty()) return refuse("the sequence is empty");
  size_t at = elements.size() - 1;
  if (input.has(1)) {
    NEURONC_ASSIGN(at, resolve_position(input, 1, elements.size(), elements.size() - 1));
  }
  elements.erase(elements.begin() + static_cast<std::ptrdiff_t>(at));
  return one_value(sequence_of(std::move(elements)));
}

Types infer_length(const InferInput& input) {
  NEURONC_TRY(check_sequence(input));
  return std::vector<Type>{ranked(DType::i64, {})};
}
Values evaluate_sequence_length(const EvaluateInput& input) {
  const int64_t length[] = {static_cast<int64_t>(input.operands[0]->elements.size())};
  return one(from_ints(DType::i64, {}, length));
}

// ---- joining and splitting

Types infer_concat_from_sequence(const InferInput& input) {
  NEURONC_TRY(check_sequence(input));
  Type type = element_of(input.operands[0]);
  if (!type.is_ranked) return std::vector<Type>{std::move(type)};
  const bool is_new = input.op.i64("new_axis") != 0;
  NEURONC_ASSIGN(const int64_t axis,
                 resolve_axis(input.op.i64("axis"), type.rank() + (is_new ? 1 : 0)));
  if (is_new) type.dims.insert(type.dims.begin() + axis, Dim::unknown());
  type.dims[static_cast<size_t>(axis)] = Dim::unknown();
  return std::vector<Type>{std::move(type)};
}

Values evaluate_concat_from_sequence(const EvaluateInput& input) {
  std::vector<Tensor> parts = input.operands[0]->elements;
  if (parts.empty()) return refuse("the sequence is empty");
  const bool is_new = input.op.i64("new_axis") != 0;
  const int64_t rank = parts[0].rank() + (is_new ? 1 : 0);
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), rank));
  const auto at = static_cast<size_t>(axis);
  Shape shape;
  for (Tensor& part : parts) {
    Shape own = part.shape();
    if (is_new) own.insert(own.begin() + std::min<int64_t>(axis, part.rank()), 1);
    if (own.size() != static_cast<size_t>(rank)) return refuse("the tensors differ in rank");
    part = part.with_shape(own);
    const int64_t extent = own[at];
    own[at] = 0;
    if (shape.empty()) shape = own;
    const int64_t total = shape[at] + extent;
    own[at] = shape[at];
    if (own != shape) return refuse("the tensors differ in shape");
    shape[at] = total;
  }
  Tensor result = Tensor::zeros(parts[0].dtype(), shape);
  const AxisView view = axis_view(shape, axis);
  int64_t begin = 0;
  for (const Tensor& part : parts) {
    const int64_t row = part.shape()[at] * view.inner;
    for (int64_t i = 0; i < part.num_elements(); ++i) {
      copy_element(result, i / row * view.extent * view.inner + begin + i % row, part, i);
    }
    begin += row;
  }
  return one(std::move(result));
}

// The extent that all parts have, where they have one.
Dim common_extent(const InferInput& input, Dim extent) {
  if (!input.has(1)) return 1;
  const auto sizes = known_ints(input, 1);
  if (!sizes || sizes->empty()) return Dim::unknown();
  const int64_t first = (*sizes)[0];
  if (input.operands[1].is_ranked && input.operands[1].dims.empty()) {
    const bool divides = extent.is_number() && first > 0 && extent.number() % first == 0;
    return divides ? Dim(first) : Dim::unknown();
  }
  const bool is_same =
      std::count(sizes->begin(), sizes->end(), first) == static_cast<std::ptrdiff_t>(sizes->size());
  return is_same && first >= 0 ? Dim(first) : Dim::unknown();
}

Types infer_split_to_sequence(const InferInput& input) {
  Type element = input.operands[0];
  if (element.is_ranked) {
    NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), element.rank()));
    if (!input.has(1) && input.op.i64("keepdims") == 0) {
      element.dims.erase(element.dims.begin() + axis);
    } else {
      Dim& dim = element.dims[static_cast<size_t>(axis)];
      dim = common_extent(input, dim);
    }
  }
  return std::vector<Type>{Type::sequence(std::move(element))};
}

// The extents of the parts.
OrRefusal<Shape> part_extents(const EvaluateInput& input, int64_t extent) {
  int64_t size = 1;
  if (input.has(1) && input.tensor(1).rank() == 1) {
    Shape sizes = ints(input.tensor(1));
    int64_t sum = 0;
    for (int64_t part : sizes) {
      if (part < 0 || part > extent) return refuse("an entry of `split` does not fit the axis");
      sum += part;
    }
    if (sum != extent) return refuse(fmt::format("the parts make {} of {}", sum, extent));
    return sizes;
  }
  if (input.has(1)) {
    if (input.tensor(1).num_elements() != 1) return refuse("`split` is not one number");
    size = input.tensor(1).i64(0);
  }
  if (size < 1) return refuse("`split` is less than 1");
  Shape sizes;
  for (int64_t begin = 0; begin < extent; begin += size) {
    sizes.push_back(std::min(size, extent - begin));
  }
  return sizes;
}

Values evaluate_split_to_sequence(const EvaluateInput& input) {
  const Tensor& x = input.tensor(0);
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), x.rank()));
  const auto at = static_cast<size_t>(axis);
  NEURONC_ASSIGN(const Shape sizes, part_extents(input, x.shape()[at]));
  const bool drops_axis = !input.has(1) && input.op.i64("keepdims") == 0;
  const Shape strides = row_major_strides(x.shape());
  std::vector<Tensor> parts;
  int64_t begin = 0;
  for (int64_t size : sizes) {
    Shape shape = x.shape();
    shape[at] = size;
    Tensor part = take_strided(x, shape, strides, begin * strides[at]);
    if (drops_axis) {
      shape.erase(shape.begin() + axis);
      part = part.with_shape(shape);
    }
    parts.push_back(std::move(part));
    begin += size;
  }
  return one_value(sequence_of(std::move(parts)));
}

// ---- optionals

Types infer_optional(const InferInput& input) {
  if (input.has(0)) return std::vector<Type>{Type::optional(input.operands[0])};
  const bool is_sequence = input.op.i64("is_sequence") != 0;
  return std::vector<Type>{any_shape(
      is_sequence ? Type::Kind::optional_sequence : Type::Kind::optional, input.op.dtype("dtype"))};
}

Values evaluate_optional(const EvaluateInput& input) {
  HostValue value;
  value.has_value = input.has(0);
  value.kind =
      input.op.i64("is_sequence") != 0 ? Type::Kind::optional_sequence : Type::Kind::optional;
  if (input.has(0)) {
    value = *input.operands[0];
    value.has_value = true;
    value.kind =
        value.kind == Type::Kind::sequence ? Type::Kind::optional_sequence : Type::Kind::optional;
  }
  return one_value(std::move(value));
}

Types infer_has_element(const InferInput&) { return std::vector<Type>{ranked(DType::boolean, {})}; }

Values evaluate_has_element(const EvaluateInput& input) {
  const bool has = input.has(0) && input.operands[0]->has_value;
  return one(Tensor::scalar(DType::boolean, has ? 1 : 0));
}

Types infer_get_element(const InferInput& input) {
  if (!input.has(0)) return refuse("there is nothing to get");
  Type type = input.operands[0];
  if (type.kind == Type::Kind::optional) type.kind = Type::Kind::tensor;
  if (type.kind == Type::Kind::optional_sequence) type.kind = Type::Kind::sequence;
  return std::vector<Type>{std::move(type)};
}

Values evaluate_get_element(const EvaluateInput& input) {
  if (!input.has(0) || !input.operands[0]->has_value) return refuse("the optional is empty");
  HostValue value = *input.operands[0];
  if (value.kind == Type::Kind::optional) value.kind = Type::Kind::tensor;
  if (value.kind == Type::Kind::optional_sequence) value.kind = Type::Kind::sequence;
  return one_value(std::move(value));
}

}  // namespace

#define HOST_ROW(op_name, text, onnx, operand_specs, attribute_specs, result_specs, infer, \
                 evaluator)                                                                \
  NEURONC_OP(op_name) = {#op_name,        text,         onnx,        operand_specs,        \
                         attribute_specs, result_specs, Trait::host, Precision::fixed,     \
                         infer,           evaluator,    no_flops};

// Positions count from the end where they are negative; the default is the end. Errors: a position
// outside the sequence; getting from an empty optional.
// clang-format off
constexpr std::span<const AttributeSpec> kNone = {};
constexpr std::span<const OperandSpec> kNoOperands = {};
HOST_ROW(concat_from_sequence, "the tensors of a sequence joined along an axis, a new one with `new_axis`", "ONNX ConcatFromSequence-11", kSequenceOperand, kConcatAttributes, kTensorResult, infer_concat_from_sequence, evaluate_concat_from_sequence)
HOST_ROW(optional, "an optional that holds x, or nothing", "ONNX Optional-15", kAnything, kOptionalType, kSequenceResult, infer_optional, evaluate_optional)
HOST_ROW(optional_get_element, "what an optional holds", "ONNX OptionalGetElement-18", kAnything, kNone, kSequenceResult, infer_get_element, evaluate_get_element)
HOST_ROW(optional_has_element, "whether an optional holds something", "ONNX OptionalHasElement-18", kAnything, kNone, kBoolResult, infer_has_element, evaluate_has_element)
HOST_ROW(sequence_at, "the tensor at a position", "ONNX SequenceAt-11", kSequenceAt, kNone, kTensorResult, infer_element, evaluate_sequence_at)
HOST_ROW(sequence_construct, "a sequence of the operands", "ONNX SequenceConstruct-11", kTensors, kNone, kSequenceResult, infer_sequence_construct, evaluate_sequence_construct)
HOST_ROW(sequence_empty, "a sequence without tensors", "ONNX SequenceEmpty-11", kNoOperands, kDtype, kSequenceResult, infer_sequence_empty, evaluate_sequence_empty)
HOST_ROW(sequence_erase, "the sequence without the tensor at a position", "ONNX SequenceErase-11", kSequenceErase, kNone, kSequenceResult, infer_same_sequence, evaluate_sequence_erase)
HOST_ROW(sequence_insert, "the sequence with a tensor inserted at a position", "ONNX SequenceInsert-11", kSequenceInsert, kNone, kSequenceResult, infer_sequence_insert, evaluate_sequence_insert)
HOST_ROW(sequence_length, "the number of tensors in a sequence", "ONNX SequenceLength-11", kSequenceOperand, kNone, kLengthResult, infer_length, evaluate_sequence_length)
HOST_ROW(split_to_sequence, "a tensor cut into a sequence along an axis", "ONNX SplitToSequence-24", kSplitOperands, kSplitAttributes, kSequenceResult, infer_split_to_sequence, evaluate_split_to_sequence)
// clang-format on

}  // namespace neuronc
