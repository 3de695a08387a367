// Import rules of com.microsoft's operators on packed tokens: those of a batch's sequences one
// behind another, without what pads them. Also the gated bias of relative positions, which goes
// with them. Attention unpacks its tokens, so that its products are dense.
#include "compiler/onnx/attention_tools.h"
#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Ints = std::vector<int64_t>;

// The first `count` of the offsets [B, S], those of tokens, as i64[count].
ValueId offsets_of_tokens(NodeContext& node, ValueId offsets, ValueId count) {
  const ValueId flat =
      node.emit(Op::reshape, {as_type(node, offsets, DType::i64), node.ints(Ints{-1})});
  return node.emit(Op::slice, {flat, node.ints(Ints{0}), count, node.ints(Ints{0})});
}

// One extent that must be a number; those of other axes may follow from data.
int64_t extent_of(NodeContext& node, ValueId x, size_t axis) {
  if (node.failed()) return 0;
  const Type& type = node.type(x);
  if (type.is_ranked && axis < type.dims.size() && type.dims[axis].is_number()) {
    return type.dims[axis].number();
  }
  node.unsupported("the width of an operand is not known");
  return 0;
}

// i64[1]: the first extent of x.
ValueId num_rows(NodeContext& node, ValueId x) {
  return node.emit(Op::shape, {x}, {{"start", int64_t{0}}, {"end", int64_t{1}}});
}

// Tokens [T, H] at their places in [B, S, H]; zeros stand in the others.
ValueId unpacked_tokens(NodeContext& node, ValueId tokens, ValueId offsets, int64_t batch,
                        int64_t length) {
  const int64_t size = extent_of(node, tokens, 1);
  if (node.failed()) return {};
  const ValueId rows = offsets_of_tokens(node, offsets, num_rows(node, tokens));
  const ValueId room = node.emit(
      Op::expand, {node.scalar(node.dtype_of(tokens), 0), node.ints({batch * length, size})});
  const ValueId indices = node.emit(Op::unsqueeze, {rows, node.ints(Ints{1})});
  return reshape_to(node, node.emit(Op::scatter_nd, {room, indices, tokens}),
                    {batch, length, size});
}

// The rows of [B, S, H] that hold the tokens which `like` has a row for.
ValueId packed_tokens(NodeContext& node, ValueId x, ValueId offsets, ValueId like) {
  const Ints shape = node.shape(x);
  if (node.failed()) return {};
  const ValueId flat = reshape_to(node, x, {shape[0] * shape[1], shape[2]});
  const ValueId rows = offsets_of_tokens(node, offsets, num_rows(node, like));
  return node.emit(Op::gather, {flat, rows}, {{"axis", int64_t{0}}});
}

// Attention between the tokens [T, heads * size] of each sequence.
void set_packed_attention(NodeContext& node, ValueId q, ValueId k, ValueId v, size_t offsets_input,
                          ValueId attention_bias) {
  const ValueId offsets = node.input(offsets_input);
  const Ints shape = node.shape(offsets), bounds = node.shape(node.input(offsets_input + 1));
  if (node.failed()) return;
  if (shape.size() != 2 || bounds.size() != 1 || bounds[0] != shape[0] + 1) {
    return node.invalid("its offsets are not of [batch, length] tokens");
  }
  const int64_t batch = shape[0], length = shape[1];
  const auto bound = [&](int64_t from) {
    return node.emit(Op::slice, {node.input(offsets_input + 1), node.ints(Ints{from}),
                                 node.ints(Ints{from + batch}), node.ints(Ints{0})});
  };
  const ValueId lengths = node.emit(Op::sub, {bound(1), bound(0)});
  AttentionSettings s;
  s.num_heads = s.num_kv_heads = node.i64("num_heads", 0);
  if (s.num_heads < 1) return node.invalid("attribute `num_heads` is missing");
  s.scale = node.f64("scale", 0);
  s.bias = sum_of(node,
                  bias_of_mask(node, lengths, batch, length, length,
                               node.f64("mask_filter_value", -10000), node.dtype_of(q)),
                  attention_bias);
  const auto dense = [&](ValueId x) { return unpacked_tokens(node, x, offsets, batch, length); };
  const ValueId y = emit_attention(node, dense(q), dense(k), dense(v), s);
  node.set_output(0, packed_tokens(node, y, offsets, q));
}

}  // namespace

void import_packed_attention(NodeContext& node, const Rule&) {
  ValueId projected = node.emit(Op::matmul, {node.input(0), node.input(1)});
  if (node.has_input(2)) projected = node.emit(Op::add, {projected, node.input(2)});
  Ints sizes = node.ints("qkv_hidden_sizes");
  if (sizes.empty()) sizes.assign(3, extent_of(node, projected, 1) / 3);
  if (sizes.size() != 3) return node.invalid("`qkv_hidden_sizes` needs three numbers");
  const auto parts = split_last(node, projected, sizes);
  if (node.failed()) return;
  set_packed_attention(node, parts[0], parts[1], parts[2], 3, node.input(5));
}

