// Dense tensors in host memory: the module's constants, and what the evaluator computes with.
//
// Immutable once shared: a `Tensor` is a cheap handle on bytes owned elsewhere (its own buffer, a
// mapped file, a protobuf message). Elements are row-major and take whole bytes (dtype.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/base/dtype.h"
#include "ir/base/expected.h"
#include "ir/base/hash.h"
#include "ir/type.h"

namespace neuronc {

class Tensor {
 public:
  Tensor() = default;  // no tensor

  // A zero-filled tensor of its own; string tensors hold empty strings.
  static Tensor zeros(DType dtype, std::vector<int64_t> shape);
  // A tensor over bytes kept alive by `owner`; `data` must hold the whole tensor.
  static Tensor borrow(DType dtype, std::vector<int64_t> shape, std::span<const std::byte> data,
                       std::shared_ptr<const void> owner);
  static Tensor from_strings(std::vector<int64_t> shape, std::vector<std::string> strings);
  template <class T>
  static Tensor from(DType dtype, std::vector<int64_t> shape, std::span<const T> values);
  static Tensor scalar(DType dtype, double value);
  static Tensor ints(std::span<const int64_t> values);  // i64[n]

  explicit operator bool() const { return dtype_ != DType::none; }
  DType dtype() const { return dtype_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t rank() const { return static_cast<int64_t>(shape_.size()); }
  int64_t num_elements() const { return num_elements_; }
  int64_t size_bytes() const { return num_elements_ * neuronc::size_bytes(dtype_); }
  Type type() const { return Type::tensor(dtype_, shape_); }

  std::span<const std::byte> bytes() const { return {data_, static_cast<size_t>(size_bytes())}; }
  const std::byte* data() const { return data_; }
  template <class T>
  std::span<const T> as() const {
    return {reinterpret_cast<const T*>(data_), static_cast<size_t>(num_elements_)};
  }
  // Writing is for the maker of a tensor, before it is shared.
  std::byte* mutable_data();
  template <class T>
  std::span<T> mutable_as() {
    return {reinterpret_cast<T*>(mutable_data()), static_cast<size_t>(num_elements_)};
  }

  std::span<const std::string> strings() const;
  std::span<std::string> mutable_strings();

  double f64(int64_t index) const { return load_as_f64(dtype_, data_, index); }
  int64_t i64(int64_t index) const { return load_as_i64(dtype_, data_, index); }
  void set_f64(int64_t index, double v) { store_from_f64(dtype_, mutable_data(), index, v); }
  void set_i64(int64_t index, int64_t v) { store_from_i64(dtype_, mutable_data(), index, v); }
  std::vector<int64_t> to_ints() const;    // integer or bool tensors
  std::vector<double> to_doubles() const;  // numeric tensors

  // The same bytes with another shape of the same number of elements.
  Tensor with_shape(std::vector<int64_t> shape) const;
  // Each element converted as dtype.h states.
  Tensor converted(DType dtype) const;

  Hash128 hash() const;  // of dtype, shape and content

 private:
  DType dtype_ = DType::none;
  std::vector<int64_t> shape_;
  int64_t num_elements_ = 0;
  const std::byte* data_ = nullptr;
  std::shared_ptr<const void> owner_;
  std::shared_ptr<std::vector<std::string>> strings_;
};

template <class T>
Tensor Tensor::from(DType dtype, std::vector<int64_t> shape, std::span<const T> values) {
  Tensor tensor = zeros(dtype, std::move(shape));
  std::span<T> out = tensor.mutable_as<T>();
  for (size_t i = 0; i < out.size() && i < values.size(); ++i) out[i] = values[i];
  return tensor;
}

// What a host-side value may be: one tensor, a sequence of tensors, or an optional.
struct HostValue {
  Type::Kind kind = Type::Kind::tensor;
  std::vector<Tensor> elements;  // tensor: exactly one; optional: none or one
  bool has_value = true;         // optional and optional_sequence only

  HostValue() = default;
  HostValue(Tensor tensor) : elements{std::move(tensor)} {}  // NOLINT
  const Tensor& tensor() const { return elements.front(); }
};

}  // namespace neuronc
