// Implements ir/ops/common.h.
#include "ir/ops/common.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ir/base/check.h"
#include "ir/tensor_pool.h"

namespace neuronc::ops {

// Larger results are refused: no machine of ours could hold them, and the product of hostile
// extents must not overflow.
constexpr int64_t kMaxElements = int64_t{1} << 33;

// ---- types

Types infer_as_first(const InferInput& input) { return std::vector<Type>{input.operands[0]}; }

Types infer_unranked(const InferInput& input) {
  return std::vector<Type>(input.num_results, Type::unranked(input.operands[0].dtype));
}

OrRefusal<Dim> broadcast_dims(Dim a, Dim b) {
  if (a == b && !a.is_unknown()) return a;
  if (a == Dim(1)) return b;
  if (b == Dim(1)) return a;
  if (a.is_number() && b.is_number()) {
    return refuse(fmt::format("extents {} and {} do not broadcast", a.number(), b.number()));
  }
  if (a.is_number()) return a;
  if (b.is_number()) return b;
  return Dim::unknown();
}

OrRefusal<Dim> same_dim(Dim a, Dim b, const char* what) {
  if (a.is_number() && b.is_number() && a != b) {
    return refuse(
        fmt::format("{} is {} in one operand, but {} in another", what, a.number(), b.number()));
  }
  if (a.is_number()) return a;
  if (b.is_number()) return b;
  return a.is_unknown() ? b : a;
}

OrRefusal<Type> broadcast_types(std::span<const Type> types, DType dtype) {
  Type result = ranked(dtype, {});
  for (const Type& type : types) {
    if (!type.is_tensor()) continue;
    if (!type.is_ranked) return Type::unranked(dtype);
    const size_t rank = std::max(result.dims.size(), type.dims.size());
    result.dims.insert(result.dims.begin(), rank - result.dims.size(), Dim(1));
    const size_t shift = rank - type.dims.size();
    for (size_t i = 0; i < type.dims.size(); ++i) {
      NEURONC_ASSIGN(result.dims[shift + i], broadcast_dims(result.dims[shift + i], type.dims[i]));
    }
  }
  return result;
}

Types infer_broadcast(const InferInput& input) {
  NEURONC_ASSIGN(Type type, broadcast_types(input.operands, input.operands[0].dtype));
  return std::vector<Type>{std::move(type)};
}

Types infer_broadcast_to_bool(const InferInput& input) {
  NEURONC_ASSIGN(Type type, broadcast_types(input.operands, DType::boolean));
  return std::vector<Type>{std::move(type)};
}

OrRefusal<int64_t> resolve_axis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank) {
    return refuse(fmt::format("axis {} does not exist in a tensor of rank {}", axis, rank));
  }
  return axis < 0 ? axis + rank : axis;
}

OrRefusal<Shape> resolve_axes(std::span<const int64_t> axes, int64_t rank) {
  Shape resolved;
  for (int64_t axis : axes) {
    NEURONC_ASSIGN(const int64_t number, resolve_axis(axis, rank));
    resolved.push_back(number);
  }
  std::sort(resolved.begin(), resolved.end());
  if (std::adjacent_find(resolved.begin(), resolved.end()) != resolved.end()) {
    return refuse("an axis is named twice");
  }
  return resolved;
}

std::optional<Shape> known_ints(const InferInput& input, size_t i) {
  const Tensor* tensor = input.constant(i);
  if (tensor == nullptr || tensor->dtype() == DType::string) return std::nullopt;
  return tensor->to_ints();
}

std::optional<int64_t> known_length(const InferInput& input, size_t i) {
  const Type& type = input.operands[i];
  if (!type.is_ranked || type.dims.size() != 1 || !type.dims[0].is_number()) return std::nullopt;
  return type.dims[0].number();
}

Types with_result_type(const InferInput& input, Types types, size_t addend) {
  if (!types) return types;
  const DType own = input.operands[0].dtype;
  const DType dtype = input.op.has("result_type") ? input.op.dtype("result_type") : own;
  if (dtype != own && (!kFloats.contains(own) || !kFloats.contains(dtype))) {
    return refuse(fmt::format("`result_type` is {}, the operands are {}", name(dtype), name(own)));
  }
  if (input.has(addend)) {
    const DType given = input.operands[addend].dtype;
    if (given != own && given != dtype) {
      return refuse(fmt::format("the addend is {}, but {} is needed", name(given), name(dtype)));
    }
  }
  (*types)[0].dtype = dtype;
  return types;
}

Type ranked(DType dtype, std::vector<Dim> dims) { return Type::tensor(dtype, std::move(dims)); }

