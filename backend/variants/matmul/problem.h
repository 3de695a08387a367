// matmul and gemm as one problem: y[batch, m, n] = alpha * sum over k of a * b (+ beta * c).
#pragma once

#include <cstdint>
#include <vector>

#include "backend/lower/emitter.h"
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
  size_t b_column_dim() const { return b_shape.size() - (transpose_b ? 2 : 1); }
};

// Of the anchor of `context`, a matmul or gemm with operands of rank 2 or more.
OrRefusal<MatmulProblem> matmul_problem(const GroupContext& context);

// Scales, adds `c`, and hands `lanes` columns of the result to the rest of the group.
void store_matmul_result(GroupEmitter& emitter, const Node& anchor, const MatmulProblem& problem,
                         const std::vector<kernel::Index>& batch, kernel::Index m, kernel::Index n,
                         int active, Register sum);

// Copies rows [first, first + rows) of a into `block` [rows, k]; rows past `end` are left alone.
void copy_rows(
    GroupEmitter& emitter, const Node& anchor, const MatmulProblem& problem, kernel::BufferId block,
    const std::function<std::vector<kernel::Index>(kernel::Index row, kernel::Index k)>& at,
    kernel::Index first, int64_t rows, int64_t end, int lanes);

}  // namespace neuronc
