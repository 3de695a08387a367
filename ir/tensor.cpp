// Implements tensor.h.
#include "ir/tensor.h"

#include "ir/base/check.h"
#include "ir/tensor_pool.h"

namespace neuronc {

Tensor Tensor::zeros(DType dtype, std::vector<int64_t> shape) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.num_elements_ = neuronc::num_elements(shape);
  tensor.shape_ = std::move(shape);
  if (dtype == DType::string) {
    tensor.strings_ =
        std::make_shared<std::vector<std::string>>(static_cast<size_t>(tensor.num_elements_));
    return tensor;
  }
  auto buffer = allocate_zeroed(static_cast<size_t>(tensor.size_bytes()));
  tensor.data_ = buffer.get();
  tensor.owner_ = std::move(buffer);
  return tensor;
}

Tensor Tensor::borrow(DType dtype, std::vector<int64_t> shape, std::span<const std::byte> data,
                      std::shared_ptr<const void> owner) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.num_elements_ = neuronc::num_elements(shape);
  tensor.shape_ = std::move(shape);
  NEURONC_CHECK(data.size() >= static_cast<size_t>(tensor.size_bytes()));
  tensor.data_ = data.data();
  tensor.owner_ = std::move(owner);
  return tensor;
}

Tensor Tensor::from_strings(std::vector<int64_t> shape, std::vector<std::string> strings) {
  Tensor tensor;
  tensor.dtype_ = DType::string;
  tensor.num_elements_ = neuronc::num_elements(shape);
  NEURONC_CHECK(static_cast<size_t>(tensor.num_elements_) == strings.size());
  tensor.shape_ = std::move(shape);
  tensor.strings_ = std::make_shared<std::vector<std::string>>(std::move(strings));
  return tensor;
}

Tensor Tensor::scalar(DType dtype, double value) {
  Tensor tensor = zeros(dtype, {});
  tensor.set_f64(0, value);
  return tensor;
}

Tensor Tensor::ints(std::span<const int64_t> values) {
  return from<int64_t>(DType::i64, {static_cast<int64_t>(values.size())}, values);
}

std::byte* Tensor::mutable_data() { return const_cast<std::byte*>(data_); }

std::span<const std::string> Tensor::strings() const {
  NEURONC_CHECK(strings_ != nullptr);
  return *strings_;
}

std::span<std::string> Tensor::mutable_strings() {
  NEURONC_CHECK(strings_ != nullptr);
  return *strings_;
}

std::vector<int64_t> Tensor::to_ints() const {
  if (dtype_ == DType::i64) {
    const std::span<const int64_t> values = as<int64_t>();
    return {values.begin(), values.end()};
  }
  std::vector<int64_t> values(static_cast<size_t>(num_elements_));
  for (int64_t i = 0; i < num_elements_; ++i) values[static_cast<size_t>(i)] = i64(i);
  return values;
}

std::vector<double> Tensor::to_doubles() const {
  if (dtype_ == DType::f32) {
    const std::span<const float> values = as<float>();
    return {values.begin(), values.end()};
  }
  std::vector<double> values(static_cast<size_t>(num_elements_));
  for (int64_t i = 0; i < num_elements_; ++i) values[static_cast<size_t>(i)] = f64(i);
  return values;
}

Tensor Tensor::with_shape(std::vector<int64_t> shape) const {
  NEURONC_CHECK(neuronc::num_elements(shape) == num_elements_);
  Tensor tensor = *this;
  tensor.shape_ = std::move(shape);
  return tensor;
}

Tensor Tensor::converted(DType dtype) const {
  if (dtype == dtype_) return *this;
  Tensor result = unfilled_tensor(dtype, shape_);
  if (dtype_ == DType::f32 && (dtype == DType::bf16 || dtype == DType::f16)) {
    // Weights take this way: hundreds of millions of elements.
    const auto convert = dtype == DType::bf16 ? f32_to_bf16 : f32_to_f16;
    const auto from = as<float>();
    const auto to = result.mutable_as<uint16_t>();
    for (size_t i = 0; i < to.size(); ++i) to[i] = convert(from[i]);
    return result;
  }
  const bool exact_integers = is_integer(dtype_) && (is_integer(dtype) || dtype == DType::boolean);
  for (int64_t i = 0; i < num_elements_; ++i) {
    if (exact_integers && dtype != DType::boolean) {
      result.set_i64(i, i64(i));
    } else if (exact_integers) {
      result.set_i64(i, i64(i) != 0 ? 1 : 0);
    } else {
      result.set_f64(i, f64(i));
    }
  }
  return result;
}

Hash128 Tensor::hash() const {
  Hash128 hash = hash_text(name(dtype_));
  hash = hash_combine(hash, hash_bytes(std::as_bytes(std::span(shape_))));
  if (dtype_ == DType::string) {
    for (const std::string& text : strings()) hash = hash_combine(hash, hash_text(text));
    return hash;
  }
  return hash_combine(hash, hash_bytes(bytes()));
}

}  // namespace neuronc
