// Implements pack.h.
#include "backend/variants/product/pack.h"

#include "ir/base/check.h"

namespace neuronc {

using kernel::Index;
using kernel::Values;

namespace {

template <class T, class Offset>
void pack(const Tensor& weights, const KLoops& k, int64_t n, int k_step, const Offset& offset,
          Tensor& packed) {
  const T* from = weights.as<T>().data();
  T* to = packed.mutable_as<T>().data();
  const int64_t num_outer = k.num_outer();
  const int64_t groups_per_block = (k.inner + k_step - 1) / k_step;
  const int64_t row = int64_t{kPanelColumns} * k_step;
  for (int64_t panel = 0; panel < num_panels(n); ++panel) {
    const int64_t columns = std::min<int64_t>(kPanelColumns, n - panel * kPanelColumns);
    for (int64_t block = 0; block < num_outer; ++block) {
      for (int64_t i = 0; i < k.inner; ++i) {
        T* base = to + (block * groups_per_block + i / k_step) * row + i % k_step;
        const int64_t at = block * k.inner + i;
        for (int64_t column = 0; column < columns; ++column) {
          base[column * k_step] = from[offset(at, panel * kPanelColumns + column)];
        }
      }
    }
    to += num_outer * groups_per_block * row;
  }
}

template <class Offset>
Tensor pack_all(const Tensor& weights, const KLoops& k, int64_t n, const Offset& offset) {
  const int k_step = k_group(weights.dtype());
  Tensor packed = Tensor::zeros(
      weights.dtype(), {num_panels(n), k.num_groups(k_step), int64_t{kPanelColumns} * k_step});
  switch (size_bytes(weights.dtype())) {
    case 1:
      pack<uint8_t>(weights, k, n, k_step, offset, packed);
      break;
    case 2:
      pack<uint16_t>(weights, k, n, k_step, offset, packed);
      break;
    case 8:
      pack<uint64_t>(weights, k, n, k_step, offset, packed);
      break;
    default:
      NEURONC_CHECK(size_bytes(weights.dtype()) == 4);
      pack<uint32_t>(weights, k, n, k_step, offset, packed);
  }
  return packed;
}

}  // namespace

Tensor pack_panels(const Tensor& weights, const KLoops& k, int64_t n,
                   const std::function<int64_t(int64_t, int64_t)>& offset) {
  return pack_all(weights, k, n, offset);
}

Tensor pack_panels(const Tensor& weights, const KLoops& k, int64_t n, const EvenColumns& columns) {
  std::vector<int64_t> rows(static_cast<size_t>(k.num_outer() * k.inner));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = columns.row(static_cast<int64_t>(i));
  return pack_all(weights, k, n, [&](int64_t row, int64_t column) {
    return rows[static_cast<size_t>(row)] + column * columns.step;
  });
}

Values load_panel(GroupEmitter& emitter, kernel::BufferId buffer, const ProductStep& step,
                  Index column, Index group, int vectors, int lanes) {
  Values registers;
  for (int v = 0; v < vectors; ++v) {
    const Index at = column + Index(v * lanes);
    registers.push_back(emitter.builder().load(buffer,
                                               {kernel::floor_div(at, kPanelColumns), group,
                                                kernel::mod(at, kPanelColumns) * step.k_step()},
                                               lanes * step.k_step()));
  }
  return registers;
}

Register load_panel_matrix(GroupEmitter& emitter, kernel::BufferId buffer, Index column,
                           Index group) {
  return emitter.builder().matrix_load(
      buffer, std::vector<Index>{kernel::floor_div(column, kPanelColumns), group, Index(0)},
      /*row_dim=*/1, /*lane_dim=*/2);
}

void prefetch_panel(GroupEmitter& emitter, kernel::BufferId buffer, Index column, Index group) {
  emitter.builder().prefetch(buffer, {kernel::floor_div(column, kPanelColumns), group, Index(0)});
}

}  // namespace neuronc
