// Names, sizes and exact scalar conversions of the element types.
//
// One rounding routine serves every format narrower than f32: it works on a value that is exact in
// f64, so nothing is ever rounded twice. The f8 and f4 formats differ only in the rows of a table.
#include "ir/base/dtype.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "ir/base/check.h"

namespace neuronc {
namespace {

enum class Kind : uint8_t { none, boolean, signed_integer, unsigned_integer, floating, string };

struct DTypeInfo {
  DType dtype;
  std::string_view name;
  Kind kind;
  int size_bytes;
  int integer_bits;
};

constexpr DTypeInfo kInfos[] = {
    {DType::none, "none", Kind::none, 0, 0},
    {DType::boolean, "bool", Kind::boolean, 1, 0},
    {DType::i2, "i2", Kind::signed_integer, 1, 2},
    {DType::i4, "i4", Kind::signed_integer, 1, 4},
    {DType::i8, "i8", Kind::signed_integer, 1, 8},
    {DType::i16, "i16", Kind::signed_integer, 2, 16},
    {DType::i32, "i32", Kind::signed_integer, 4, 32},
    {DType::i64, "i64", Kind::signed_integer, 8, 64},
    {DType::u2, "u2", Kind::unsigned_integer, 1, 2},
    {DType::u4, "u4", Kind::unsigned_integer, 1, 4},
    {DType::u8, "u8", Kind::unsigned_integer, 1, 8},
    {DType::u16, "u16", Kind::unsigned_integer, 2, 16},
    {DType::u32, "u32", Kind::unsigned_integer, 4, 32},
    {DType::u64, "u64", Kind::unsigned_integer, 8, 64},
    {DType::f16, "f16", Kind::floating, 2, 0},
    {DType::bf16, "bf16", Kind::floating, 2, 0},
    {DType::f32, "f32", Kind::floating, 4, 0},
    {DType::f64, "f64", Kind::floating, 8, 0},
    {DType::f8e4m3fn, "f8e4m3fn", Kind::floating, 1, 0},
    {DType::f8e4m3fnuz, "f8e4m3fnuz", Kind::floating, 1, 0},
    {DType::f8e5m2, "f8e5m2", Kind::floating, 1, 0},
    {DType::f8e5m2fnuz, "f8e5m2fnuz", Kind::floating, 1, 0},
    {DType::f8e8m0, "f8e8m0", Kind::floating, 1, 0},
    {DType::f4e2m1, "f4e2m1", Kind::floating, 1, 0},
    {DType::string, "string", Kind::string, 0, 0},
};

constexpr bool table_is_in_order() {
  for (size_t i = 0; i < std::size(kInfos); ++i) {
    if (static_cast<size_t>(kInfos[i].dtype) != i) return false;
  }
  return std::size(kInfos) == static_cast<size_t>(DType::string) + 1;
}
static_assert(table_is_in_order());

const DTypeInfo& info(DType dtype) {
  const size_t index = static_cast<size_t>(dtype);
  NEURONC_CHECK(index < std::size(kInfos));
  return kInfos[index];
}

// What stands for NaN and infinity in a narrow binary format.
enum class Specials : uint8_t {
  ieee,            // all-ones exponent: infinity with zero mantissa, else NaN
  nan_all_ones,    // no infinity; only the all-ones code is NaN (fn)
  nan_minus_zero,  // no infinity, no -0; the code of -0 is NaN (fnuz)
  none,            // neither infinity nor NaN
};

struct Format {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  Specials specials;
};

constexpr Format kF16{5, 10, 15, Specials::ieee};
constexpr Format kBf16{8, 7, 127, Specials::ieee};

const Format& small_format(DType dtype) {
  static constexpr Format kE4m3fn{4, 3, 7, Specials::nan_all_ones};
  static constexpr Format kE4m3fnuz{4, 3, 8, Specials::nan_minus_zero};
  static constexpr Format kE5m2{5, 2, 15, Specials::ieee};
  static constexpr Format kE5m2fnuz{5, 2, 16, Specials::nan_minus_zero};
  static constexpr Format kE2m1{2, 1, 1, Specials::none};
  switch (dtype) {
    case DType::f8e4m3fn:
      return kE4m3fn;
    case DType::f8e4m3fnuz:
      return kE4m3fnuz;
    case DType::f8e5m2:
      return kE5m2;
    case DType::f8e5m2fnuz:
      return kE5m2fnuz;
    case DType::f4e2m1:
      return kE2m1;
    default:
      NEURONC_UNREACHABLE("small_format: not a small float");
  }
}

uint32_t sign_bit(const Format& f) { return 1u << (f.exponent_bits + f.mantissa_bits); }

// The code of the largest finite magnitude.
uint32_t max_finite(const Format& f) {
  const uint32_t all_ones = sign_bit(f) - 1;
  switch (f.specials) {
    case Specials::ieee:
      return all_ones - (1u << f.mantissa_bits);
    case Specials::nan_all_ones:
      return all_ones - 1;
    default:
      return all_ones;
  }
}

uint32_t nan_code(const Format& f, bool negative) {
  const uint32_t sign = negative ? sign_bit(f) : 0;
  switch (f.specials) {
    case Specials::ieee: {
      const uint32_t exponent = ((1u << f.exponent_bits) - 1) << f.mantissa_bits;
      return sign | exponent | (1u << (f.mantissa_bits - 1));
    }
    case Specials::nan_all_ones:
      return sign | (sign_bit(f) - 1);
    default:  // without a code of its own it is -0, as in ONNX's reference data
      return sign_bit(f);
  }
}

uint32_t overflow_code(const Format& f, bool negative, Saturate saturate) {
  const uint32_t sign = negative ? sign_bit(f) : 0;
  if (saturate == Saturate::yes || f.specials == Specials::none) return sign | max_finite(f);
  if (f.specials == Specials::ieee) return sign | (max_finite(f) + 1);
  return nan_code(f, negative);
}

// Rounds `value` to the nearest code of `f`, ties to even.
uint32_t encode(const Format& f, double value, Saturate saturate) {
  const uint64_t bits = std::bit_cast<uint64_t>(value);
  const bool negative = (bits >> 63) != 0;
  if (std::isnan(value)) return nan_code(f, negative);
  if (std::isinf(value)) return overflow_code(f, negative, saturate);
  uint32_t magnitude = 0;
  const int exponent_f64 = static_cast<int>((bits >> 52) & 0x7ff);
  // f64 denormals lie far below half of any narrow format's least code.
  if (exponent_f64 != 0) {
    const uint64_t significand = (bits & 0xfffffffffffffull) | (1ull << 52);
    int exponent = exponent_f64 - 1023 + f.bias;
    int shift = 52 - f.mantissa_bits;
    if (exponent < 1) {
      shift += 1 - exponent;
      exponent = 1;
    }
    uint64_t rounded = 0;
    if (shift <= 53) {
      const uint64_t half = 1ull << (shift - 1);
      const uint64_t rest = significand & ((1ull << shift) - 1);
      rounded = significand >> shift;
      if (rest > half || (rest == half && (rounded & 1) != 0)) ++rounded;
    }
    // A carry out of the mantissa runs into the exponent field, which is what rounding means.
    const int64_t code =
        (static_cast<int64_t>(exponent - 1) << f.mantissa_bits) + static_cast<int64_t>(rounded);
    if (code > static_cast<int64_t>(max_finite(f))) return overflow_code(f, negative, saturate);
    magnitude = static_cast<uint32_t>(code);
  }
  if (magnitude == 0 && f.specials == Specials::nan_minus_zero) return 0;
  return (negative ? sign_bit(f) : 0) | magnitude;
}

float decode(const Format& f, uint32_t code) {
  const bool negative = (code & sign_bit(f)) != 0;
  const uint32_t magnitude = code & (sign_bit(f) - 1);
  const uint32_t mantissa = magnitude & ((1u << f.mantissa_bits) - 1);
  const int exponent = static_cast<int>(magnitude >> f.mantissa_bits);
  const float sign = negative ? -1.0f : 1.0f;
  const float nan = std::copysign(std::numeric_limits<float>::quiet_NaN(), sign);
  switch (f.specials) {
    case Specials::ieee:
      if (exponent == (1 << f.exponent_bits) - 1) {
        return mantissa == 0 ? sign * std::numeric_limits<float>::infinity() : nan;
      }
      break;
    case Specials::nan_all_ones:
      if (magnitude == sign_bit(f) - 1) return nan;
      break;
    case Specials::nan_minus_zero:
      if (code == sign_bit(f)) return std::numeric_limits<float>::quiet_NaN();
      break;
    case Specials::none:
      break;
  }
  const uint32_t significand = exponent == 0 ? mantissa : mantissa | (1u << f.mantissa_bits);
  const int scale = (exponent == 0 ? 1 : exponent) - f.bias - f.mantissa_bits;
  return sign * static_cast<float>(std::ldexp(static_cast<double>(significand), scale));
}

// A power of two without sign; rounds up as ONNX's Cast does by default.
uint8_t encode_e8m0(double value, Saturate saturate) {
  constexpr int kBias = 127;
  constexpr int kMaxFinite = 0xfe;
  constexpr uint8_t kNan = 0xff;
  if (!std::isfinite(value)) return kNan;
  if (value == 0) return 0;
  int exponent = 0;
  const double fraction = std::frexp(std::fabs(value), &exponent);
  const int code = (fraction == 0.5 ? exponent - 1 : exponent) + kBias;
  if (code > kMaxFinite) return saturate == Saturate::yes ? kMaxFinite : kNan;
  return static_cast<uint8_t>(code < 0 ? 0 : code);
}

template <class T>
T load(const void* data, int64_t index) {
  T value;
  std::memcpy(&value, static_cast<const char*>(data) + index * static_cast<int64_t>(sizeof(T)),
              sizeof(T));
  return value;
}

template <class T>
void store(void* data, int64_t index, T value) {
  std::memcpy(static_cast<char*>(data) + index * static_cast<int64_t>(sizeof(T)), &value,
              sizeof(T));
}

// Truncates towards zero, saturates, NaN gives 0.
int64_t truncate_to_i64(double value) {
  if (std::isnan(value)) return 0;
  if (value >= 9223372036854775808.0) return std::numeric_limits<int64_t>::max();
  if (value < -9223372036854775808.0) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(value);
}

uint64_t truncate_to_u64(double value) {
  if (!(value > 0)) return 0;
  if (value >= 18446744073709551616.0) return std::numeric_limits<uint64_t>::max();
  return static_cast<uint64_t>(value);
}

int64_t clamp_to_bits(int64_t value, int bits, bool is_signed) {
  if (bits == 64) return value;
  const int64_t high = is_signed ? (int64_t{1} << (bits - 1)) - 1 : (int64_t{1} << bits) - 1;
  const int64_t low = is_signed ? -(int64_t{1} << (bits - 1)) : 0;
  return value < low ? low : value > high ? high : value;
}

// Wraps `value` to `bits` bits, extended again to 64.
int64_t wrap_to_bits(int64_t value, int bits, bool is_signed) {
  if (bits == 64) return value;
  const int shift = 64 - bits;
  const uint64_t high = static_cast<uint64_t>(value) << shift;
  return is_signed ? static_cast<int64_t>(high) >> shift : static_cast<int64_t>(high >> shift);
}

void store_integer_bits(DType dtype, void* data, int64_t index, int64_t value) {
  switch (size_bytes(dtype)) {
    case 1:
      return store<uint8_t>(data, index, static_cast<uint8_t>(value));
    case 2:
      return store<uint16_t>(data, index, static_cast<uint16_t>(value));
    case 4:
      return store<uint32_t>(data, index, static_cast<uint32_t>(value));
    default:
      return store<uint64_t>(data, index, static_cast<uint64_t>(value));
  }
}

// The f64 nearest to `value` that still rounds to the same narrower float as `value` does: where
// bits are lost the last one kept is made odd, so that no tie is invented.
double to_f64_round_odd(int64_t value) {
  const uint64_t magnitude =
      value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  const int excess = 11 - std::countl_zero(magnitude | 1);
  uint64_t kept = magnitude;
  if (excess > 0) {
    const uint64_t lost = magnitude & ((1ull << excess) - 1);
    kept = ((magnitude >> excess) | (lost != 0 ? 1 : 0)) << excess;
  }
  const double result = static_cast<double>(kept);
  return value < 0 ? -result : result;
}

}  // namespace

std::string_view name(DType dtype) { return info(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DTypeInfo& entry : kInfos) {
    if (entry.name == name && entry.dtype != DType::none) return entry.dtype;
  }
  return std::nullopt;
}

int size_bytes(DType dtype) { return info(dtype).size_bytes; }
bool is_float(DType dtype) { return info(dtype).kind == Kind::floating; }
bool is_signed_integer(DType dtype) { return info(dtype).kind == Kind::signed_integer; }
bool is_unsigned_integer(DType dtype) { return info(dtype).kind == Kind::unsigned_integer; }
bool is_integer(DType dtype) { return is_signed_integer(dtype) || is_unsigned_integer(dtype); }
bool is_numeric(DType dtype) {
  return is_float(dtype) || is_integer(dtype) || dtype == DType::boolean;
}
int integer_bits(DType dtype) { return info(dtype).integer_bits; }

float bf16_to_f32(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  const bool is_nan = (wide & 0x7fffffff) > 0x7f800000;
  return std::bit_cast<float>(is_nan ? wide | 0x00400000 : wide);
}

uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float f16_to_f32(uint16_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 0x8000) << 16;
  const uint32_t magnitude = code & 0x7fff;
  if (magnitude > 0x7c00) {
    return std::bit_cast<float>(sign | 0x7fc00000 | ((magnitude & 0x3ff) << 13));
  }
  if (magnitude == 0x7c00) return std::bit_cast<float>(sign | 0x7f800000);
  if (magnitude >= 0x400) return std::bit_cast<float>(sign | ((magnitude << 13) + (112u << 23)));
  const float denormal = static_cast<float>(magnitude) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(denormal));
}

