// Implements attention_tools.h.
#include "compiler/onnx/attention_tools.h"

#include <numeric>

#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {

using Ints = std::vector<int64_t>;

ValueId counting(NodeContext& node, int64_t count) {
  Ints numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return node.ints(numbers);
}

ValueId as_type(NodeContext& node, ValueId x, DType dtype) {
  return node.dtype_of(x) == dtype ? x : node.emit(Op::cast, {x}, {{"to", dtype}});
}

ValueId heads_first(NodeContext& node, ValueId x, int64_t heads) {
  const Ints shape = node.shape(x);
  if (node.failed() || shape.size() != 3) return x;
  const ValueId split = reshape_to(node, x, {shape[0], shape[1], heads, shape[2] / heads});
  return node.emit(Op::transpose, {split}, {{"perm", Ints{0, 2, 1, 3}}});
}

ValueId element(NodeContext& node, ValueId x, int64_t i, int64_t axis) {
  return node.emit(Op::gather, {x, node.scalar_i64(i)}, {{"axis", axis}});
}

std::vector<ValueId> split_last(NodeContext& node, ValueId x, const Ints& sizes) {
  return node.emit_many(Op::split, {x, node.ints(sizes)}, {{"axis", int64_t{-1}}}, sizes.size());
}

ValueId added_where_not(NodeContext& node, ValueId condition, double value, DType dtype) {
  return node.emit(Op::where, {condition, node.scalar(dtype, 0), node.scalar(dtype, value)});
}

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

ValueId emit_attention(NodeContext& node, ValueId q, ValueId k, ValueId v,
                       const AttentionSettings& s) {
  std::vector<NamedAttribute> attributes{{"is_causal", static_cast<int64_t>(s.is_causal)},
                                         {"q_num_heads", s.num_heads},
                                         {"kv_num_heads", s.num_kv_heads}};
  if (s.scale != 0) attributes.push_back({"scale", s.scale});
  if (s.softcap != 0) attributes.push_back({"softcap", s.softcap});
  return node.emit(Op::attention, {q, k, v, s.bias, s.past_key, s.past_value, s.num_keys},
                   std::move(attributes));
}

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

ValueId rotated(NodeContext& node, ValueId x, ValueId positions, ValueId cosines, ValueId sines,
                std::vector<NamedAttribute> attributes) {
  const DType dtype = node.dtype_of(x);
  return node.emit(Op::rotary_embedding,
                   {x, as_type(node, cosines, dtype), as_type(node, sines, dtype), positions},
                   std::move(attributes));
}

}  // namespace neuronc::onnx
