// Plain lowerings of matrix products: a sum over k for every result, for every type and rank; the
// fast forms are variants (backend/variants/matmul/).
#include <cmath>

#include "backend/lower/contraction.h"
#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;
using kernel::Values;

// The index of an operand with `k` set by the loop. A rank-1 operand has only k.
struct OperandIndex {
  LaneIndex at;
  size_t k_dim = 0;
};

// Batch dims broadcast from the right of `batch` dims of the result.
void set_batch(const std::vector<int64_t>& shape, size_t batch, const LaneIndex& result,
               OperandIndex& operand) {
  const size_t lead = shape.size() - 2;
  for (size_t d = 0; d < lead; ++d) {
    if (shape[d] == 1) continue;
    operand.at.dims[d] = result.dims[batch - lead + d];
    operand.at.steps[d] = result.steps[batch - lead + d];
  }
}

OperandIndex operand_index(const std::vector<int64_t>& shape, const LaneIndex& result, size_t batch,
                           size_t free_of_result, bool is_left, bool is_transposed) {
  const size_t rank = shape.size();
  OperandIndex operand{
      result.with_dims(std::vector<Index>(rank, Index(0)), std::vector<int64_t>(rank, 0)), 0};
  if (rank == 1) return operand;
  set_batch(shape, batch, result, operand);
  const bool k_is_last = is_left != is_transposed;
  operand.k_dim = k_is_last ? rank - 1 : rank - 2;
  const size_t free_dim = k_is_last ? rank - 2 : rank - 1;
  operand.at.dims[free_dim] = result.dims[free_of_result];
  operand.at.steps[free_dim] = result.steps[free_of_result];
  return operand;
}

}  // namespace

Register sum_product(GroupEmitter& e, const Terms& terms, const LaneIndex& at, Transposed a,
                     Transposed b) {
  const std::vector<int64_t> x = e.shape(terms.a), w = e.shape(terms.b);
  const size_t rank = at.dims.size();
  const size_t num_free = (x.size() > 1 ? 1 : 0) + (w.size() > 1 ? 1 : 0);
  const size_t batch = rank - num_free;
  OperandIndex left = operand_index(x, at, batch, batch, true, a == Transposed::yes);
  OperandIndex right = operand_index(w, at, batch, rank - 1, false, b == Transposed::yes);
  const Values zero{e.builder().zero({terms.carrier, at.lanes})};
  return e.loop({0, x[left.k_dim], 1}, zero, [&](Index k, std::span<const Register> sum) {
    left.at.dims[left.k_dim] = k;
    right.at.dims[right.k_dim] = k;
    return Values{terms.add(left.at, right.at, sum[0])};
  })[0];
}

namespace {

// Sums have the result's type, which may be wider than the operands'.
Terms terms_of(GroupEmitter& e, const Node& node) {
  const DType carrier = carrier_of(e.type(node.results[0]).dtype);
  const bool is_floating = carrier == DType::f32 || carrier == DType::f64;
  const auto add = [&e, &node, carrier, is_floating](const LaneIndex& a_at, const LaneIndex& b_at,
                                                     Register sum) {
    Builder& b = e.builder();
    const Register p = b.convert(e.pull(node.operands[0], a_at), carrier);
    const Register q = b.convert(e.pull(node.operands[1], b_at), carrier);
    return is_floating ? b.fma(p, q, sum) : b.add(sum, b.mul(p, q));
  };
  return {node.operands[0], node.operands[1], carrier, add};
}

Register emit_matmul(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  return e.rounded(sum_product(e, terms_of(e, node), at), e.type(node.results[0]).dtype);
}

Register scaled(Builder& b, Register value, double factor) {
  return factor == 1 ? value : b.mul(value, b.constant(value.type, factor));
}

Register emit_gemm(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const OpView op = node.view();
  const auto transposed = [&](const char* name) {
    return op.i64(name) != 0 ? Transposed::yes : Transposed::no;
  };
  Register sum =
      scaled(b, sum_product(e, terms_of(e, node), at, transposed("transA"), transposed("transB")),
             op.f64("alpha"));
  if (node.has_operand(2)) {
    const Register c = b.convert(e.pull_broadcast(node.operands[2], at), sum.type.dtype);
    sum = b.add(sum, scaled(b, c, op.f64("beta")));
  }
  return e.rounded(sum, e.type(node.results[0]).dtype);
}

OrRefusal<void> accepts_gemm(const Module&, const Graph& graph, const Node& node) {
  const OpView op = node.view();
  for (double factor : {op.f64("alpha"), op.f64("beta")}) {
    if (!is_float(graph.type(node.operands[0]).dtype) && factor != std::trunc(factor)) {
      return refuse("it scales integers by a fraction");
    }
  }
  return {};
}

}  // namespace

void add_matmul_lowerings(LoweringTable& t) {
  row(t, Op::matmul) = {emit_matmul};
  row(t, Op::gemm) = {emit_gemm, nullptr, nullptr, accepts_gemm};
}

}  // namespace neuronc
