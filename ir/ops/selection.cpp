// Operators whose results depend on the order or the truth of values: sorting, filtering, counting.
// Their shapes are known only when their operands are.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>
#include <optional>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kI64{DType::i64};
constexpr ResultSpec kAnyY[] = {{"y", kAny, 'T'}};
constexpr ResultSpec kI64Y[] = {{"y", kI64}};

// Total orders of elements: NaN above all numbers, -0 = +0.
bool is_less(const Tensor& a, int64_t i, const Tensor& b, int64_t j) {
  if (a.dtype() == DType::string) {
    return a.strings()[static_cast<size_t>(i)] < b.strings()[static_cast<size_t>(j)];
  }
  if (is_float(a.dtype())) {
    const double x = a.f64(i);
    const double y = b.f64(j);
    return x < y || (x == x && y != y);
  }
  if (a.dtype() == DType::u64) {
    return static_cast<uint64_t>(a.i64(i)) < static_cast<uint64_t>(b.i64(j));
  }
  return a.i64(i) < b.i64(j);
}

// Numbers in whose order elements of `x` stand, equal where those are; none for types without.
std::optional<std::vector<uint64_t>> sort_keys(const Tensor& x) {
  constexpr uint64_t kSign = uint64_t{1} << 63;
  if (!is_numeric(x.dtype()) && x.dtype() != DType::boolean) return std::nullopt;
  std::vector<uint64_t> keys(static_cast<size_t>(x.num_elements()));
  if (is_float(x.dtype())) {
    const std::vector<double> values = x.to_doubles();
    for (size_t i = 0; i < keys.size(); ++i) {
      const uint64_t bits = std::bit_cast<uint64_t>(values[i] + 0.0);
      keys[i] = values[i] != values[i] ? ~uint64_t{0} : (bits & kSign) != 0 ? ~bits : bits | kSign;
    }
    return keys;
  }
  if (x.dtype() == DType::i64 || x.dtype() == DType::u64) {
    const std::span<const uint64_t> values = x.as<uint64_t>();
    std::copy(values.begin(), values.end(), keys.begin());
  } else {
    for (size_t i = 0; i < keys.size(); ++i) {
      keys[i] = static_cast<uint64_t>(x.i64(static_cast<int64_t>(i)));
    }
  }
  if (x.dtype() != DType::u64) {
    for (uint64_t& key : keys) key ^= kSign;
  }
  return keys;
}

// ---- top_k

constexpr OperandSpec kTopKOperands[] = {{"x", kNumeric, 'T'}, {"k", kI64}};
constexpr ResultSpec kTopKResults[] = {{"values", kNumeric, 'T'}, {"indices", kI64}};
constexpr AttributeSpec kTopKAttributes[] = {{"axis", AttributeKind::i64, "-1"},
                                             {"largest", AttributeKind::i64, "1"},
                                             {"sorted", AttributeKind::i64, "1"}};

Types infer_top_k(const InferInput& input) {
  Type values = input.operands[0];
  if (values.is_ranked) {
    NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), values.rank()));
    Dim& dim = values.dims[static_cast<size_t>(axis)];
    if (const auto k = known_ints(input, 1)) {
      if (k->size() != 1) return refuse("`k` is not one number");
      if ((*k)[0] < 0 || (dim.is_number() && (*k)[0] > dim.number())) {
        return refuse(fmt::format("`k` is {} for an axis of {} elements", (*k)[0],
                                  dim.is_number() ? dim.number() : -1));
      }
      dim = (*k)[0];
    } else {
      dim = Dim::unknown();
    }
  }
  Type indices = values;
  indices.dtype = DType::i64;
  std::vector<Type> types{std::move(values), std::move(indices)};
  types.resize(std::min<size_t>(types.size(), input.num_results));
  return types;
}

struct Ranked {
  uint64_t key;
  int64_t index;
  friend bool operator<(const Ranked& a, const Ranked& b) {
    return a.key != b.key ? a.key < b.key : a.index < b.index;
  }
};

