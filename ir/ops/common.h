// What the operators' `infer` and `evaluate` functions share: shapes, broadcasting, index walks and
// conversion of whole tensors. Private to ir/ops/; the numbers an evaluator computes with are f64
// or i64, and a result is rounded once, when it is stored.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/base/expected.h"
#include "ir/op.h"

namespace neuronc::ops {

using Shape = std::vector<int64_t>;
using Types = OrRefusal<std::vector<Type>>;
using Values = OrRefusal<std::vector<HostValue>>;

// ---- types

// The one result has the type of operand 0.
Types infer_as_first(const InferInput& input);
// Every result has the dtype of operand 0 and an unknown shape of unknown rank.
Types infer_unranked(const InferInput& input);
// Numpy broadcasting of all operands; the dtype of operand 0, or bool.
Types infer_broadcast(const InferInput& input);
Types infer_broadcast_to_bool(const InferInput& input);
// The type all given tensor types broadcast to.
OrRefusal<Type> broadcast_types(std::span<const Type> types, DType dtype);
OrRefusal<Dim> broadcast_dims(Dim a, Dim b);
// The dim both name; refuses where two numbers differ. `what` names the extent in the refusal.
OrRefusal<Dim> same_dim(Dim a, Dim b, const char* what);

// `axis` in [0, rank); refuses what lies outside [-rank, rank).
OrRefusal<int64_t> resolve_axis(int64_t axis, int64_t rank);
// Axes in [0, rank), sorted; refuses repeated ones.
OrRefusal<Shape> resolve_axes(std::span<const int64_t> axes, int64_t rank);

// The integers of operand `i` where its value is known; no value where it is not.
std::optional<Shape> known_ints(const InferInput& input, size_t i);
// The number of elements of the 1-d operand `i`, where known.
std::optional<int64_t> known_length(const InferInput& input, size_t i);

// `result_type` of operators that contract: narrow operands may give a wider result. Without it the
// result has the operands' dtype.
inline constexpr AttributeSpec kResultType{"result_type", AttributeKind::dtype, ""};
// The inferred type with that dtype. The optional operand `addend` has it too, or the operands'
// own.
Types with_result_type(const InferInput& input, Types types, size_t addend);

Type ranked(DType dtype, std::vector<Dim> dims);
// A type of `rank` unknown dims.
Type unknown_dims(DType dtype, int64_t rank);
bool is_all_numbers(std::span<const Dim> dims);
// Product of dims where all are numbers and it can be counted; unknown otherwise.
Dim product(std::span<const Dim> dims);

// The types of the results for the operands' actual shapes and values. Evaluators start with it:
// it repeats all checks of `infer`, and refuses results too large to be made.
Types actual_types(const EvaluateInput& input);
// The same for evaluators of one tensor, with a static shape.
OrRefusal<Type> actual_type(const EvaluateInput& input);

// ---- numbers

// All elements of a numeric tensor as f64 or, of integers and bool, as i64 (u64 wraps).
std::vector<double> doubles(const Tensor& tensor);
std::vector<int64_t> ints(const Tensor& tensor);
// A tensor of `values`, each rounded once (integers wrap).
Tensor from_doubles(DType dtype, Shape shape, std::span<const double> values);
Tensor from_ints(DType dtype, Shape shape, std::span<const int64_t> values);
// The same of a few elements at a time: those from `first` on, `step` apart, into all of `to`.
void load_run(const Tensor& tensor, int64_t first, int64_t step, std::span<double> to);
void load_run(const Tensor& tensor, int64_t first, int64_t step, std::span<int64_t> to);
void store_run(Tensor& tensor, int64_t first, std::span<const double> values);
void store_run(Tensor& tensor, int64_t first, std::span<const int64_t> values);
inline Values one(Tensor tensor) {
  std::vector<HostValue> values;
  values.emplace_back(std::move(tensor));
  return values;
}

// ---- index spaces

// Strides in elements with which a dense array of shape `from` is read in the index space `to`:
// 0 along axes it is broadcast over. `from` must broadcast to `to`.
Shape broadcast_strides(const Shape& from, const Shape& to);

// Calls `visit(a_offset, b_offset)` for each index of `shape` in row-major order, an offset being the sum
// of index[i] * strides[i].
template <class Visit>
void for_each_pair(const Shape& shape, const Shape& a_strides, const Shape& b_strides,
                   Visit visit) {
  const size_t rank = shape.size();
  for (int64_t extent : shape) {
    if (extent == 0) return;
  }
  if (rank == 0) return visit(int64_t{0}, int64_t{0});
  const int64_t inner_extent = shape[rank - 1];
  Shape index(rank, 0);
  int64_t a = 0, b = 0;
  while (true) {
    for (int64_t i = 0; i < inner_extent; ++i) {
      visit(a + i * a_strides[rank - 1], b + i * b_strides[rank - 1]);
    }
    size_t axis = rank - 1;
    while (axis-- > 0) {
      a += a_strides[axis];
      b += b_strides[axis];
      if (++index[axis] < shape[axis]) break;
      a -= a_strides[axis] * shape[axis];
      b -= b_strides[axis] * shape[axis];
      index[axis] = 0;
    }
    if (axis == static_cast<size_t>(-1)) return;
  }
}

// Calls `visit(offset)` for each index of `shape` in row-major order, offset = base + sum of
// index[i] * strides[i].
template <class Visit>
void for_each_offset(const Shape& shape, const Shape& strides, int64_t base, Visit visit) {
  for_each_pair(shape, strides, strides, [&](int64_t offset, int64_t) { visit(base + offset); });
}

// Calls `visit(index)` for each index of `shape` in row-major order.
template <class Visit>
void for_each_index(const Shape& shape, Visit visit) {
  for (int64_t extent : shape) {
    if (extent == 0) return;
  }
  Shape index(shape.size(), 0);
  while (true) {
    visit(const_cast<const Shape&>(index));
    size_t axis = shape.size();
    while (axis-- > 0) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
    if (axis == static_cast<size_t>(-1)) return;
  }
}

// A tensor seen as [outer, extent, inner] around one axis, or a run of axes [first, last).
struct AxisView {
  int64_t outer = 1, extent = 1, inner = 1;
};
AxisView axis_view(const Shape& shape, int64_t first, int64_t last);
inline AxisView axis_view(const Shape& shape, int64_t axis) {
  return axis_view(shape, axis, axis + 1);
}

// ---- moving elements of any dtype

// result[i] = source[offsets[i]]; a negative offset takes the first element of `fill`, or the
// dtype's zero where there is no fill.
Tensor take(const Tensor& source, Shape shape, std::span<const int64_t> offsets,
            const Tensor* fill = nullptr);
// The slices of `source` that `indices` name along the axis of `view`, which has that many elements.
Tensor take_slices(const Tensor& source, Shape shape, const AxisView& view,
                   std::span<const int64_t> indices);
// The same elements in the same order with fewer, longer dims: those that one stride runs through
// are one.
void merge_dims(Shape& shape, Shape& strides);
void merge_dims(Shape& shape, Shape& a_strides, Shape& b_strides);
// The strided view of `source` made dense.
Tensor take_strided(const Tensor& source, Shape shape, const Shape& strides, int64_t base);
// A copy whose elements may be changed.
Tensor copy(const Tensor& source);
// to[to_index] = from[from_index]; the dtypes must agree.
void copy_element(Tensor& to, int64_t to_index, const Tensor& from, int64_t from_index);

// ---- flops

double no_flops(const OpView& op, std::span<const Type> operands, std::span<const Type> results);
// Elements of a static type, as a double; 0 for others.
double num_elements_of(const Type& type);
// `kPerElement` flops for each element of result 0 or operand 0.
template <int kPerElement>
double flops_per_result(const OpView&, std::span<const Type>, std::span<const Type> results) {
  return kPerElement * num_elements_of(results[0]);
}
template <int kPerElement>
double flops_per_operand(const OpView&, std::span<const Type> operands, std::span<const Type>) {
  return kPerElement * num_elements_of(operands[0]);
}

// The evaluator of operators that only the graph evaluator or a pack of the runtime can compute.
Values evaluate_nowhere(const EvaluateInput& input);

}  // namespace neuronc::ops
