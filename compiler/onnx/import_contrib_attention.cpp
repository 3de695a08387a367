// Import rules of com.microsoft's attention operators. They become the IR's attention: projections
// before it, masks as what is added to the scores, caches joined outside of it.
#include <fmt/format.h>

#include <limits>
#include <numeric>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Ints = std::vector<int64_t>;

constexpr double kHidden = -std::numeric_limits<double>::infinity();

ValueId counting(NodeContext& node, int64_t count) {
  Ints numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return node.ints(numbers);
}

ValueId as_type(NodeContext& node, ValueId x, DType dtype) {
  return node.dtype_of(x) == dtype ? x : node.emit(Op::cast, {x}, {{"to", dtype}});
}

// [B, L, heads * size] as [B, heads, L, size].
ValueId heads_first(NodeContext& node, ValueId x, int64_t heads) {
  const Ints shape = node.shape(x);
  if (node.failed() || shape.size() != 3) return x;
  const ValueId split = reshape_to(node, x, {shape[0], shape[1], heads, shape[2] / heads});
  return node.emit(Op::transpose, {split}, {{"perm", Ints{0, 2, 1, 3}}});
}

// Element `i` of axis `axis`, without the axis.
ValueId element(NodeContext& node, ValueId x, int64_t i, int64_t axis) {
  return node.emit(Op::gather, {x, node.scalar_i64(i)}, {{"axis", axis}});
}

std::vector<ValueId> split_last(NodeContext& node, ValueId x, const Ints& sizes) {
  return node.emit_many(Op::split, {x, node.ints(sizes)}, {{"axis", int64_t{-1}}}, sizes.size());
}

// Where `condition` is false, `value` is added; shaped to broadcast to the scores.
ValueId added_where_not(NodeContext& node, ValueId condition, double value, DType dtype) {
  return node.emit(Op::where, {condition, node.scalar(dtype, 0), node.scalar(dtype, value)});
}

// What an integer mask adds to the scores [B, N, S, T]: `filter` where a key is hidden. The mask
// holds the number of keys [B], their ends and begins [2 * B], or ones where keys are seen:
// [B, T], [B, S, T] or [B, 1, M, M] of the longest sequences.
ValueId bias_of_mask(NodeContext& node, ValueId mask, int64_t batch, int64_t queries, int64_t keys,
                     double filter, DType dtype) {
  const Ints shape = node.shape(mask);
  if (node.failed()) return {};
  if (shape.size() == 1) {
    if (shape[0] != batch && shape[0] != 2 * batch) {
      node.unsupported("its mask has neither one nor two numbers per batch entry");
      return {};
    }
    const ValueId places = counting(node, keys);
    const ValueId columns = reshape_to(node, as_type(node, mask, DType::i64), {shape[0], 1, 1, 1});
    const auto half = [&](int64_t from) {
      return node.emit(Op::slice, {columns, node.ints(Ints{from}), node.ints(Ints{from + batch}),
                                   node.ints(Ints{0})});
    };
    if (shape[0] == batch) {
      return added_where_not(node, node.emit(Op::less, {places, columns}), filter, dtype);
    }
    const ValueId seen =
        node.emit(Op::logical_and, {node.emit(Op::less, {places, half(0)}),
                                    node.emit(Op::greater_or_equal, {places, half(batch)})});
    return added_where_not(node, seen, filter, dtype);
  }
  ValueId seen = as_type(node, mask, DType::boolean);
  if (shape.size() == 2) {
    seen = reshape_to(node, seen, {shape[0], 1, 1, shape[1]});
  } else if (shape.size() == 3) {
    seen = reshape_to(node, seen, {shape[0], 1, shape[1], shape[2]});
  } else if (shape.size() == 4 && (shape[2] != queries || shape[3] != keys)) {
    seen = node.emit(Op::slice, {seen, node.ints(Ints{keys - queries, 0}),
                                 node.ints(Ints{keys, keys}), node.ints(Ints{2, 3})});
  }
  return added_where_not(node, seen, filter, dtype);
}

ValueId sum_of(NodeContext& node, ValueId a, ValueId b) {
  if (!a || !b) return a ? a : b;
  return node.emit(Op::add, {a, b});
}

