// Implements type.h.
#include "ir/type.h"

#include "ir/base/check.h"

namespace neuronc {

Type Type::tensor(DType dtype, std::vector<Dim> dims) {
  return {Kind::tensor, dtype, true, std::move(dims)};
}

Type Type::tensor(DType dtype, const std::vector<int64_t>& shape) {
  return tensor(dtype, std::vector<Dim>(shape.begin(), shape.end()));
}

Type Type::unranked(DType dtype) { return {Kind::tensor, dtype, false, {}}; }

Type Type::sequence(Type element) {
  element.kind = Kind::sequence;
  return element;
}

Type Type::optional(Type element) {
  element.kind = element.kind == Kind::sequence ? Kind::optional_sequence : Kind::optional;
  return element;
}

bool Type::is_static() const {
  if (kind != Kind::tensor || !is_ranked) return false;
  for (Dim dim : dims) {
    if (!dim.is_number()) return false;
  }
  return true;
}

std::vector<int64_t> Type::shape() const {
  NEURONC_CHECK(is_static());
  std::vector<int64_t> numbers;
  numbers.reserve(dims.size());
  for (Dim dim : dims) numbers.push_back(dim.number());
  return numbers;
}

int64_t Type::num_elements() const { return neuronc::num_elements(shape()); }

int64_t Type::size_bytes() const { return num_elements() * neuronc::size_bytes(dtype); }

int64_t num_elements(const std::vector<int64_t>& shape) {
  int64_t product = 1;
  for (int64_t extent : shape) product *= extent;
  return product;
}

std::vector<int64_t> row_major_strides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

}  // namespace neuronc
