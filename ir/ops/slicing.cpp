// Operators that cut tensors apart, join them, and pad them.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ir/ops/common.h"
#include "ir/tensor_pool.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kI64{DType::i64};
constexpr ResultSpec kAnyY[] = {{"y", kAny, 'T'}};
constexpr OperandSpec kSliceOperands[] = {{"x", kAny, 'T'},
                                          {"starts", kIndices, 'I'},
                                          {"ends", kIndices, 'I'},
                                          {"axes", kIndices, 'I', Arity::optional},
                                          {"steps", kIndices, 'I', Arity::optional}};
constexpr OperandSpec kConcatOperands[] = {{"xs", kAny, 'T', Arity::variadic}};
constexpr OperandSpec kSplitOperands[] = {{"x", kAny, 'T'}, {"split", kI64, 0, Arity::optional}};
constexpr ResultSpec kSplitResults[] = {{"ys", kAny, 'T', Arity::variadic}};
constexpr OperandSpec kPadOperands[] = {{"x", kAny, 'T'},
                                        {"pads", kI64},
                                        {"value", kAny, 'T', Arity::optional},
                                        {"axes", kIndices, 0, Arity::optional}};
constexpr AttributeSpec kAxisRequired[] = {{"axis", AttributeKind::i64, "", true}};
constexpr AttributeSpec kAxis0[] = {{"axis", AttributeKind::i64, "0"}};
constexpr AttributeSpec kPadAttributes[] = {{"mode", AttributeKind::string, "\"constant\""}};

// ---- slice

struct Range {
  int64_t begin = 0;
  int64_t step = 1;
  int64_t count = 0;
};

// What `starts[i]:ends[i]:step` selects of `extent` elements, numpy's way.
Range range_of(int64_t start, int64_t end, int64_t step, int64_t extent) {
  const auto resolve = [&](int64_t at) {
    if (at < 0) at = at < -extent ? -1 : at + extent;
    return at;
  };
  Range range;
  range.step = step;
  if (step > 0) {
    range.begin =
        std::clamp<int64_t>(start < 0 ? std::max<int64_t>(resolve(start), 0) : start, 0, extent);
    const int64_t last =
        std::clamp<int64_t>(end < 0 ? std::max<int64_t>(resolve(end), 0) : end, 0, extent);
    range.count = last > range.begin ? (last - range.begin - 1) / step + 1 : 0;
  } else {
    range.begin = std::clamp<int64_t>(resolve(start), -1, extent - 1);
    const int64_t last = std::clamp<int64_t>(resolve(end), -1, extent - 1);
    // -step overflows for the least integer only, for which one element remains in any case.
    const int64_t magnitude = step == INT64_MIN ? INT64_MAX : -step;
    range.count = range.begin > last ? (range.begin - last - 1) / magnitude + 1 : 0;
  }
  return range;
}

struct SliceSpec {
  Shape starts, ends, axes, steps;
};

// The operands, if known, checked against the operand's rank.
OrRefusal<std::optional<SliceSpec>> slice_spec(const InferInput& input, int64_t rank) {
  const auto starts = known_ints(input, 1);
  const auto ends = known_ints(input, 2);
  if (!starts || !ends) return std::nullopt;
  SliceSpec spec{*starts, *ends, {}, Shape(starts->size(), 1)};
  if (input.has(3)) {
    const auto axes = known_ints(input, 3);
    if (!axes) return std::nullopt;
    spec.axes = *axes;
  } else {
    for (size_t i = 0; i < starts->size(); ++i) spec.axes.push_back(static_cast<int64_t>(i));
  }
  if (input.has(4)) {
    const auto steps = known_ints(input, 4);
    if (!steps) return std::nullopt;
    spec.steps = *steps;
  }
  const size_t count = spec.starts.size();
  if (spec.ends.size() != count || spec.axes.size() != count || spec.steps.size() != count) {
    return refuse("`starts`, `ends`, `axes` and `steps` differ in length");
  }
  NEURONC_TRY(resolve_axes(spec.axes, rank));
  for (size_t i = 0; i < count; ++i) {
    if (spec.axes[i] < 0) spec.axes[i] += rank;
    if (spec.steps[i] == 0) return refuse("a step is 0");
  }
  return spec;
}

