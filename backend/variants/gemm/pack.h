// Packs the constant operand of a contraction at compile time, in the order in which the register
// tile reads it: panels of `columns` columns, k after k.
//
// f32 and f16 panels hold [num_panels, k, columns]. A bf16 panel of an even number of vectors is
// stored as u32 [num_panels, k, columns / 2]: of each pair of registers, word j holds column j in
// its low half and column lanes + j in its high half, so that one load, a shift and a mask give two
// registers of f32. Columns past n are zero.
#pragma once

#include <functional>

#include "backend/lower/emitter.h"
#include "backend/variants/gemm/microkernel.h"
#include "ir/tensor.h"

namespace neuronc {

struct PackedPanels {
  Tensor tensor;
  DType dtype = DType::f32;  // of the elements: f32, f16 or bf16
  bool is_interleaved = false;
  int64_t num_panels = 0;
  int64_t k = 0;
};

// `offset(k, n)` is the element of `weights` that belongs to row k and column n of b.
PackedPanels pack_panels(const Tensor& weights, int64_t k, int64_t n, const RegisterTile& tile,
                         const std::function<int64_t(int64_t, int64_t)>& offset);

// The registers of panel `panel` at `k`.
kernel::Values load_panel(GroupEmitter& emitter, kernel::BufferId buffer,
                          const PackedPanels& panels, const RegisterTile& tile, kernel::Index panel,
                          kernel::Index k);

}  // namespace neuronc
