// Operators that change a tensor's shape or copy it along axes: every result element is a copy of
// an operand element. Shapes come as operands; where their values are unknown, so are the dims.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kI64{DType::i64};
constexpr OperandSpec kAnyX[] = {{"x", kAny, 'T'}};
constexpr ResultSpec kAnyY[] = {{"y", kAny, 'T'}};
constexpr ResultSpec kI64Y[] = {{"y", kI64}};
constexpr OperandSpec kXAndShape[] = {{"x", kAny, 'T'}, {"shape", kI64}};
constexpr OperandSpec kXAndAxes[] = {{"x", kAny, 'T'}, {"axes", kI64}};
constexpr OperandSpec kXAndOptionalAxes[] = {{"x", kAny, 'T'}, {"axes", kI64, 0, Arity::optional}};
constexpr OperandSpec kXAndRepeats[] = {{"x", kAny, 'T'}, {"repeats", kI64}};
constexpr AttributeSpec kReshapeAttributes[] = {{"allowzero", AttributeKind::i64, "0"}};
constexpr AttributeSpec kTransposeAttributes[] = {{"perm", AttributeKind::ints, "[]"}};
constexpr AttributeSpec kShapeAttributes[] = {{"start", AttributeKind::i64, "0"},
                                              {"end", AttributeKind::i64, ""}};

// A type of as many unknown dims as operand 1 has elements, or of unknown rank.
Type shaped_by_operand(const InferInput& input) {
  const DType dtype = input.operands[0].dtype;
  const auto rank = known_length(input, 1);
  return rank ? unknown_dims(dtype, *rank) : Type::unranked(dtype);
}

// ---- reshape

// What is left of an operand's and of a new shape's dims when those that stand in both cancel: kept
// extents (0 in `shape`) and symbols. Thus tensors without elements keep their other extents.
struct Remainder {
  std::vector<Dim> available, used;
};
Remainder remainder_of(const Type& x, const Shape& shape, std::optional<size_t> open,
                       const std::vector<Dim>& dims, bool keeps_zeros) {
  Remainder rest;
  for (size_t i = 0; i < x.dims.size(); ++i) {
    const bool is_kept = keeps_zeros && i < shape.size() && shape[i] == 0;
    if (!is_kept) rest.available.push_back(x.dims[i]);
  }
  for (size_t i = 0; i < dims.size(); ++i) {
    if (open == i || (keeps_zeros && shape[i] == 0)) continue;
    const auto same = std::find(rest.available.begin(), rest.available.end(), dims[i]);
    if (same != rest.available.end() && dims[i].is_symbol()) {
      rest.available.erase(same);
    } else {
      rest.used.push_back(dims[i]);
    }
  }
  return rest;
}

// Checks the number of elements of the new shape `dims` and computes its open extent, if any.
OrRefusal<void> fill_open_extent(const Type& x, const Shape& shape, std::optional<size_t> open,
                                 bool keeps_zeros, std::vector<Dim>& dims) {
  const Remainder rest = remainder_of(x, shape, open, dims, keeps_zeros);
  const Dim available = product(rest.available);
  const Dim used = product(rest.used);
  if (is_all_numbers(rest.used) && !used.is_number()) {
    return refuse("the new shape has more elements than can be counted");
  }
  if (open && rest.available.size() == 1 && used == Dim(1)) {
    dims[*open] = rest.available[0];
  } else if (open && available.is_number() && used.is_number()) {
    if (used.number() == 0 || available.number() % used.number() != 0) {
      return refuse(fmt::format("{} elements do not divide by the other extents' product {}",
                                available.number(), used.number()));
    }
    dims[*open] = available.number() / used.number();
  } else if (!open && available.is_number() && used.is_number() && available != used) {
    // Where a kept extent is 0, neither shape has elements.
    if (product(x.dims) == Dim(0) && product(dims) == Dim(0)) return {};
    return refuse(fmt::format("{} elements cannot take a shape of {} elements", available.number(),
                              used.number()));
  }
  return {};
}

