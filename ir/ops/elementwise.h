// The one shape of all elementwise operators: rows of the tables in elementwise_*.cpp give a
// formula, and the templates here make the evaluators. A formula is a lambda from the operator's
// attributes to a function of elements, so that attributes are read once:
//   [](const OpView& op) { return [a = op.f64("alpha")](double x) { return x < 0 ? a * x : x; }; }
// A function of `auto` elements is called with f64, i64 or (for u64) u64; one of `integers`, bool
// included, always with i64.
#pragma once

#include <algorithm>
#include <array>
#include <type_traits>

#include "ir/ops/common.h"
#include "ir/tensor_pool.h"

namespace neuronc::ops {

enum class Elements : uint8_t { floats, integers, numbers };

// f64 for f64 formulas, i64 for all integer ones.
template <class T>
using StoredAs = std::conditional_t<std::is_floating_point_v<T>, double, int64_t>;

// Elements go through the formulas some at a time, so that what they are converted to stays in cache.
inline constexpr int64_t kRunLength = 256;

template <class X, class F>
Tensor map(const Tensor& x, DType dtype, F f) {
  using Y = StoredAs<decltype(f(X{}))>;
  Tensor result = unfilled_tensor(dtype, x.shape());
  std::array<StoredAs<X>, kRunLength> values;
  std::array<Y, kRunLength> results;
  for (int64_t first = 0; first < x.num_elements(); first += kRunLength) {
    const auto count = static_cast<size_t>(std::min(kRunLength, x.num_elements() - first));
    load_run(x, first, 1, std::span(values).first(count));
    for (size_t i = 0; i < count; ++i) {
      results[i] = static_cast<Y>(f(static_cast<X>(values[i])));
    }
    store_run(result, first, std::span<const Y>(results).first(count));
  }
  return result;
}

template <Elements kElements, auto kFormula>
Values evaluate_unary(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  const auto f = kFormula(input.op);
  if constexpr (kElements == Elements::integers) {
    return one(map<int64_t>(x, type.dtype, f));
  } else if constexpr (kElements == Elements::numbers) {
    if (x.dtype() == DType::u64) return one(map<uint64_t>(x, type.dtype, f));
    if (!is_float(x.dtype())) return one(map<int64_t>(x, type.dtype, f));
  }
  if constexpr (kElements != Elements::integers) {
    return one(map<double>(x, type.dtype, f));
  }
}

// Two operands as one index space reads them: runs of `length`, at offsets that for_each_run gives.
struct PairedRuns {
  Shape dims, a_strides, b_strides;
  int64_t length = 1, a_step = 0, b_step = 0;
};
PairedRuns paired_runs(const Shape& shape, const Shape& a, const Shape& b);

template <class X, class F>
Tensor map_pairs(const Type& type, const Tensor& a, const Tensor& b, F f) {
  using Y = StoredAs<decltype(f(X{}, X{}))>;
  Tensor result = unfilled_tensor(type.dtype, type.shape());
  const PairedRuns runs = paired_runs(type.shape(), a.shape(), b.shape());
  std::array<StoredAs<X>, kRunLength> a_values, b_values;
  std::array<Y, kRunLength> results;
  int64_t to = 0;
  for_each_pair(runs.dims, runs.a_strides, runs.b_strides, [&](int64_t a_first, int64_t b_first) {
    for (int64_t at = 0; at < runs.length; at += kRunLength) {
      const auto count = static_cast<size_t>(std::min(kRunLength, runs.length - at));
      load_run(a, a_first + at * runs.a_step, runs.a_step, std::span(a_values).first(count));
      load_run(b, b_first + at * runs.b_step, runs.b_step, std::span(b_values).first(count));
      for (size_t i = 0; i < count; ++i) {
        results[i] = static_cast<Y>(f(static_cast<X>(a_values[i]), static_cast<X>(b_values[i])));
      }
      store_run(result, to, std::span<const Y>(results).first(count));
      to += static_cast<int64_t>(count);
    }
  });
  return result;
}

template <Elements kElements, auto kFormula>
Values evaluate_binary(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& a = input.tensor(0);
  const Tensor& b = input.tensor(1);
  const auto f = kFormula(input.op);
  if constexpr (kElements == Elements::integers) {
    return one(map_pairs<int64_t>(type, a, b, f));
  } else if constexpr (kElements == Elements::numbers) {
    if (a.dtype() == DType::u64) {
      return one(map_pairs<uint64_t>(type, a, b, f));
    }
    if (!is_float(a.dtype())) {
      return one(map_pairs<int64_t>(type, a, b, f));
    }
  }
  if constexpr (kElements != Elements::integers) {
    return one(map_pairs<double>(type, a, b, f));
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
