// Plain lowerings of products and convolutions of integers with zero points, and of those that
// quantise their sums. Sums are exact: i32 that wraps where that is the result, otherwise as wide
// as the number of terms needs.
#include "backend/lower/contraction.h"
#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"
#include "backend/lower/quantization.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;

// Which elements of an operand one of several scales or zero points belongs to.
enum class Along : uint8_t { rows, columns, outputs };

// The shape in which a parameter broadcasts to an operand of `shape`; empty if it does not fit.
std::vector<int64_t> spread_shape(const std::vector<int64_t>& parameter,
                                  const std::vector<int64_t>& shape, Along along) {
  std::vector<int64_t> own = parameter;
  if (own.size() == 1) {
    own.assign(shape.size(), 1);
    const size_t axis = along == Along::outputs ? 0
                        : along == Along::rows  ? shape.size() - std::min<size_t>(2, shape.size())
                                                : shape.size() - 1;
    own[axis] = parameter[0];
  }
  if (own.size() != shape.size()) return {};
  for (size_t d = 0; d < shape.size(); ++d) {
    if (own[d] != 1 && own[d] != shape[d]) return {};
  }
  return own;
}

// `parameter` for the elements at `at` of an operand of `shape`, in all lanes.
Register spread(GroupEmitter& e, ValueId parameter, const std::vector<int64_t>& shape, Along along,
                const LaneIndex& at) {
  const std::vector<int64_t> given = e.shape(parameter);
  if (num_elements(given) == 1) {
    return e.builder().splat(e.pull(parameter, origin(given.size())), at.lanes);
  }
  const std::vector<int64_t> own = spread_shape(given, shape, along);
  LaneIndex from = at;
  for (size_t d = 0; d < own.size(); ++d) {
    if (own[d] != 1) continue;
    from.dims[d] = Index(0);
    from.steps[d] = 0;
  }
  if (given.size() == own.size()) return e.pull(parameter, from);
  for (size_t d = 0; d < own.size(); ++d) {
    if (own[d] != 1) return e.pull(parameter, at.with_dims({from.dims[d]}, {from.steps[d]}));
  }
  return e.pull(parameter, origin(given.size()));
}

// Where the operands of one of the four operators stand; no zero point: SIZE_MAX.
struct Operands {
  size_t a, b, a_zero_point, b_zero_point;
};
constexpr Operands kInteger{0, 1, 2, 3};
constexpr Operands kQuantised{0, 3, 2, 5};
constexpr size_t kAScale = 1, kBScale = 4, kYScale = 6, kYZeroPoint = 7, kBias = 8;

Register centred(GroupEmitter& e, const Node& node, size_t operand, size_t zero_point, Along along,
                 const LaneIndex& at) {
  Builder& b = e.builder();
  const Register x = b.convert(e.pull(node.operands[operand], at), DType::i32);
  if (!node.has_operand(zero_point)) return x;
  const Register shift =
      spread(e, node.operands[zero_point], e.shape(node.operands[operand]), along, at);
  return b.sub(x, b.convert(shift, DType::i32));
}

Terms terms_of(GroupEmitter& e, const Node& node, const Operands& o, Along a_along, Along b_along,
               DType sum_dtype) {
  const auto add = [&e, &node, o, a_along, b_along, sum_dtype](
                       const LaneIndex& a_at, const LaneIndex& b_at, Register sum) {
    Builder& b = e.builder();
    const Register p = centred(e, node, o.a, o.a_zero_point, a_along, a_at);
    const Register q = centred(e, node, o.b, o.b_zero_point, b_along, b_at);
    return b.add(sum, b.convert(b.mul(p, q), sum_dtype));
  };
  return {node.operands[o.a], node.operands[o.b], sum_dtype, add};
}

// Products of two bytes less their zero points are at most 2^16 great, sums below 2^31 are i32.
DType exact_sum(int64_t num_terms) { return num_terms < (1 << 15) ? DType::i32 : DType::i64; }

// round(sum * (a_scale * b_scale / y_scale)) + zero point; the factor and the product round to f32.
Register requantised(GroupEmitter& e, const Node& node, Register sum, Register a_scale,
                     Register b_scale) {
  Builder& b = e.builder();
  const auto number = [&](size_t i, DType dtype) {
    const ValueId value = node.operands[i];
    const Register one = e.pull(value, origin(e.shape(value).size()));
    return b.splat(b.convert(one, dtype), sum.type.lanes);
  };
  const auto wide = [&](Register x) { return b.convert(x, DType::f64); };
  const Register scale = b.div(b.mul(wide(a_scale), wide(b_scale)), number(kYScale, DType::f64));
  const Register factor = wide(b.convert(scale, DType::f32));
  const Register quotient = b.convert(b.mul(wide(sum), factor), DType::f32);
  return saturated(b, quotient, number(kYZeroPoint, DType::f32), e.type(node.results[0]).dtype);
}

// ---- products

Register emit_matmul_integer(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  return sum_product(e, terms_of(e, node, kInteger, Along::rows, Along::columns, DType::i32), at);
}