// What goes into the IR's attention besides queries, keys and values.
struct Settings {
  int64_t num_heads = 1, num_kv_heads = 1;
  bool is_causal = false;
  double scale = 0, softcap = 0;
  ValueId bias, past_key, past_value, num_keys;
};

ValueId emit_attention(NodeContext& node, ValueId q, ValueId k, ValueId v, const Settings& s) {
  std::vector<NamedAttribute> attributes{{"is_causal", static_cast<int64_t>(s.is_causal)},
                                         {"q_num_heads", s.num_heads},
                                         {"kv_num_heads", s.num_kv_heads}};
  if (s.scale != 0) attributes.push_back({"scale", s.scale});
  if (s.softcap != 0) attributes.push_back({"softcap", s.softcap});
  return node.emit(Op::attention, {q, k, v, s.bias, s.past_key, s.past_value, s.num_keys},
                   std::move(attributes));
}

// `next` behind `past`, with the heads first.
ValueId present_of(NodeContext& node, ValueId past, ValueId next, int64_t heads) {
  const ValueId moved = heads_first(node, next, heads);
  if (!past) return moved;
  return node.emit(Op::concat, {past, moved}, {{"axis", int64_t{2}}});
}

int64_t length_of(NodeContext& node, ValueId x, size_t axis) {
  if (!x) return 0;
  const Ints shape = node.shape(x);
  if (!node.failed() && axis >= shape.size()) node.invalid("an operand has too few axes");
  return node.failed() ? 0 : shape[axis];
}

// Attention and QAttention behind their projection [B, S, q + k + v].
void set_projected_attention(NodeContext& node, ValueId projected, ValueId mask, ValueId past,
                             ValueId attention_bias) {
  const int64_t heads = node.i64("num_heads", 0);
  const Ints shape = node.shape(projected);
  if (node.failed()) return;
  if (heads < 1 || shape.size() != 3) return node.invalid("its input is not of rank 3");
  if (node.i64("do_rotary", 0) != 0) return node.unsupported("attribute `do_rotary` is 1");
  if (node.i64("past_present_share_buffer", 0) != 0) {
    return node.unsupported("attribute `past_present_share_buffer` is 1");
  }
  Ints sizes = node.ints("qkv_hidden_sizes");
  if (sizes.empty()) sizes.assign(3, shape[2] / 3);
  if (sizes.size() != 3) return node.invalid("`qkv_hidden_sizes` needs three numbers");
  const auto parts = split_last(node, projected, sizes);
  Settings s;
  s.num_heads = s.num_kv_heads = heads;
  s.is_causal = node.i64("unidirectional", 0) != 0;
  s.scale = node.f64("scale", 0);
  if (past) {
    s.past_key = element(node, past, 0, 0);
    s.past_value = element(node, past, 1, 0);
  }
  const int64_t num_keys = shape[1] + length_of(node, s.past_key, 2);
  const double filter = node.f64("mask_filter_value", -10000);
  if (mask) {
    s.bias =
        bias_of_mask(node, mask, shape[0], shape[1], num_keys, filter, node.dtype_of(projected));
  }
  s.bias = sum_of(node, s.bias, attention_bias);
  node.set_output(0, emit_attention(node, parts[0], parts[1], parts[2], s));
  if (!node.wants_output(1)) return;
  std::vector<ValueId> present;
  const ValueId pasts[] = {s.past_key, s.past_value};
  for (size_t i = 0; i < 2; ++i) {
    const ValueId joined = present_of(node, pasts[i], parts[i + 1], heads);
    present.push_back(node.emit(Op::unsqueeze, {joined, node.ints(Ints{0})}));
  }
  node.set_output(1, node.emit(Op::concat, present, {{"axis", int64_t{0}}}));
}

}  // namespace

void import_contrib_attention(NodeContext& node, const Rule&) {
  ValueId projected = node.emit(Op::matmul, {node.input(0), node.input(1)});
  if (node.has_input(2)) projected = node.emit(Op::add, {projected, node.input(2)});
  set_projected_attention(node, projected, node.input(3), node.input(4), node.input(5));
}

