// Reductions over axes, searches along one, and running sums.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kI64{DType::i64};
constexpr DTypeSet kReducible = kNumeric | kBool;
constexpr OperandSpec kReduceOperands[] = {{"x", kReducible, 'T'},
                                           {"axes", kI64, 0, Arity::optional}};
constexpr ResultSpec kReduceResults[] = {{"y", kReducible, 'T'}};
constexpr AttributeSpec kReduceAttributes[] = {{"keepdims", AttributeKind::i64, "1"},
                                               {"noop_with_empty_axes", AttributeKind::i64, "0"}};

// The axes reduced over, where they are known; all where none are named.
OrRefusal<std::optional<Shape>> reduced_axes(const InferInput& input, int64_t rank) {
  Shape axes;
  if (input.has(1)) {
    const auto given = known_ints(input, 1);
    // An operand that is statically empty is known without a value.
    if (!given && known_length(input, 1) != 0) return std::nullopt;
    if (given) axes = *given;
  }
  if (axes.empty() && input.op.i64("noop_with_empty_axes") == 0) {
    for (int64_t axis = 0; axis < rank; ++axis) axes.push_back(axis);
  }
  NEURONC_ASSIGN(axes, resolve_axes(axes, rank));
  return axes;
}

Types infer_reduce(const InferInput& input) {
  const Type& x = input.operands[0];
  const bool keeps = input.op.i64("keepdims") != 0;
  if (!x.is_ranked) return std::vector<Type>{x};
  NEURONC_ASSIGN(const auto axes, reduced_axes(input, x.rank()));
  if (!axes) {
    if (keeps) return std::vector<Type>{unknown_dims(x.dtype, x.rank())};
    const auto count = known_length(input, 1);
    if (count && *count > 0 && *count <= x.rank()) {
      return std::vector<Type>{unknown_dims(x.dtype, x.rank() - *count)};
    }
    return std::vector<Type>{Type::unranked(x.dtype)};
  }
  std::vector<Dim> dims;
  for (int64_t i = 0; i < x.rank(); ++i) {
    if (!std::binary_search(axes->begin(), axes->end(), i)) {
      dims.push_back(x.dims[static_cast<size_t>(i)]);
    } else if (keeps) {
      dims.push_back(Dim(1));
    }
  }
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

// Folds `values` over the reduced axes: result[j] = fold(result[j], value), from `first`.
template <class T, class Fold>
std::vector<T> fold_axes(const std::vector<T>& values, const Shape& shape, const Shape& axes,
                         T first, Fold fold) {
  Shape kept = shape;
  for (int64_t axis : axes) kept[static_cast<size_t>(axis)] = 1;
  std::vector<T> results(static_cast<size_t>(num_elements(kept)), first);
  if (values.empty()) return results;
  Shape dims = shape, strides = broadcast_strides(kept, shape);
  merge_dims(dims, strides);
  const int64_t length = dims.empty() ? 1 : dims.back();
  const int64_t step = dims.empty() ? 0 : strides.back();
  if (!dims.empty()) {
    dims.pop_back();
    strides.pop_back();
  }
  const T* from = values.data();
  for_each_offset(dims, strides, 0, [&](int64_t offset) {
    T* to = results.data() + offset;
    if (step == 0) {
      T result = *to;
      for (int64_t i = 0; i < length; ++i) result = fold(result, from[i]);
      *to = result;
    } else {
      for (int64_t i = 0; i < length; ++i) to[i * step] = fold(to[i * step], from[i]);
    }
    from += length;
  });
  return results;
}

OrRefusal<Shape> actual_axes(const EvaluateInput& input) {
  const Type types[] = {input.tensor(0).type(), input.has(1) ? input.tensor(1).type() : Type()};
  const Tensor* constants[] = {&input.tensor(0), input.has(1) ? &input.tensor(1) : nullptr};
  NEURONC_ASSIGN(const auto axes,
                 reduced_axes({input.op, types, constants, 1}, input.tensor(0).rank()));
  return axes.value();
}

// A reduction given by a fold of f64 and one of u64 or i64, with their first values.
template <class FloatFold, class IntFold>
Values reduce(const EvaluateInput& input, double first, FloatFold fold, int64_t int_first,
              IntFold int_fold) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  NEURONC_ASSIGN(const Shape axes, actual_axes(input));
  const Tensor& x = input.tensor(0);
  if (is_float(x.dtype())) {
    return one(from_doubles(type.dtype, type.shape(),
                            fold_axes(doubles(x), x.shape(), axes, first, fold)));
  }
  return one(from_ints(type.dtype, type.shape(),
                       fold_axes(ints(x), x.shape(), axes, int_first, int_fold)));
}

