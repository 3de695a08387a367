// Implements pack.h.
#include "backend/variants/gemm/pack.h"

#include <cstring>

#include "ir/base/check.h"

namespace neuronc {

using kernel::Index;
using kernel::Values;

namespace {

// Calls `store(row, column, source element or -1)` for every slot of a panel.
template <class Store>
void for_each_slot(int64_t k, int64_t n, int64_t panel, int columns,
                   const std::function<int64_t(int64_t, int64_t)>& offset, Store store) {
  for (int64_t row = 0; row < k; ++row) {
    for (int column = 0; column < columns; ++column) {
      const int64_t at = panel * columns + column;
      if (at < n) store(row, column, offset(row, at));
    }
  }
}

template <class T>
void pack_plain(const Tensor& weights, PackedPanels& packed, int64_t n, int columns,
                const std::function<int64_t(int64_t, int64_t)>& offset) {
  const T* from = weights.as<T>().data();
  T* to = packed.tensor.mutable_as<T>().data();
  for (int64_t panel = 0; panel < packed.num_panels; ++panel) {
    T* base = to + panel * packed.k * columns;
    for_each_slot(packed.k, n, panel, columns, offset, [&](int64_t row, int column, int64_t at) {
      base[row * columns + column] = from[at];
    });
  }
}

void pack_interleaved(const Tensor& weights, PackedPanels& packed, int64_t n,
                      const RegisterTile& tile,
                      const std::function<int64_t(int64_t, int64_t)>& offset) {
  const uint16_t* from = weights.as<uint16_t>().data();
  uint16_t* to = packed.tensor.mutable_as<uint16_t>().data();
  const int columns = tile.columns();
  for (int64_t panel = 0; panel < packed.num_panels; ++panel) {
    uint16_t* base = to + panel * packed.k * columns;
    for_each_slot(packed.k, n, panel, columns, offset, [&](int64_t row, int column, int64_t at) {
      const int pair = column / (2 * tile.lanes);
      const int half = column / tile.lanes % 2;
      const int word = pair * tile.lanes + column % tile.lanes;
      base[row * columns + 2 * word + half] = from[at];
    });
  }
}

}  // namespace

PackedPanels pack_panels(const Tensor& weights, int64_t k, int64_t n, const RegisterTile& tile,
                         const std::function<int64_t(int64_t, int64_t)>& offset) {
  PackedPanels packed;
  packed.dtype = weights.dtype();
  packed.k = k;
  packed.num_panels = (n + tile.columns() - 1) / tile.columns();
  packed.is_interleaved = packed.dtype == DType::bf16 && tile.vectors % 2 == 0;
  const int64_t columns = tile.columns();
  if (packed.is_interleaved) {
    packed.tensor = Tensor::zeros(DType::u32, {packed.num_panels, k, columns / 2});
    pack_interleaved(weights, packed, n, tile, offset);
    return packed;
  }
  packed.tensor = Tensor::zeros(packed.dtype, {packed.num_panels, k, columns});
  if (packed.dtype == DType::f32) {
    pack_plain<uint32_t>(weights, packed, n, tile.columns(), offset);
  } else {
    NEURONC_CHECK(packed.dtype == DType::f16 || packed.dtype == DType::bf16);
    pack_plain<uint16_t>(weights, packed, n, tile.columns(), offset);
  }
  return packed;
}

Values load_panel(GroupEmitter& emitter, kernel::BufferId buffer, const PackedPanels& panels,
                  const RegisterTile& tile, Index panel, Index k) {
  kernel::Builder& b = emitter.builder();
  Values registers;
  if (panels.is_interleaved) {
    for (int pair = 0; pair < tile.vectors / 2; ++pair) {
      const Register words = b.load(buffer, {panel, k, Index(pair * tile.lanes)}, tile.lanes);
      registers.push_back(b.bf16_low_to_f32(words));
      registers.push_back(b.bf16_high_to_f32(words));
    }
    return registers;
  }
  for (int v = 0; v < tile.vectors; ++v) {
    const Register raw = b.load(buffer, {panel, k, Index(v * tile.lanes)}, tile.lanes);
    registers.push_back(b.convert(raw, DType::f32));
  }
  return registers;
}

}  // namespace neuronc
