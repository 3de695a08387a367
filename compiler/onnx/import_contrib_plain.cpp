// Import rules of com.microsoft operators that move, count and look up: crops, tables of positions,
// embeddings, integer arithmetic.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Ints = std::vector<int64_t>;

ValueId as_type(NodeContext& node, ValueId x, DType dtype) {
  return node.dtype_of(x) == dtype ? x : node.emit(Op::cast, {x}, {{"to", dtype}});
}

// (x - zero) * scale, in the scale's type.
ValueId dequantised(NodeContext& node, ValueId x, ValueId scale, ValueId zero) {
  const DType dtype = node.dtype_of(scale);
  ValueId steps = as_type(node, x, dtype);
  if (zero) steps = node.emit(Op::sub, {steps, as_type(node, zero, dtype)});
  return node.emit(Op::mul, {steps, scale});
}

// x - zero as i32.
ValueId shifted(NodeContext& node, ValueId x, ValueId zero) {
  const ValueId wide = as_type(node, x, DType::i32);
  return zero ? node.emit(Op::sub, {wide, as_type(node, zero, DType::i32)}) : wide;
}

// Where the rows or the columns of crops lie in their pictures, one row of positions per crop.
struct Positions {
  ValueId low;       // i64[crops, count], the pixel at or before
  ValueId high;      // the pixel at or behind
  ValueId nearest;   // halves away from zero
  ValueId fraction;  // of the way from low to high
  ValueId inside;    // bool: within the picture
};

// `extent` pixels, `count` positions; the boxes' coordinates `first` and `second` are columns.
Positions crop_positions(NodeContext& node, size_t first, size_t second, int64_t extent,
                         int64_t count) {
  const ValueId boxes = node.input(1);
  const DType dtype = node.dtype_of(boxes);
  const auto number = [&](double value) { return node.scalar(dtype, value); };
  const auto column = [&](size_t i) {
    return node.emit(Op::gather, {boxes, node.ints(Ints{static_cast<int64_t>(i)})},
                     {{"axis", int64_t{1}}});
  };
  const auto last = static_cast<double>(extent - 1);
  const ValueId from = column(first), to = column(second);
  ValueId at;
  if (count > 1) {
    Tensor steps = Tensor::zeros(dtype, {1, count});
    for (int64_t i = 0; i < count; ++i) steps.set_f64(i, static_cast<double>(i));
    const ValueId length = node.emit(Op::mul, {node.emit(Op::sub, {to, from}), number(last)});
    const ValueId step = node.emit(Op::div, {length, number(static_cast<double>(count - 1))});
    at = node.emit(Op::add, {node.emit(Op::mul, {from, number(last)}),
                             node.emit(Op::mul, {node.constant(std::move(steps)), step})});
  } else {
    const ValueId middle = node.emit(Op::mul, {node.emit(Op::add, {from, to}), number(0.5)});
    at = node.emit(Op::mul, {middle, number(last)});
  }
  Positions result;
  result.inside = node.emit(Op::logical_and, {node.emit(Op::greater_or_equal, {at, number(0)}),
                                              node.emit(Op::less_or_equal, {at, number(last)})});
  const ValueId held = node.emit(Op::where, {result.inside, at, number(0)});
  const ValueId floor = node.emit(Op::floor, {held});
  result.fraction = node.emit(Op::sub, {held, floor});
  const auto pixel = [&](ValueId x) {
    const ValueId clipped = node.emit(Op::clip, {x, number(0), number(last)});
    return node.emit(Op::cast, {clipped}, {{"to", DType::i64}});
  };
  result.low = pixel(floor);
  result.high = pixel(node.emit(Op::ceil, {held}));
  const ValueId is_late = node.emit(Op::greater_or_equal, {result.fraction, number(0.5)});
  result.nearest = node.emit(Op::where, {is_late, result.high, result.low});
  return result;
}

