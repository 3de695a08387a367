// Products by matrices (AMX): the block of BlockLoops in tiles of 2 x 2 matrices of 16x16 sums.
//
//   for 64 bytes of k: load 2 matrices of a and 2 of b, multiply each with each
//
// Rows of a are read where they lie if they are whole lines of memory; otherwise the block is first
// copied, its rows padded with zeros to whole matrices of k and apart by an odd number of lines, so
// that sixteen rows do not meet in one set of the cache. Sums pass through 4 KB of scratch on their
// way to the epilogue, which takes them by registers.
#pragma once

#include "backend/variants/product/blocks.h"

namespace neuronc {

// What a block of rows may take when copied: it is read once for every 32 columns, from the second
// level of cache.
inline constexpr int64_t kMatrixBlockBytes = 768 * 1024;

class MatrixBlock {
 public:
  // Copies the rows of the block if they need to be.
  MatrixBlock(GroupEmitter& emitter, const BlockLoops& loops);

  // Before the row tiles of a panel of which `active` columns exist.
  void begin_panel(kernel::Index panel, int active);
  void emit_tile(kernel::Index panel, int active, kernel::Index row, int rows);

 private:
  // 16 rows of a to read, and which of them is the first that counts.
  struct Rows {
    kernel::Index first;
    int num_skipped = 0;
  };

  bool lies_in_lines() const;
  void copy_rows();
  void copy_row(kernel::Index row, kernel::Index to);
  Rows rows_of(kernel::Index row, int rows) const;
  Register load_a(kernel::Index row, kernel::Index k_block);
  Register load_b(kernel::Index panel, int v, kernel::Index k_block, bool is_tail);
  kernel::Values multiply(const std::vector<Rows>& rows, int vectors, kernel::Index panel,
                          kernel::Index k_block, bool is_tail, const kernel::Values& sums);
  void store_rows(kernel::Index panel, int active, kernel::Index row, int rows, int skipped,
                  int matrix);

  GroupEmitter& e_;
  const BlockLoops& loops_;
  int row_elements_;       // of k in a row of a matrix
  int64_t groups_;         // rows of b
  int64_t whole_blocks_;   // of k, in matrices
  bool has_tail_;          // a last, partial one
  kernel::BufferId a_;     // the copied rows, if they are
  kernel::BufferId tail_;  // of b: the last rows and zeros
  kernel::BufferId sums_;
};

}  // namespace neuronc