Types infer_slice(const InferInput& input) {
  const Type& x = input.operands[0];
  if (!x.is_ranked) return std::vector<Type>{x};
  NEURONC_ASSIGN(const std::optional<SliceSpec> spec, slice_spec(input, x.rank()));
  if (!spec) return std::vector<Type>{unknown_dims(x.dtype, x.rank())};
  std::vector<Dim> dims = x.dims;
  for (size_t i = 0; i < spec->axes.size(); ++i) {
    Dim& dim = dims[static_cast<size_t>(spec->axes[i])];
    if (dim.is_number()) {
      dim = range_of(spec->starts[i], spec->ends[i], spec->steps[i], dim.number()).count;
    } else if (spec->starts[i] != 0 || spec->steps[i] != 1 || spec->ends[i] < INT32_MAX) {
      dim = Dim::unknown();
    }
  }
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

Values evaluate_slice(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  Shape strides = row_major_strides(x.shape());
  int64_t base = 0;
  for (int64_t i = 0; i < input.tensor(1).num_elements(); ++i) {
    int64_t axis = input.has(3) ? input.tensor(3).i64(i) : i;
    if (axis < 0) axis += x.rank();
    const auto at = static_cast<size_t>(axis);
    const int64_t step = input.has(4) ? input.tensor(4).i64(i) : 1;
    const Range range =
        range_of(input.tensor(1).i64(i), input.tensor(2).i64(i), step, x.shape()[at]);
    base += range.begin * strides[at];
    // With one element the step is never taken, and a huge one must not overflow.
    strides[at] = range.count > 1 ? strides[at] * step : 0;
  }
  return one(take_strided(x, type.shape(), strides, base));
}

// ---- concat

Types infer_concat(const InferInput& input) {
  Type result = input.operands[0];
  Dim total = Dim(0);
  bool is_first = true;
  int64_t axis = 0;
  for (const Type& x : input.operands) {
    if (!x.is_ranked) return std::vector<Type>{Type::unranked(x.dtype)};
    if (is_first) {
      NEURONC_ASSIGN(axis, resolve_axis(input.op.i64("axis"), x.rank()));
    }
    is_first = false;
    if (x.rank() != result.rank()) return refuse("the operands have different ranks");
    for (size_t i = 0; i < x.dims.size(); ++i) {
      if (static_cast<int64_t>(i) == axis) continue;
      NEURONC_ASSIGN(result.dims[i], same_dim(result.dims[i], x.dims[i], "an extent"));
    }
    const Dim extent = x.dims[static_cast<size_t>(axis)];
    if (total == Dim(0)) {
      total = extent;
    } else if (extent != Dim(0)) {
      total = total.is_number() && extent.is_number() ? Dim(total.number() + extent.number())
                                                      : Dim::unknown();
    }
  }
  result.dims[static_cast<size_t>(axis)] = total;
  return std::vector<Type>{std::move(result)};
}

Values evaluate_concat(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape shape = type.shape();
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), type.rank()));
  const AxisView view = axis_view(shape, axis);
  Tensor result = unfilled_tensor(type.dtype, shape);
  int64_t begin = 0;
  for (const HostValue* operand : input.operands) {
    const Tensor& x = operand->tensor();
    const int64_t row = x.shape()[static_cast<size_t>(axis)] * view.inner;
    if (x.dtype() == DType::string) {
      for (int64_t i = 0; i < x.num_elements(); ++i) {
        copy_element(result, i / row * view.extent * view.inner + begin + i % row, x, i);
      }
    } else if (x.num_elements() > 0) {
      const auto size = static_cast<size_t>(size_bytes(x.dtype()));
      const auto run = static_cast<size_t>(row) * size;
      std::byte* to = result.mutable_data() + static_cast<size_t>(begin) * size;
      for (int64_t outer = 0; outer < view.outer; ++outer) {
        std::memcpy(to, x.data() + static_cast<size_t>(outer) * run, run);
        to += static_cast<size_t>(view.extent * view.inner) * size;
      }
    }
    begin += row;
  }
  return one(std::move(result));
}

// ---- split