// T5's bucket of a key's distance from its query.
int64_t position_bucket(int64_t distance, int64_t num_buckets, int64_t max_distance,
                        bool is_bidirectional) {
  int64_t bucket = 0;
  int64_t behind = -distance;
  if (is_bidirectional) {
    num_buckets /= 2;
    if (behind < 0) bucket = num_buckets;
    behind = std::abs(behind);
  } else {
    behind = std::max<int64_t>(behind, 0);
  }
  const int64_t exact = num_buckets / 2;
  if (behind < exact) return bucket + behind;
  const float nearness = std::log(static_cast<float>(behind) / static_cast<float>(exact)) /
                         std::log(static_cast<float>(max_distance) / static_cast<float>(exact));
  const auto far = static_cast<int64_t>(nearness * static_cast<float>(num_buckets - exact));
  return bucket + std::min(exact + far, num_buckets - 1);
}

}  // namespace

// Parts of pictures, resized with their corners aligned; what lies outside has a value of its own.
void import_crop_and_resize(NodeContext& node, const Rule&) {
  const Ints shape = node.shape(node.input(0));
  const Ints size = node.known_ints(3);
  if (node.failed()) return;
  if (shape.size() != 4 || node.rank(node.input(1)) != 2 || size.size() != 2) {
    return node.invalid("its operands are not of ranks 4 and 2, or `crop_size` is no pair");
  }
  if (size[0] < 1 || size[1] < 1) return node.invalid("`crop_size` is not positive");
  const std::string mode = node.string("mode", "bilinear");
  if (mode != "bilinear" && mode != "nearest") {
    return node.invalid(fmt::format("`mode` is `{}`, not bilinear or nearest", mode));
  }
  const Positions y = crop_positions(node, 0, 2, shape[2], size[0]);
  const Positions x = crop_positions(node, 1, 3, shape[3], size[1]);
  const auto down = [&](ValueId v) { return node.emit(Op::unsqueeze, {v, node.ints(Ints{2, 3})}); };
  const auto across = [&](ValueId v) {
    return node.emit(Op::unsqueeze, {v, node.ints(Ints{1, 3})});
  };
  const ValueId pictures = node.emit(Op::transpose, {node.input(0)}, {{"perm", Ints{0, 2, 3, 1}}});
  const ValueId picture = node.emit(
      Op::unsqueeze, {as_type(node, node.input(2), DType::i64), node.ints(Ints{1, 2, 3})});
  const auto pixels = [&](ValueId rows, ValueId columns) {
    const ValueId none = node.scalar_i64(0);
    const ValueId row = down(rows), column = across(columns);
    const ValueId zeros = node.emit(Op::mul, {node.emit(Op::add, {row, column}), none});
    const auto spread = [&](ValueId v) { return node.emit(Op::add, {zeros, v}); };
    const ValueId places = node.emit(Op::concat, {spread(picture), spread(row), spread(column)},
                                     {{"axis", int64_t{-1}}});
    return node.emit(Op::gather_nd, {pictures, places});
  };
  const auto between = [&](ValueId from, ValueId to, ValueId fraction) {
    const ValueId part = node.emit(Op::mul, {node.emit(Op::sub, {to, from}), fraction});
    return node.emit(Op::add, {from, part});
  };
  ValueId crops;
  if (mode == "nearest") {
    crops = pixels(y.nearest, x.nearest);
  } else {
    const ValueId along = across(x.fraction);
    const ValueId top = between(pixels(y.low, x.low), pixels(y.low, x.high), along);
    const ValueId bottom = between(pixels(y.high, x.low), pixels(y.high, x.high), along);
    crops = between(top, bottom, down(y.fraction));
  }
  const ValueId inside = node.emit(Op::logical_and, {down(y.inside), across(x.inside)});
  const ValueId outside = node.scalar_like(crops, node.f64("extrapolation_value", 0));
  const ValueId result = node.emit(Op::where, {inside, crops, outside});
  node.set_output(0, node.emit(Op::transpose, {result}, {{"perm", Ints{0, 3, 1, 2}}}));
}

