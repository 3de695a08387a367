// Implements winograd_transforms.h.
#include "backend/variants/convolution/winograd_transforms.h"

namespace neuronc::winograd {

using kernel::Builder;
using kernel::Value;
using kernel::Values;

namespace {

using Transform = Values (*)(Builder&, const Values&);

// The points are 0, +-kA, +-kB and infinity.
constexpr double kA = 0.625, kB = 1.5;
constexpr double kA2 = kA * kA, kB2 = kB * kB;

Value times(Builder& b, double factor, Value x) {
  return b.mul(b.f32(static_cast<float>(factor), x.type.lanes), x);
}
// y + factor * x
Value plus_times(Builder& b, Value y, double factor, Value x) {
  return b.fma(b.f32(static_cast<float>(factor), x.type.lanes), x, y);
}

// The row of a point holds the coefficients of the product of (x - q) over the other points q.
Values input_row(Builder& b, const Values& d) {
  const Value even_a = plus_times(b, d[4], -kB2, d[2]), odd_a = plus_times(b, d[3], -kB2, d[1]);
  const Value even_b = plus_times(b, d[4], -kA2, d[2]), odd_b = plus_times(b, d[3], -kA2, d[1]);
  return {plus_times(b, plus_times(b, d[4], -(kA2 + kB2), d[2]), kA2 * kB2, d[0]),
          plus_times(b, even_a, kA, odd_a),
          plus_times(b, even_a, -kA, odd_a),
          plus_times(b, even_b, kB, odd_b),
          plus_times(b, even_b, -kB, odd_b),
          plus_times(b, plus_times(b, d[5], -(kA2 + kB2), d[3]), kA2 * kB2, d[1])};
}

// The window's polynomial at each point, over the product of (p - q).
Values window_row(Builder& b, const Values& g) {
  const double scale_a = 1 / (2 * kA2 * (kA2 - kB2)), scale_b = 1 / (2 * kB2 * (kB2 - kA2));
  const Value even_a = plus_times(b, times(b, scale_a, g[0]), scale_a * kA2, g[2]);
  const Value even_b = plus_times(b, times(b, scale_b, g[0]), scale_b * kB2, g[2]);
  return {times(b, 1 / (kA2 * kB2), g[0]),
          plus_times(b, even_a, scale_a * kA, g[1]),
          plus_times(b, even_a, -scale_a * kA, g[1]),
          plus_times(b, even_b, scale_b * kB, g[1]),
          plus_times(b, even_b, -scale_b * kB, g[1]),
          g[2]};
}

// The transpose of evaluation at the points: row i has their i-th powers.
Values product_row(Builder& b, const Values& m) {
  const Value sum_a = b.add(m[1], m[2]), difference_a = b.sub(m[1], m[2]);
  const Value sum_b = b.add(m[3], m[4]), difference_b = b.sub(m[3], m[4]);
  return {b.add(b.add(m[0], sum_a), sum_b),
          plus_times(b, times(b, kB, difference_b), kA, difference_a),
          plus_times(b, times(b, kB2, sum_b), kA2, sum_a),
          plus_times(b, plus_times(b, m[5], kB2 * kB, difference_b), kA2 * kA, difference_a)};
}

// Columns first, then rows.
Values transform(Builder& b, const Values& square, size_t side, Transform one) {
  std::vector<Values> columns;
  for (size_t column = 0; column < side; ++column) {
    Values from;
    for (size_t row = 0; row < side; ++row) from.push_back(square[row * side + column]);
    columns.push_back(one(b, from));
  }
  Values result;
  for (size_t row = 0; row < columns[0].size(); ++row) {
    Values from;
    for (size_t column = 0; column < side; ++column) from.push_back(columns[column][row]);
    for (Value value : one(b, from)) result.push_back(value);
  }
  return result;
}

}  // namespace

Values transform_inputs(Builder& b, const Values& inputs) {
  return transform(b, inputs, kInputs, input_row);
}

Values transform_window(Builder& b, const Values& window) {
  return transform(b, window, kWindow, window_row);
}

Values transform_products(Builder& b, const Values& products) {
  return transform(b, products, kInputs, product_row);
}

}  // namespace neuronc::winograd