// Queries, keys and values apart, or packed as [T, heads, 3, size].
void import_packed_multi_head_attention(NodeContext& node, const Rule&) {
  ValueId parts[] = {node.input(0), node.input(1), node.input(2)};
  if (!parts[1] != !parts[2]) return node.invalid("it has keys or values and not both");
  if (!parts[1]) {
    if (node.rank(parts[0]) != 4) {
      return node.invalid("its packed operand is not of rank 4");
    }
    const ValueId joined = parts[0];
    const int64_t width = extent_of(node, joined, 1) * extent_of(node, joined, 3);
    for (int64_t i = 0; i < 3; ++i) {
      parts[i] = node.emit(Op::reshape, {element(node, joined, i, 2), node.ints({-1, width})});
    }
  }
  if (node.has_input(3)) {
    Ints sizes;
    for (ValueId part : parts) sizes.push_back(extent_of(node, part, 1));
    const auto biases = split_last(node, node.input(3), sizes);
    for (size_t i = 0; i < 3 && !node.failed(); ++i) {
      parts[i] = node.emit(Op::add, {parts[i], biases[i]});
    }
  }
  if (node.failed()) return;
  set_packed_attention(node, parts[0], parts[1], parts[2], 4, node.input(6));
}

// Which of the places of [B, S] hold tokens follows from each sequence's count; the offsets of
// tokens come first, then those of padding.
void import_remove_padding(NodeContext& node, const Rule&) {
  const Ints shape = node.shape(node.input(0));
  if (node.failed()) return;
  if (shape.size() != 3) return node.invalid("its input is not of rank 3");
  const int64_t batch = shape[0], length = shape[1], num_places = batch * length;
  const ValueId counts = as_type(node, node.input(1), DType::i64);
  const ValueId is_token = reshape_to(
      node, node.emit(Op::less, {counting(node, length), reshape_to(node, counts, {batch, 1})}),
      {num_places});
  const ValueId ones = as_type(node, is_token, DType::i64);
  const ValueId axis = node.scalar_i64(0);
  const auto before = [&](ValueId x) {
    return node.emit(Op::cum_sum, {x, axis}, {{"exclusive", int64_t{1}}});
  };
  const ValueId total = node.emit(Op::reduce_sum, {ones, node.ints(Ints{0})});
  const ValueId pads = node.emit(Op::sub, {node.scalar_i64(1), ones});
  const ValueId rank =
      node.emit(Op::where, {is_token, before(ones), node.emit(Op::add, {total, before(pads)})});
  const ValueId places = counting(node, num_places);
  const ValueId offsets =
      node.emit(Op::scatter_elements, {places, rank, places}, {{"axis", int64_t{0}}});
  const ValueId flat = reshape_to(node, node.input(0), {num_places, shape[2]});
  node.set_output(0, node.emit(Op::compress, {flat, is_token}, {{"axis", int64_t{0}}}));
  const auto given = [&](ValueId x) { return as_type(node, x, DType::i32); };
  node.set_output(1, given(reshape_to(node, offsets, {batch, length})));
  const ValueId ends = node.emit(Op::cum_sum, {counts, axis});
  node.set_output(2,
                  given(node.emit(Op::concat, {node.ints(Ints{0}), ends}, {{"axis", int64_t{0}}})));
  node.set_output(3, given(node.emit(Op::reduce_max, {counts, node.ints(Ints{0})})));
}

void import_restore_padding(NodeContext& node, const Rule&) {
  const Ints shape = node.shape(node.input(1));
  if (node.failed()) return;
  if (shape.size() != 2) return node.invalid("its offsets are not of rank 2");
  node.set_output(0, unpacked_tokens(node, node.input(0), node.input(1), shape[0], shape[1]));
}

// rel_pos * (u * (r * eco_a - 1) + 2), where the gates u and r are the sigmoids of the sums of the
// halves of each head's query times the weight.
void import_gated_relative_position_bias(NodeContext& node, const Rule&) {
  const int64_t heads = node.i64("num_heads", 0);
  ValueId q = node.emit(Op::add, {node.input(0), node.input(1)});
  if (node.has_input(6)) {
    const Ints shape = node.shape(node.input(6));
    if (node.failed() || shape.size() != 2) return node.invalid("its offsets are not of rank 2");
    q = unpacked_tokens(node, q, node.input(6), shape[0], shape[1]);
  }
  if (heads < 1) return node.invalid("attribute `num_heads` is missing");
  const ValueId by_head = heads_first(node, q, heads);
  const ValueId product = node.emit(Op::matmul, {by_head, node.input(3)});
  const ValueId gates = node.emit(Op::add, {product, node.input(4)});
  const Ints shape = node.shape(gates);
  if (node.failed()) return;
  if (shape.size() != 4 || shape[3] % 2 != 0) {
    return node.invalid("its gates do not come in pairs");
  }
  const ValueId halves = reshape_to(node, gates, {shape[0], shape[1], shape[2], 2, shape[3] / 2});
  const ValueId sums =
      node.emit(Op::reduce_sum, {halves, node.ints(Ints{4})}, {{"keepdims", int64_t{0}}});
  const auto parts = split_last(node, node.emit(Op::sigmoid, {sums}), {1, 1});
  if (node.failed()) return;
  const ValueId reset = node.emit(Op::mul, {parts[1], node.input(5)});
  const ValueId less = node.emit(Op::sub, {reset, node.scalar_like(reset, 1)});
  const ValueId update = node.emit(Op::mul, {parts[0], less});
  const ValueId gate = node.emit(Op::add, {update, node.scalar_like(update, 2)});
  node.set_output(0, node.emit(Op::mul, {gate, node.input(2)}));
}

}  // namespace neuronc::onnx