uint16_t f32_to_f16(float value) { return f64_to_f16(value); }

uint16_t f64_to_f16(double value) {
  return static_cast<uint16_t>(encode(kF16, value, Saturate::no));
}

uint16_t f64_to_bf16(double value) {
  return static_cast<uint16_t>(encode(kBf16, value, Saturate::no));
}

float small_float_to_f32(DType dtype, uint8_t bits) {
  if (dtype == DType::f8e8m0) {
    if (bits == 0xff) return std::numeric_limits<float>::quiet_NaN();
    return static_cast<float>(std::ldexp(1.0, static_cast<int>(bits) - 127));
  }
  const Format& format = small_format(dtype);
  return decode(format, bits & (2 * sign_bit(format) - 1));
}

uint8_t f32_to_small_float(DType dtype, float value, Saturate saturate) {
  if (dtype == DType::f8e8m0) return encode_e8m0(value, saturate);
  return static_cast<uint8_t>(encode(small_format(dtype), value, saturate));
}

double load_as_f64(DType dtype, const void* data, int64_t index) {
  switch (dtype) {
    case DType::f32:
      return load<float>(data, index);
    case DType::f64:
      return load<double>(data, index);
    case DType::f16:
      return f16_to_f32(load<uint16_t>(data, index));
    case DType::bf16:
      return bf16_to_f32(load<uint16_t>(data, index));
    case DType::u64:
      return static_cast<double>(load<uint64_t>(data, index));
    default:
      break;
  }
  if (is_float(dtype)) return small_float_to_f32(dtype, load<uint8_t>(data, index));
  return static_cast<double>(load_as_i64(dtype, data, index));
}