// Attention whose input and weights are quantised; the products are those of integers.
void import_q_attention(NodeContext& node, const Rule&) {
  const ValueId sums =
      node.emit(Op::matmul_integer, {node.input(0), node.input(1), node.input(6), node.input(7)});
  const ValueId scale = node.emit(Op::mul, {node.input(3), node.input(4)});
  const ValueId product = node.emit(Op::mul, {as_type(node, sums, DType::f32), scale});
  const ValueId projected = node.emit(Op::add, {product, node.input(2)});
  set_projected_attention(node, projected, node.input(5), node.input(8), {});
}

// Queries, keys and values apart, or packed as [B, S, heads, 3 or 2, size].
void import_multi_head_attention(NodeContext& node, const Rule&) {
  Settings s;
  s.num_heads = s.num_kv_heads = node.i64("num_heads", 0);
  s.is_causal = node.i64("unidirectional", 0) != 0;
  s.scale = node.f64("scale", 0);
  ValueId q = node.input(0), k = node.input(1), v = node.input(2);
  const Ints shape = node.shape(q);
  if (node.failed() || s.num_heads < 1) return node.invalid("attribute `num_heads` is missing");
  if (node.has_input(8) || node.has_input(9)) {
    return node.unsupported("its cache shares a buffer, or is ordered by beams");
  }
  const auto flat = [&](ValueId packed, int64_t i) {
    const ValueId part = element(node, packed, i, 3);
    const Ints p = node.shape(part);
    return node.failed() ? part : reshape_to(node, part, {p[0], p[1], p[2] * p[3]});
  };
  if (shape.size() == 5) {
    k = flat(node.input(0), 1);
    v = flat(node.input(0), 2);
    q = flat(node.input(0), 0);
  } else if (k && node.rank(k) == 5) {
    v = flat(node.input(1), 1);
    k = flat(node.input(1), 0);
  }
  if (!k || !v) return node.unsupported("it has no keys or no values");
  if (node.has_input(3)) {
    const int64_t last_q = length_of(node, q, 2);
    const int64_t size_k = node.rank(k) == 3 ? length_of(node, k, 2) : last_q;
    const int64_t size_v = length_of(node, node.input(3), 0) - last_q - size_k;
    if (node.failed()) return;
    const auto parts = split_last(node, node.input(3), {last_q, size_k, size_v});
    q = node.emit(Op::add, {q, parts[0]});
    if (node.rank(k) == 3) k = node.emit(Op::add, {k, parts[1]});
    if (node.rank(v) == 3) v = node.emit(Op::add, {v, parts[2]});
  }
  s.past_key = node.input(6);
  s.past_value = node.input(7);
  const int64_t num_keys =
      length_of(node, s.past_key, 2) + length_of(node, k, node.rank(k) == 4 ? 2 : 1);
  if (node.has_input(4)) {
    s.bias = bias_of_mask(node, node.input(4), shape[0], shape[1], num_keys,
                          node.f64("mask_filter_value", -10000), node.dtype_of(q));
  }
  s.bias = sum_of(node, s.bias, node.input(5));
  node.set_output(0, emit_attention(node, q, k, v, s));
  if (node.wants_output(1)) {
    node.set_output(1, present_of(node, s.past_key, k, s.num_heads));
  }
  if (node.wants_output(2)) {
    node.set_output(2, present_of(node, s.past_value, v, s.num_heads));
  }
  if (node.wants_output(3)) node.unsupported("its scores are an output");
}

// ---- rotary embedding

namespace {

ValueId rotated(NodeContext& node, ValueId x, ValueId positions, ValueId cosines, ValueId sines,
                std::vector<NamedAttribute> attributes) {
  const DType dtype = node.dtype_of(x);
  return node.emit(Op::rotary_embedding,
                   {x, as_type(node, cosines, dtype), as_type(node, sines, dtype), positions},
                   std::move(attributes));
}

}  // namespace

