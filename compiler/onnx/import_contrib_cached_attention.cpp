// Import rules of com.microsoft's attention over caches, and of the rotation of positions.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/onnx/attention_tools.h"
#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {

using Ints = std::vector<int64_t>;

// ---- rotary embedding

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

// Sizes, and queries, keys and values apart where they are packed.
bool read_group(NodeContext& node, Group& g, ValueId& q, ValueId& k, ValueId& v) {
  g.heads = node.i64("num_heads", 0);
  g.kv_heads = node.i64("kv_num_heads", 0);
  q = node.input(0), k = node.input(1), v = node.input(2);
  const Ints shape = node.shape(q);
  if (node.failed()) return false;
  if (g.heads < 1 || g.kv_heads < 1 || shape.size() != 3) {
    node.invalid("its query is not of rank 3, or numbers of heads are missing");
    return false;
  }
  g.batch = shape[0];
  g.queries = shape[1];
  g.size = shape[2] / (k ? g.heads : g.heads + 2 * g.kv_heads);
  if (!k) {
    const auto parts =
        split_last(node, q, {g.heads * g.size, g.kv_heads * g.size, g.kv_heads * g.size});
    if (node.failed()) return false;
    q = parts[0], k = parts[1], v = parts[2];
  }
  return true;
}

// The new keys are each entry's last ones; a prompt that is shorter than the others begins at 0.
void set_begins(NodeContext& node, Group& g) {
  const ValueId before = node.emit(Op::sub, {g.lengths, node.scalar_i64(g.queries)});
  g.begins = node.emit(Op::max, {before, node.scalar_i64(0)});
}

struct RotaryTables {
  ValueId positions, cosines, sines;  // no positions: they follow from where each entry begins
};

void turn(NodeContext& node, const Group& g, ValueId& q, ValueId& k, RotaryTables tables) {
  if (!tables.positions) {
    tables.positions =
        node.emit(Op::add, {reshape_to(node, g.begins, {g.batch, 1}), counting(node, g.queries)});
  }
  const int64_t dim = 2 * length_of(node, tables.cosines, 1);
  const auto turned = [&](ValueId x, int64_t heads) {
    return rotated(node, x, tables.positions, tables.cosines, tables.sines,
                   {{"interleaved", node.i64("rotary_interleaved", 0)},
                    {"num_heads", heads},
                    {"rotary_embedding_dim", dim == g.size ? int64_t{0} : dim}});
  };
  q = turned(q, g.heads);
  k = turned(k, g.kv_heads);
}

// [B, 1, S, 1]: the place of each query among its entry's keys.
ValueId places(NodeContext& node, const Group& g) {
  const ValueId rows = reshape_to(node, counting(node, g.queries), {g.queries, 1});
  return node.emit(Op::add, {reshape_to(node, g.begins, {g.batch, 1, 1, 1}), rows});
}

