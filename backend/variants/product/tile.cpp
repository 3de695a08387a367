// Implements tile.h.
#include "backend/variants/product/tile.h"

#include <algorithm>

namespace neuronc {

using kernel::Index;
using kernel::Values;

int RegisterTile::active_vectors(int active_columns) const {
  return std::min(vectors, (active_columns + lanes - 1) / lanes);
}

int64_t KLoops::num_outer() const {
  int64_t count = 1;
  for (int64_t extent : outer) count *= extent;
  return count;
}

namespace {

// Two by two matrices, fewer for small problems.
RegisterTile matrix_tile(int64_t m, int64_t n) {
  RegisterTile tile;
  tile.rows = m > kernel::kMatrixRows ? 2 * kernel::kMatrixRows : kernel::kMatrixRows;
  tile.vectors = n > kPanelColumns ? 2 : 1;
  tile.lanes = kPanelColumns;
  return tile;
}

// Rows of equal height that cover `m` with the fewest tiles.
int balanced_rows(int most, int64_t m) {
  const int64_t tiles = (m + most - 1) / most;
  return static_cast<int>((m + tiles - 1) / tiles);
}

// Addresses that are a multiple of this apart share a set of the nearest cache, which has at least
// eight ways.
constexpr int64_t kWayBytes = 4096;
constexpr int kWays = 8;

}  // namespace

RegisterTile choose_register_tile(const Machine& machine, const ProductStep& step, int64_t m,
                                  int64_t n, int64_t row_bytes) {
  if (step.is_matrix()) return matrix_tile(m, n);
  RegisterTile tile;
  tile.lanes = machine.lanes(size_bytes(step.accumulator));
  // The rest: b, what is spread, a spare; b twice over and a mask where it is widened, and a too
  // where bytes are multiplied as words.
  const bool is_split = step.kind == StepKind::dot_bytes && !machine.isa.has_avx512_vnni;
  const int others = is_split ? 8 : step.kind == StepKind::widen_bf16 ? 6 : 4;
  const int accumulators = machine.isa.num_vector_registers - others;
  if (m == 1) {
    // One row is bound by reading b: many independent accumulators hide the latency of fma.
    tile.rows = 1;
    tile.vectors = 8;
  } else if (m <= 3) {
    tile.rows = static_cast<int>(m);
    tile.vectors = 4;
  } else if (n % (2 * tile.lanes) != 0 && n % (3 * tile.lanes) == 0 &&
             tile.lanes != kPanelColumns) {
    tile.vectors = 3;
    tile.rows = accumulators / 3;
  } else if (n <= tile.lanes) {
    tile.vectors = 1;
    tile.rows = std::min(accumulators, 12);
  } else {
    tile.vectors = 2;
    tile.rows = accumulators / 2;
    // More rows than ways would push one another out at every step.
    const bool share_a_set = row_bytes > 0 && row_bytes % kWayBytes == 0;
    const int64_t all_vectors = (n + tile.lanes - 1) / tile.lanes;
    if (share_a_set && std::min<int64_t>(tile.rows, m) > kWays && all_vectors > 2) {
      tile.vectors = all_vectors % 4 != 0 && all_vectors % 3 == 0 ? 3 : 4;
      tile.rows = std::min(accumulators / tile.vectors, kWays - 1);
    }
  }
  if (const int vectors = machine.code.blocking.vectors; vectors != 0 && m > 3) {
    tile.vectors = vectors;
    tile.rows = std::min(accumulators / vectors, 12);
  }
  while (tile.vectors > 1 && tile.vectors % 2 == 0 && (tile.vectors / 2) * tile.lanes >= n) {
    tile.vectors /= 2;
  }
  tile.rows = balanced_rows(tile.rows, m);
  return tile;
}

namespace {

class KLoopEmitter {
 public:
  KLoopEmitter(GroupEmitter& emitter, const MicroKernel& micro)
      : emitter_(emitter),
        micro_(micro),
        k_step_(micro.step.k_step()),
        groups_((micro.k->inner + k_step_ - 1) / k_step_) {}