Types infer_split(const InferInput& input) {
  const Type& x = input.operands[0];
  const auto count = static_cast<int64_t>(input.num_results);
  if (!x.is_ranked) return std::vector<Type>(input.num_results, x);
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), x.rank()));
  const Dim extent = x.dims[static_cast<size_t>(axis)];
  std::vector<Dim> parts(input.num_results);
  if (input.has(1)) {
    if (const auto sizes = known_ints(input, 1)) {
      if (sizes->size() != parts.size()) return refuse("`split` has not one entry per result");
      int64_t sum = 0;
      for (size_t i = 0; i < parts.size(); ++i) {
        if ((*sizes)[i] < 0 || __builtin_add_overflow(sum, (*sizes)[i], &sum)) {
          return refuse("an entry of `split` is negative or too large");
        }
        parts[i] = (*sizes)[i];
      }
      if (extent.is_number() && sum != extent.number()) {
        return refuse(fmt::format("the parts make {} of {} elements", sum, extent.number()));
      }
    }
  } else if (extent.is_number()) {
    // Equal parts, the last one smaller where the extent does not divide.
    const int64_t part = (extent.number() + count - 1) / count;
    for (int64_t i = 0; i < count; ++i) {
      parts[static_cast<size_t>(i)] = std::clamp<int64_t>(extent.number() - i * part, 0, part);
    }
  }
  std::vector<Type> types(input.num_results, x);
  for (size_t i = 0; i < types.size(); ++i) types[i].dims[static_cast<size_t>(axis)] = parts[i];
  return types;
}

Values evaluate_split(const EvaluateInput& input) {
  NEURONC_ASSIGN(const std::vector<Type> types, actual_types(input));
  const Tensor& x = input.tensor(0);
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), x.rank()));
  const Shape strides = row_major_strides(x.shape());
  std::vector<HostValue> parts;
  int64_t begin = 0;
  for (const Type& type : types) {
    parts.emplace_back(
        take_strided(x, type.shape(), strides, begin * strides[static_cast<size_t>(axis)]));
    begin += type.dims[static_cast<size_t>(axis)].number();
  }
  return parts;
}

// ---- pad

// Begins and ends per axis of the operand; no value where they are not known.
OrRefusal<std::optional<std::pair<Shape, Shape>>> pads_of(const InferInput& input, int64_t rank) {
  const auto pads = known_ints(input, 1);
  if (!pads) return std::nullopt;
  Shape axes;
  if (input.has(3)) {
    const auto given = known_ints(input, 3);
    if (!given) return std::nullopt;
    NEURONC_TRY(resolve_axes(*given, rank));
    axes = *given;
  } else {
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  }
  if (pads->size() != 2 * axes.size()) return refuse("`pads` does not have two entries per axis");
  std::pair<Shape, Shape> result{Shape(static_cast<size_t>(rank), 0),
                                 Shape(static_cast<size_t>(rank), 0)};
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(axes[i] < 0 ? axes[i] + rank : axes[i]);
    result.first[axis] = (*pads)[i];
    result.second[axis] = (*pads)[i + axes.size()];
    for (int64_t pad : {(*pads)[i], (*pads)[i + axes.size()]}) {
      if (pad > INT32_MAX || pad < -INT32_MAX) return refuse("an entry of `pads` is too large");
    }
  }
  return result;
}

Types infer_pad(const InferInput& input) {
  const Type& x = input.operands[0];
  const std::string& mode = input.op.string("mode");
  if (mode != "constant" && mode != "edge" && mode != "reflect" && mode != "wrap") {
    return refuse("`mode` is `" + mode + "`");
  }
  if (!x.is_ranked) return std::vector<Type>{x};
  NEURONC_ASSIGN(const auto pads, pads_of(input, x.rank()));
  if (!pads) return std::vector<Type>{unknown_dims(x.dtype, x.rank())};
  std::vector<Dim> dims = x.dims;
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t change = pads->first[i] + pads->second[i];
    if (!dims[i].is_number()) {
      if (change != 0) dims[i] = Dim::unknown();
      continue;
    }
    const int64_t extent = dims[i].number();
    if (extent + change < 0) return refuse("the padding removes more than there is");
    const bool needs_elements = mode != "constant" && extent + change > 0;
    if (needs_elements && extent == 0) return refuse("there is nothing to repeat");
    dims[i] = extent + change;
  }
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

// The element of [0, extent) that stands at `at`; -1 for the fill value.
int64_t padded_source(int64_t at, int64_t extent, const std::string& mode) {
  if (at >= 0 && at < extent) return at;
  if (mode == "constant") return -1;
  if (mode == "edge") return at < 0 ? 0 : extent - 1;
  if (mode == "wrap") return (at % extent + extent) % extent;
  if (extent == 1) return 0;
  // Reflection without repeating the edge, as often as needed.
  const int64_t period = 2 * (extent - 1);
  const int64_t phase = (at % period + period) % period;
  return phase < extent ? phase : period - phase;
}

