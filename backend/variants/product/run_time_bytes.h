// Products of bytes whose right operand is computed: as bytes.h has them, but its columns are summed
// when a panel of it has been packed.
#pragma once

#include "backend/variants/product/bytes.h"

namespace neuronc {

// Whether the anchor's zero points are one number each, and its sums are not quantised again.
OrRefusal<void> check_run_time_bytes(const GroupContext& context, int64_t columns);

class RunTimeByteProduct {
 public:
  RunTimeByteProduct(GroupEmitter& emitter, const GroupContext& context, const BlockLoops& loops,
                     int64_t k);

  // Sums the columns of the panel in `buffer`.
  void sum_columns(const BlockLoops& loops, kernel::Index panel, kernel::BufferId buffer);
  // Sums the rows that `loops` covers.
  void sum_rows(const BlockLoops& loops);

  // The anchor's result from the sum of `row` in `column`.
  Register finish(Register sum, kernel::Index row, kernel::Index column, int active);

 private:
  GroupEmitter& e_;
  int64_t k_;
  // From the operands' zero points to those of u8 and i8; none: that is 0.
  Register a_zero_point_, b_zero_point_;
  bool has_a_zero_point_ = true, has_b_zero_point_ = true;
  kernel::BufferId column_sums_;  // i32, whole panels of columns
  kernel::BufferId row_sums_;     // i32, one per row of a block
  kernel::Index first_row_;
};

}  // namespace neuronc
