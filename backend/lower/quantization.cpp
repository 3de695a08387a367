// Default lowerings of quantisation and its inverse: one scale per tensor or per index of an axis.
#include <cmath>

#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"

namespace neuronc {
namespace {

using kernel::Builder;

// Scale or zero point of the elements at `at`, in all lanes.
Register per_axis(GroupEmitter& e, const Node& node, size_t operand, const LaneIndex& at) {
  const ValueId value = node.operands[operand];
  const std::vector<int64_t> shape = e.shape(value);
  if (num_elements(shape) == 1) {
    // A scalar has no axis.
    return e.builder().splat(e.pull(value, origin(shape.size())), at.lanes);
  }
  const size_t axis = resolve_axis(node.view().i64("axis"), at.dims.size());
  return e.pull(value, at.with_dims({at.dims[axis]}, {at.steps[axis]}));
}

// The quotient is f32, rounded to an integer, ties to even; NaN becomes the zero point.
Register emit_quantize(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const DType dtype = e.type(node.results[0]).dtype;
  const int bits = integer_bits(dtype);
  const bool is_signed = is_signed_integer(dtype);
  const double low = is_signed ? -std::ldexp(1, bits - 1) : 0;
  const double high = std::ldexp(1, is_signed ? bits - 1 : bits) - 1;
  const Register quotient = b.div(e.pull(node.operands[0], at), per_axis(e, node, 1, at));
  Register zero_point = b.zero(quotient.type);
  if (node.has_operand(2)) zero_point = b.convert(per_axis(e, node, 2, at), DType::f32);
  const Register rounded = b.add(b.round_even(quotient), zero_point);
  const Register clamped =
      b.min_num(b.max_num(rounded, b.constant(rounded.type, low)), b.constant(rounded.type, high));
  return b.convert(b.select(b.ne(quotient, quotient), zero_point, clamped), dtype);
}

// Differences of 16-bit integers and their products with an f32 scale round once in f32; all else
// is computed in f64, as the result is then rounded.
Register emit_dequantize(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const DType dtype = e.type(node.results[0]).dtype;
  const bool is_short = integer_bits(e.type(node.operands[0]).dtype) <= 16;
  const DType wide =
      is_short && dtype == DType::f32 && carrier_of(e.type(node.operands[1]).dtype) == DType::f32
          ? DType::f32
          : DType::f64;
  Register difference = b.convert(e.pull(node.operands[0], at), is_short ? DType::i32 : DType::i64);
  if (node.has_operand(2)) {
    const Register zero_point = per_axis(e, node, 2, at);
    difference = b.sub(difference, b.convert(zero_point, difference.type.dtype));
  }
  const Register scale = b.convert(per_axis(e, node, 1, at), wide);
  const Register product = b.mul(b.convert(difference, wide), scale);
  return b.convert(b.convert(product, dtype), carrier_of(dtype));
}

OrRefusal<void> accepts_scales(const Graph& graph, const Node& node, size_t quantised) {
  if (node.view().i64("block_size") != 0) return refuse("its scales are per block");
  const DType dtype = graph.type(quantised == 0 ? node.operands[0] : node.results[0]).dtype;
  if (!is_integer(dtype) || integer_bits(dtype) < 8) {
    return refuse("it quantises to a type narrower than 8 bits, or to small floats");
  }
  if (!is_float(graph.type(node.operands[1]).dtype)) return refuse("its scale is an integer");
  return {};
}

OrRefusal<void> accepts_quantize(const Module&, const Graph& graph, const Node& node) {
  for (size_t i : {0, 1}) {
    if (graph.type(node.operands[i]).dtype != DType::f32)
      return refuse("it works on other than f32");
  }
  return accepts_scales(graph, node, 1);
}

OrRefusal<void> accepts_dequantize(const Module&, const Graph& graph, const Node& node) {
  return accepts_scales(graph, node, 0);
}

}  // namespace

void add_quantization_lowerings(LoweringTable& t) {
  row(t, Op::quantize_linear) = {emit_quantize, nullptr, nullptr, accepts_quantize};
  row(t, Op::dequantize_linear) = {emit_dequantize, nullptr, nullptr, accepts_dequantize};
}

}  // namespace neuronc
