// Conversions between element types.
#include <charconv>
#include <cmath>
#include <cstring>

#include "ir/ops/common.h"
#include "ir/tensor_pool.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr AttributeSpec kCastAttributes[] = {{"to", AttributeKind::dtype, "", true},
                                             {"saturate", AttributeKind::i64, "1"}};
constexpr AttributeSpec kBitCastAttributes[] = {{"to", AttributeKind::dtype, "", true}};
constexpr OperandSpec kAnyX[] = {{"x", kAny}};
constexpr ResultSpec kAnyY[] = {{"y", kAny}};
constexpr OperandSpec kNumericX[] = {{"x", kAnyNumeric}};

Types infer_cast(const InferInput& input) {
  Type type = input.operands[0];
  type.dtype = input.op.dtype("to");
  if (type.dtype == DType::none) return refuse("`to` is not an element type");
  return std::vector<Type>{std::move(type)};
}

// The shortest decimal that reads back as the same value of the dtype; "1", not "1.0", and numpy's
// words for what is not finite.
std::string to_string(const Tensor& tensor, int64_t index) {
  if (tensor.dtype() == DType::boolean) return tensor.i64(index) != 0 ? "1" : "0";
  char text[64];
  std::to_chars_result end{};
  if (tensor.dtype() == DType::u64) {
    end = std::to_chars(text, text + sizeof text, static_cast<uint64_t>(tensor.i64(index)));
  } else if (is_integer(tensor.dtype())) {
    end = std::to_chars(text, text + sizeof text, tensor.i64(index));
  } else {
    const double value = tensor.f64(index);
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "INF" : "-INF";
    end = tensor.dtype() == DType::f64
              ? std::to_chars(text, text + sizeof text, value)
              : std::to_chars(text, text + sizeof text, static_cast<float>(value));
  }
  return {text, end.ptr};
}

OrRefusal<double> parse_double(std::string_view text) {
  std::string lower;
  for (char c : text) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  std::string_view rest = lower;
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  while (!rest.empty() && rest.back() == ' ') rest.remove_suffix(1);
  if (!rest.empty() && rest.front() == '+') rest.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error == std::errc::result_out_of_range && end == rest.data() + rest.size()) {
    // Too large, or too small to tell from zero: the exponent's sign says which.
    const bool is_tiny = rest.find("e-") != std::string_view::npos;
    const double magnitude = is_tiny ? 0.0 : INFINITY;
    return rest.front() == '-' ? -magnitude : magnitude;
  }
  if (error != std::errc() || end != rest.data() + rest.size() || rest.empty()) {
    return refuse("`" + std::string(text) + "` is not a number");
  }
  return value;
}

Values cast_from_strings(const Tensor& x, DType to) {
  Tensor result = Tensor::zeros(to, x.shape());
  for (int64_t i = 0; i < x.num_elements(); ++i) {
    const std::string& text = x.strings()[static_cast<size_t>(i)];
    int64_t integer = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), integer);
    if (is_integer(to) && error == std::errc() && end == text.data() + text.size()) {
      result.set_i64(i, integer);
      continue;
    }
    NEURONC_ASSIGN(const double value, parse_double(text));
    result.set_f64(i, value);
  }
  return one(std::move(result));
}

Values evaluate_cast(const EvaluateInput& input) {
  NEURONC_TRY(actual_types(input));
  const Tensor& x = input.tensor(0);
  const DType to = input.op.dtype("to");
  if (to == x.dtype()) return one(x);
  if (to == DType::string) {
    std::vector<std::string> strings;
    for (int64_t i = 0; i < x.num_elements(); ++i) strings.push_back(to_string(x, i));
    return one(Tensor::from_strings(x.shape(), std::move(strings)));
  }
  if (x.dtype() == DType::string) return cast_from_strings(x, to);
  if (kSmallFloats.contains(to) && input.op.i64("saturate") == 0) {
    Tensor result = Tensor::zeros(to, x.shape());
    for (int64_t i = 0; i < x.num_elements(); ++i) {
      result.mutable_as<uint8_t>()[static_cast<size_t>(i)] =
          f32_to_small_float(to, static_cast<float>(x.f64(i)), Saturate::no);
    }
    return one(std::move(result));
  }
  if (is_integer(to) && integer_bits(to) < 8 && is_float(x.dtype())) {
    Tensor result = Tensor::zeros(to, x.shape());
    for (int64_t i = 0; i < x.num_elements(); ++i) result.set_i64(i, x.i64(i));
    return one(std::move(result));
  }
  return one(x.converted(to));
}

Types infer_bit_cast(const InferInput& input) {
  const DType to = input.op.dtype("to");
  if (size_bytes(to) != size_bytes(input.operands[0].dtype)) {
    return refuse("`bit_cast` needs element types of one size");
  }
  return infer_cast(input);
}

Values evaluate_bit_cast(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  Tensor result = unfilled_tensor(type.dtype, type.shape());
  const Tensor& x = input.tensor(0);
  if (x.size_bytes() > 0) {
    std::memcpy(result.mutable_data(), x.data(), static_cast<size_t>(x.size_bytes()));
  }
  return one(std::move(result));
}

}  // namespace

/// y = x converted to the element type `to`. Floats round to nearest even; floats become integers
/// by truncation with saturation, those of 2 and 4 bits by truncation to the low bits, NaN 0;
/// integers wrap. With `saturate` 0, values beyond an f8
/// type's range become its infinity or NaN. Passes express all rounding with this operator.
///   Shapes: any.   Types: any.   Source: ONNX Cast-19.
NEURONC_OP(cast) = {"cast",
                    "x converted to another element type",
                    "ONNX Cast-19",
                    kAnyX,
                    kCastAttributes,
                    kAnyY,
                    Trait::elementwise,
                    Precision::exact,
                    infer_cast,
                    evaluate_cast,
                    flops_per_result<1>};

/// y = the bits of x read as the element type `to`, of the same size.   Source: ONNX BitCast-26.
NEURONC_OP(bit_cast) = {"bit_cast",
                        "the bits of x as another element type",
                        "ONNX BitCast-26",
                        kNumericX,
                        kBitCastAttributes,
                        kAnyY,
                        Trait::elementwise,
                        Precision::fixed,
                        infer_bit_cast,
                        evaluate_bit_cast,
                        no_flops};

}  // namespace neuronc
