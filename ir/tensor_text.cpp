// Implements tensor_text.h.
#include "ir/tensor_text.h"

#include <fmt/format.h>
#include <locale.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

namespace neuronc {
namespace {

template <class T>
bool from_whole_text(std::string_view text, T& value, int base) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return result.ec == std::errc() && result.ptr == text.data() + text.size();
}

uint64_t bits_of(const Tensor& tensor, int64_t index) {
  const auto size = static_cast<size_t>(size_bytes(tensor.dtype()));
  uint64_t bits = 0;
  std::memcpy(&bits, tensor.data() + static_cast<size_t>(index) * size, size);
  return bits;
}

void store_bits(Tensor& tensor, int64_t index, uint64_t bits) {
  const auto size = static_cast<size_t>(size_bytes(tensor.dtype()));
  std::memcpy(tensor.mutable_data() + static_cast<size_t>(index) * size, &bits, size);
}

// The range of an integer type; u64 is handled apart.
bool fits(DType dtype, int64_t value) {
  const int bits = integer_bits(dtype);
  if (is_unsigned_integer(dtype)) return value >= 0 && (bits >= 63 || value < (int64_t{1} << bits));
  if (bits == 64) return true;
  const int64_t bound = int64_t{1} << (bits - 1);
  return value >= -bound && value < bound;
}

bool float_element_from_text(std::string_view text, Tensor& tensor, int64_t index) {
  if (tensor.dtype() == DType::f32) {
    // Read as f32 at once: rounding to f64 first would round twice.
    float value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec == std::errc() && result.ptr == text.data() + text.size()) {
      tensor.mutable_as<float>()[static_cast<size_t>(index)] = value;
      return true;
    }
  }
  double value = 0;
  if (!float_from_text(text, value)) return false;
  tensor.set_f64(index, value);
  return true;
}

}  // namespace

std::string float_to_text(double value) { return fmt::format("{}", value); }

bool float_from_text(std::string_view text, double& value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ptr != text.data() + text.size()) return false;
  if (result.ec == std::errc()) return true;
  if (result.ec != std::errc::result_out_of_range) return false;
  // Too large or too small to be told apart from infinity or zero; in a locale of the host's, the point
  // may end the number.
  static const locale_t kPlain = newlocale(LC_ALL_MASK, "C", nullptr);
  value = strtod_l(std::string(text).c_str(), nullptr, kPlain);
  return true;
}

bool int_from_text(std::string_view text, int64_t& value) {
  return from_whole_text(text, value, 10);
}

std::string element_to_text(const Tensor& tensor, int64_t index) {
  const DType dtype = tensor.dtype();
  const uint64_t bits = bits_of(tensor, index);
  if (dtype == DType::boolean && bits <= 1) return bits != 0 ? "true" : "false";
  std::string text;
  if (dtype == DType::u64) {
    text = fmt::format("{}", bits);
  } else if (is_integer(dtype)) {
    text = fmt::format("{}", tensor.i64(index));
  } else if (dtype == DType::f64) {
    text = fmt::format("{}", tensor.f64(index));
  } else if (is_float(dtype)) {
    text = fmt::format("{}", static_cast<float>(tensor.f64(index)));
  }
  Tensor copy = Tensor::zeros(dtype, {});
  if (!text.empty() && element_from_text(text, copy, 0) && bits_of(copy, 0) == bits) return text;
  return fmt::format("0x{:0{}x}", bits, 2 * size_bytes(dtype));
}

bool element_from_text(std::string_view text, Tensor& tensor, int64_t index) {
  const DType dtype = tensor.dtype();
  if (text.starts_with("0x")) {
    uint64_t bits = 0;
    if (!from_whole_text(text.substr(2), bits, 16)) return false;
    const int num_bits = 8 * size_bytes(dtype);
    if (num_bits < 64 && (bits >> num_bits) != 0) return false;
    store_bits(tensor, index, bits);
    return true;
  }
  if (dtype == DType::boolean) {
    if (text != "true" && text != "false") return false;
    store_bits(tensor, index, text == "true" ? 1 : 0);
    return true;
  }
  if (dtype == DType::u64) {
    uint64_t value = 0;
    if (!from_whole_text(text, value, 10)) return false;
    store_bits(tensor, index, value);
    return true;
  }
  if (is_integer(dtype)) {
    int64_t value = 0;
    if (!int_from_text(text, value) || !fits(dtype, value)) return false;
    tensor.set_i64(index, value);
    return true;
  }
  return is_float(dtype) && float_element_from_text(text, tensor, index);
}

}  // namespace neuronc