// Whether padding reaches along the first axis alone, and cuts nothing off.
bool is_padded_by_rows(const Shape& from, const Shape& to, const Shape& begins) {
  for (size_t i = 1; i < from.size(); ++i) {
    if (from[i] != to[i] || begins[i] != 0) return false;
  }
  return begins[0] >= 0 && begins[0] + from[0] <= to[0];
}

// Zeros in front of the rows of `x` and behind them.
Tensor with_zero_rows(const Tensor& x, const Shape& shape, int64_t num_before) {
  Tensor result = Tensor::zeros(x.dtype(), shape);
  if (x.num_elements() == 0) return result;
  const int64_t row_bytes = x.size_bytes() / x.shape()[0];
  std::memcpy(result.mutable_data() + num_before * row_bytes, x.data(),
              static_cast<size_t>(x.size_bytes()));
  return result;
}

bool is_zero_bytes(const Tensor& tensor) {
  const auto bytes = tensor.bytes();
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

Values evaluate_pad(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const std::string& mode = input.op.string("mode");
  Shape begins(x.shape().size(), 0);
  const int64_t num_axes = input.tensor(1).num_elements() / 2;
  for (int64_t i = 0; i < num_axes; ++i) {
    int64_t axis = input.has(3) ? input.tensor(3).i64(i) : i;
    if (axis < 0) axis += x.rank();
    begins[static_cast<size_t>(axis)] = input.tensor(1).i64(i);
  }
  const Tensor* fill = input.has(2) ? &input.tensor(2) : nullptr;
  if (fill != nullptr && fill->num_elements() == 0) fill = nullptr;
  const Shape strides = row_major_strides(x.shape());
  const bool fills_zeros =
      x.dtype() != DType::string && mode == "constant" && (fill == nullptr || is_zero_bytes(*fill));
  if (fills_zeros && x.rank() > 0 && is_padded_by_rows(x.shape(), type.shape(), begins)) {
    return one(with_zero_rows(x, type.shape(), begins[0]));
  }
  std::vector<int64_t> offsets;
  for_each_index(type.shape(), [&](const Shape& index) {
    int64_t offset = 0;
    for (size_t i = 0; i < index.size() && offset >= 0; ++i) {
      const int64_t source = padded_source(index[i] - begins[i], x.shape()[i], mode);
      offset = source < 0 ? -1 : offset + source * strides[i];
    }
    offsets.push_back(offset);
  });
  return one(take(x, type.shape(), offsets, fill));
}

}  // namespace

/// y = x[starts:ends:steps] along `axes` (default: the first ones), numpy's way: negative positions
/// count from the end, positions beyond it are clamped, steps may be negative.
/// Types: any.   Source: ONNX Slice-13.
NEURONC_OP(slice) = {"slice",
                     "every step-th element between starts and ends",
                     "ONNX Slice-13",
                     kSliceOperands,
                     {},
                     kAnyY,
                     Trait::moves_data,
                     Precision::exact,
                     infer_slice,
                     evaluate_slice,
                     no_flops};

/// y = the operands joined along `axis`; all other extents agree.   Types: any.
/// Source: ONNX Concat-13.
NEURONC_OP(concat) = {"concat",          "the operands joined along an axis",
                      "ONNX Concat-13",  kConcatOperands,
                      kAxisRequired,     kAnyY,
                      Trait::moves_data, Precision::exact,
                      infer_concat,      evaluate_concat,
                      no_flops};

/// The results are consecutive parts of x along `axis`, of the sizes in `split`, or equal ones with
/// the last smaller where they must be.   Types: any.   Source: ONNX Split-18.
NEURONC_OP(split) = {"split",
                     "consecutive parts along an axis",
                     "ONNX Split-18",
                     kSplitOperands,
                     kAxis0,
                     kSplitResults,
                     Trait::moves_data,
                     Precision::exact,
                     infer_split,
                     evaluate_split,
                     no_flops};

/// y = x with `pads` (all begins, then all ends, along `axes`) elements added, negative ones
/// removed. `mode`: constant (`value`, default 0), edge, reflect (the edge itself not repeated) or
/// wrap. Types: any.   Source: ONNX Pad-21.
NEURONC_OP(pad) = {"pad",
                   "x with elements added around it",
                   "ONNX Pad-21",
                   kPadOperands,
                   kPadAttributes,
                   kAnyY,
                   Trait::moves_data,
                   Precision::exact,
                   infer_pad,
                   evaluate_pad,
                   no_flops};

}  // namespace neuronc
