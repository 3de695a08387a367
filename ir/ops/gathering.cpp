// Operators that read or write elements at positions given by index tensors. Negative indices count
// from the end; one out of range is refused.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "ir/ops/common.h"
#include "ir/tensor_pool.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kI64{DType::i64};
constexpr OperandSpec kGatherOperands[] = {{"x", kAny, 'T'}, {"indices", kIndices}};
constexpr OperandSpec kGatherNdOperands[] = {{"x", kAny, 'T'}, {"indices", kI64}};
constexpr OperandSpec kScatterElementsOperands[] = {
    {"x", kAny, 'T'}, {"indices", kIndices}, {"updates", kAny, 'T'}};
constexpr OperandSpec kScatterNdOperands[] = {
    {"x", kAny, 'T'}, {"indices", kI64}, {"updates", kAny, 'T'}};
constexpr ResultSpec kAnyY[] = {{"y", kAny, 'T'}};
constexpr AttributeSpec kAxis0[] = {{"axis", AttributeKind::i64, "0"}};
constexpr AttributeSpec kBatchDims[] = {{"batch_dims", AttributeKind::i64, "0"}};
constexpr AttributeSpec kScatterElementsAttributes[] = {
    {"axis", AttributeKind::i64, "0"},
    {"expands_indices", AttributeKind::i64, "0"},
    {"reduction", AttributeKind::string, "\"none\""}};
constexpr AttributeSpec kScatterNdAttributes[] = {{"reduction", AttributeKind::string, "\"none\""}};

// Indices into an axis of `extent` elements, made non-negative.
OrRefusal<std::vector<int64_t>> resolve_indices(const Tensor& indices, int64_t extent) {
  std::vector<int64_t> resolved = ints(indices);
  for (int64_t& index : resolved) {
    if (index < -extent || index >= extent) {
      return refuse(fmt::format("index {} lies outside an axis of {} elements", index, extent));
    }
    if (index < 0) index += extent;
  }
  return resolved;
}

// ---- gather

Types infer_gather(const InferInput& input) {
  const Type& x = input.operands[0];
  const Type& indices = input.operands[1];
  if (!x.is_ranked || !indices.is_ranked) return std::vector<Type>{Type::unranked(x.dtype)};
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), x.rank()));
  std::vector<Dim> dims(x.dims.begin(), x.dims.begin() + axis);
  dims.insert(dims.end(), indices.dims.begin(), indices.dims.end());
  dims.insert(dims.end(), x.dims.begin() + axis + 1, x.dims.end());
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

Values evaluate_gather(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), x.rank()));
  const AxisView view = axis_view(x.shape(), axis);
  NEURONC_ASSIGN(const std::vector<int64_t> indices, resolve_indices(input.tensor(1), view.extent));
  return one(take_slices(x, type.shape(), view, indices));
}

// ---- gather_elements and scatter_elements

Types infer_gather_elements(const InferInput& input) {
  const Type& x = input.operands[0];
  Type type = input.operands[1];
  if (x.is_ranked && type.is_ranked) {
    if (x.rank() != type.rank()) return refuse("the indices have another rank than the data");
    NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), x.rank()));
    for (int64_t i = 0; i < x.rank(); ++i) {
      const Dim from = x.dims[static_cast<size_t>(i)];
      const Dim to = type.dims[static_cast<size_t>(i)];
      if (i != axis && from.is_number() && to.is_number() && to.number() > from.number()) {
        return refuse(fmt::format("the indices reach beyond axis {}", i));
      }
    }
  }
  type.dtype = x.dtype;
  return std::vector<Type>{std::move(type)};
}