// The score of each token that would repeat a run of `ngram_size` tokens becomes -inf.
void import_n_gram_repeat_block(NodeContext& node, const Rule&) {
  const int64_t size = node.i64("ngram_size", 0);
  if (size < 1) return node.invalid("`ngram_size` is not positive");
  const ValueId ids = node.input(0);
  // Columns [from, end + from_end) of the ids; the last one where `from_end` is 0.
  const auto columns = [&](int64_t from, int64_t from_end) {
    const int64_t to = from_end == 0 ? std::numeric_limits<int64_t>::max() : from_end;
    return node.emit(Op::slice,
                     {ids, node.ints(Ints{from}), node.ints(Ints{to}), node.ints(Ints{1})});
  };
  const ValueId tokens = columns(size - 1, 0);
  ValueId repeats = node.emit(Op::equal, {tokens, tokens});
  for (int64_t i = 0; i + 1 < size; ++i) {
    const ValueId same =
        node.emit(Op::equal, {columns(i, i + 1 - size), columns(i + 1 - size, i + 2 - size)});
    repeats = node.emit(Op::logical_and, {repeats, same});
  }
  const ValueId scores = node.input(1);
  const double infinity = std::numeric_limits<double>::infinity();
  const ValueId bounds = node.emit(Op::where, {repeats, node.scalar_like(scores, -infinity),
                                               node.scalar_like(scores, infinity)});
  node.set_output(0, node.emit(Op::scatter_elements, {scores, tokens, bounds},
                               {{"axis", int64_t{1}}, {"reduction", std::string("min")}}));
}

void import_gemm_fast_gelu(NodeContext& node, const Rule&) {
  ValueId y = node.emit(Op::matmul, {node.input(0), node.input(1)});
  if (node.has_input(2)) y = node.emit(Op::add, {y, node.input(2)});
  node.set_output(0, node.emit(Op::gelu, {y}, {{"approximate", std::string("tanh")}}));
}

// Softmax over all axes from `axis` on, of the sum of both inputs.
void import_bias_softmax(NodeContext& node, const Rule&) {
  const ValueId sum = node.emit(Op::add, {node.input(0), node.input(1)});
  const Ints shape = node.shape(sum);
  if (node.failed()) return;
  const int64_t axis =
      normalised_axis(node, node.i64("axis", 1), static_cast<int64_t>(shape.size()));
  if (node.failed()) return;
  int64_t rows = 1, columns = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    (static_cast<int64_t>(i) < axis ? rows : columns) *= shape[i];
  }
  const ValueId y =
      node.emit(Op::softmax, {reshape_to(node, sum, {rows, columns})}, {{"axis", int64_t{1}}});
  node.set_output(0, reshape_to(node, y, shape));
}

// Embeddings from quantised tables, added and normalised.
void import_q_embed_layer_normalization(NodeContext& node, const Rule&) {
  const ValueId ids = node.input(0);
  const auto given = [&](size_t i, ValueId x) {
    return dequantised(node, x, node.input(6 + i), node.input(11 + i));
  };
  const auto rows = [&](size_t i, ValueId indices) {
    return given(i, node.emit(Op::gather, {node.input(i), indices}));
  };
  const Ints shape = node.shape(ids);
  if (node.failed() || shape.size() != 2) return node.invalid("its ids are not of rank 2");
  Ints numbers;
  for (int64_t i = 0; i < shape[1]; ++i) numbers.push_back(i);
  ValueId sum = node.emit(Op::add, {rows(2, ids), rows(3, node.ints(numbers))});
  if (node.has_input(1) && node.has_input(4)) {
    sum = node.emit(Op::add, {sum, rows(4, node.input(1))});
  }
  node.set_output(
      0, node.emit(Op::layer_normalization, {sum, given(5, node.input(5)), given(6, node.input(6))},
                   {{"epsilon", node.f64("epsilon", 1e-12)}}));
  if (!node.wants_output(1)) return;
  const ValueId mask =
      node.has_input(7) ? node.input(7) : node.emit(Op::mul, {ids, node.scalar_like(ids, 0)});
  const ValueId count =
      node.emit(Op::reduce_sum, {mask, node.ints(Ints{1})}, {{"keepdims", int64_t{0}}});
  node.set_output(1, as_type(node, count, DType::i32));
}