Type unknown_dims(DType dtype, int64_t rank) {
  return ranked(dtype, std::vector<Dim>(static_cast<size_t>(rank)));
}

bool is_all_numbers(std::span<const Dim> dims) {
  return std::all_of(dims.begin(), dims.end(), [](Dim dim) { return dim.is_number(); });
}

Dim product(std::span<const Dim> dims) {
  int64_t result = 1;
  if (is_all_numbers(dims) && std::find(dims.begin(), dims.end(), Dim(0)) != dims.end()) return 0;
  for (Dim dim : dims) {
    if (!dim.is_number() || __builtin_mul_overflow(result, dim.number(), &result)) {
      return Dim::unknown();
    }
  }
  return result;
}

namespace {

OrRefusal<void> check_size(const Type& type) {
  int64_t count = 1;
  for (Dim dim : type.dims) {
    if (!dim.is_number()) return {};
  }
  // An extent of 0 counts as 1: products of some of the extents are computed too.
  for (Dim dim : type.dims) {
    const int64_t extent = std::max<int64_t>(dim.number(), 1);
    if (__builtin_mul_overflow(count, extent, &count) || count > kMaxElements) {
      return refuse("the result would have more than 2^33 elements");
    }
  }
  return {};
}

}  // namespace

Types actual_types(const EvaluateInput& input) {
  std::vector<Type> types;
  std::vector<const Tensor*> tensors;
  for (const HostValue* value : input.operands) {
    const bool is_tensor = value != nullptr && value->kind == Type::Kind::tensor;
    tensors.push_back(is_tensor ? &value->tensor() : nullptr);
    if (is_tensor) {
      types.push_back(value->tensor().type());
    } else if (value == nullptr) {
      types.emplace_back();
    } else {
      const DType dtype = value->elements.empty() ? DType::none : value->elements[0].dtype();
      types.push_back(Type::unranked(dtype));
      types.back().kind = value->kind;
    }
  }
  NEURONC_ASSIGN(std::vector<Type> results,
                 infer_checked({input.op, types, tensors, input.num_results}));
  for (const Type& type : results) NEURONC_TRY(check_size(type));
  return results;
}

OrRefusal<Type> actual_type(const EvaluateInput& input) {
  NEURONC_ASSIGN(std::vector<Type> types, actual_types(input));
  if (types.empty() || !types[0].is_static()) {
    return refuse("the shape of its result does not follow from its operands");
  }
  return std::move(types[0]);
}

// ---- numbers

std::vector<double> doubles(const Tensor& tensor) {
  if (tensor.dtype() == DType::f32) {
    const auto values = tensor.as<float>();
    return {values.begin(), values.end()};
  }
  return tensor.to_doubles();
}

std::vector<int64_t> ints(const Tensor& tensor) {
  if (tensor.dtype() == DType::i64) {
    const auto values = tensor.as<int64_t>();
    return {values.begin(), values.end()};
  }
  return tensor.to_ints();
}

void load_run(const Tensor& tensor, int64_t first, int64_t step, std::span<double> to) {
  if (tensor.dtype() == DType::f32) {
    const float* from = reinterpret_cast<const float*>(tensor.data()) + first;
    for (size_t i = 0; i < to.size(); ++i) to[i] = from[static_cast<int64_t>(i) * step];
    return;
  }
  for (size_t i = 0; i < to.size(); ++i) to[i] = tensor.f64(first + static_cast<int64_t>(i) * step);
}

void load_run(const Tensor& tensor, int64_t first, int64_t step, std::span<int64_t> to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] = tensor.i64(first + static_cast<int64_t>(i) * step);
}

void store_run(Tensor& tensor, int64_t first, std::span<const double> values) {
  if (tensor.dtype() == DType::f32) {
    float* to = reinterpret_cast<float*>(tensor.mutable_data()) + first;
    for (size_t i = 0; i < values.size(); ++i) to[i] = static_cast<float>(values[i]);
    return;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    tensor.set_f64(first + static_cast<int64_t>(i), values[i]);
  }
}

void store_run(Tensor& tensor, int64_t first, std::span<const int64_t> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    tensor.set_i64(first + static_cast<int64_t>(i), values[i]);
  }
}

Tensor from_doubles(DType dtype, Shape shape, std::span<const double> values) {
  Tensor tensor = unfilled_tensor(dtype, std::move(shape));
  NEURONC_CHECK(static_cast<size_t>(tensor.num_elements()) == values.size());
  if (dtype == DType::f32) {
    std::transform(values.begin(), values.end(), tensor.mutable_as<float>().begin(),
                   [](double v) { return static_cast<float>(v); });
    return tensor;
  }
  for (size_t i = 0; i < values.size(); ++i) tensor.set_f64(static_cast<int64_t>(i), values[i]);
  return tensor;
}