// For each element of `indices`: the offset in a tensor of shape `shape` that it names along
// `axis`.
OrRefusal<std::vector<int64_t>> element_offsets(const Tensor& indices, const Shape& shape,
                                                int64_t axis) {
  const auto at = static_cast<size_t>(axis);
  NEURONC_ASSIGN(const std::vector<int64_t> along, resolve_indices(indices, shape[at]));
  Shape strides = row_major_strides(shape);
  const int64_t stride = std::exchange(strides[at], 0);
  std::vector<int64_t> offsets(along.size());
  size_t i = 0;
  for_each_offset(indices.shape(), strides, 0, [&](int64_t beside) {
    offsets[i] = beside + along[i] * stride;
    ++i;
  });
  return offsets;
}

Values evaluate_gather_elements(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), x.rank()));
  NEURONC_ASSIGN(const std::vector<int64_t> offsets,
                 element_offsets(input.tensor(1), x.shape(), axis));
  return one(take(x, type.shape(), offsets));
}

enum class Reduction : uint8_t { none, add, mul, max, min };

OrRefusal<Reduction> reduction_of(const OpView& op, DType dtype) {
  constexpr std::string_view kNames[] = {"none", "add", "mul", "max", "min"};
  const std::string& name = op.string("reduction");
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (name != kNames[i]) continue;
    if (i > 0 && dtype == DType::string) return refuse("strings have no reduction");
    return static_cast<Reduction>(i);
  }
  return refuse("`reduction` is `" + name + "`");
}

template <class T>
T reduced(Reduction reduction, T old, T update) {
  switch (reduction) {
    case Reduction::add:
      return old + update;
    case Reduction::mul:
      return old * update;
    case Reduction::max:
      return old != old || old > update ? old : update;
    case Reduction::min:
      return old != old || old < update ? old : update;
    default:
      return update;
  }
}

void update_element(Tensor& to, int64_t offset, const Tensor& updates, int64_t i,
                    Reduction reduction) {
  if (reduction == Reduction::none) return copy_element(to, offset, updates, i);
  if (is_float(to.dtype())) {
    return to.set_f64(offset, reduced(reduction, to.f64(offset), updates.f64(i)));
  }
  const int64_t old = to.i64(offset);
  const int64_t update = updates.i64(i);
  if (reduction == Reduction::add || reduction == Reduction::mul || to.dtype() == DType::u64) {
    // Unsigned arithmetic wraps as the element types do.
    return to.set_i64(offset, static_cast<int64_t>(reduced(reduction, static_cast<uint64_t>(old),
                                                           static_cast<uint64_t>(update))));
  }
  to.set_i64(offset, reduced(reduction, old, update));
}

template <class T>
void put_as(Tensor& to, std::span<const int64_t> offsets, const Tensor& updates) {
  T* elements = reinterpret_cast<T*>(to.mutable_data());
  const T* from = reinterpret_cast<const T*>(updates.data());
  for (size_t i = 0; i < offsets.size(); ++i) elements[offsets[i]] = from[i];
}

// Updates in the order of `offsets`, so that the last one of an element stays.
void update_elements(Tensor& to, std::span<const int64_t> offsets, const Tensor& updates,
                     Reduction reduction) {
  if (reduction == Reduction::none && to.dtype() != DType::string) {
    switch (size_bytes(to.dtype())) {
      case 1:
        return put_as<uint8_t>(to, offsets, updates);
      case 2:
        return put_as<uint16_t>(to, offsets, updates);
      case 4:
        return put_as<uint32_t>(to, offsets, updates);
      default:
        return put_as<uint64_t>(to, offsets, updates);
    }
  }
  for (size_t i = 0; i < offsets.size(); ++i) {
    update_element(to, offsets[i], updates, static_cast<int64_t>(i), reduction);
  }
}

// Whether a tensor of shape `from` can be repeated along axes of one element to have shape `to`.
bool expands_to(const Shape& from, const Shape& to) {
  if (from.size() != to.size()) return false;
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] != to[i] && from[i] != 1) return false;
  }
  return true;
}