Types infer_reshape(const InferInput& input) {
  const Type& x = input.operands[0];
  const auto shape = known_ints(input, 1);
  if (!shape) return std::vector<Type>{shaped_by_operand(input)};
  const bool allows_zero = input.op.i64("allowzero") != 0;
  std::vector<Dim> dims;
  std::optional<size_t> open;
  for (size_t i = 0; i < shape->size(); ++i) {
    const int64_t extent = (*shape)[i];
    if (extent < -1) return refuse(fmt::format("the new shape has the extent {}", extent));
    if (extent == -1 && open) return refuse("the new shape has two open extents");
    if (extent == -1) open = i;
    if (extent == 0 && !allows_zero) {
      if (x.is_ranked && i >= x.dims.size()) {
        return refuse("the new shape keeps an extent that the operand does not have");
      }
      dims.push_back(x.is_ranked ? x.dims[i] : Dim::unknown());
    } else {
      dims.push_back(extent == -1 ? Dim::unknown() : Dim(extent));
    }
  }
  if (!x.is_ranked) return std::vector<Type>{ranked(x.dtype, std::move(dims))};
  NEURONC_TRY(fill_open_extent(x, *shape, open, !allows_zero, dims));
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

// For operators that keep the elements' order.
Values evaluate_same_elements(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  if (type.num_elements() != input.tensor(0).num_elements()) {
    return refuse("the shapes have different numbers of elements");
  }
  return one(input.tensor(0).with_shape(type.shape()));
}

// ---- transpose

OrRefusal<Shape> permutation(const OpView& op, size_t rank) {
  Shape perm = op.ints("perm");
  if (perm.empty()) {
    perm.resize(rank);
    std::iota(perm.rbegin(), perm.rend(), 0);
  }
  Shape sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<int64_t>(i)) return refuse("`perm` is not a permutation");
  }
  if (perm.size() != rank) {
    return refuse(fmt::format("`perm` has {} entries for a tensor of rank {}", perm.size(), rank));
  }
  return perm;
}

