// The register tile that matmul and convolution share.
//
//   acc[i][v] += a(row i, k) * b(k, vector v)        for every k, in one fixed order
//
// `rows` scalars are broadcast against `vectors` registers of the packed operand; all accumulators
// stay in registers. On x86-64-v3 that is 6 x 2 registers of eight f32: 12 accumulators, two
// registers of b, one broadcast; 12 fused multiply-adds per 7 loads.
#pragma once

#include <functional>
#include <vector>

#include "backend/lower/emitter.h"

namespace neuronc {

// Rows and vectors of the register tile for a problem of `m` rows and `n` columns.
struct RegisterTile {
  int rows = 6;
  int vectors = 2;
  int lanes = 8;
  int columns() const { return vectors * lanes; }
};
RegisterTile choose_register_tile(const TargetIsa& isa, int64_t m, int64_t n);

struct MicroKernel {
  int rows = 0;
  int vectors = 0;
  int lanes = 0;
  std::vector<int64_t> k_extents;  // loops over k, outermost first; their product addresses b
  // One f32 of a; `k` has one index per loop.
  std::function<Register(int row, std::span<const kernel::Index> k)> load_a;
  // `vectors` registers of f32 at flat `k`.
  std::function<kernel::Values(kernel::Index k)> load_b;
};

// The accumulators, row after row.
kernel::Values emit_micro_kernel(GroupEmitter& emitter, const MicroKernel& micro);

}  // namespace neuronc