void store_from_f64(DType dtype, void* data, int64_t index, double value) {
  switch (dtype) {
    case DType::f32:
      return store<float>(data, index, static_cast<float>(value));
    case DType::f64:
      return store<double>(data, index, value);
    case DType::f16:
      return store<uint16_t>(data, index, f64_to_f16(value));
    case DType::bf16:
      return store<uint16_t>(data, index, f64_to_bf16(value));
    case DType::boolean:
      return store<uint8_t>(data, index, value != 0 ? 1 : 0);
    case DType::u64:
      return store<uint64_t>(data, index, truncate_to_u64(value));
    case DType::f8e8m0:
      return store<uint8_t>(data, index, encode_e8m0(value, Saturate::yes));
    default:
      break;
  }
  if (is_float(dtype)) {
    const uint32_t code = encode(small_format(dtype), value, Saturate::yes);
    return store<uint8_t>(data, index, static_cast<uint8_t>(code));
  }
  NEURONC_CHECK(is_integer(dtype));
  const int64_t clamped =
      clamp_to_bits(truncate_to_i64(value), integer_bits(dtype), is_signed_integer(dtype));
  store_integer_bits(dtype, data, index, clamped);
}

int64_t load_as_i64(DType dtype, const void* data, int64_t index) {
  switch (dtype) {
    case DType::boolean:
      return load<uint8_t>(data, index) != 0 ? 1 : 0;
    case DType::i2:
    case DType::i4:
    case DType::i8:
      return load<int8_t>(data, index);
    case DType::i16:
      return load<int16_t>(data, index);
    case DType::i32:
      return load<int32_t>(data, index);
    case DType::i64:
      return load<int64_t>(data, index);
    case DType::u2:
    case DType::u4:
    case DType::u8:
      return load<uint8_t>(data, index);
    case DType::u16:
      return load<uint16_t>(data, index);
    case DType::u32:
      return load<uint32_t>(data, index);
    case DType::u64:
      return static_cast<int64_t>(load<uint64_t>(data, index));
    default:
      break;
  }
  NEURONC_CHECK(is_float(dtype));
  return truncate_to_i64(load_as_f64(dtype, data, index));
}

void store_from_i64(DType dtype, void* data, int64_t index, int64_t value) {
  if (dtype == DType::boolean) return store<uint8_t>(data, index, value != 0 ? 1 : 0);
  if (dtype == DType::f64) return store<double>(data, index, static_cast<double>(value));
  if (is_float(dtype)) return store_from_f64(dtype, data, index, to_f64_round_odd(value));
  NEURONC_CHECK(is_integer(dtype));
  store_integer_bits(dtype, data, index,
                     wrap_to_bits(value, integer_bits(dtype), is_signed_integer(dtype)));
}

}  // namespace neuronc
