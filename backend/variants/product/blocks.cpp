// Implements blocks.h.
#include "backend/variants/product/blocks.h"

#include <algorithm>
#include <optional>

#include "backend/variants/product/matrix.h"

namespace neuronc {

using kernel::Index;
using kernel::Values;

namespace {

constexpr int64_t kShortK = 256;
// What of a second-level cache may be taken by b.
constexpr int64_t kCachedBytes = 256 * 1024;

// `rows` rows from `row`, against one panel of which `active` columns exist.
// With `next`, the column whose rows are asked for on the way.
void emit_tile(GroupEmitter& emitter, const BlockLoops& loops, Index panel, int active, Index row,
               int rows, std::optional<Index> next = std::nullopt) {
  const RegisterTile& tile = loops.tile;
  MicroKernel micro;
  micro.step = loops.step;
  micro.rows = rows;
  micro.vectors = tile.active_vectors(active);
  micro.lanes = tile.lanes;
  micro.first_row = row;
  micro.k = &loops.k;
  micro.a = &loops.a;
  micro.load_b = [&](Index group) { return loops.load_b(panel, micro.vectors, group); };
  if (loops.outer) micro.outer = loops.outer(row, rows);
  if (next) micro.prefetch = [&](Index group) { loops.prefetch(*next, group); };
  const Values sums = emit_micro_kernel(emitter, micro);
  // Column by column, so that operands that vary along columns alone are loaded once.
  for (int v = 0; v < micro.vectors; ++v) {
    for (int i = 0; i < rows; ++i) {
      loops.store(row + Index(i), panel * tile.columns() + Index(v * tile.lanes),
                  std::min(tile.lanes, active - v * tile.lanes),
                  sums[static_cast<size_t>(i * micro.vectors + v)]);
    }
  }
}

// Walks the row tiles of a block, or its panels, in either order.
class BlockEmitter {
 public:
  BlockEmitter(GroupEmitter& emitter, const BlockLoops& loops)
      : emitter_(emitter),
        loops_(loops),
        row_tiles_((loops.block_rows + loops.tile.rows - 1) / loops.tile.rows) {}

  void emit() {
    if (loops_.step.is_matrix()) return emit_matrices();
    if (walks_rows_outside()) {
      for_each_row_tile([&](Index row, int rows, Index) {
        each_panel([&](Index panel, int active) {
          emit_tile(emitter_, loops_, panel, active, row, rows);
        });
      });
      return;
    }
    each_panel([&](Index panel, int active) {
      if (loops_.begin_panel) loops_.begin_panel(panel);
      for_each_row_tile([&](Index row, int rows, Index i) {
        emit_tile(emitter_, loops_, panel, active, row, rows, next_column(panel, i));
      });
    });
  }

 private:
  void emit_matrices() {
    MatrixBlock block(emitter_, loops_);
    each_panel([&](Index panel, int active) {
      if (loops_.begin_panel) loops_.begin_panel(panel);
      block.begin_panel(panel, active);
      for_each_row_tile(
          [&](Index row, int rows, Index) { block.emit_tile(panel, active, row, rows); });
    });
  }

  // Where all of b stays cached and k is short, results are what moves: whole rows are written.
  bool walks_rows_outside() const {
    const int64_t groups = loops_.k.num_groups(loops_.step.k_step());
    const int64_t k = groups * loops_.step.k_step();
    const int64_t b_bytes = k * loops_.n * size_bytes(loops_.step.b);
    return !loops_.begin_panel && k <= kShortK && b_bytes <= kCachedBytes;
  }

  // Row tile i asks for the i-th vector of the next panel, a row with every step of k, so that
  // weights come from memory while the core multiplies.
  std::optional<Index> next_column(Index panel, Index i) const {
    if (!loops_.prefetch || row_tiles_ < 2) return std::nullopt;
    return panel * loops_.tile.columns() + Index(loops_.tile.columns()) +
           kernel::min(i, loops_.tile.vectors - 1) * loops_.tile.lanes;
  }

