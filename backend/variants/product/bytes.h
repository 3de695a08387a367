// Products of bytes with zero points, by dot products of unsigned and signed ones.
//
//   sum (a - za)(b - zb) = sum a b  -  za * (sum b - k zb)  -  zb * sum a
//
// a is read as u8 (i8 plus 128), b is packed as i8 (u8 less 128), and zero points move along. What
// belongs to a column is a table made at compile time; sums of rows are only made where a zero
// point of b is not zero. Everything is exact in i32.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "backend/variants/product/blocks.h"
#include "backend/variants/variant.h"

namespace neuronc {

// matmul_integer, conv_integer, and those that quantise their sums.
bool is_byte_contraction(Op op);
bool is_requantised(Op op);
// Which operand of a contraction is the constant one. a is operand 0.
size_t weights_operand(Op op);

// Whether the anchor's zero points, scales and bias are such that products of `k` terms in
// `columns` columns can be made so.
OrRefusal<void> check_bytes(const GroupContext& context, int64_t columns, int64_t k);

// Constants as they are packed: u8 becomes i8 by taking 128 away, all else stays.
inline DType packed_dtype(DType weights) { return weights == DType::u8 ? DType::i8 : weights; }
Tensor signed_bytes(const Tensor& weights);

// Stores the sum of each row of a that `loops` covers, as u8, in `row_sums` (i32, block_rows).
void emit_row_sums(GroupEmitter& emitter, const BlockLoops& loops, kernel::BufferId row_sums);

// What follows the sums of one kernel.
class ByteProduct {
 public:
  // `offset(k, column)` is the place of an element of b, a constant; columns are those of all
  // groups.
  ByteProduct(GroupEmitter& emitter, const GroupContext& context, int64_t columns, int64_t k,
              const std::function<int64_t(int64_t, int64_t)>& offset);

  // The zero point of a, in a's dtype: what padding holds.
  Register border();

  // Makes the sums of the rows that `loops` covers, if they are needed.
  void emit_row_sums(const BlockLoops& loops);

  // The anchor's result (i32, or rounded to bytes) from the sum of `row` in `column` of all groups.
  Register finish(Register sum, kernel::Index row, kernel::Index column, int active);

 private:
  void make_tables(const GroupContext& context, int64_t columns, int64_t k,
                   const std::function<int64_t(int64_t, int64_t)>& offset);
  Register column_numbers(kernel::BufferId table, kernel::Index column, Register like, int active);
  Register requantised(Register sum, kernel::Index column, int active);

  GroupEmitter& e_;
  const Node& node_;
  int64_t a_shift_ = 0;                  // from a to u8
  std::optional<int64_t> a_zero_point_;  // none: known at run time
  kernel::BufferId addends_;             // i32 per column
  kernel::BufferId centred_;             // i32 per column; where a's zero point is not known
  kernel::BufferId b_zero_points_;       // i32 per column; where they are not all zero
  kernel::BufferId factors_;             // f32 per column
  kernel::BufferId row_sums_;            // i32, one per row of a block
  kernel::Index first_row_;
  bool is_exact_in_f32_ = false;
};

}  // namespace neuronc
