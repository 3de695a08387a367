// The register tile that all products share.
//
//   acc[i][v] += a(row i, k) * b(k, vector v)        for every k, in one fixed order
//
// `rows` scalars (pairs, quads) of a are spread against `vectors` registers of packed b; all
// accumulators stay in registers: 6 x 2 registers of eight f32 on x86-64-v3, up to 14 x 2 of
// sixteen with AVX-512, 2 x 2 matrices of 16x16 with AMX (matrix.h).
#pragma once

#include <functional>
#include <vector>

#include "backend/variants/product/step.h"

namespace neuronc {

// Rows and vectors of the register tile for a problem of `m` rows and `n` columns.
struct RegisterTile {
  int rows = 6;
  int vectors = 2;
  int lanes = 8;  // of an accumulator
  int columns() const { return vectors * lanes; }
  int active_vectors(int active_columns) const;
};
// `row_bytes`: how far apart rows of a lie in memory, where that is known.
RegisterTile choose_register_tile(const Machine& machine, const ProductStep& step, int64_t m,
                                  int64_t n, int64_t row_bytes = 0);

// k as loops over `outer` extents around one over `inner` consecutive elements. b has
// ceil(inner / k_step) rows for every index of the outer loops; the last one may be partial.
struct KLoops {
  std::vector<int64_t> outer;
  int64_t inner = 0;

  int64_t num_outer() const;
  int64_t num_groups(int k_step) const { return num_outer() * ((inner + k_step - 1) / k_step); }
};

// Rows of a in memory: at(row, outer indices, inner element) is an element of `buffer`, whose
// neighbours along `lane_dim` are the next inner elements.
struct RowOperand {
  kernel::BufferId buffer;
  int lane_dim = 0;
  std::function<std::vector<kernel::Index>(kernel::Index row, std::span<const kernel::Index> outer,
                                           kernel::Index inner)>
      at;
  // Where neighbouring rows are neighbours along a dim, that dim.
  int row_dim = -1;
};

struct MicroKernel {
  ProductStep step;
  int rows = 0;
  int vectors = 0;
  int lanes = 0;
  kernel::Index first_row;
  const KLoops* k = nullptr;
  const RowOperand* a = nullptr;
  // `vectors` registers at row `group` of the panels.
  std::function<kernel::Values(kernel::Index group)> load_b;
  // Called with every group, for hints; may be empty.
  std::function<void(kernel::Index group)> prefetch;
  // What the accumulators begin with, row after row; none: zeros.
  kernel::Values initial;
  // What of each outer loop of k is multiplied, for all rows; none: all of it.
  std::vector<kernel::Range> outer;
};

// The accumulators, row after row.
kernel::Values emit_micro_kernel(GroupEmitter& emitter, const MicroKernel& micro);

}  // namespace neuronc
