// Sliding windows, as convolutions and pools share them. Import resolves `auto_pad` and fills
// strides, dilations and pads, but empty lists (1, 1 and 0 everywhere) are legal too; lowerings and
// passes read windows through `window_of` and never the raw attributes.
#pragma once

#include <cstdint>
#include <vector>

#include "ir/base/expected.h"
#include "ir/op.h"

namespace neuronc {

enum class CeilMode : bool { no, yes };

// One entry per spatial axis.
struct Window {
  std::vector<int64_t> kernel;
  std::vector<int64_t> strides;
  std::vector<int64_t> dilations;
  std::vector<int64_t> pads_begin;
  std::vector<int64_t> pads_end;

  size_t rank() const { return kernel.size(); }
};

// The window of `op` (attributes strides, dilations, pads) with the given kernel extents; refuses
// lists of the wrong length, strides or dilations below 1, negative kernels.
OrRefusal<Window> window_of(const OpView& op, std::vector<int64_t> kernel);

// The extent of a result along spatial axis `axis`; unknown for an unknown input, a symbol where
// the extent is kept. Refuses a window larger than the padded input.
OrRefusal<Dim> window_result_dim(const Window& window, size_t axis, Dim input, CeilMode ceil_mode);

}  // namespace neuronc
