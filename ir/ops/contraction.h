// Matrix products and convolutions of plain numbers, shared by the float operators and their
// integer and quantised forms. Private to ir/ops/.
#pragma once

#include <algorithm>

#include "ir/ops/common.h"

namespace neuronc::ops {

// The shape of numpy's matmul of `a` and `b`, with the dtype of `a`.
OrRefusal<Type> matmul_type(const Type& a, const Type& b);

// One [m,k] x [k,n] product per batch index: where its operands begin.
struct Product {
  int64_t m = 0, k = 0, n = 0;
  std::vector<int64_t> a_offsets, b_offsets;
};
Product product_of(Shape a, Shape b);

// a x b of flat matrices; T is double or uint64_t (integers wrap).
template <class T>
std::vector<T> multiply(const Product& product, const std::vector<T>& a, const std::vector<T>& b) {
  std::vector<T> y;
  y.reserve(product.a_offsets.size() * static_cast<size_t>(product.m * product.n));
  for (size_t batch = 0; batch < product.a_offsets.size(); ++batch) {
    const T* left = a.data() + product.a_offsets[batch];
    const T* right = b.data() + product.b_offsets[batch];
    std::vector<T> row(static_cast<size_t>(product.n));
    for (int64_t i = 0; i < product.m; ++i) {
      std::fill(row.begin(), row.end(), T{0});
      for (int64_t p = 0; p < product.k; ++p) {
        const T factor = left[i * product.k + p];
        for (int64_t j = 0; j < product.n; ++j) {
          row[static_cast<size_t>(j)] += factor * right[p * product.n + j];
        }
      }
      y.insert(y.end(), row.begin(), row.end());
    }
  }
  return y;
}

// The type of a convolution of operand 0 with operand 1, given the attributes of `conv`; operand 2
// is an optional bias.
Types infer_conv_shape(const InferInput& input);

struct Numbers {
  std::vector<double> values;
  Shape shape;
};
// The sums of a convolution without bias, in a result of `shape`; `op` has the attributes of
// `conv`.
OrRefusal<std::vector<double>> convolve(const OpView& op, const Numbers& x, const Numbers& w,
                                        const Shape& shape);

}  // namespace neuronc::ops
