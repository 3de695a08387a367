// The one shape of all elementwise operators: rows of the tables in elementwise_*.cpp give a
// formula, and the templates here make the evaluators. A formula is a lambda from the operator's
// attributes to a function of elements, so that attributes are read once:
//   [](const OpView& op) { return [a = op.f64("alpha")](double x) { return x < 0 ? a * x : x; }; }
// A function of `auto` elements is called with f64, i64 or (for u64) u64; one of `integers`, bool
// included, always with i64.
#pragma once

#include <type_traits>

#include "ir/ops/common.h"

namespace neuronc::ops {

enum class Elements : uint8_t { floats, integers, numbers };

// Stores what formulas return: numbers of any kind, bool included.
template <class T>
Tensor from_values(DType dtype, Shape shape, const std::vector<T>& values) {
  if constexpr (std::is_floating_point_v<T>) {
    return from_doubles(dtype, std::move(shape), values);
  } else {
    return from_ints(dtype, std::move(shape), values);
  }
}

// f64 for f64 formulas, i64 for all integer ones.
template <class T>
using StoredAs = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;

template <class X, class F>
Tensor map(const Tensor& x, DType dtype, const std::vector<StoredAs<X>>& values, F f) {
  using Y = StoredAs<decltype(f(X{}))>;
  std::vector<Y> results(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    results[i] = static_cast<Y>(f(static_cast<X>(values[i])));
  }
  return from_values(dtype, x.shape(), results);
}

template <Elements kElements, auto kFormula>
Values evaluate_unary(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const auto f = kFormula(input.op);
  if constexpr (kElements == Elements::integers) {
    return one(map<int64_t>(x, type.dtype, ints(x), f));
  } else if constexpr (kElements == Elements::numbers) {
    if (x.dtype() == DType::u64) return one(map<uint64_t>(x, type.dtype, ints(x), f));
    if (!is_float(x.dtype())) return one(map<int64_t>(x, type.dtype, ints(x), f));
  }
  if constexpr (kElements != Elements::integers) {
    return one(map<double>(x, type.dtype, doubles(x), f));
  }
}

template <class X, class F>
Tensor map_pairs(const Type& type, const Shape& a_shape, const std::vector<StoredAs<X>>& a,
                 const Shape& b_shape, const std::vector<StoredAs<X>>& b, F f) {
  using Y = StoredAs<decltype(f(X{}, X{}))>;
  const Shape shape = type.shape();
  std::vector<Y> results;
  results.reserve(static_cast<size_t>(num_elements(shape)));
  const Shape b_strides = broadcast_strides(b_shape, shape);
  std::vector<int64_t> b_offsets;
  b_offsets.reserve(results.capacity());
  for_each_offset(shape, b_strides, 0, [&](int64_t offset) { b_offsets.push_back(offset); });
  for_each_offset(shape, broadcast_strides(a_shape, shape), 0, [&](int64_t offset) {
    const auto b_offset = static_cast<size_t>(b_offsets[results.size()]);
    results.push_back(static_cast<Y>(
        f(static_cast<X>(a[static_cast<size_t>(offset)]), static_cast<X>(b[b_offset]))));
  });
  return from_values(type.dtype, shape, results);
}

template <Elements kElements, auto kFormula>
Values evaluate_binary(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& a = input.tensor(0);
  const Tensor& b = input.tensor(1);
  const auto f = kFormula(input.op);
  if constexpr (kElements == Elements::integers) {
    return one(map_pairs<int64_t>(type, a.shape(), ints(a), b.shape(), ints(b), f));
  } else if constexpr (kElements == Elements::numbers) {
    if (a.dtype() == DType::u64) {
      return one(map_pairs<uint64_t>(type, a.shape(), ints(a), b.shape(), ints(b), f));
    }
    if (!is_float(a.dtype())) {
      return one(map_pairs<int64_t>(type, a.shape(), ints(a), b.shape(), ints(b), f));
    }
  }
  if constexpr (kElements != Elements::integers) {
    return one(map_pairs<double>(type, a.shape(), doubles(a), b.shape(), doubles(b), f));
  }
}

inline constexpr OperandSpec kFloatX[] = {{"x", kFloats, 'T'}};
inline constexpr OperandSpec kNumericX[] = {{"x", kNumeric, 'T'}};
inline constexpr ResultSpec kFloatY[] = {{"y", kFloats, 'T'}};
inline constexpr ResultSpec kNumericY[] = {{"y", kNumeric, 'T'}};
inline constexpr OperandSpec kNumericPair[] = {{"a", kNumeric, 'T'}, {"b", kNumeric, 'T'}};
inline constexpr ResultSpec kBoolY[] = {{"y", kBool}};
inline constexpr std::span<const AttributeSpec> kNoAttributes = {};

}  // namespace neuronc::ops

// A formula without attributes.
#define NEURONC_FORMULA(...) [](const OpView&) { return __VA_ARGS__; }

// One row of a table of float operators of one operand.
#define NEURONC_UNARY(op_name, text, onnx, attribute_specs, traits, flops, ...) \
  NEURONC_OP(op_name) = {#op_name,                                              \
                         text,                                                  \
                         onnx,                                                  \
                         kFloatX,                                               \
                         attribute_specs,                                       \
                         kFloatY,                                               \
                         Trait::elementwise | traits,                           \
                         Precision::elementwise,                                \
                         infer_as_first,                                        \
                         evaluate_unary<Elements::floats, (__VA_ARGS__)>,       \
                         flops_per_result<flops>};
