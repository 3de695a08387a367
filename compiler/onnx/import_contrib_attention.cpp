// Import rules of com.microsoft's attention operators. They become the IR's attention: projections
// before it, masks as what is added to the scores, caches joined outside of it.
#include "compiler/onnx/attention_tools.h"
#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Ints = std::vector<int64_t>;

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
  AttentionSettings s;
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
  AttentionSettings s;
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

}  // namespace neuronc::onnx