Values evaluate_top_k(const EvaluateInput& input) {
  NEURONC_ASSIGN(const std::vector<Type> types, actual_types(input));
  const Tensor& x = input.tensor(0);
  NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), x.rank()));
  const AxisView view = axis_view(x.shape(), axis);
  const int64_t k = types[0].dims[static_cast<size_t>(axis)].number();
  const uint64_t turn = input.op.i64("largest") != 0 ? ~uint64_t{0} : 0;
  const auto keys = sort_keys(x);
  if (!keys) return refuse("its elements have no order");
  std::vector<int64_t> offsets(static_cast<size_t>(types[0].num_elements()));
  std::vector<int64_t> indices(offsets.size());
  std::vector<Ranked> line(static_cast<size_t>(view.extent));
  for (int64_t i = 0; i < view.outer * view.inner; ++i) {
    const int64_t begin = i / view.inner * view.extent * view.inner + i % view.inner;
    for (int64_t j = 0; j < view.extent; ++j) {
      line[static_cast<size_t>(j)] = {(*keys)[static_cast<size_t>(begin + j * view.inner)] ^ turn,
                                      j};
    }
    const auto middle = line.begin() + k;
    if (k < view.extent) std::nth_element(line.begin(), middle, line.end());
    std::sort(line.begin(), middle);
    for (int64_t j = 0; j < k; ++j) {
      const auto to = static_cast<size_t>((i / view.inner * k + j) * view.inner + i % view.inner);
      indices[to] = line[static_cast<size_t>(j)].index;
      offsets[to] = begin + indices[to] * view.inner;
    }
  }
  std::vector<HostValue> results{take(x, types[0].shape(), offsets)};
  if (types.size() > 1) results.emplace_back(from_ints(DType::i64, types[1].shape(), indices));
  return results;
}

// ---- non_zero

constexpr OperandSpec kAnyNumericX[] = {{"x", kAnyNumeric}};

Types infer_non_zero(const InferInput& input) {
  const Type& x = input.operands[0];
  const Dim rank = x.is_ranked ? Dim(x.rank()) : Dim::unknown();
  return std::vector<Type>{ranked(DType::i64, {rank, Dim::unknown()})};
}

// Calls `visit` with the storage of `x` and the bits that tell an element from zero: all but the
// sign of a float. Elements that are packed are spread first.
template <class Visit>
void with_nonzero_bits(const Tensor& x, Visit visit) {
  switch (x.dtype()) {
    case DType::f16:
    case DType::bf16:
      return visit(x.as<uint16_t>(), uint16_t{0x7fff});
    case DType::f32:
      return visit(x.as<uint32_t>(), uint32_t{0x7fffffff});
    case DType::f64:
      return visit(x.as<uint64_t>(), uint64_t{0x7fffffffffffffff});
    case DType::boolean:
    case DType::i8:
    case DType::u8:
      return visit(x.as<uint8_t>(), uint8_t{0xff});
    case DType::i16:
    case DType::u16:
      return visit(x.as<uint16_t>(), uint16_t{0xffff});
    case DType::i32:
    case DType::u32:
      return visit(x.as<uint32_t>(), ~uint32_t{0});
    case DType::i64:
    case DType::u64:
      return visit(x.as<uint64_t>(), ~uint64_t{0});
    default:
      break;
  }
  std::vector<uint8_t> flags(static_cast<size_t>(x.num_elements()));
  for (size_t i = 0; i < flags.size(); ++i) flags[i] = x.f64(static_cast<int64_t>(i)) != 0 ? 1 : 0;
  visit(std::span<const uint8_t>(flags), uint8_t{1});
}

// Steps `at` to the next row: the position before the last axis counts on.
void advance_row(std::vector<int64_t>& at, const Shape& shape) {
  for (size_t axis = at.size(); axis-- > 0;) {
    if (++at[axis] < shape[axis]) return;
    at[axis] = 0;
  }
}

