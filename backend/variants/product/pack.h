// Packs the constant operand of a product at compile time: panels of 16 columns by groups of k.
//
//   f32, f16, f64   [panels, k, 16]
//   bf16       [panels, ceil(k/2), 16, 2]
//   i8, u8     [panels, ceil(k/4), 16, 4]
//
// k is a list of `outer` blocks of `inner` elements; every block begins a new group, so that groups
// never cross from one window row to the next. What lies past k or n is zero. The form does not
// depend on the instruction set: a NEFF holds each weight once.
#pragma once

#include <functional>

#include "backend/variants/product/tile.h"
#include "ir/tensor.h"

namespace neuronc {

// `offset(k, n)` is the element of `weights` that belongs to row k and column n of b, k counted
// over all blocks.
Tensor pack_panels(const Tensor& weights, const KLoops& k, int64_t n,
                   const std::function<int64_t(int64_t, int64_t)>& offset);

// The same where the columns of each row lie `step` elements apart, which is found much sooner.
struct EvenColumns {
  std::function<int64_t(int64_t)> row;  // the element at row k and column 0
  int64_t step = 1;
};
Tensor pack_panels(const Tensor& weights, const KLoops& k, int64_t n, const EvenColumns& columns);

// Panels of n columns.
inline int64_t num_panels(int64_t n) { return (n + kPanelColumns - 1) / kPanelColumns; }

// `vectors` registers of `lanes` columns from `column` on, at row `group` of the panels. The
// buffer is [panels, groups, 16 * k_step]; `column` is a multiple of `lanes`.
kernel::Values load_panel(GroupEmitter& emitter, kernel::BufferId buffer, const ProductStep& step,
                          kernel::Index column, kernel::Index group, int vectors, int lanes);

// The matrix of 16 rows from `group` on of the panel of `column`, which exist.
Register load_panel_matrix(GroupEmitter& emitter, kernel::BufferId buffer, kernel::Index column,
                           kernel::Index group);

// Hints that row `group` of the panel of `column` will be read.
void prefetch_panel(GroupEmitter& emitter, kernel::BufferId buffer, kernel::Index column,
                    kernel::Index group);

}  // namespace neuronc