Types infer_scatter_elements(const InferInput& input) {
  const Type& x = input.operands[0];
  NEURONC_TRY(reduction_of(input.op, x.dtype));
  NEURONC_TRY(infer_gather_elements(input));
  const Type& indices = input.operands[1];
  const Type& updates = input.operands[2];
  if (indices.is_static() && updates.is_static()) {
    const bool fits = input.op.i64("expands_indices") != 0
                          ? expands_to(indices.shape(), updates.shape())
                          : indices.shape() == updates.shape();
    if (!fits) return refuse("the updates have another shape than the indices");
  }
  return std::vector<Type>{x};
}

// `x` whose rows are replaced by those of `updates`, one behind another.
Tensor with_rows(const Tensor& x, std::span<const int64_t> rows, const Tensor& updates) {
  Tensor result = copy(x);
  if (rows.empty()) return result;
  const auto size = static_cast<size_t>(updates.size_bytes()) / rows.size();
  const std::byte* from = updates.data();
  for (int64_t row : rows) {
    std::memcpy(result.mutable_data() + static_cast<size_t>(row) * size, from, size);
    from += size;
  }
  return result;
}

// The indices repeated along axes of one element.
Tensor expanded(const Tensor& indices, const Shape& shape) {
  if (indices.shape() == shape) return indices;
  Shape strides = row_major_strides(indices.shape());
  for (size_t i = 0; i < shape.size(); ++i) {
    if (indices.shape()[i] == 1) strides[i] = 0;
  }
  return take_strided(indices, shape, strides, 0);
}

// Whether one index each names whole rows, as `index_put` with an expanded index writes them.
bool names_rows(const Tensor& x, const Tensor& indices, const Tensor& updates) {
  if (x.rank() < 2 || x.dtype() == DType::string) return false;
  return indices.num_elements() == indices.shape()[0] && indices.shape()[0] == updates.shape()[0] &&
         std::equal(x.shape().begin() + 1, x.shape().end(), updates.shape().begin() + 1);
}

Values evaluate_scatter_elements(const EvaluateInput& input) {
  NEURONC_TRY(actual_type(input));
  const Tensor& x = input.tensor(0);
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), x.rank()));
  NEURONC_ASSIGN(const Reduction reduction, reduction_of(input.op, x.dtype()));
  const Tensor& indices = input.tensor(1);
  const Tensor& updates = input.tensor(2);
  if (axis == 0 && reduction == Reduction::none && names_rows(x, indices, updates)) {
    NEURONC_ASSIGN(const std::vector<int64_t> rows, resolve_indices(indices, x.shape()[0]));
    return one(with_rows(x, rows, updates));
  }
  NEURONC_ASSIGN(const std::vector<int64_t> offsets,
                 element_offsets(expanded(indices, updates.shape()), x.shape(), axis));
  Tensor result = copy(x);
  update_elements(result, offsets, input.tensor(2), reduction);
  return one(std::move(result));
}

// ---- gather_nd and scatter_nd

// The last axis of `indices` holds tuples of indices into the axes [batch, batch + tuple) of a
// tensor; each names a slice of this many elements.
int64_t slice_size(const Shape& shape, const Shape& indices, int64_t batch) {
  return axis_view(shape, batch + indices.back(), static_cast<int64_t>(shape.size())).extent;
}