// [B, 1, S, T]: whether a query at its place sees a key.
ValueId seen_keys(NodeContext& node, const Group& g, int64_t window) {
  const ValueId place = places(node, g);
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
  ValueId q, k, v;
  if (!read_group(node, g, q, k, v)) return;
  if (node.string("k_quant_type", "NONE") != "NONE") {
    return node.unsupported("its cache is quantised");
  }
  const int64_t old = length_of(node, node.input(3), 2);
  const Tensor* total = node.known(node.input(6));
  g.keys = std::max(old, g.queries);
  if (total != nullptr && total->num_elements() == 1) g.keys = std::max(old, total->i64(0));
  const ValueId last = as_type(node, reshape_to(node, node.input(5), {g.batch}), DType::i64);
  g.lengths = node.emit(Op::add, {last, node.scalar_i64(1)});
  set_begins(node, g);
  if (node.i64("do_rotary", 0) != 0) {
    turn(node, g, q, k, {node.input(9), node.input(7), node.input(8)});
  }
  const ValueId keys = grown_cache(node, g, node.input(3), k);
  const ValueId values = grown_cache(node, g, node.input(4), v);
  if (node.wants_output(1)) node.set_output(1, keys);
  if (node.wants_output(2)) node.set_output(2, values);
  if (node.wants_output(3)) return node.unsupported("its scores are an output");

  AttentionSettings s;
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

// ---- sparse attention

namespace {

// [L, R, C] as bool: which blocks of keys each block of queries sees in each of L layouts, from the
// compressed rows `begins` [L, R + 1] and columns `columns` [L, K].
ValueId block_mask(NodeContext& node, ValueId begins, ValueId columns) {
  const Ints rows = node.shape(begins), entries = node.shape(columns);
  if (node.failed()) return {};
  if (rows.size() != 2 || entries.size() != 2 || rows[0] != entries[0] || rows[1] < 2) {
    node.invalid("its block mask does not consist of rows and columns per layout");
    return {};
  }
  const int64_t layouts = rows[0], blocks = rows[1] - 1, count = entries[1];
  const ValueId wide = as_type(node, begins, DType::i64);
  const auto part = [&](int64_t from, int64_t to) {
    const ValueId cut = node.emit(
        Op::slice, {wide, node.ints(Ints{from}), node.ints(Ints{to}), node.ints(Ints{1})});
    return reshape_to(node, cut, {layouts, blocks, 1});
  };
  const ValueId entry = counting(node, count);
  const ValueId in_row =
      node.emit(Op::logical_and, {node.emit(Op::greater_or_equal, {entry, part(0, blocks)}),
                                  node.emit(Op::less, {entry, part(1, blocks + 1)})});
  const ValueId column = reshape_to(node, as_type(node, columns, DType::i64), {layouts, count, 1});
  const ValueId in_column = node.emit(Op::equal, {column, counting(node, blocks)});
  const ValueId hits = node.emit(
      Op::matmul, {as_type(node, in_row, DType::f32), as_type(node, in_column, DType::f32)});
  return node.emit(Op::greater, {hits, node.scalar(DType::f32, 0)});
}

// [B, N, S, T]: whether the block of a query sees the block of a key in the layout of its head.
// Heads take the layouts in turn.
ValueId seen_blocks(NodeContext& node, const Group& g, ValueId mask, int64_t block_size) {
  const Ints shape = node.shape(mask);
  if (node.failed()) return {};
  if (shape[2] * block_size < g.keys || g.heads % shape[0] != 0) {
    node.invalid("its block mask covers fewer keys than its cache holds, or not each head");
    return {};
  }
  Ints block_of_key, layout_of_head;
  for (int64_t i = 0; i < g.keys; ++i) block_of_key.push_back(i / block_size);
  for (int64_t i = 0; i < g.heads; ++i) layout_of_head.push_back(i % shape[0]);
  const auto pick = [&](ValueId x, ValueId indices, int64_t axis) {
    return node.emit(Op::gather, {x, indices}, {{"axis", axis}});
  };
  const ValueId by_key = pick(mask, node.ints(block_of_key), 2);
  const ValueId by_head = pick(by_key, node.ints(layout_of_head), 0);
  const ValueId flat = reshape_to(node, places(node, g), {g.batch, g.queries});
  const ValueId row = node.emit(Op::div, {flat, node.scalar_i64(block_size)});
  return node.emit(Op::transpose, {pick(by_head, row, 1)}, {{"perm", Ints{1, 0, 2, 3}}});
}

}  // namespace

// Causal attention over a cache of which each head sees some blocks only.
void import_sparse_attention(NodeContext& node, const Rule&) {
  Group g{};
  ValueId q, k, v;
  if (!read_group(node, g, q, k, v)) return;
  const int64_t block_size = node.i64("sparse_block_size", 0);
  if (block_size < 1) return node.invalid("attribute `sparse_block_size` is missing");
  g.keys = std::max(length_of(node, node.input(3), 2), g.queries);
  g.lengths = as_type(node, reshape_to(node, node.input(8), {g.batch}), DType::i64);
  set_begins(node, g);
  if (node.i64("do_rotary", 0) != 0) {
    turn(node, g, q, k, {{}, node.input(9), node.input(10)});
  }
  const ValueId keys = grown_cache(node, g, node.input(3), k);
  const ValueId values = grown_cache(node, g, node.input(4), v);
  const ValueId mask = block_mask(node, node.input(5), node.input(6));
  const ValueId seen =
      node.emit(Op::logical_and, {seen_keys(node, g, -1), seen_blocks(node, g, mask, block_size)});
  AttentionSettings s;
  s.num_heads = g.heads;
  s.num_kv_heads = g.kv_heads;
  s.scale = node.f64("scale", 0);
  s.bias = added_where_not(node, seen, kHidden, node.dtype_of(q));
  node.set_output(0, emit_attention(node, q, keys, values, s));
  node.set_output(1, keys);
  node.set_output(2, values);
}

// ---- one token at a time

namespace {

// What the two operators for one token have in common, behind their projections.
struct OneToken {
  ValueId q, k, v;  // [B, 1, heads * size]
  ValueId mask, bias, past_key, past_value;
  size_t length_input = 0;  // the number of keys in a shared cache; then beams and their order
  int64_t heads = 1;
};

// A shared cache [B, N, M, H] with the new keys or values at `place`.
ValueId written_cache(NodeContext& node, const OneToken& t, ValueId past, ValueId next,
                      ValueId place) {
  const ValueId begins = node.emit(Op::expand, {place, node.ints({length_of(node, next, 0)})});
  return node.emit(Op::tensor_scatter, {past, heads_first(node, next, t.heads), begins},
                   {{"axis", int64_t{2}}});
}

// The cache with each key from the beam that it came from: `order` [B / W, W, M] names one of W
// beams for each of the keys before `place`; the newest is each row's own.
ValueId by_beam(NodeContext& node, ValueId cache, ValueId order, int64_t beams, ValueId place) {
  const Ints shape = node.shape(cache), named = node.shape(order);
  if (node.failed()) return cache;
  if (beams < 1 || shape[0] % beams != 0 || named.size() != 3 || named[2] < shape[2] ||
      num_elements(named) != shape[0] * named[2]) {
    node.invalid("the order of its beams does not fit its cache");
    return cache;
  }
  const int64_t rows = shape[0], keys = shape[2];
  Ints own_row, first_row;
  for (int64_t i = 0; i < rows; ++i) {
    own_row.push_back(i);
    first_row.push_back(i / beams * beams);
  }
  const auto column = [&](const Ints& numbers) {
    return reshape_to(node, node.ints(numbers), {rows, 1});
  };
  ValueId beam = reshape_to(node, as_type(node, order, DType::i64), {rows, named[2]});
  beam =
      node.emit(Op::slice, {beam, node.ints(Ints{0}), node.ints(Ints{keys}), node.ints(Ints{1})});
  const ValueId key = counting(node, keys);
  const ValueId is_old = node.emit(Op::less, {key, place});
  const ValueId from = node.emit(
      Op::where, {is_old, node.emit(Op::add, {beam, column(first_row)}), column(own_row)});
  const ValueId keys_wide = node.emit(Op::expand, {key, node.ints({rows, keys})});
  const auto last = [&](ValueId x) { return reshape_to(node, x, {rows, keys, 1}); };
  const ValueId pairs =
      node.emit(Op::concat, {last(from), last(keys_wide)}, {{"axis", int64_t{2}}});
  const Ints perm{0, 2, 1, 3};
  const ValueId moved = node.emit(Op::transpose, {cache}, {{"perm", perm}});
  const ValueId picked = node.emit(Op::gather_nd, {moved, pairs});
  return node.emit(Op::transpose, {picked}, {{"perm", perm}});
}

ValueId emit_one_token(NodeContext& node, const OneToken& t, ValueId keys, ValueId values,
                       ValueId bias, size_t scores_output) {
  std::vector<NamedAttribute> attributes{{"q_num_heads", t.heads}, {"kv_num_heads", t.heads}};
  const double scale = node.f64("scale", 0);
  if (scale != 0) attributes.push_back({"scale", scale});
  if (!node.wants_output(scores_output)) {
    return node.emit(Op::attention, {t.q, keys, values, bias}, std::move(attributes));
  }
  const auto results =
      node.emit_many(Op::attention, {t.q, keys, values, bias}, std::move(attributes), 4);
  if (node.failed()) return {};
  node.set_output(scores_output, results[3]);
  return results[0];
}

// Gives the keys and values behind the new token, which are outputs too.
struct Caches {
  ValueId keys, values;
};

Caches set_one_token(NodeContext& node, const OneToken& t, size_t scores_output) {
  const Ints shape = node.shape(t.q);
  if (node.failed()) return {};
  if (shape.size() != 3 || shape[1] != 1) {
    node.invalid("its query does not hold one token");
    return {};
  }
  Caches caches;
  const bool is_shared = node.i64("past_present_share_buffer", 0) != 0;
  ValueId place;
  if (is_shared) {
    if (!t.past_key || !t.past_value || !node.has_input(t.length_input)) {
      node.invalid("its shared cache or the number of keys in it is missing");
      return {};
    }
    place = reshape_to(node, as_type(node, node.input(t.length_input), DType::i64), {1});
    caches = {written_cache(node, t, t.past_key, t.k, place),
              written_cache(node, t, t.past_value, t.v, place)};
  } else if (node.rank(t.k) == 4) {
    caches = {t.k, t.v};
  } else {
    caches = {present_of(node, t.past_key, t.k, t.heads),
              present_of(node, t.past_value, t.v, t.heads)};
  }
  const int64_t num_keys = length_of(node, caches.keys, 2);
  const DType dtype = node.dtype_of(t.q);
  ValueId keys = caches.keys, values = caches.values;
  if (node.has_input(t.length_input + 2)) {
    const Tensor* width = node.known(node.input(t.length_input + 1));
    if (!is_shared || (node.has_input(t.length_input + 1) && width == nullptr)) {
      node.unsupported("its cache is ordered by beams whose number is not a constant");
      return {};
    }
    const int64_t beams = width == nullptr ? 1 : width->i64(0);
    keys = by_beam(node, keys, node.input(t.length_input + 2), beams, place);
    values = by_beam(node, values, node.input(t.length_input + 2), beams, place);
  }
  ValueId bias = t.bias;
  if (t.mask) {
    ValueId mask = t.mask;
    const int64_t covered = length_of(node, mask, 1);
    if (is_shared && covered < num_keys) {
      mask = node.emit(Op::pad, {mask, node.ints({0, 0, 0, num_keys - covered})});
    }
    bias = sum_of(node,
                  bias_of_mask(node, mask, shape[0], 1, num_keys,
                               node.f64("mask_filter_value", -10000), dtype),
                  bias);
  }
  if (is_shared) {
    const ValueId seen = node.emit(Op::less_or_equal, {counting(node, num_keys), place});
    bias = sum_of(node, added_where_not(node, seen, kHidden, dtype), bias);
  }
  node.set_output(0, emit_one_token(node, t, keys, values, bias, scores_output));
  return caches;
}

}  // namespace

void import_decoder_masked_multi_head_attention(NodeContext& node, const Rule&) {
  OneToken t;
  t.heads = node.i64("num_heads", 0);
  if (t.heads < 1) return node.invalid("attribute `num_heads` is missing");
  t.q = node.input(0), t.k = node.input(1), t.v = node.input(2);
  t.mask = node.input(3), t.bias = node.input(4);
  t.past_key = node.input(5), t.past_value = node.input(6);
  t.length_input = 7;
  if (!t.k) {
    const int64_t width = length_of(node, t.q, 2);
    const int64_t hidden = t.past_key ? t.heads * length_of(node, t.past_key, 3) : width / 3;
    if (node.failed()) return;
    const auto parts = split_last(node, t.q, {hidden, hidden, width - 2 * hidden});
    if (node.failed()) return;
    t.q = parts[0], t.k = parts[1], t.v = parts[2];
  }
  if (!t.v) return node.invalid("it has keys and no values");
  if (node.has_input(10)) {
    const int64_t hidden = length_of(node, t.q, 2);
    const int64_t rest = length_of(node, node.input(10), 0) - 2 * hidden;
    if (node.failed()) return;
    const auto parts = split_last(node, node.input(10), {hidden, hidden, rest});
    if (node.failed()) return;
    t.q = node.emit(Op::add, {t.q, parts[0]});
    if (node.rank(t.k) == 3) t.k = node.emit(Op::add, {t.k, parts[1]});
    if (node.rank(t.v) == 3) t.v = node.emit(Op::add, {t.v, parts[2]});
  }
  const Caches caches = set_one_token(node, t, 3);
  if (node.wants_output(1)) node.set_output(1, caches.keys);
  if (node.wants_output(2)) node.set_output(2, caches.values);
}

void import_decoder_masked_self_attention(NodeContext& node, const Rule&) {
  OneToken t;
  t.heads = node.i64("num_heads", 0);
  if (t.heads < 1) return node.invalid("attribute `num_heads` is missing");
  if (node.i64("do_rotary", 0) != 0) return node.unsupported("attribute `do_rotary` is 1");
  const ValueId product = node.emit(Op::matmul, {node.input(0), node.input(1)});
  const ValueId projected = node.emit(Op::add, {product, node.input(2)});
  const ValueId past = node.input(4);
  const int64_t width = length_of(node, projected, 2);
  const int64_t hidden = past ? t.heads * length_of(node, past, 4) : width / 3;
  if (node.failed()) return;
  const auto parts = split_last(node, projected, {hidden, hidden, width - 2 * hidden});
  if (node.failed()) return;
  t.q = parts[0], t.k = parts[1], t.v = parts[2];
  t.mask = node.input(3), t.bias = node.input(5);
  if (past) {
    t.past_key = element(node, past, 0, 0);
    t.past_value = element(node, past, 1, 0);
  }
  t.length_input = 6;
  const Caches caches = set_one_token(node, t, 2);
  if (!node.wants_output(1) || node.failed()) return;
  const auto as_row = [&](ValueId x) { return node.emit(Op::unsqueeze, {x, node.ints(Ints{0})}); };
  node.set_output(1, node.emit(Op::concat, {as_row(caches.keys), as_row(caches.values)},
                               {{"axis", int64_t{0}}}));
}

}  // namespace neuronc::onnx