// One position is that of the first token.
void import_contrib_rotary_embedding(NodeContext& node, const Rule&) {
  const ValueId x = node.input(0);
  const Ints shape = node.shape(x), tables = node.shape(node.input(2));
  ValueId positions = node.input(1);
  const Ints given = node.shape(positions);
  if (node.failed() || (shape.size() != 3 && shape.size() != 4) || tables.size() != 2) {
    return node.invalid("its input is neither of rank 3 nor of rank 4");
  }
  const int64_t length = shape.size() == 3 ? shape[1] : shape[2];
  if (num_elements(given) == 1 && given.size() == 1) {
    const ValueId numbers =
        node.emit(Op::add, {reshape_to(node, positions, {1, 1}), counting(node, length)});
    positions = node.emit(Op::expand, {numbers, node.ints({shape[0], length})});
  }
  const int64_t dim = node.i64("rotary_embedding_dim", 0);
  int64_t heads = node.i64("num_heads", 0);
  if (heads == 0 && shape.size() == 3) heads = shape[2] / (2 * tables[1]);
  const double scale = node.f64("scale", 1);
  if (scale != 1) return node.unsupported(fmt::format("attribute `scale` is {}", scale));
  node.set_output(0, rotated(node, x, positions, node.input(2), node.input(3),
                             {{"interleaved", node.i64("interleaved", 0)},
                              {"num_heads", heads},
                              {"rotary_embedding_dim", dim}}));
}

// ---- group query attention

namespace {

// Numbers of one GroupQueryAttention node.
struct Group {
  int64_t batch, queries, keys;  // `keys`: of the cache that it leaves behind
  int64_t heads, kv_heads, size;
  ValueId lengths, begins;  // [B]: keys of each entry in all, and before the new ones
};

// [B, 1, S, T]: whether a query at its place sees a key.
ValueId seen_keys(NodeContext& node, const Group& g, int64_t window) {
  const auto column = [&](ValueId per_batch) {
    return reshape_to(node, per_batch, {g.batch, 1, 1, 1});
  };
  const ValueId rows = reshape_to(node, counting(node, g.queries), {g.queries, 1});
  const ValueId place = node.emit(Op::add, {column(g.begins), rows});
  const ValueId key = counting(node, g.keys);
  ValueId seen = node.emit(Op::less_or_equal, {key, place});
  if (window > 0) {
    const ValueId first = node.emit(Op::sub, {place, node.scalar_i64(window)});
    seen = node.emit(Op::logical_and, {seen, node.emit(Op::greater, {key, first})});
  }
  return seen;
}

// The cache with the new keys or values written behind each entry's old ones.
ValueId grown_cache(NodeContext& node, const Group& g, ValueId past, ValueId next) {
  const ValueId fresh = heads_first(node, next, g.kv_heads);
  const int64_t old = length_of(node, past, 2);
  if (old == 0 && g.keys == g.queries) return fresh;
  const DType dtype = node.dtype_of(fresh);
  const int64_t missing = g.keys - old;
  ValueId room = past;
  if (old == 0) {
    room = node.emit(Op::expand,
                     {node.scalar(dtype, 0), node.ints({g.batch, g.kv_heads, g.keys, g.size})});
  } else if (missing > 0) {
    room = node.emit(Op::pad, {past, node.ints({0, 0, 0, 0, 0, 0, missing, 0})});
  }
  return node.emit(Op::tensor_scatter, {room, fresh, g.begins}, {{"axis", int64_t{2}}});
}

// A key that scores what `sink` says (0 for a smooth softmax) and has no value: it takes a share of
// each query's weight.
void add_sink(NodeContext& node, const Group& g, ValueId sink, ValueId& k, ValueId& v,
              ValueId& bias) {
  const DType dtype = node.dtype_of(k);
  const auto constant_of = [&](ValueId value, const Ints& shape) {
    return node.emit(Op::expand, {value, node.ints(shape)});
  };
  const ValueId zero = node.scalar(dtype, 0);
  const ValueId none = constant_of(zero, {g.batch, g.kv_heads, 1, g.size});
  k = node.emit(Op::concat, {k, none}, {{"axis", int64_t{2}}});
  v = node.emit(Op::concat, {v, none}, {{"axis", int64_t{2}}});
  const ValueId column =
      sink ? reshape_to(node, as_type(node, sink, dtype), {1, g.heads, 1, 1}) : zero;
  const Ints scores{g.batch, g.heads, g.queries, g.keys};
  const ValueId wide = constant_of(bias ? bias : zero, scores);
  bias = node.emit(Op::concat, {wide, constant_of(column, {g.batch, g.heads, g.queries, 1})},
                   {{"axis", int64_t{3}}});
}

}  // namespace