// Where each tuple's slice begins.
OrRefusal<std::vector<int64_t>> slice_offsets(const Tensor& indices, const Shape& shape,
                                              int64_t batch) {
  const int64_t tuple = indices.shape().back();
  const Shape strides = row_major_strides(shape);
  int64_t num_batches = 1;
  int64_t batch_size = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    (static_cast<int64_t>(i) < batch ? num_batches : batch_size) *= shape[i];
  }
  int64_t num_tuples = 1;
  for (size_t i = 0; i + 1 < indices.shape().size(); ++i) num_tuples *= indices.shape()[i];
  const std::vector<int64_t> numbers = indices.to_ints();
  const int64_t tuples_per_batch = num_batches == 0 ? num_tuples : num_tuples / num_batches;
  std::vector<int64_t> offsets;
  offsets.reserve(static_cast<size_t>(num_tuples));
  int64_t left_in_batch = tuples_per_batch, batch_offset = 0;
  for (int64_t i = 0; i < num_tuples; ++i, --left_in_batch) {
    if (left_in_batch == 0) {
      left_in_batch = tuples_per_batch;
      batch_offset += batch_size;
    }
    int64_t offset = batch_offset;
    for (int64_t a = 0; a < tuple; ++a) {
      const auto axis = static_cast<size_t>(batch + a);
      int64_t index = numbers[static_cast<size_t>(i * tuple + a)];
      if (index < -shape[axis] || index >= shape[axis]) {
        return refuse(
            fmt::format("index {} lies outside an axis of {} elements", index, shape[axis]));
      }
      if (index < 0) index += shape[axis];
      offset += index * strides[axis];
    }
    offsets.push_back(offset);
  }
  return offsets;
}

// The dims of a tuple-indexed result: those of `indices` but the last, then the slice's.
OrRefusal<Type> tuple_type(const Type& x, const Type& indices, int64_t batch) {
  if (!x.is_ranked || !indices.is_ranked || indices.dims.empty()) {
    if (indices.is_ranked && indices.dims.empty()) return refuse("the indices are a scalar");
    return Type::unranked(x.dtype);
  }
  if (batch < 0 || batch >= std::min(x.rank(), indices.rank())) {
    return refuse(fmt::format("`batch_dims` is {}", batch));
  }
  const Dim tuple = indices.dims.back();
  if (!tuple.is_number()) return Type::unranked(x.dtype);
  if (batch + tuple.number() > x.rank()) {
    return refuse(fmt::format("tuples of {} indices do not fit a tensor of rank {}", tuple.number(),
                              x.rank()));
  }
  for (int64_t i = 0; i < batch; ++i) {
    NEURONC_TRY(same_dim(x.dims[static_cast<size_t>(i)], indices.dims[static_cast<size_t>(i)],
                         "a batch extent"));
  }
  std::vector<Dim> dims(indices.dims.begin(), indices.dims.end() - 1);
  dims.insert(dims.end(), x.dims.begin() + batch + tuple.number(), x.dims.end());
  return ranked(x.dtype, std::move(dims));
}

Types infer_gather_nd(const InferInput& input) {
  NEURONC_ASSIGN(Type type,
                 tuple_type(input.operands[0], input.operands[1], input.op.i64("batch_dims")));
  return std::vector<Type>{std::move(type)};
}

Values evaluate_gather_nd(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const int64_t batch = input.op.i64("batch_dims");
  const int64_t slice = slice_size(x.shape(), input.tensor(1).shape(), batch);
  NEURONC_ASSIGN(const std::vector<int64_t> begins,
                 slice_offsets(input.tensor(1), x.shape(), batch));
  if (slice == 1) return one(take(x, type.shape(), begins));
  std::vector<int64_t> offsets;
  offsets.reserve(begins.size() * static_cast<size_t>(slice));
  for (int64_t begin : begins) {
    for (int64_t i = 0; i < slice; ++i) offsets.push_back(begin + i);
  }
  return one(take(x, type.shape(), offsets));
}

Types infer_scatter_nd(const InferInput& input) {
  const Type& x = input.operands[0];
  NEURONC_TRY(reduction_of(input.op, x.dtype));
  NEURONC_ASSIGN(const Type updates, tuple_type(x, input.operands[1], 0));
  if (updates.is_static() && input.operands[2].is_static() &&
      updates.shape() != input.operands[2].shape()) {
    return refuse("the updates do not have the shape that the indices select");
  }
  return std::vector<Type>{x};
}

