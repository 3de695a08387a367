// Operators that leave their operand as it is, alone or together with the one before.
#include <algorithm>
#include <cmath>

#include "passes/simplify.h"

namespace neuronc {
namespace {

// Replaces the node by operand 0 if both have the same type: broadcasting may have made the
// result larger.
Changed replace_by_operand(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  const Type& operand = rewriter.type(node.operands[0]);
  const Type& result = rewriter.type(node.results[0]);
  if (operand != result || !operand.is_ranked) return Changed::no;
  const bool has_unknown = std::any_of(operand.dims.begin(), operand.dims.end(),
                                       [](Dim dim) { return dim.is_unknown(); });
  if (has_unknown) return Changed::no;
  rewriter.replace(id, node.operands[0]);
  return Changed::yes;
}

bool has_sign(const Tensor& tensor, bool is_negative) {
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    if (std::signbit(tensor.f64(i)) != is_negative) return false;
  }
  return true;
}

// x + -0, x - +0, x * 1, x / 1. Other zeros turn -0 into +0, whose reciprocals differ.
Changed drop_neutral_constant(Rewriter& rewriter, NodeId id) {
  double neutral = 0;
  const Op op = rewriter.node(id).op;
  switch (op) {
    case Op::add:
    case Op::sub:
      neutral = 0;
      break;
    case Op::mul:
    case Op::div:
      neutral = 1;
      break;
    default:
      return Changed::no;
  }
  const Tensor* constant = rewriter.constant(id, 1);
  if (constant == nullptr || !is_all(*constant, neutral)) return Changed::no;
  const bool is_signed_zero = neutral == 0 && is_float(constant->dtype());
  if (is_signed_zero && !has_sign(*constant, op == Op::add)) return Changed::no;
  return replace_by_operand(rewriter, id);
}

// x ** 2 is x * x, which is rounded as well and far cheaper. `recognise` looks for powers, so they
// stay as they are before it.
Changed spell_out_square(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.op != Op::pow || rewriter.module.stage < Stage::recognised) return Changed::no;
  const Tensor* exponent = rewriter.constant(id, 1);
  if (exponent == nullptr || !is_all(*exponent, 2)) return Changed::no;
  if (rewriter.type(node.results[0]) != rewriter.type(node.operands[0])) return Changed::no;
  const ValueId x = node.operands[0];
  return rewriter.replace_by(id, Op::mul, {x, x});
}

// f(f(x)) is f(x) for idempotent operators and x for involutions.
Changed drop_repetition(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.operands.size() != 1 || !node.operands[0]) return Changed::no;
  const NodeId inner_id = rewriter.operand_of(id, 0, node.op);
  if (!inner_id) return Changed::no;
  const Node& inner = rewriter.node(inner_id);
  if (inner.operands.size() != 1 || inner.attributes != node.attributes) return Changed::no;
  if (node.has(Trait::idempotent)) {
    rewriter.replace(id, node.operands[0]);
    return Changed::yes;
  }
  if (!node.has(Trait::involution)) return Changed::no;
  rewriter.replace(id, inner.operands[0]);
  return Changed::yes;
}

struct FloatFormat {
  int exponent_bits = 0;
  int mantissa_bits = 0;
};
FloatFormat float_format(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return {11, 52};
    case DType::f32:
      return {8, 23};
    case DType::f16:
      return {5, 10};
    case DType::bf16:
      return {8, 7};
    default:
      return {};
  }
}

// True if every value of `from` is a value of `to`.
bool holds_all_of(DType to, DType from) {
  if (to == from) return true;
  if (from == DType::boolean) return is_integer(to) || float_format(to).mantissa_bits > 0;
  if (is_integer(from) && is_integer(to)) {
    if (is_unsigned_integer(from)) {
      return integer_bits(to) > integer_bits(from) ||
             (is_unsigned_integer(to) && integer_bits(to) == integer_bits(from));
    }
    return is_signed_integer(to) && integer_bits(to) >= integer_bits(from);
  }
  const FloatFormat wide = float_format(to);
  if (is_integer(from)) return wide.mantissa_bits >= integer_bits(from);
  const FloatFormat narrow = float_format(from);
  return narrow.mantissa_bits > 0 && wide.mantissa_bits >= narrow.mantissa_bits &&
         wide.exponent_bits >= narrow.exponent_bits;
}

// A cast to the type its operand has; a cast behind one that loses nothing.
Changed merge_casts(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  if (node.op != Op::cast) return Changed::no;
  const DType to = rewriter.type(node.results[0]).dtype;
  if (rewriter.type(node.operands[0]).dtype == to) {
    rewriter.replace(id, node.operands[0]);
    return Changed::yes;
  }
  const NodeId inner = rewriter.operand_of(id, 0, Op::cast);
  if (!inner) return Changed::no;
  const ValueId source = rewriter.node(inner).operands[0];
  const DType from = rewriter.type(source).dtype;
  if (!holds_all_of(rewriter.type(node.operands[0]).dtype, from)) return Changed::no;
  if (from == to) {
    rewriter.replace(id, source);
  } else {
    rewriter.edit.set_operand(id, 0, source);
    rewriter.edit.erase_if_unused(inner);
  }
  return Changed::yes;
}

// concat of one operand, split into one part.
Changed drop_single_part(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  const bool is_single = (node.op == Op::concat && node.operands.size() == 1) ||
                         (node.op == Op::split && node.results.size() == 1);
  if (!is_single) return Changed::no;
  rewriter.replace(id, node.operands[0]);
  return Changed::yes;
}

constexpr SimplifyRule kRules[] = {drop_neutral_constant, spell_out_square, drop_repetition,
                                   merge_casts, drop_single_part};

}  // namespace

std::span<const SimplifyRule> identity_rules() { return kRules; }

}  // namespace neuronc