  // Calls body(first row, rows, number of the tile in the block).
  void for_each_row_tile(const std::function<void(Index, int, Index)>& body) {
    if (loops_.line_rows > 0) {
      const int64_t per_line = (loops_.line_rows + loops_.tile.rows - 1) / loops_.tile.rows;
      emitter_.loop({0, loops_.num_rows / loops_.line_rows, 1}, [&](Index line) {
        each_tile_of(loops_.first_row + line * loops_.line_rows, loops_.line_rows, line * per_line,
                     body);
      });
      return;
    }
    if (loops_.block_rows >= loops_.num_rows) {
      return each_tile_of(loops_.first_row, loops_.num_rows, Index(0), body);
    }
    const int rows = loops_.tile.rows;
    const int64_t whole_tiles = loops_.num_rows / rows;
    const auto tail = static_cast<int>(loops_.num_rows % rows);
    const auto whole = [&](Index i) { body(loops_.first_row + i * rows, rows, i); };
    emitter_.loop({0, row_tiles_, 1}, [&](Index i) {
      const Index row = loops_.first_row + i * rows;
      emitter_.when({{row, 0, loops_.num_rows - rows + 1}}, [&] { whole(i); });
    });
    if (tail == 0) return;
    // The last rows belong to the block that reaches the end.
    const int64_t last = whole_tiles * rows;
    emitter_.when({{loops_.first_row, loops_.num_rows - loops_.block_rows, last + 1}},
                  [&] { body(Index(last), tail, Index(row_tiles_ - 1)); });
  }

  // The tiles of `count` rows from `first` on, of which `tiles_before` come before.
  void each_tile_of(Index first, int64_t count, Index tiles_before,
                    const std::function<void(Index, int, Index)>& body) {
    const int rows = loops_.tile.rows;
    const int64_t whole_tiles = count / rows;
    const auto tail = static_cast<int>(count % rows);
    const auto whole = [&](Index i) { body(first + i * rows, rows, tiles_before + i); };
    if (whole_tiles == 1) {
      whole(Index(0));
    } else if (whole_tiles > 1) {
      emitter_.loop({0, whole_tiles, 1}, whole);
    }
    if (tail > 0) {
      body(first + Index(whole_tiles * rows), tail, tiles_before + Index(whole_tiles));
    }
  }

  void each_panel(const std::function<void(Index, int)>& body) {
    const PanelRun run{loops_.n, loops_.tile.columns(), loops_.first_panel, loops_.num_panels};
    for_each_panel(emitter_, run, body);
  }

  GroupEmitter& emitter_;
  const BlockLoops& loops_;
  int64_t row_tiles_;  // of a block
};

}  // namespace

void for_each_panel(GroupEmitter& emitter, const PanelRun& run,
                    const std::function<void(Index, int)>& body) {
  const int64_t whole_panels = run.n / run.columns;
  const auto tail = static_cast<int>(run.n % run.columns);
  const int64_t all_panels = whole_panels + (tail > 0 ? 1 : 0);
  if (run.count >= all_panels) {
    if (whole_panels == 1) {
      body(Index(0), run.columns);
    } else if (whole_panels > 1) {
      emitter.loop({0, whole_panels, 1}, [&](Index panel) { body(panel, run.columns); });
    }
    if (tail > 0) body(Index(whole_panels), tail);
    return;
  }
  emitter.loop({0, run.count, 1}, [&](Index i) {
    const Index panel = run.first + i;
    emitter.when({{panel, 0, whole_panels}}, [&] { body(panel, run.columns); });
  });
  if (tail == 0) return;
  emitter.when({{run.first, whole_panels - run.count + 1, whole_panels + 1}},
               [&] { body(Index(whole_panels), tail); });
}

void emit_blocks(GroupEmitter& emitter, const BlockLoops& loops) {
  BlockEmitter(emitter, loops).emit();
}

}  // namespace neuronc