Values evaluate_reduce_sum(const EvaluateInput& input) {
  return reduce(
      input, 0.0, [](double sum, double x) { return sum + x; }, 0,
      [](int64_t sum, int64_t x) {
        return static_cast<int64_t>(static_cast<uint64_t>(sum) + static_cast<uint64_t>(x));
      });
}

Values evaluate_reduce_prod(const EvaluateInput& input) {
  return reduce(
      input, 1.0, [](double product, double x) { return product * x; }, 1,
      [](int64_t product, int64_t x) {
        return static_cast<int64_t>(static_cast<uint64_t>(product) * static_cast<uint64_t>(x));
      });
}

// How many operand elements become one result element.
int64_t reduced_count(const Tensor& x, const Type& result) {
  const int64_t results = result.num_elements();
  return results == 0 ? 0 : x.num_elements() / results;
}

Values evaluate_reduce_mean(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  NEURONC_ASSIGN(const Shape axes, actual_axes(input));
  const Tensor& x = input.tensor(0);
  const int64_t count = reduced_count(x, type);
  if (is_float(x.dtype())) {
    std::vector<double> sums = fold_axes(doubles(x), x.shape(), axes, 0.0,
                                         [](double sum, double value) { return sum + value; });
    for (double& sum : sums) sum /= static_cast<double>(count);
    return one(from_doubles(type.dtype, type.shape(), sums));
  }
  std::vector<int64_t> sums =
      fold_axes(ints(x), x.shape(), axes, int64_t{0}, [](int64_t sum, int64_t value) {
        return static_cast<int64_t>(static_cast<uint64_t>(sum) + static_cast<uint64_t>(value));
      });
  for (int64_t& sum : sums) sum = count == 0 ? 0 : sum / count;
  return one(from_ints(type.dtype, type.shape(), sums));
}

// The least value of an integer type (or bool) as load_as_i64 gives it, and the greatest.
int64_t least_of(DType dtype) {
  return is_signed_integer(dtype) ? static_cast<int64_t>(~uint64_t{0} << (integer_bits(dtype) - 1))
                                  : 0;
}
int64_t greatest_of(DType dtype) {
  if (dtype == DType::boolean) return 1;
  if (dtype == DType::u64) return -1;
  return is_signed_integer(dtype) ? ~least_of(dtype) : (int64_t{1} << integer_bits(dtype)) - 1;
}

Values evaluate_reduce_max(const EvaluateInput& input) {
  const DType dtype = input.tensor(0).dtype();
  const bool is_u64 = dtype == DType::u64;
  return reduce(
      input, -std::numeric_limits<double>::infinity(),
      [](double best, double x) { return best != best || best > x ? best : x; },
      is_float(dtype) ? 0 : least_of(dtype),
      [is_u64](int64_t best, int64_t x) {
        if (is_u64) return static_cast<uint64_t>(best) > static_cast<uint64_t>(x) ? best : x;
        return std::max(best, x);
      });
}

Values evaluate_reduce_min(const EvaluateInput& input) {
  const DType dtype = input.tensor(0).dtype();
  const bool is_u64 = dtype == DType::u64;
  return reduce(
      input, std::numeric_limits<double>::infinity(),
      [](double best, double x) { return best != best || best < x ? best : x; },
      is_float(dtype) ? 0 : greatest_of(dtype),
      [is_u64](int64_t best, int64_t x) {
        if (is_u64) return static_cast<uint64_t>(best) < static_cast<uint64_t>(x) ? best : x;
        return std::min(best, x);
      });
}

}  // namespace

#define REDUCTION_ROW(op_name, text, onnx, precision, evaluator) \
  NEURONC_OP(op_name) = {#op_name,                               \
                         text,                                   \
                         onnx,                                   \
                         kReduceOperands,                        \
                         kReduceAttributes,                      \
                         kReduceResults,                         \
                         Trait::reduction | Trait::anchor,       \
                         precision,                              \
                         infer_reduce,                           \
                         evaluator,                              \
                         flops_per_operand<1>};