Values evaluate_scatter_nd(const EvaluateInput& input) {
  NEURONC_TRY(actual_type(input));
  const Tensor& x = input.tensor(0);
  NEURONC_ASSIGN(const Reduction reduction, reduction_of(input.op, x.dtype()));
  const int64_t slice = slice_size(x.shape(), input.tensor(1).shape(), 0);
  NEURONC_ASSIGN(const std::vector<int64_t> begins, slice_offsets(input.tensor(1), x.shape(), 0));
  Tensor result = copy(x);
  int64_t update = 0;
  for (int64_t begin : begins) {
    for (int64_t i = 0; i < slice; ++i) {
      update_element(result, begin + i, input.tensor(2), update++, reduction);
    }
  }
  return one(std::move(result));
}

}  // namespace

/// y = the slices of x along `axis` named by `indices`.
/// Shapes: y = x's dims before `axis`, the dims of `indices`, x's dims behind `axis`.
/// Types: any.   Errors: an index out of range.   Source: ONNX Gather-13.
NEURONC_OP(gather) = {"gather",
                      "slices along an axis, by index",
                      "ONNX Gather-13",
                      kGatherOperands,
                      kAxis0,
                      kAnyY,
                      Trait::moves_data,
                      Precision::exact,
                      infer_gather,
                      evaluate_gather,
                      no_flops};

/// y[i] = x[i with its coordinate along `axis` replaced by indices[i]].
/// Shapes: y as `indices`.   Types: any.   Errors: an index out of range.
/// Source: ONNX GatherElements-13.
NEURONC_OP(gather_elements) = {"gather_elements",
                               "elements along an axis, by index",
                               "ONNX GatherElements-13",
                               kGatherOperands,
                               kAxis0,
                               kAnyY,
                               Trait::moves_data,
                               Precision::exact,
                               infer_gather_elements,
                               evaluate_gather_elements,
                               no_flops};

/// y[b.., i.., s..] = x[b.., indices[b.., i.., :], s..] with `batch_dims` leading axes b.
/// Types: any.   Errors: an index out of range.   Source: ONNX GatherND-13.
NEURONC_OP(gather_nd) = {"gather_nd",
                         "slices named by tuples of indices",
                         "ONNX GatherND-13",
                         kGatherNdOperands,
                         kBatchDims,
                         kAnyY,
                         Trait::moves_data,
                         Precision::exact,
                         infer_gather_nd,
                         evaluate_gather_nd,
                         no_flops};

/// y = x, then y[i with its coordinate along `axis` replaced by indices[i]] becomes updates[i], or
/// is combined with it by `reduction` (none, add, mul, max, min), in row-major order of i. With
/// `expands_indices` one index serves all updates along an axis of which there is one. Shapes: y as
/// x, updates as indices.   Types: any.   Errors: an index out of range. Source: ONNX
/// ScatterElements-18.
NEURONC_OP(scatter_elements) = {"scatter_elements",
                                "x with elements along an axis replaced",
                                "ONNX ScatterElements-18",
                                kScatterElementsOperands,
                                kScatterElementsAttributes,
                                kAnyY,
                                Trait::none,
                                Precision::exact,
                                infer_scatter_elements,
                                evaluate_scatter_elements,
                                no_flops};

/// y = x, then each slice y[indices[i.., :], s..] becomes updates[i.., s..], or is combined with it
/// by `reduction` (none, add, mul, max, min), in row-major order of i.
/// Shapes: y as x.   Types: any.   Errors: an index out of range.   Source: ONNX ScatterND-18.
NEURONC_OP(scatter_nd) = {"scatter_nd",
                          "x with slices replaced",
                          "ONNX ScatterND-18",
                          kScatterNdOperands,
                          kScatterNdAttributes,
                          kAnyY,
                          Trait::none,
                          Precision::exact,
                          infer_scatter_nd,
                          evaluate_scatter_nd,
                          no_flops};

}  // namespace neuronc
