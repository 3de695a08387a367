// Implements ir/ops/window.h.
#include "ir/ops/window.h"

#include <fmt/format.h>

namespace neuronc {
namespace {

// Extents beyond this are hostile; sums and products of smaller ones cannot overflow.
constexpr int64_t kMaxExtent = int64_t{1} << 40;

OrRefusal<std::vector<int64_t>> filled(const OpView& op, std::string_view attribute, size_t rank,
                                       int64_t fill, int64_t least) {
  std::vector<int64_t> values(rank, fill);
  if (!op.def.attribute_index(attribute)) return values;
  const std::vector<int64_t>& given = op.ints(attribute);
  if (given.empty()) return values;
  if (given.size() != rank) {
    return refuse(
        fmt::format("`{}` has {} entries, but {} are needed", attribute, given.size(), rank));
  }
  for (int64_t value : given) {
    if (value < least || value > kMaxExtent) {
      return refuse(fmt::format("`{}` has the entry {}", attribute, value));
    }
  }
  return given;
}

}  // namespace

OrRefusal<Window> window_of(const OpView& op, std::vector<int64_t> kernel) {
  const size_t rank = kernel.size();
  Window window;
  for (int64_t extent : kernel) {
    if (extent < 1 || extent > kMaxExtent) {
      return refuse(fmt::format("the kernel has the extent {}", extent));
    }
  }
  window.kernel = std::move(kernel);
  NEURONC_ASSIGN(window.strides, filled(op, "strides", rank, 1, 1));
  NEURONC_ASSIGN(window.dilations, filled(op, "dilations", rank, 1, 1));
  NEURONC_ASSIGN(std::vector<int64_t> pads, filled(op, "pads", 2 * rank, 0, -kMaxExtent));
  window.pads_begin.assign(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(rank));
  window.pads_end.assign(pads.begin() + static_cast<std::ptrdiff_t>(rank), pads.end());
  return window;
}

OrRefusal<Dim> window_result_dim(const Window& window, size_t axis, Dim input, CeilMode ceil_mode) {
  int64_t reach = 0;
  if (__builtin_mul_overflow(window.kernel[axis] - 1, window.dilations[axis], &reach) ||
      reach > kMaxExtent) {
    return refuse("the dilated kernel is too large");
  }
  const int64_t pads = window.pads_begin[axis] + window.pads_end[axis];
  const int64_t stride = window.strides[axis];
  if (!input.is_number()) {
    return stride == 1 && pads == reach ? input : Dim::unknown();
  }
  const int64_t room = input.number() + pads - reach - 1;
  // Rounded up, one partial window is left of a window that is larger than the whole.
  const bool is_one_partial = ceil_mode == CeilMode::yes && room < 0 && room > -stride;
  if (is_one_partial) return Dim(1);
  if (room < 0) {
    return refuse(fmt::format("a window of {} does not fit into {} elements", reach + 1,
                              input.number() + pads));
  }
  int64_t extent = room / stride + 1;
  if (ceil_mode == CeilMode::yes && room % stride != 0 &&
      extent * stride < input.number() + window.pads_begin[axis]) {
    // A last, partial window counts only if it begins inside the input or its leading padding.
    ++extent;
  }
  return Dim(extent);
}

}  // namespace neuronc
