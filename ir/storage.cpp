// Implements storage.h.
#include "ir/storage.h"

#include <algorithm>
#include <numeric>

#include "ir/base/check.h"

namespace neuronc {

Storage Storage::dense(DType dtype, const std::vector<int64_t>& shape,
                       const std::vector<int>& order) {
  NEURONC_CHECK(order.empty() || order.size() == shape.size());
  Storage storage;
  storage.dtype = dtype;
  storage.strides.resize(shape.size());
  storage.num_elements = neuronc::num_elements(shape);
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    const size_t dim = order.empty() ? i : static_cast<size_t>(order[i]);
    storage.strides[dim] = stride;
    stride *= shape[dim];
  }
  return storage;
}

bool Storage::is_row_major(const std::vector<int64_t>& shape) const {
  if (blocked_dim >= 0) return false;
  int64_t stride = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] != 1 && strides[d] != stride) return false;
    stride *= shape[d];
  }
  return true;
}

std::vector<int> Storage::order(const std::vector<int64_t>& shape) const {
  std::vector<int> dims(shape.size());
  std::iota(dims.begin(), dims.end(), 0);
  std::stable_sort(dims.begin(), dims.end(), [&](int a, int b) {
    const auto ia = static_cast<size_t>(a), ib = static_cast<size_t>(b);
    if ((shape[ia] == 1) != (shape[ib] == 1)) return shape[ia] == 1;
    return shape[ia] != 1 && strides[ia] > strides[ib];
  });
  return dims;
}

}  // namespace neuronc