// The coordinates of elements with a bit of `mask` set, in order, one list per axis. A row at a
// time: along it only the last coordinate changes.
template <class Bits>
Tensor coordinates_of(std::span<const Bits> bits, Bits mask, const Shape& shape) {
  int64_t total = 0;
  for (Bits element : bits) total += (element & mask) != 0 ? 1 : 0;
  const auto rank = static_cast<int64_t>(shape.size());
  Tensor result = Tensor::zeros(DType::i64, {rank, total});
  if (rank == 0 || total == 0) return result;
  int64_t* lists = result.mutable_as<int64_t>().data();
  const auto length = static_cast<size_t>(shape.back());
  std::vector<int64_t> row(length);
  std::vector<int64_t> at(shape.size() - 1, 0);
  int64_t done = 0;
  for (const Bits* line = bits.data(); done < total; line += length, advance_row(at, shape)) {
    size_t count = 0;
    // Whether to count is data, not a branch: it is not predicted well. What is written behind the
    // last one counted needs room, which the last lines do not have in the result.
    int64_t* const last_axis = lists + (rank - 1) * total + done;
    int64_t* const columns = total - done > static_cast<int64_t>(length) ? last_axis : row.data();
    for (size_t i = 0; i < length; ++i) {
      columns[count] = static_cast<int64_t>(i);
      count += (line[i] & mask) != 0 ? 1 : 0;
    }
    for (size_t axis = 0; axis < at.size(); ++axis) {
      std::fill_n(lists + static_cast<int64_t>(axis) * total + done, count, at[axis]);
    }
    if (columns == row.data()) std::copy_n(columns, count, last_axis);
    done += static_cast<int64_t>(count);
  }
  return result;
}

Values evaluate_non_zero(const EvaluateInput& input) {
  NEURONC_TRY(actual_types(input));
  const Tensor& x = input.tensor(0);
  Tensor result;
  with_nonzero_bits(x, [&](auto bits, auto mask) {
    result = coordinates_of<typename decltype(bits)::value_type>(bits, mask, x.shape());
  });
  return one(std::move(result));
}

// ---- compress

constexpr OperandSpec kCompressOperands[] = {{"x", kAny, 'T'}, {"condition", kBool}};
constexpr AttributeSpec kOptionalAxis[] = {{"axis", AttributeKind::i64, ""}};

Types infer_compress(const InferInput& input) {
  const Type& x = input.operands[0];
  Dim count;
  if (const Tensor* condition = input.constant(1)) {
    const auto flags = condition->as<uint8_t>();
    count = static_cast<int64_t>(flags.size()) - std::count(flags.begin(), flags.end(), 0);
  }
  if (!input.op.has("axis")) return std::vector<Type>{ranked(x.dtype, {count})};
  Type type = x;
  if (x.is_ranked) {
    NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), x.rank()));
    type.dims[static_cast<size_t>(axis)] = count;
  }
  return std::vector<Type>{std::move(type)};
}

// Where a condition holds, in order.
std::vector<int64_t> true_places(const Tensor& condition) {
  const Tensor places =
      coordinates_of<uint8_t>(condition.as<uint8_t>(), uint8_t{0xff}, {condition.num_elements()});
  return ints(places);
}

Values evaluate_compress(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Tensor& x = input.tensor(0);
  AxisView view{1, x.num_elements(), 1};
  if (input.op.has("axis")) {
    NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), x.rank()));
    view = axis_view(x.shape(), axis);
  }
  const std::vector<int64_t> kept = true_places(input.tensor(1));
  if (!kept.empty() && kept.back() >= view.extent) {
    return refuse("the condition is longer than the axis");
  }
  return one(take_slices(x, type.shape(), view, kept));
}

// ---- unique

constexpr OperandSpec kUniqueOperands[] = {{"x", kAny, 'T'}};
constexpr ResultSpec kUniqueResults[] = {{"y", kAny, 'T'},
                                         {"indices", kI64, 0, Arity::optional},
                                         {"inverse_indices", kI64, 0, Arity::optional},
                                         {"counts", kI64, 0, Arity::optional}};
constexpr AttributeSpec kUniqueAttributes[] = {{"axis", AttributeKind::i64, ""},
                                               {"sorted", AttributeKind::i64, "1"}};