Types infer_transpose(const InferInput& input) {
  const Type& x = input.operands[0];
  if (!x.is_ranked) return std::vector<Type>{x};
  NEURONC_ASSIGN(const Shape perm, permutation(input.op, x.dims.size()));
  std::vector<Dim> dims;
  for (int64_t axis : perm) dims.push_back(x.dims[static_cast<size_t>(axis)]);
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

Values evaluate_transpose(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape dense = row_major_strides(input.tensor(0).shape());
  NEURONC_ASSIGN(const Shape perm, permutation(input.op, dense.size()));
  Shape strides;
  for (int64_t axis : perm) strides.push_back(dense[static_cast<size_t>(axis)]);
  return one(take_strided(input.tensor(0), type.shape(), strides, 0));
}

// ---- squeeze and unsqueeze

Types infer_squeeze(const InferInput& input) {
  const Type& x = input.operands[0];
  if (!x.is_ranked) return std::vector<Type>{x};
  std::vector<bool> is_dropped(x.dims.size(), false);
  if (input.has(1)) {
    const auto given = known_ints(input, 1);
    if (!given) {
      const auto count = known_length(input, 1);
      if (count && *count <= x.rank()) {
        return std::vector<Type>{unknown_dims(x.dtype, x.rank() - *count)};
      }
      return std::vector<Type>{Type::unranked(x.dtype)};
    }
    NEURONC_ASSIGN(const Shape axes, resolve_axes(*given, x.rank()));
    for (int64_t axis : axes) {
      const Dim dim = x.dims[static_cast<size_t>(axis)];
      if (dim.is_number() && dim != Dim(1)) {
        return refuse(fmt::format("axis {} of extent {} cannot be dropped", axis, dim.number()));
      }
      is_dropped[static_cast<size_t>(axis)] = true;
    }
  } else {
    for (size_t i = 0; i < x.dims.size(); ++i) {
      if (!x.dims[i].is_number()) return std::vector<Type>{Type::unranked(x.dtype)};
      is_dropped[i] = x.dims[i] == Dim(1);
    }
  }
  std::vector<Dim> dims;
  for (size_t i = 0; i < x.dims.size(); ++i) {
    if (!is_dropped[i]) dims.push_back(x.dims[i]);
  }
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

Types infer_unsqueeze(const InferInput& input) {
  const Type& x = input.operands[0];
  if (!x.is_ranked) return std::vector<Type>{x};
  const auto given = known_ints(input, 1);
  if (!given) {
    const auto count = known_length(input, 1);
    return std::vector<Type>{count ? unknown_dims(x.dtype, x.rank() + *count)
                                   : Type::unranked(x.dtype)};
  }
  const auto rank = x.rank() + static_cast<int64_t>(given->size());
  NEURONC_ASSIGN(const Shape axes, resolve_axes(*given, rank));
  std::vector<Dim> dims = x.dims;
  for (int64_t axis : axes) dims.insert(dims.begin() + axis, Dim(1));
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

// ---- expand and tile

Types infer_expand(const InferInput& input) {
  const Type& x = input.operands[0];
  const auto shape = known_ints(input, 1);
  if (!shape) {
    const auto rank = known_length(input, 1);
    if (!rank || !x.is_ranked) return std::vector<Type>{Type::unranked(x.dtype)};
    return std::vector<Type>{unknown_dims(x.dtype, std::max(*rank, x.rank()))};
  }
  for (int64_t extent : *shape) {
    if (extent < 0) return refuse(fmt::format("the new shape has the extent {}", extent));
  }
  const Type types[] = {x, Type::tensor(x.dtype, *shape)};
  NEURONC_ASSIGN(Type type, broadcast_types(types, x.dtype));
  return std::vector<Type>{std::move(type)};
}

Values evaluate_expand(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape shape = type.shape();
  return one(
      take_strided(input.tensor(0), shape, broadcast_strides(input.tensor(0).shape(), shape), 0));
}

Types infer_tile(const InferInput& input) {
  const Type& x = input.operands[0];
  if (!x.is_ranked) return std::vector<Type>{shaped_by_operand(input)};
  const auto repeats = known_ints(input, 1);
  if (!repeats) return std::vector<Type>{unknown_dims(x.dtype, x.rank())};
  if (repeats->size() != x.dims.size()) {
    return refuse("`repeats` does not have one entry per axis");
  }
  std::vector<Dim> dims;
  for (size_t i = 0; i < x.dims.size(); ++i) {
    if ((*repeats)[i] < 0) return refuse("an entry of `repeats` is negative");
    const Dim pair[] = {x.dims[i], Dim((*repeats)[i])};
    dims.push_back((*repeats)[i] == 1 ? x.dims[i] : product(pair));
  }
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

Values evaluate_tile(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape& from = input.tensor(0).shape();
  const Shape dense = row_major_strides(from);
  std::vector<int64_t> offsets;
  for_each_index(type.shape(), [&](const Shape& index) {
    int64_t offset = 0;
    for (size_t i = 0; i < index.size(); ++i) offset += index[i] % from[i] * dense[i];
    offsets.push_back(offset);
  });
  return one(take(input.tensor(0), type.shape(), offsets));
}

// ---- shape and size

// [begin, end) of the axes that `shape` lists.
std::pair<int64_t, int64_t> listed_axes(const OpView& op, int64_t rank) {
  const auto clamp = [&](int64_t axis) {
    return std::clamp<int64_t>(axis < 0 ? axis + rank : axis, 0, rank);
  };
  const int64_t begin = clamp(op.i64("start"));
  const int64_t end = op.has("end") ? clamp(op.i64("end")) : rank;
  return {begin, std::max(begin, end)};
}

Types infer_shape(const InferInput& input) {
  const Type& x = input.operands[0];
  if (!x.is_ranked) return std::vector<Type>{unknown_dims(DType::i64, 1)};
  const auto [begin, end] = listed_axes(input.op, x.rank());
  return std::vector<Type>{Type::tensor(DType::i64, Shape{end - begin})};
}

Values evaluate_shape(const EvaluateInput& input) {
  const Shape& shape = input.tensor(0).shape();
  const auto [begin, end] = listed_axes(input.op, input.tensor(0).rank());
  return one(Tensor::ints(
      std::span(shape).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin))));
}

Types infer_size(const InferInput&) { return std::vector<Type>{Type::tensor(DType::i64, Shape{})}; }

Values evaluate_size(const EvaluateInput& input) {
  const int64_t count[] = {input.tensor(0).num_elements()};
  return one(from_ints(DType::i64, {}, count));
}

}  // namespace

/// y = the elements of x in row-major order in a new shape. An extent 0 keeps the operand's extent
/// (is 0 itself with `allowzero`), one extent -1 takes what is left.
/// Shapes: any.   Types: any.   Source: ONNX Reshape-21.
NEURONC_OP(reshape) = {"reshape",
                       "the same elements in another shape",
                       "ONNX Reshape-21",
                       kXAndShape,
                       kReshapeAttributes,
                       kAnyY,
                       Trait::moves_data,
                       Precision::exact,
                       infer_reshape,
                       evaluate_same_elements,
                       no_flops};

/// y[i[perm[0]], i[perm[1]], ..] = x[i[0], i[1], ..]; without `perm` the axes are reversed.
/// Types: any.   Source: ONNX Transpose-21.
NEURONC_OP(transpose) = {"transpose",
                         "the axes in another order",
                         "ONNX Transpose-21",
                         kAnyX,
                         kTransposeAttributes,
                         kAnyY,
                         Trait::moves_data,
                         Precision::exact,
                         infer_transpose,
                         evaluate_transpose,
                         no_flops};

/// y = x without the given axes, or without all axes of extent 1.
/// Types: any.   Source: ONNX Squeeze-21.
NEURONC_OP(squeeze) = {"squeeze",
                       "x without axes of extent 1",
                       "ONNX Squeeze-21",
                       kXAndOptionalAxes,
                       {},
                       kAnyY,
                       Trait::moves_data,
                       Precision::exact,
                       infer_squeeze,
                       evaluate_same_elements,
                       no_flops};

/// y = x with axes of extent 1 inserted; `axes` are positions in y.
/// Types: any.   Source: ONNX Unsqueeze-21.
NEURONC_OP(unsqueeze) = {"unsqueeze",
                         "x with axes of extent 1 inserted",
                         "ONNX Unsqueeze-21",
                         kXAndAxes,
                         {},
                         kAnyY,
                         Trait::moves_data,
                         Precision::exact,
                         infer_unsqueeze,
                         evaluate_same_elements,
                         no_flops};

/// y = x broadcast with `shape` (both ways: extents 1 in `shape` keep the operand's).
/// Types: any.   Source: ONNX Expand-13.
NEURONC_OP(expand) = {
    "expand",          "x broadcast to a shape", "ONNX Expand-13", kXAndShape,      {},      kAnyY,
    Trait::moves_data, Precision::exact,         infer_expand,     evaluate_expand, no_flops};

/// y = x repeated `repeats[a]` times along each axis a.   Types: any.   Source: ONNX Tile-13.
NEURONC_OP(tile) = {
    "tile",  "x repeated along its axes", "ONNX Tile-13",   kXAndRepeats, {},
    kAnyY,   Trait::moves_data,           Precision::exact, infer_tile,   evaluate_tile,
    no_flops};

/// y = the extents of axes [start, end) of x.   Shapes: y [n].   Source: ONNX Shape-21.
NEURONC_OP(shape) = {"shape", "the extents of x", "ONNX Shape-21",  kAnyX,       kShapeAttributes,
                     kI64Y,   Trait::none,        Precision::fixed, infer_shape, evaluate_shape,
                     no_flops};

/// y = the number of elements of x.   Shapes: y [].   Source: ONNX Size-21.
NEURONC_OP(size) = {"size",
                    "the number of elements of x",
                    "ONNX Size-21",
                    kAnyX,
                    {},
                    kI64Y,
                    Trait::none,
                    Precision::fixed,
                    infer_size,
                    evaluate_size,
                    no_flops};

}  // namespace neuronc