// A table's rows by the bucket of the distance between a query and a key: [1, heads, query, key].
void import_relative_position_bias(NodeContext& node, const Rule&) {
  const Ints table = node.shape(node.input(0));
  const Ints queries = node.known_ints(1), keys = node.known_ints(2);
  const int64_t max_distance = node.i64("max_distance", 0);
  if (node.failed()) return;
  const bool fits = table.size() == 2 && table[0] >= 4 && queries.size() == 1 && keys.size() == 1 &&
                    queries[0] >= 0 && keys[0] >= 0;
  if (!fits || max_distance < table[0]) return node.invalid("its table or its lengths do not fit");
  constexpr int64_t kMostPairs = int64_t{1} << 26;
  if (queries[0] > 0 && keys[0] > kMostPairs / queries[0]) {
    return node.over_limit("pairs of a query and a key", kMostPairs);
  }
  const bool is_bidirectional = node.i64("is_bidirectional", 0) != 0;
  Tensor buckets = Tensor::zeros(DType::i64, {queries[0], keys[0]});
  for (int64_t i = 0; i < queries[0]; ++i) {
    for (int64_t j = 0; j < keys[0]; ++j) {
      buckets.set_i64(i * keys[0] + j,
                      position_bucket(j - i, table[0], max_distance, is_bidirectional));
    }
  }
  const ValueId rows = node.emit(Op::gather, {node.input(0), node.constant(std::move(buckets))});
  const ValueId by_head = node.emit(Op::transpose, {rows}, {{"perm", Ints{2, 0, 1}}});
  node.set_output(0, node.emit(Op::unsqueeze, {by_head, node.ints(Ints{0})}));
}

void import_torch_embedding(NodeContext& node, const Rule&) {
  node.set_output(0, node.emit(Op::gather, {node.input(0), node.input(1)}));
}

void import_mul_integer(NodeContext& node, const Rule&) {
  const ValueId a = shifted(node, node.input(0), node.input(1));
  node.set_output(0, node.emit(Op::mul, {a, shifted(node, node.input(2), node.input(3))}));
}

void import_matmul_integer_16(NodeContext& node, const Rule&) {
  const bool is_unsigned =
      node.dtype_of(node.input(0)) == DType::u16 && node.dtype_of(node.input(1)) == DType::u16;
  const DType dtype = is_unsigned ? DType::u32 : DType::i32;
  node.set_output(0, node.emit(Op::matmul, {as_type(node, node.input(0), dtype),
                                            as_type(node, node.input(1), dtype)}));
}

void import_reduce_sum_integer(NodeContext& node, const Rule&) {
  const ValueId x = node.input(0);
  const DType wide = node.dtype_of(x) == DType::u8 ? DType::u32 : DType::i32;
  node.set_output(0,
                  node.emit(Op::reduce_sum, {as_type(node, x, wide), node.ints(node.ints("axes"))},
                            {{"keepdims", node.i64("keepdims", 1)}}));
}

// The distinct elements as they come, where each element's is, how often each stands there.
void import_contrib_unique(NodeContext& node, const Rule& rule) {
  const auto results = node.emit_many(rule.op, {node.input(0)}, {{"sorted", int64_t{0}}}, 4);
  constexpr size_t kResults[] = {0, 2, 3};
  for (size_t i = 0; i < 3; ++i) {
    if (node.wants_output(i)) node.set_output(i, results[kResults[i]]);
  }
}

}  // namespace neuronc::onnx