Tensor from_ints(DType dtype, Shape shape, std::span<const int64_t> values) {
  Tensor tensor = unfilled_tensor(dtype, std::move(shape));
  NEURONC_CHECK(static_cast<size_t>(tensor.num_elements()) == values.size());
  if (dtype == DType::i64) {
    std::copy(values.begin(), values.end(), tensor.mutable_as<int64_t>().begin());
    return tensor;
  }
  for (size_t i = 0; i < values.size(); ++i) tensor.set_i64(static_cast<int64_t>(i), values[i]);
  return tensor;
}

// ---- index spaces

Shape broadcast_strides(const Shape& from, const Shape& to) {
  const Shape dense = row_major_strides(from);
  NEURONC_CHECK(from.size() <= to.size());
  Shape strides(to.size(), 0);
  const size_t shift = to.size() - from.size();
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] == 1) continue;
    NEURONC_CHECK(from[i] == to[shift + i]);
    strides[shift + i] = dense[i];
  }
  return strides;
}

AxisView axis_view(const Shape& shape, int64_t first, int64_t last) {
  AxisView view;
  for (int64_t i = 0; i < static_cast<int64_t>(shape.size()); ++i) {
    int64_t& part = i < first ? view.outer : i < last ? view.extent : view.inner;
    part *= shape[static_cast<size_t>(i)];
  }
  return view;
}

// ---- moving elements

namespace {

template <class T>
void take_as(const Tensor& source, std::span<const int64_t> offsets, const Tensor* fill,
             Tensor& result) {
  const T* from = reinterpret_cast<const T*>(source.data());
  T* to = reinterpret_cast<T*>(result.mutable_data());
  T filler{};
  if (fill != nullptr) std::memcpy(&filler, fill->data(), sizeof(T));
  for (size_t i = 0; i < offsets.size(); ++i) to[i] = offsets[i] < 0 ? filler : from[offsets[i]];
}

}  // namespace

Tensor take(const Tensor& source, Shape shape, std::span<const int64_t> offsets,
            const Tensor* fill) {
  Tensor result = unfilled_tensor(source.dtype(), std::move(shape));
  NEURONC_CHECK(static_cast<size_t>(result.num_elements()) == offsets.size());
  NEURONC_CHECK(fill == nullptr || (fill->dtype() == source.dtype() && fill->num_elements() > 0));
  if (source.dtype() == DType::string) {
    const auto from = source.strings();
    const auto to = result.mutable_strings();
    for (size_t i = 0; i < offsets.size(); ++i) {
      if (offsets[i] >= 0) {
        to[i] = from[static_cast<size_t>(offsets[i])];
      } else if (fill != nullptr) {
        to[i] = fill->strings()[0];
      }
    }
    return result;
  }
  switch (size_bytes(source.dtype())) {
    case 1:
      take_as<uint8_t>(source, offsets, fill, result);
      break;
    case 2:
      take_as<uint16_t>(source, offsets, fill, result);
      break;
    case 4:
      take_as<uint32_t>(source, offsets, fill, result);
      break;
    default:
      take_as<uint64_t>(source, offsets, fill, result);
      break;
  }
  return result;
}

namespace {

template <class T>
void take_strided_as(const Tensor& source, const Shape& shape, const Shape& strides, int64_t base,
                     Tensor& result) {
  const T* from = reinterpret_cast<const T*>(source.data());
  T* to = reinterpret_cast<T*>(result.mutable_data());
  const bool is_scalar = shape.empty();
  const int64_t length = is_scalar ? 1 : shape.back();
  const int64_t step = is_scalar ? 0 : strides.back();
  const auto outer = static_cast<std::ptrdiff_t>(is_scalar ? 0 : shape.size() - 1);
  for_each_offset({shape.begin(), shape.begin() + outer},
                  {strides.begin(), strides.begin() + outer}, base, [&](int64_t offset) {
                    if (step == 1) {
                      std::copy_n(from + offset, length, to);
                    } else if (step == 0) {
                      std::fill_n(to, length, from[offset]);
                    } else {
                      for (int64_t i = 0; i < length; ++i) to[i] = from[offset + i * step];
                    }
                    to += length;
                  });
}

}  // namespace

namespace {

template <class T>
void take_slices_as(const Tensor& source, const AxisView& view, std::span<const int64_t> indices,
                    Tensor& result) {
  const T* from = reinterpret_cast<const T*>(source.data());
  T* to = reinterpret_cast<T*>(result.mutable_data());
  for (int64_t outer = 0; outer < view.outer; ++outer) {
    if (view.inner == 1) {
      for (int64_t index : indices) *to++ = from[index];
    } else {
      for (int64_t index : indices) to = std::copy_n(from + index * view.inner, view.inner, to);
    }
    from += view.extent * view.inner;
  }
}

}  // namespace