Types infer_unique(const InferInput& input) {
  Type y = input.operands[0];
  if (!input.op.has("axis")) {
    y = unknown_dims(y.dtype, 1);
  } else if (y.is_ranked) {
    NEURONC_ASSIGN(const int64_t axis, resolve_axis(input.op.i64("axis"), y.rank()));
    y.dims[static_cast<size_t>(axis)] = Dim::unknown();
  }
  std::vector<Type> types{std::move(y)};
  while (types.size() < std::min<size_t>(input.num_results, 4)) {
    types.push_back(unknown_dims(DType::i64, 1));
  }
  return types;
}

// Slices of a tensor along one axis, compared element by element.
class Slices {
 public:
  Slices(const Tensor& x, AxisView view) : x_(x), view_(view) {}
  int compare(int64_t a, int64_t b) const {
    for (int64_t i = 0; i < view_.outer * view_.inner; ++i) {
      const int64_t first = offset(a, i);
      const int64_t second = offset(b, i);
      if (is_less(x_, first, x_, second)) return -1;
      if (is_less(x_, second, x_, first)) return 1;
    }
    return 0;
  }

 private:
  int64_t offset(int64_t slice, int64_t i) const {
    return (i / view_.inner * view_.extent + slice) * view_.inner + i % view_.inner;
  }
  const Tensor& x_;
  AxisView view_;
};

// The positions of `keys` in ascending order, equal ones as they come: byte by byte, and only
// those bytes in which keys differ.
std::vector<int64_t> stable_order(std::span<const uint64_t> keys) {
  std::vector<int64_t> order(keys.size());
  std::iota(order.begin(), order.end(), 0);
  uint64_t differing = 0;
  for (uint64_t key : keys) differing |= key ^ keys[0];
  std::vector<int64_t> other(keys.size());
  for (int shift = 0; shift < 64; shift += 8) {
    if (((differing >> shift) & 0xff) == 0) continue;
    const auto byte_of = [&](int64_t i) { return keys[static_cast<size_t>(i)] >> shift & 0xff; };
    std::array<size_t, 256> place{};
    for (int64_t i : order) ++place[byte_of(i)];
    std::exclusive_scan(place.begin(), place.end(), place.begin(), size_t{0});
    for (int64_t i : order) other[place[byte_of(i)]++] = i;
    order.swap(other);
  }
  return order;
}

struct UniqueSlices {
  std::vector<int64_t> first;    // of each distinct slice, in order of the result
  std::vector<int64_t> inverse;  // per slice, which result it is
  std::vector<int64_t> counts;
};

// `order`: the slices sorted; `is_new`: whether the second of two neighbours differs.
template <class IsNew>
UniqueSlices unique_slices(const std::vector<int64_t>& order, bool sorted, IsNew is_new) {
  UniqueSlices result;
  result.inverse.resize(order.size());
  std::vector<int64_t> firsts;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || is_new(order[i - 1], order[i])) {
      firsts.push_back(order[i]);
      result.counts.push_back(0);
    }
    result.inverse[static_cast<size_t>(order[i])] = static_cast<int64_t>(firsts.size()) - 1;
    ++result.counts.back();
  }
  if (sorted) {
    result.first = std::move(firsts);
    return result;
  }
  // In order of first appearance instead.
  std::vector<int64_t> ranks(firsts.size());
  std::iota(ranks.begin(), ranks.end(), 0);
  std::sort(ranks.begin(), ranks.end(), [&](int64_t a, int64_t b) {
    return firsts[static_cast<size_t>(a)] < firsts[static_cast<size_t>(b)];
  });
  std::vector<int64_t> position(ranks.size());
  std::vector<int64_t> counts;
  for (size_t i = 0; i < ranks.size(); ++i) {
    const auto rank = static_cast<size_t>(ranks[i]);
    position[rank] = static_cast<int64_t>(i);
    result.first.push_back(firsts[rank]);
    counts.push_back(result.counts[rank]);
  }
  for (int64_t& inverse : result.inverse) inverse = position[static_cast<size_t>(inverse)];
  result.counts = std::move(counts);
  return result;
}

