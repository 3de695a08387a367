// Loops for operators whose results depend on whole rows: softmax and the normalisations.
//
// A row is what is normalised together: all indices of the row dims at one index of the kept dims.
// Tiles are up to kRowsPerTile neighbouring rows. Where memory is contiguous along a row dim, lanes
// run along it and rows are taken one by one; where it is contiguous along the last kept dim, each
// lane has a row of its own. The order of every sum is fixed by shapes and memory order.
//
//   RowWalk rows(e, x, space);
//   rows.run([&] {
//     Register top = rows.reduce(ReduceKind::max, [&](at, slot) { return e.pull(x, at); });
//     rows.each([&](at, slot) { e.provide(y, at, ...); e.store_results(at); });
//   });
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "backend/lower/emitter.h"
#include "backend/lower/reduce.h"

namespace neuronc {

inline constexpr int64_t kRowsPerTile = 8;

struct RowSpace {
  std::vector<int64_t> extents;
  std::vector<bool> is_row;  // per dim
  // Dims `split_dim` and the one behind it together are one dim of the tensor (-1: none).
  int split_dim = -1;

  int64_t row_size() const;
  int64_t num_tiles() const;
};

class RowWalk {
 public:
  RowWalk(GroupEmitter& e, ValueId x, RowSpace space);

  // A place in the row's buffer.
  struct Slot {
    kernel::Index outer, inner;
  };
  using Term = std::function<Register(const LaneIndex& at, const Slot& slot)>;
  using Visit = std::function<void(const LaneIndex& at, const Slot& slot)>;

  // Calls `body` for every row (or run of rows, one a lane) of the tile.
  void run(const std::function<void()>& body);

  // Inside `run`: walks over the elements of the row. `reduce` gives its result in all lanes.
  Register reduce(ReduceKind kind, const Term& term);
  void each(const Visit& visit);

  // The elements of x. Those that the body computes are computed once, by `keep`, which `reduce`
  // must call first for every element.
  Register keep(const LaneIndex& at, const Slot& slot);
  Register element(const LaneIndex& at, const Slot& slot);
  // The row's buffer, for intermediate results of one element each.
  void store(const Slot& slot, Register value);
  Register load(const Slot& slot);

  DType carrier() const { return carrier_; }
  int lanes() const { return lanes_; }
  double row_size() const { return static_cast<double>(space_.row_size()); }

 private:
  LaneIndex lane_index(int active) const;
  void run_rows(const kernel::Index& begin, int64_t count, const std::function<void()>& body);
  kernel::Values walk_outer(
      size_t depth, kernel::Index outer, const kernel::Values& carried,
      const std::function<kernel::Values(kernel::Index, const kernel::Values&)>& inner);
  Register reduce_inner(ReduceKind kind, const Term& term, kernel::Index outer);
  Register term_at(ReduceKind kind, const Term& term, kernel::Index outer, kernel::Index i,
                   int64_t count);
  int64_t inner_extent() const { return inner_dim_ < 0 ? 1 : space_.extents[inner_index()]; }
  size_t inner_index() const { return static_cast<size_t>(inner_dim_); }

  GroupEmitter& e_;
  ValueId x_;
  RowSpace space_;
  DType carrier_;
  std::vector<size_t> outer_dims_;  // row dims walked by loops, but for the innermost
  int inner_dim_ = -1;              // the row dim walked innermost, -1: rows of one element
  int block_dim_ = -1;              // the kept dim whose rows share a tile
  bool lanes_in_row_ = true;
  int lanes_ = 1;
  int active_rows_ = 1;  // lanes with rows, where each lane has one
  std::vector<kernel::Index> dims_;
  std::optional<kernel::BufferId> buffer_;
};

}  // namespace neuronc
