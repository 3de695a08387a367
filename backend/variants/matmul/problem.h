// matmul and gemm as one problem: y[batch, m, n] = alpha * sum over k of a * b (+ beta * c).
#pragma once

#include <cstdint>
#include <vector>

#include "backend/variants/product/tile.h"
#include "backend/variants/variant.h"

namespace neuronc {

struct MatmulProblem {
  std::vector<int64_t> batch;    // leading dims of the result
  std::vector<int64_t> a_shape;  // as declared
  std::vector<int64_t> b_shape;
  int64_t m = 1, n = 1, k = 1;
  bool transpose_a = false, transpose_b = false;
  double alpha = 1, beta = 1;

  int64_t num_batches() const { return num_elements(batch); }
  // Indices of a batch number, one per batch dim.
  std::vector<kernel::Index> batch_index(kernel::Index number) const;
  // Index of an element of a or b; batch dims broadcast.
  std::vector<kernel::Index> a_at(const std::vector<kernel::Index>& batch, kernel::Index m,
                                  kernel::Index k) const;
  std::vector<kernel::Index> b_at(const std::vector<kernel::Index>& batch, kernel::Index k,
                                  kernel::Index n) const;
  size_t a_k_dim() const { return a_shape.size() - (transpose_a ? 2 : 1); }
  size_t a_row_dim() const { return a_shape.size() - (transpose_a ? 1 : 2); }
  size_t b_k_dim() const { return b_shape.size() - (transpose_b ? 1 : 2); }
  size_t b_column_dim() const { return b_shape.size() - (transpose_b ? 2 : 1); }
};

// Of the anchor of `context`, a matmul or gemm with operands of rank 2 or more.
OrRefusal<MatmulProblem> matmul_problem(const GroupContext& context);

// The constant right operand of a group of variant matmul.packed, as its kernel reads it (pack.h).
Tensor packed_weights(const GroupContext& context, const MatmulProblem& problem);

// Scales, adds `c`, and hands `lanes` columns of the result to the rest of the group.
void store_matmul_result(GroupEmitter& emitter, const Node& anchor, const MatmulProblem& problem,
                         const std::vector<kernel::Index>& batch, kernel::Index m, kernel::Index n,
                         int active, Register sum);

// The rows of a as the register tile reads them: rows `first` to `first + rows` of the list of all
// rows of all batches, of which there are `end`. Where they lie if memory order and dtype suit the
// step, otherwise copied to scratch first, which is also where elementwise work on a is done.
RowOperand matmul_rows(
    GroupEmitter& emitter, const Node& anchor, const MatmulProblem& problem,
    const ProductStep& step,
    const std::function<std::vector<kernel::Index>(kernel::Index row, kernel::Index k)>& at,
    kernel::Index first, int64_t rows, int64_t end, bool has_rows_along_dim);

// Whether a matmul-like anchor does elementwise work on a once per element: a has rows.
OrRefusal<void> matmul_prologue(const Module& module, const Graph& graph, const Node& anchor,
                                size_t operand);

}  // namespace neuronc
