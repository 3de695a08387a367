// Implements problem.h.
#include "backend/variants/matmul/problem.h"

#include "backend/variants/product/bytes.h"

namespace neuronc {

using kernel::Index;

OrRefusal<MatmulProblem> matmul_problem(const GroupContext& context) {
  MatmulProblem problem;
  const Node& node = context.anchor_node();
  problem.a_shape = context.operand_shape(0);
  problem.b_shape = context.operand_shape(weights_operand(node.op));
  if (problem.a_shape.size() < 2 || problem.b_shape.size() < 2) {
    return refuse("an operand has fewer than two dims");
  }
  if (node.op == Op::gemm) {
    const OpView op = node.view();
    problem.transpose_a = op.i64("transA") != 0;
    problem.transpose_b = op.i64("transB") != 0;
    problem.alpha = op.f64("alpha");
    problem.beta = op.f64("beta");
  }
  const std::vector<int64_t> y = context.result_shape();
  problem.batch.assign(y.begin(), y.end() - 2);
  problem.m = y[y.size() - 2];
  problem.n = y[y.size() - 1];
  problem.k = problem.a_shape[problem.a_shape.size() - (problem.transpose_a ? 2 : 1)];
  if (num_elements(y) == 0 || problem.k == 0) return refuse("it has no elements");
  const DType dtype = context.body.type(node.operands[0]).dtype;
  if (carrier_of(dtype) != DType::f32 && dtype != DType::f64 && !is_byte_contraction(node.op)) {
    return refuse("it is not f64, f32, bf16 or f16");
  }
  return problem;
}

std::vector<Index> MatmulProblem::batch_index(Index number) const {
  std::vector<Index> indices(batch.size(), Index(0));
  for (size_t d = batch.size(); d-- > 0;) {
    if (batch[d] == 1) continue;
    indices[d] = d == 0 ? number : kernel::mod(number, batch[d]);
    number = kernel::floor_div(number, batch[d]);
  }
  return indices;
}

namespace {

std::vector<Index> operand_at(const std::vector<int64_t>& shape, const std::vector<Index>& batch,
                              Index row, Index column) {
  std::vector<Index> at;
  const size_t lead = shape.size() - 2;
  for (size_t d = 0; d < lead; ++d) {
    at.push_back(shape[d] == 1 ? Index(0) : batch[batch.size() - lead + d]);
  }
  at.push_back(row);
  at.push_back(column);
  return at;
}

}  // namespace

std::vector<Index> MatmulProblem::a_at(const std::vector<Index>& at, Index row, Index i) const {
  return transpose_a ? operand_at(a_shape, at, i, row) : operand_at(a_shape, at, row, i);
}

std::vector<Index> MatmulProblem::b_at(const std::vector<Index>& at, Index i, Index column) const {
  return transpose_b ? operand_at(b_shape, at, column, i) : operand_at(b_shape, at, i, column);
}

void store_matmul_result(GroupEmitter& emitter, const Node& anchor, const MatmulProblem& problem,
                         const std::vector<Index>& batch, Index m, Index n, int active,
                         Register sum) {
  kernel::Builder& b = emitter.builder();
  const int lanes = sum.type.lanes;
  std::vector<Index> dims = batch;
  dims.push_back(m);
  dims.push_back(n);
  const LaneIndex at = LaneIndex::along(dims, dims.size() - 1, lanes, active);
  if (is_byte_contraction(anchor.op)) {
    emitter.provide(anchor.results[0], at, sum);
    emitter.store_results(at);
    return;
  }
  const auto factor = [&](double value) { return b.constant({sum.type.dtype, lanes}, value); };
  if (problem.alpha != 1) sum = b.mul(sum, factor(problem.alpha));
  if (anchor.has_operand(2)) {
    Register c = emitter.pull_broadcast(anchor.operands[2], at);
    if (problem.beta != 1) c = b.mul(c, factor(problem.beta));
    sum = b.add(sum, c);
  }
  emitter.provide_rounded(anchor.results[0], at, sum);
  emitter.store_results(at);
}

namespace {

constexpr int64_t kFewColumns = 64;

bool lies_as_read(GroupEmitter& emitter, const MatmulProblem& problem, const ProductStep& step,
                  ValueId a) {
  if (emitter.producer(a)) return false;
  const auto memory = emitter.memory_of(a);
  if (!memory) return false;
  if (!step.reads_a_in_groups()) {
    // Widened on the way by every panel; for many panels the copy widens once.
    return memory->dtype == step.a || problem.n <= kFewColumns;
  }
  return memory->dtype == step.a && (problem.k == 1 || memory->strides[problem.a_k_dim()] == 1);
}

}  // namespace

RowOperand matmul_rows(GroupEmitter& emitter, const Node& anchor, const MatmulProblem& problem,
                       const ProductStep& step,
                       const std::function<std::vector<Index>(Index row, Index k)>& at, Index first,
                       int64_t rows, int64_t end, bool has_rows_along_dim) {
  const ValueId a = anchor.operands[0];
  const size_t k_dim = problem.a_k_dim();
  if (lies_as_read(emitter, problem, step, a)) {
    return {emitter.memory_of(a)->buffer, static_cast<int>(k_dim),
            [at](Index row, std::span<const Index>, Index k) { return at(row, k); },
            has_rows_along_dim ? static_cast<int>(problem.a_row_dim()) : -1};
  }
  const kernel::BufferId block = emitter.workspace("a", step.a, {rows, problem.k});
  const int lanes = emitter.vector_lanes(step.a == DType::f64 ? DType::f64 : DType::f32);
  const int64_t whole = problem.k / lanes * lanes;
  const auto copy = [&](Index i, Index k, int n) {
    const Register value = emitter.pull(a, LaneIndex::along(at(first + i, k), k_dim, n));
    emitter.builder().store(block, {i, k}, emitter.builder().convert(value, step.a));
  };
  emitter.loop({0, rows, 1}, [&](Index i) {
    emitter.when({{first + i, 0, end}}, [&] {
      if (whole > 0) emitter.loop({0, whole, lanes}, [&](Index k) { copy(i, k, lanes); });
      if (whole < problem.k) {
        emitter.loop({whole, problem.k, 1}, [&](Index k) { copy(i, k, 1); });
      }
    });
  });
  return {block, 1,
          [first](Index row, std::span<const Index>, Index k) {
            return std::vector<Index>{row - first, k};
          },
          /*row_dim=*/0};
}

OrRefusal<void> matmul_prologue(const Module&, const Graph& graph, const Node& anchor,
                                size_t operand) {
  if (operand != 0) return refuse("the operand is read more than once");
  const Type& x = graph.type(anchor.operands[0]);
  const bool has_step = carrier_of(x.dtype) == DType::f32 || is_byte_contraction(anchor.op);
  if (x.rank() >= 2 && has_step &&
      graph.type(anchor.operands[weights_operand(anchor.op)]).rank() >= 2) {
    return {};
  }
  return refuse("the product reads its operand once per column");
}

}  // namespace neuronc
