// Import rules of ONNX's own attention, of convolutions with a state or moved taps, and SwiGLU.
#include <fmt/format.h>

#include <limits>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Ints = std::vector<int64_t>;

// Keys or values [B, L, heads * size] as [B, heads, L, size], behind those of the past.
ValueId present_of(NodeContext& node, ValueId past, ValueId next) {
  if (node.rank(next) == 3) {
    const Ints shape = node.shape(next);
    const int64_t heads = node.i64("kv_num_heads", 0);
    if (node.failed()) return next;
    if (heads < 1 || shape[2] % heads != 0) {
      node.invalid("`kv_num_heads` does not divide the last axis");
      return next;
    }
    const ValueId split = reshape_to(node, next, {shape[0], shape[1], heads, shape[2] / heads});
    next = node.emit(Op::transpose, {split}, {{"perm", Ints{0, 2, 1, 3}}});
  }
  if (past) return node.emit(Op::concat, {past, next}, {{"axis", int64_t{2}}});
  return node.emit(Op::identity, {next});
}

// A mask of fewer keys than there are hides the rest.
ValueId whole_mask(NodeContext& node) {
  const ValueId mask = node.input(3);
  if (!mask) return mask;
  const Type& type = node.type(mask);
  const Type& key = node.type(node.input(1));
  if (!type.is_static() || !key.is_static() || type.rank() == 0) return mask;
  int64_t keys = key.shape()[key.rank() == 3 ? 1 : 2];
  if (node.has_input(4)) {
    const Type& past = node.type(node.input(4));
    if (!past.is_static() || past.rank() != 4) return mask;
    keys += past.shape()[2];
  }
  const int64_t missing = keys - type.shape().back();
  if (missing <= 0 || type.shape().back() == 1) return mask;
  Ints pads(static_cast<size_t>(2 * type.rank()), 0);
  pads.back() = missing;
  const ValueId fill = type.dtype == DType::boolean
                           ? ValueId()
                           : node.scalar_like(mask, -std::numeric_limits<double>::infinity());
  return node.emit(Op::pad, {mask, node.ints(pads), fill});
}

}  // namespace

// What is left in the cache is joined apart, so that attention itself has one result.
void import_attention(NodeContext& node, const Rule& rule) {
  std::vector<ValueId> operands = node.inputs();
  if (operands.size() < 3) return node.invalid("it needs queries, keys and values");
  if (operands.size() > 3) operands[3] = whole_mask(node);
  auto attributes = direct_attributes(node, rule.op);
  const size_t num_results = node.wants_output(3) ? 4 : 1;
  const auto results = node.emit_many(rule.op, operands, std::move(attributes), num_results);
  node.set_output(0, results[0]);
  if (num_results == 4) node.set_output(3, results[3]);
  for (size_t i = 1; i < 3 && !node.failed(); ++i) {
    if (node.wants_output(i)) node.set_output(i, present_of(node, node.input(3 + i), operands[i]));
  }
}

// The columns that moved taps read, times the weights.
void import_deform_conv(NodeContext& node, const Rule& rule) {
  const Ints w = node.shape(node.input(1)), x = node.shape(node.input(0));
  if (node.failed()) return;
  if (w.size() != 4 || x.size() != 4) return node.unsupported("it is not of two spatial axes");
  const Ints declared = node.ints("kernel_shape", {w[2], w[3]});
  if (declared != Ints{w[2], w[3]}) {
    return node.invalid("attribute `kernel_shape` contradicts the weight's shape");
  }
  const int64_t group = node.i64("group", 1);
  if (group < 1 || w[0] % group != 0 || x[1] != w[1] * group) {
    return node.invalid("its channels cannot be divided into `group`");
  }
  auto attributes = direct_attributes(node, rule.op, {"group", "kernel_shape"});
  attributes.push_back({"kernel_shape", declared});
  const ValueId columns =
      node.emit(rule.op, {node.input(0), node.input(2), node.input(4)}, std::move(attributes));
  const Ints shape = node.shape(columns);
  if (node.failed()) return;
  const int64_t depth = w[1] * w[2] * w[3], places = shape[4] * shape[5];
  const ValueId right = reshape_to(node, columns, {x[0], group, depth, places});
  const ValueId left = reshape_to(node, node.input(1), {group, w[0] / group, depth});
  const ValueId product = node.emit(Op::matmul, {left, right});
  ValueId y = reshape_to(node, product, {x[0], w[0], shape[4], shape[5]});
  if (node.has_input(3)) {
    y = node.emit(Op::add, {y, reshape_to(node, node.input(3), {w[0], 1, 1})});
  }
  node.set_output(0, y);
}

// A depthwise convolution along time over the last inputs of before and the new ones.
void import_causal_conv_with_state(NodeContext& node, const Rule& rule) {
  const ValueId x = node.input(0);
  const Ints shape = node.shape(x), w = node.shape(node.input(1));
  if (node.failed()) return;
  if (shape.size() != 3 || w.size() != 3 || w[0] != shape[1] || w[1] != 1 || w[2] < 1) {
    return node.invalid("its input or its weight is not of rank 3, or their channels differ");
  }
  const std::string activation = node.string("activation", "none");
  if (activation != "none" && activation != "silu" && activation != "swish") {
    return node.invalid(fmt::format("attribute `activation` is `{}`", activation));
  }
  const int64_t before = w[2] - 1;
  ValueId all = x;
  if (node.has_input(3)) {
    all = node.emit(Op::concat, {node.input(3), x}, {{"axis", int64_t{2}}});
  } else if (before > 0) {
    all = node.emit(Op::pad, {x, node.ints({0, 0, before, 0, 0, 0})});
  }
  ValueId y = node.emit(rule.op, {all, node.input(1), node.input(2)}, {{"group", shape[1]}});
  if (activation != "none") y = node.emit(Op::swish, {y});
  node.set_output(0, y);
  if (!node.wants_output(1)) return;
  const Ints whole = node.shape(all);
  if (node.failed()) return;
  node.set_output(1, node.emit(Op::slice, {all, node.ints(Ints{whole[2] - before}),
                                           node.ints(Ints{whole[2]}), node.ints(Ints{2})}));
}

void import_swiglu(NodeContext& node, const Rule& rule) {
  const ValueId gate = node.emit(rule.op, {node.input(0)}, {{"alpha", node.f64("alpha", 1)}});
  node.set_output(0, node.emit(Op::mul, {gate, node.input(1)}));
}

}  // namespace neuronc::onnx
