// Implements type.h.
#include "ir/type.h"

#include <algorithm>
#include <limits>

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

namespace {

// Of numbers that are not negative.
int64_t saturating_product(int64_t a, int64_t b) {
  int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<int64_t>::max() : product;
}

}  // namespace

int64_t Type::size_bytes() const {
  return saturating_product(num_elements(), neuronc::size_bytes(dtype));
}

bool Type::is_too_large() const {
  if (!is_static()) return false;
  int64_t size = std::max<int64_t>(neuronc::size_bytes(dtype), 1);
  for (Dim dim : dims) size = saturating_product(size, std::max<int64_t>(dim.number(), 1));
  return size > kMostTensorBytes;
}

int64_t num_elements(const std::vector<int64_t>& shape) {
  int64_t product = 1;
  for (int64_t extent : shape) {
    if (extent == 0) return 0;
    product = saturating_product(product, extent);
  }
  return product;
}

std::vector<int64_t> row_major_strides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride = saturating_product(stride, shape[i]);
  }
  return strides;
}

}  // namespace neuronc