// y = text over `axes`; over all where none are given, over none with `noop_with_empty_axes`.
// Shapes: reduced extents become 1, or vanish with `keepdims` 0.   Types: numbers and bool; floats
// accumulate in f32 or more, integers wrap. Nothing sums to 0, multiplies to 1, and has the type's
// least value as its maximum.
// clang-format off
REDUCTION_ROW(reduce_max, "the greatest element; NaN if one is", "ONNX ReduceMax-20", Precision::exact, evaluate_reduce_max)
REDUCTION_ROW(reduce_mean, "the mean of the elements", "ONNX ReduceMean-18", Precision::statistic, evaluate_reduce_mean)
REDUCTION_ROW(reduce_min, "the least element; NaN if one is", "ONNX ReduceMin-20", Precision::exact, evaluate_reduce_min)
REDUCTION_ROW(reduce_prod, "the product of the elements", "ONNX ReduceProd-18", Precision::statistic, evaluate_reduce_prod)
REDUCTION_ROW(reduce_sum, "the sum of the elements", "ONNX ReduceSum-13", Precision::statistic, evaluate_reduce_sum)
// clang-format on

namespace {

constexpr OperandSpec kArgOperands[] = {{"x", kNumeric, 'T'}};
constexpr ResultSpec kArgResults[] = {{"y", kI64}};
constexpr AttributeSpec kArgAttributes[] = {{"axis", AttributeKind::i64, "0"},
                                            {"keepdims", AttributeKind::i64, "1"},
                                            {"select_last_index", AttributeKind::i64, "0"}};

Types infer_arg(const InferInput& input) {
  Type type = input.operands[0];
  type.dtype = DType::i64;
  if (!type.is_ranked) return std::vector<Type>{type};
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), type.rank()));
  if (type.dims[static_cast<size_t>(axis)] == Dim(0)) return refuse("the axis has no elements");
  if (input.op.i64("keepdims") != 0) {
    type.dims[static_cast<size_t>(axis)] = Dim(1);
  } else {
    type.dims.erase(type.dims.begin() + axis);
  }
  return std::vector<Type>{std::move(type)};
}

// The position along the axis of the element that is `better` than all others.
template <class T, class Better>
std::vector<int64_t> best_positions(const std::vector<T>& values, const AxisView& view,
                                    bool selects_last, Better better) {
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < view.outer * view.inner; ++i) {
    const T* line = values.data() + i / view.inner * view.extent * view.inner + i % view.inner;
    int64_t best = 0;
    for (int64_t j = 1; j < view.extent; ++j) {
      const T value = line[j * view.inner];
      const T old = line[best * view.inner];
      if (better(value, old) || (selects_last && !better(old, value))) best = j;
    }
    positions.push_back(best);
  }
  return positions;
}

// NaN is better than any number.
template <bool kGreatest>
struct IsBetter {
  bool operator()(double a, double b) const {
    if (a != a || b != b) return a != a && b == b;
    return kGreatest ? a > b : a < b;
  }
  bool operator()(int64_t a, int64_t b) const { return kGreatest ? a > b : a < b; }
  bool operator()(uint64_t a, uint64_t b) const { return kGreatest ? a > b : a < b; }
};

template <bool kGreatest>
Values evaluate_arg(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), x.rank()));
  const AxisView view = axis_view(x.shape(), axis);
  const bool selects_last = input.op.i64("select_last_index") != 0;
  const IsBetter<kGreatest> better;
  std::vector<int64_t> positions;
  if (is_float(x.dtype())) {
    positions = best_positions(doubles(x), view, selects_last, better);
  } else if (x.dtype() == DType::u64) {
    const std::vector<int64_t> bits = ints(x);
    positions =
        best_positions(std::vector<uint64_t>(bits.begin(), bits.end()), view, selects_last, better);
  } else {
    positions = best_positions(ints(x), view, selects_last, better);
  }
  return one(from_ints(DType::i64, type.shape(), positions));
}

constexpr OperandSpec kCumulativeOperands[] = {{"x", kNumeric, 'T'}, {"axis", kIndices}};
constexpr ResultSpec kCumulativeResults[] = {{"y", kNumeric, 'T'}};
constexpr AttributeSpec kCumulativeAttributes[] = {{"exclusive", AttributeKind::i64, "0"},
                                                   {"reverse", AttributeKind::i64, "0"}};

Types infer_cumulative(const InferInput& input) {
  const Type& x = input.operands[0];
  if (const auto axis = known_ints(input, 1); axis && x.is_ranked) {
    if (axis->size() != 1) return refuse("`axis` is not a scalar");
    NEURONC_TRY(resolve_axis((*axis)[0], x.rank()));
  }
  return infer_as_first(input);
}