  Values emit(size_t depth, std::vector<Index> outer, Index flat, const Values& accumulators) {
    if (depth == micro_.k->outer.size()) return emit_inner(outer, flat, accumulators);
    const int64_t extent = micro_.k->outer[depth];
    const auto step = [&](Index i, std::span<const Register> carried) {
      std::vector<Index> inner = outer;
      inner.push_back(i);
      return emit(depth + 1, std::move(inner), flat * extent + i,
                  Values(carried.begin(), carried.end()));
    };
    const kernel::Range range =
        micro_.outer.empty() ? kernel::Range{0, extent, 1} : micro_.outer[depth];
    if (extent == 1 && range.lower.is_constant() && range.upper.is_constant()) {
      return step(Index(0), accumulators);
    }
    return emitter_.loop(range, accumulators, step);
  }

 private:
  Values emit_inner(const std::vector<Index>& outer, Index flat, const Values& accumulators) {
    const int64_t whole = micro_.k->inner / k_step_;
    const auto tail = static_cast<int>(micro_.k->inner % k_step_);
    const Index first = flat * groups_;
    Values sums = accumulators;
    if (whole == 1) {
      sums = emit_group(outer, first, Index(0), k_step_, sums);
    } else if (whole > 1) {
      kernel::ForOptions options;
      options.unroll = whole % 2 == 0 && fits_twice() ? 2 : 1;
      sums = emitter_.loop(
          {0, whole, 1}, sums,
          [&](Index i, std::span<const Register> carried) {
            return emit_group(outer, first + i, i * k_step_, k_step_,
                              Values(carried.begin(), carried.end()));
          },
          options);
    }
    if (tail == 0) return sums;
    return emit_group(outer, first + Index(whole), Index(whole * k_step_), tail, sums);
  }

  // Two steps at a time hold b twice. (Measured: with 28 accumulators of 512 bits LLVM 19 spills 50
  // registers into a loop unrolled by two, with 26 none.)
  bool fits_twice() const {
    const int others = emitter_.machine().isa.num_vector_registers - micro_.rows * micro_.vectors;
    return micro_.lanes < 16 || others >= 6;
  }

  Values emit_group(const std::vector<Index>& outer, Index group, Index inner, int count,
                    const Values& accumulators) {
    kernel::Builder& b = emitter_.builder();
    const Values rows_of_b = micro_.load_b(group);
    if (micro_.prefetch) micro_.prefetch(group);
    Values next = accumulators;
    const auto row_of_a = [&](int i) {
      return load_a(b, micro_.step, micro_.a->buffer,
                    micro_.a->at(micro_.first_row + Index(i), outer, inner), micro_.a->lane_dim,
                    count, micro_.lanes);
    };
    if (micro_.rows == 1) {
      // Nothing of b is used twice: each vector is prepared where it is used.
      const Values a = row_of_a(0);
      for (size_t v = 0; v < next.size(); ++v) {
        next[v] =
            multiply(b, micro_.step, a, prepare_b(b, micro_.step, {rows_of_b[v]}), 0, next[v]);
      }
      return next;
    }
    const Values columns = prepare_b(b, micro_.step, rows_of_b);
    for (int i = 0; i < micro_.rows; ++i) {
      const Values a = row_of_a(i);
      for (int v = 0; v < micro_.vectors; ++v) {
        Register& acc = next[static_cast<size_t>(i * micro_.vectors + v)];
        acc = multiply(b, micro_.step, a, columns, static_cast<size_t>(v), acc);
      }
    }
    return next;
  }

  GroupEmitter& emitter_;
  const MicroKernel& micro_;
  int k_step_;
  int64_t groups_;  // per index of the outer loops
};

}  // namespace

Values emit_micro_kernel(GroupEmitter& emitter, const MicroKernel& micro) {
  Values accumulators = micro.initial;
  if (accumulators.empty()) {
    const Register zero = emitter.builder().zero({micro.step.accumulator, micro.lanes});
    accumulators.assign(static_cast<size_t>(micro.rows * micro.vectors), zero);
  }
  return KLoopEmitter(emitter, micro).emit(0, {}, Index(0), accumulators);
}

}  // namespace neuronc