// New tokens attend to those in a cache and to each other. The number of keys in all is that of the
// cache it is given, unless it says that there are more.
void import_group_query_attention(NodeContext& node, const Rule&) {
  Group g{};
  g.heads = node.i64("num_heads", 0);
  g.kv_heads = node.i64("kv_num_heads", 0);
  ValueId q = node.input(0), k = node.input(1), v = node.input(2);
  const Ints shape = node.shape(q);
  if (node.failed()) return;
  if (g.heads < 1 || g.kv_heads < 1 || shape.size() != 3) {
    return node.invalid("its query is not of rank 3, or numbers of heads are missing");
  }
  if (node.string("k_quant_type", "NONE") != "NONE") {
    return node.unsupported("its cache is quantised");
  }
  g.batch = shape[0];
  g.queries = shape[1];
  g.size = shape[2] / (k ? g.heads : g.heads + 2 * g.kv_heads);
  if (!k) {
    const auto parts =
        split_last(node, q, {g.heads * g.size, g.kv_heads * g.size, g.kv_heads * g.size});
    q = parts[0], k = parts[1], v = parts[2];
  }
  const int64_t old = length_of(node, node.input(3), 2);
  const Tensor* total = node.known(node.input(6));
  g.keys = std::max(old, g.queries);
  if (total != nullptr && total->num_elements() == 1) g.keys = std::max(old, total->i64(0));
  const ValueId last = as_type(node, reshape_to(node, node.input(5), {g.batch}), DType::i64);
  g.lengths = node.emit(Op::add, {last, node.scalar_i64(1)});
  const ValueId before = node.emit(Op::sub, {g.lengths, node.scalar_i64(g.queries)});
  g.begins = node.emit(Op::max, {before, node.scalar_i64(0)});
  if (node.i64("do_rotary", 0) != 0) {
    ValueId positions = node.input(9);
    if (!positions) {
      positions =
          node.emit(Op::add, {reshape_to(node, g.begins, {g.batch, 1}), counting(node, g.queries)});
    }
    const auto turn = [&](ValueId x, int64_t heads) {
      const int64_t dim = 2 * length_of(node, node.input(7), 1);
      return rotated(node, x, positions, node.input(7), node.input(8),
                     {{"interleaved", node.i64("rotary_interleaved", 0)},
                      {"num_heads", heads},
                      {"rotary_embedding_dim", dim == g.size ? int64_t{0} : dim}});
    };
    q = turn(q, g.heads);
    k = turn(k, g.kv_heads);
  }
  const ValueId keys = grown_cache(node, g, node.input(3), k);
  const ValueId values = grown_cache(node, g, node.input(4), v);
  if (node.wants_output(1)) node.set_output(1, keys);
  if (node.wants_output(2)) node.set_output(2, values);
  if (node.wants_output(3)) return node.unsupported("its scores are an output");

  Settings s;
  s.num_heads = g.heads;
  s.num_kv_heads = g.kv_heads;
  s.scale = node.f64("scale", 0);
  s.softcap = node.f64("softcap", 0);
  const DType dtype = node.dtype_of(q);
  const int64_t window = node.i64("local_window_size", -1);
  const bool has_sink = node.has_input(11) || node.i64("smooth_softmax", 0) > 0;
  // Later keys of a prompt are hidden by their place alone; those of a cache by each entry's own.
  s.is_causal = g.keys == g.queries && window <= 0 && !has_sink;
  if (!s.is_causal && g.queries == 1 && window <= 0 && !has_sink) {
    s.num_keys = g.lengths;
  } else if (!s.is_causal) {
    s.bias = added_where_not(node, seen_keys(node, g, window), kHidden, dtype);
  }
  s.bias = sum_of(node, s.bias, node.input(10));
  ValueId all_keys = keys, all_values = values;
  if (has_sink) add_sink(node, g, node.input(11), all_keys, all_values, s.bias);
  node.set_output(0, emit_attention(node, q, all_keys, all_values, s));
}

}  // namespace neuronc::onnx