Tensor take_slices(const Tensor& source, Shape shape, const AxisView& view,
                   std::span<const int64_t> indices) {
  if (source.dtype() == DType::string) {
    std::vector<int64_t> offsets;
    for (int64_t outer = 0; outer < view.outer; ++outer) {
      for (int64_t index : indices) {
        for (int64_t inner = 0; inner < view.inner; ++inner) {
          offsets.push_back((outer * view.extent + index) * view.inner + inner);
        }
      }
    }
    return take(source, std::move(shape), offsets);
  }
  Tensor result = unfilled_tensor(source.dtype(), std::move(shape));
  NEURONC_CHECK(result.num_elements() ==
                view.outer * static_cast<int64_t>(indices.size()) * view.inner);
  switch (size_bytes(source.dtype())) {
    case 1:
      take_slices_as<uint8_t>(source, view, indices, result);
      break;
    case 2:
      take_slices_as<uint16_t>(source, view, indices, result);
      break;
    case 4:
      take_slices_as<uint32_t>(source, view, indices, result);
      break;
    default:
      take_slices_as<uint64_t>(source, view, indices, result);
  }
  return result;
}

void merge_dims(Shape& shape, Shape& strides) {
  Shape others = strides;
  merge_dims(shape, strides, others);
}

void merge_dims(Shape& shape, Shape& a_strides, Shape& b_strides) {
  Shape merged, a, b;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] == 1) continue;
    if (!merged.empty() && a.back() == a_strides[d] * shape[d] &&
        b.back() == b_strides[d] * shape[d]) {
      merged.back() *= shape[d];
      a.back() = a_strides[d];
      b.back() = b_strides[d];
    } else {
      merged.push_back(shape[d]);
      a.push_back(a_strides[d]);
      b.push_back(b_strides[d]);
    }
  }
  shape = std::move(merged);
  a_strides = std::move(a);
  b_strides = std::move(b);
}

Tensor take_strided(const Tensor& source, Shape shape, const Shape& strides, int64_t base) {
  if (source.dtype() == DType::string) {
    std::vector<int64_t> offsets;
    offsets.reserve(static_cast<size_t>(num_elements(shape)));
    for_each_offset(shape, strides, base, [&](int64_t offset) { offsets.push_back(offset); });
    return take(source, std::move(shape), offsets);
  }
  Tensor result = unfilled_tensor(source.dtype(), std::move(shape));
  if (result.num_elements() == 0) return result;
  Shape dims = result.shape(), steps = strides;
  merge_dims(dims, steps);
  switch (size_bytes(source.dtype())) {
    case 1:
      take_strided_as<uint8_t>(source, dims, steps, base, result);
      break;
    case 2:
      take_strided_as<uint16_t>(source, dims, steps, base, result);
      break;
    case 4:
      take_strided_as<uint32_t>(source, dims, steps, base, result);
      break;
    default:
      take_strided_as<uint64_t>(source, dims, steps, base, result);
  }
  return result;
}

Tensor copy(const Tensor& source) {
  if (source.dtype() == DType::string) {
    const auto strings = source.strings();
    return Tensor::from_strings(source.shape(), {strings.begin(), strings.end()});
  }
  Tensor result = unfilled_tensor(source.dtype(), source.shape());
  if (source.size_bytes() > 0) {
    std::memcpy(result.mutable_data(), source.data(), static_cast<size_t>(source.size_bytes()));
  }
  return result;
}

void copy_element(Tensor& to, int64_t to_index, const Tensor& from, int64_t from_index) {
  if (to.dtype() == DType::string) {
    to.mutable_strings()[static_cast<size_t>(to_index)] =
        from.strings()[static_cast<size_t>(from_index)];
    return;
  }
  const auto size = static_cast<size_t>(size_bytes(to.dtype()));
  std::memcpy(to.mutable_data() + static_cast<size_t>(to_index) * size,
              from.data() + static_cast<size_t>(from_index) * size, size);
}

// ---- flops

double no_flops(const OpView&, std::span<const Type>, std::span<const Type>) { return 0; }

double num_elements_of(const Type& type) {
  return type.is_static() ? static_cast<double>(type.num_elements()) : 0;
}

Values evaluate_nowhere(const EvaluateInput& input) {
  return refuse("`" + std::string(input.op.def.name) + "` has no evaluator");
}

}  // namespace neuronc::ops
