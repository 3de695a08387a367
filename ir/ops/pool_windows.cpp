// Implements ir/ops/pool_windows.h.
#include "ir/ops/pool_windows.h"

namespace neuronc::ops {

Types infer_pool(const InferInput& input) {
  const Type& x = input.operands[0];
  NEURONC_ASSIGN(const Window window, window_of(input.op, input.op.ints("kernel_shape")));
  std::vector<Dim> dims(window.rank() + 2);
  if (x.is_ranked) {
    if (x.dims.size() != dims.size()) {
      return refuse("`kernel_shape` does not have one entry per spatial axis");
    }
    dims[0] = x.dims[0];
    dims[1] = x.dims[1];
    const CeilMode ceil_mode = input.op.i64("ceil_mode") != 0 ? CeilMode::yes : CeilMode::no;
    for (size_t i = 0; i < window.rank(); ++i) {
      NEURONC_ASSIGN(dims[i + 2], window_result_dim(window, i, x.dims[i + 2], ceil_mode));
    }
  }
  std::vector<Type> types{ranked(x.dtype, dims)};
  if (input.num_results > 1) types.push_back(ranked(DType::i64, dims));
  return types;
}

Types infer_global_pool(const InferInput& input) {
  const Type& x = input.operands[0];
  if (!x.is_ranked) return std::vector<Type>{x};
  if (x.dims.size() < 2) return refuse("the operand has no channels");
  std::vector<Dim> dims(x.dims.size(), Dim(1));
  dims[0] = x.dims[0];
  dims[1] = x.dims[1];
  return std::vector<Type>{ranked(x.dtype, std::move(dims))};
}

double pool_flops(const OpView& op, std::span<const Type>, std::span<const Type> results) {
  double per_window = 1;
  for (int64_t extent : op.ints("kernel_shape")) per_window *= static_cast<double>(extent);
  return per_window * num_elements_of(results[0]);
}

void cover_at(const Window& window, const Shape& x_shape, const Shape& position, Cover& cover) {
  cover.offsets.clear();
  cover.num_padded = 0;
  const Shape strides = row_major_strides(x_shape);
  for_each_index(window.kernel, [&](const Shape& tap) {
    int64_t offset = 0;
    bool is_inside = true;
    bool is_padded = true;
    for (size_t i = 0; i < tap.size(); ++i) {
      const int64_t at =
          position[i] * window.strides[i] + tap[i] * window.dilations[i] - window.pads_begin[i];
      is_inside = is_inside && at >= 0 && at < x_shape[i];
      is_padded = is_padded && at < x_shape[i] + window.pads_end[i];
      offset += at * strides[i];
    }
    if (is_inside) cover.offsets.push_back(offset);
    if (is_padded) ++cover.num_padded;
  });
}

}  // namespace neuronc::ops