// Replaces each element by the fold of those before it along the axis, itself included unless
// `exclusive`.
template <class T, class Fold>
void accumulate(std::vector<T>& values, const AxisView& view, bool exclusive, bool reverse, T first,
                Fold fold) {
  for (int64_t i = 0; i < view.outer * view.inner; ++i) {
    T* line = values.data() + i / view.inner * view.extent * view.inner + i % view.inner;
    T total = first;
    for (int64_t j = 0; j < view.extent; ++j) {
      T& value = line[(reverse ? view.extent - 1 - j : j) * view.inner];
      const T before = total;
      total = fold(total, value);
      value = exclusive ? before : total;
    }
  }
}

// `fold` is called with f64 or u64.
template <class Fold>
Values evaluate_cumulative(const EvaluateInput& input, int first, Fold fold) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  if (input.tensor(1).num_elements() != 1) return refuse("`axis` is not a scalar");
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.tensor(1).i64(0), x.rank()));
  const AxisView view = axis_view(x.shape(), axis);
  const bool exclusive = input.op.i64("exclusive") != 0;
  const bool reverse = input.op.i64("reverse") != 0;
  if (is_float(x.dtype())) {
    std::vector<double> values = doubles(x);
    accumulate(values, view, exclusive, reverse, static_cast<double>(first), fold);
    return one(from_doubles(type.dtype, type.shape(), values));
  }
  const std::vector<int64_t> bits = ints(x);
  std::vector<uint64_t> values(bits.begin(), bits.end());
  accumulate(values, view, exclusive, reverse, static_cast<uint64_t>(first), fold);
  return one(
      from_ints(type.dtype, type.shape(), std::vector<int64_t>(values.begin(), values.end())));
}

Values evaluate_cum_sum(const EvaluateInput& input) {
  return evaluate_cumulative(input, 0, [](auto a, auto b) { return a + b; });
}

Values evaluate_cum_prod(const EvaluateInput& input) {
  return evaluate_cumulative(input, 1, [](auto a, auto b) { return a * b; });
}

}  // namespace

/// y = the position along `axis` of the greatest element; of equal ones the first, or the last with
/// `select_last_index`. NaN counts as greatest.
/// Shapes: the axis becomes 1, or vanishes with `keepdims` 0.   Types: numbers.
/// Source: ONNX ArgMax-13.
NEURONC_OP(arg_max) = {"arg_max",
                       "where the greatest element stands",
                       "ONNX ArgMax-13",
                       kArgOperands,
                       kArgAttributes,
                       kArgResults,
                       Trait::reduction | Trait::anchor,
                       Precision::exact,
                       infer_arg,
                       evaluate_arg<true>,
                       flops_per_operand<1>};

/// y = the position along `axis` of the least element; otherwise as arg_max.   Types: numbers.
/// Source: ONNX ArgMin-13.
NEURONC_OP(arg_min) = {"arg_min",
                       "where the least element stands",
                       "ONNX ArgMin-13",
                       kArgOperands,
                       kArgAttributes,
                       kArgResults,
                       Trait::reduction | Trait::anchor,
                       Precision::exact,
                       infer_arg,
                       evaluate_arg<false>,
                       flops_per_operand<1>};

/// y[i] = sum of x[j] for j <= i along `axis` (< i with `exclusive`, from the end with `reverse`).
/// Shapes: y as x.   Types: numbers; integers wrap.   Source: ONNX CumSum-14.
NEURONC_OP(cum_sum) = {"cum_sum",           "running sums along an axis", "ONNX CumSum-14",
                       kCumulativeOperands, kCumulativeAttributes,        kCumulativeResults,
                       Trait::none,         Precision::statistic,         infer_cumulative,
                       evaluate_cum_sum,    flops_per_result<1>};

/// y[i] = product of x[j] for j <= i along `axis`; otherwise as cum_sum.   Types: numbers.
/// Source: ONNX CumProd-26.
NEURONC_OP(cum_prod) = {"cum_prod",
                        "running products along an axis",
                        "ONNX CumProd-26",
                        kCumulativeOperands,
                        kCumulativeAttributes,
                        kCumulativeResults,
                        Trait::none,
                        Precision::statistic,
                        infer_cumulative,
                        evaluate_cum_prod,
                        flops_per_result<1>};

}  // namespace neuronc
