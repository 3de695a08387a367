// Implements microkernel.h.
#include "backend/variants/gemm/microkernel.h"

#include <algorithm>

namespace neuronc {

using kernel::Index;
using kernel::Values;

RegisterTile choose_register_tile(const TargetIsa& isa, int64_t m, int64_t n) {
  RegisterTile tile;
  tile.lanes = isa.vector_bytes / 4;
  const int accumulators = isa.num_vector_registers - 4;  // the rest: b, a broadcast, a spare
  if (m == 1) {
    // One row is bound by reading b: many independent accumulators hide the latency of fma.
    tile.rows = 1;
    tile.vectors = 8;
  } else if (m <= 3) {
    tile.rows = static_cast<int>(m);
    tile.vectors = 4;
  } else if (n % (2 * tile.lanes) != 0 && n % (3 * tile.lanes) == 0) {
    tile.vectors = 3;
    tile.rows = accumulators / 3;
  } else if (n <= tile.lanes) {
    tile.vectors = 1;
    tile.rows = std::min(accumulators, 8);
  } else {
    tile.vectors = 2;
    tile.rows = accumulators / 2;
  }
  while (tile.vectors > 1 && tile.vectors % 2 == 0 && (tile.vectors / 2) * tile.lanes >= n) {
    tile.vectors /= 2;
  }
  tile.rows = static_cast<int>(std::min<int64_t>(tile.rows, m));
  return tile;
}

namespace {

Values emit_k_loops(GroupEmitter& emitter, const MicroKernel& micro, size_t depth,
                    std::vector<Index> k, Index flat, const Values& accumulators) {
  if (depth == micro.k_extents.size()) {
    kernel::Builder& b = emitter.builder();
    const Values columns = micro.load_b(flat);
    Values next = accumulators;
    for (int i = 0; i < micro.rows; ++i) {
      const Register a = b.splat(micro.load_a(i, k), micro.lanes);
      for (int v = 0; v < micro.vectors; ++v) {
        const auto at = static_cast<size_t>(i * micro.vectors + v);
        next[at] = b.fma(a, columns[static_cast<size_t>(v)], next[at]);
      }
    }
    return next;
  }
  const int64_t extent = micro.k_extents[depth];
  const auto step = [&](Index i, std::span<const Register> carried) {
    std::vector<Index> inner = k;
    inner.push_back(i);
    return emit_k_loops(emitter, micro, depth + 1, std::move(inner), flat * extent + i,
                        Values(carried.begin(), carried.end()));
  };
  if (extent == 1) return step(Index(0), accumulators);
  kernel::ForOptions options;
  const bool is_innermost = depth + 1 == micro.k_extents.size();
  options.unroll = is_innermost && extent % 2 == 0 ? 2 : 1;
  return emitter.loop({0, extent, 1}, accumulators, step, options);
}

}  // namespace

Values emit_micro_kernel(GroupEmitter& emitter, const MicroKernel& micro) {
  const Register zero = emitter.builder().f32(0.0f, micro.lanes);
  const Values accumulators(static_cast<size_t>(micro.rows * micro.vectors), zero);
  return emit_k_loops(emitter, micro, 0, {}, Index(0), accumulators);
}

}  // namespace neuronc