Register emit_q_linear_matmul(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const DType dtype = exact_sum(e.shape(node.operands[kQuantised.a]).back());
  const Register sum =
      sum_product(e, terms_of(e, node, kQuantised, Along::rows, Along::columns, dtype), at);
  const std::vector<int64_t> y = e.shape(node.results[0]);
  return requantised(e, node, sum, spread(e, node.operands[kAScale], y, Along::rows, at),
                     spread(e, node.operands[kBScale], y, Along::columns, at));
}

OrRefusal<void> check_spread(const Graph& graph, const Node& node, size_t parameter,
                             const std::vector<int64_t>& shape, Along along) {
  if (!node.has_operand(parameter)) return {};
  const std::vector<int64_t> given = graph.type(node.operands[parameter]).shape();
  if (num_elements(given) == 1) return {};
  if (!shape.empty() && !spread_shape(given, shape, along).empty()) return {};
  return refuse("a scale or zero point does not fit its operand");
}

OrRefusal<void> check_scalars(const Graph& graph, const Node& node,
                              std::initializer_list<size_t> operands) {
  for (size_t i : operands) {
    if (node.has_operand(i) && graph.type(node.operands[i]).num_elements() != 1) {
      return refuse("a scale or zero point is not one number");
    }
  }
  return {};
}

std::vector<int64_t> operand_shape(const Graph& graph, const Node& node, size_t i) {
  return graph.type(node.operands[i]).shape();
}

OrRefusal<void> accepts_matmul_integer(const Module&, const Graph& graph, const Node& node) {
  NEURONC_TRY(check_spread(graph, node, 2, operand_shape(graph, node, 0), Along::rows));
  return check_spread(graph, node, 3, operand_shape(graph, node, 1), Along::columns);
}

OrRefusal<void> accepts_q_linear_matmul(const Module&, const Graph& graph, const Node& node) {
  const std::vector<int64_t> y = graph.type(node.results[0]).shape();
  NEURONC_TRY(check_scalars(graph, node, {kYScale, kYZeroPoint}));
  NEURONC_TRY(check_spread(graph, node, 2, operand_shape(graph, node, 0), Along::rows));
  NEURONC_TRY(check_spread(graph, node, 5, operand_shape(graph, node, 3), Along::columns));
  NEURONC_TRY(check_spread(graph, node, kAScale, y, Along::rows));
  return check_spread(graph, node, kBScale, y, Along::columns);
}

// ---- convolutions: padding is the zero point, so that it adds nothing

Register emit_conv_integer(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const Terms terms = terms_of(e, node, kInteger, Along::outputs, Along::outputs, DType::i32);
  return sum_windows(e, node, terms, at);
}

Register emit_q_linear_conv(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const std::vector<int64_t> w = e.shape(node.operands[kQuantised.b]);
  const DType dtype = exact_sum(w[0] == 0 ? 0 : num_elements(w) / w[0]);
  const Terms terms = terms_of(e, node, kQuantised, Along::outputs, Along::outputs, dtype);
  Register sum = sum_windows(e, node, terms, at);
  const LaneIndex channel = at.with_dims({at.dims[1]}, {at.steps[1]});
  if (node.has_operand(kBias)) {
    const Register bias = e.pull(node.operands[kBias], channel);
    sum = b.add(b.convert(sum, DType::f64), b.convert(bias, DType::f64));
  }
  const auto scale = [&](size_t i) {
    const std::vector<int64_t> shape = e.shape(node.operands[i]);
    if (num_elements(shape) != 1) return e.pull(node.operands[i], channel);
    return b.splat(e.pull(node.operands[i], origin(shape.size())), at.lanes);
  };
  return requantised(e, node, sum, scale(kAScale), scale(kBScale));
}

OrRefusal<void> accepts_conv_integer(const Module&, const Graph& graph, const Node& node) {
  NEURONC_TRY(check_scalars(graph, node, {2}));
  return check_spread(graph, node, 3, operand_shape(graph, node, 1), Along::outputs);
}

OrRefusal<void> accepts_q_linear_conv(const Module&, const Graph& graph, const Node& node) {
  NEURONC_TRY(check_scalars(graph, node, {kAScale, 2, kYScale, kYZeroPoint}));
  NEURONC_TRY(check_spread(graph, node, 5, operand_shape(graph, node, 3), Along::outputs));
  const std::vector<int64_t> scales = operand_shape(graph, node, kBScale);
  const std::vector<int64_t> channels{graph.type(node.results[0]).shape()[1]};
  if (num_elements(scales) != 1 && scales != channels) {
    return refuse("its weights' scales are not one per output channel");
  }
  return {};
}

}  // namespace

void add_quantized_contraction_lowerings(LoweringTable& t) {
  row(t, Op::matmul_integer) = {emit_matmul_integer, nullptr, nullptr, accepts_matmul_integer};
  row(t, Op::q_linear_matmul) = {emit_q_linear_matmul, nullptr, nullptr, accepts_q_linear_matmul};
  row(t, Op::conv_integer) = {emit_conv_integer, nullptr, nullptr, accepts_conv_integer};
  row(t, Op::q_linear_conv) = {emit_q_linear_conv, nullptr, nullptr, accepts_q_linear_conv};
}

}  // namespace neuronc