// Slices of one number each are sorted by keys, all others by comparing.
UniqueSlices find_unique(const Tensor& x, const AxisView& view, bool sorted) {
  if (view.outer == 1 && view.inner == 1) {
    if (const auto keys = sort_keys(x)) {
      return unique_slices(stable_order(*keys), sorted, [&](int64_t a, int64_t b) {
        return (*keys)[static_cast<size_t>(a)] != (*keys)[static_cast<size_t>(b)];
      });
    }
  }
  const Slices slices(x, view);
  std::vector<int64_t> order(static_cast<size_t>(view.extent));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return slices.compare(a, b) < 0; });
  return unique_slices(order, sorted,
                       [&](int64_t a, int64_t b) { return slices.compare(a, b) != 0; });
}

Values evaluate_unique(const EvaluateInput& input) {
  NEURONC_TRY(actual_types(input));
  const Tensor& x = input.tensor(0);
  Shape shape{x.num_elements()};
  int64_t axis = 0;
  if (input.op.has("axis")) {
    NEURONC_ASSIGN(axis, resolve_axis(input.op.i64("axis"), x.rank()));
    shape = x.shape();
  }
  const AxisView view = axis_view(shape, axis);
  const UniqueSlices unique = find_unique(x, view, input.op.i64("sorted") != 0);
  const auto count = static_cast<int64_t>(unique.first.size());
  shape[static_cast<size_t>(axis)] = count;
  std::vector<int64_t> offsets;
  for (int64_t outer = 0; outer < view.outer; ++outer) {
    for (int64_t slice : unique.first) {
      for (int64_t inner = 0; inner < view.inner; ++inner) {
        offsets.push_back((outer * view.extent + slice) * view.inner + inner);
      }
    }
  }
  std::vector<HostValue> results{take(x, shape, offsets)};
  for (const std::vector<int64_t>* list : {&unique.first, &unique.inverse, &unique.counts}) {
    if (results.size() < input.num_results) results.emplace_back(Tensor::ints(*list));
  }
  return results;
}

}  // namespace

/// values, indices = the `k` greatest (or least, with `largest` 0) elements along `axis`, in order;
/// of equal ones the first come first. NaN counts as greatest.
/// Shapes: both as x with extent k along `axis`.   Types: numbers.   Source: ONNX TopK-11.
NEURONC_OP(top_k) = {"top_k",
                     "the k greatest elements along an axis",
                     "ONNX TopK-11",
                     kTopKOperands,
                     kTopKAttributes,
                     kTopKResults,
                     Trait::none,
                     Precision::exact,
                     infer_top_k,
                     evaluate_top_k,
                     flops_per_operand<8>};

/// y[a,i] = coordinate a of the i-th element that is not zero, in row-major order.
/// Shapes: y [rank, number of such elements].   Types: numbers.   Source: ONNX NonZero-13.
NEURONC_OP(non_zero) = {"non_zero",
                        "where the elements are not zero",
                        "ONNX NonZero-13",
                        kAnyNumericX,
                        {},
                        kI64Y,
                        Trait::host,
                        Precision::exact,
                        infer_non_zero,
                        evaluate_non_zero,
                        flops_per_operand<1>};

/// y = the slices along `axis` (or elements, without one) for which `condition` holds; a short
/// condition drops the rest.   Types: any.   Source: ONNX Compress-11.
NEURONC_OP(compress) = {"compress",
                        "the slices for which a condition holds",
                        "ONNX Compress-11",
                        kCompressOperands,
                        kOptionalAxis,
                        kAnyY,
                        Trait::host,
                        Precision::exact,
                        infer_compress,
                        evaluate_compress,
                        no_flops};

/// y = the distinct slices along `axis` (or elements, without one), sorted or in order of
/// appearance; where each first stands, which result each operand slice is, and how many there are.
/// Types: any.   Source: ONNX Unique-11.
NEURONC_OP(unique) = {"unique",        "the distinct elements", "ONNX Unique-11",
                      kUniqueOperands, kUniqueAttributes,       kUniqueResults,
                      Trait::host,     Precision::exact,        infer_unique,
                      evaluate_unique, flops_per_operand<8>};

}  // namespace neuronc
