// Conversions and widening dot products of the interpreter.
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "ir/base/check.h"
#include "ir/kernel/interpreter_ops.h"

namespace neuronc::kernel::interpreter {
namespace {

// Storage types as distinct C++ types.
struct F16 {
  uint16_t bits;
};
struct Bf16 {
  uint16_t bits;
};
struct Bool {
  uint8_t bits;
};

template <class T>
constexpr bool kIsHalf = std::is_same_v<T, F16> || std::is_same_v<T, Bf16>;

template <class To, class From>
To saturate(From x) {
  if (std::isnan(x)) return 0;
  // 2^(value bits), exact in every float type.
  const From limit = std::ldexp(From{1}, std::numeric_limits<To>::digits);
  if (x >= limit) return std::numeric_limits<To>::max();
  if (x <= (std::is_signed_v<To> ? -limit : From{0})) return std::numeric_limits<To>::min();
  return static_cast<To>(x);
}

template <class From, class To>
To convert_one(From x) {
  if constexpr (std::is_same_v<From, F16>) {
    return static_cast<To>(f16_to_f32(x.bits));
  } else if constexpr (std::is_same_v<From, Bf16>) {
    return static_cast<To>(bf16_to_f32(x.bits));
  } else if constexpr (std::is_same_v<To, F16>) {
    if constexpr (std::is_same_v<From, double>)
      return {f64_to_f16(x)};
    else
      return {f32_to_f16(x)};
  } else if constexpr (std::is_same_v<To, Bf16>) {
    if constexpr (std::is_same_v<From, double>)
      return {f64_to_bf16(x)};
    else
      return {f32_to_bf16(x)};
  } else if constexpr (std::is_same_v<From, Bool>) {
    return static_cast<To>(x.bits);
  } else if constexpr (std::is_same_v<To, Bool>) {
    return {static_cast<uint8_t>(x != From{0} ? 1 : 0)};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    return saturate<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

template <class From, class To>
void convert(const LaneStep& s, std::byte* r) {
  const From* a = reinterpret_cast<const From*>(r + s.operands[0]);
  To* result = reinterpret_cast<To*>(r + s.result);
  for (int i = 0; i < s.lanes; ++i) result[i] = convert_one<From, To>(a[i]);
}

template <class From>
LaneFunction convert_from(DType to) {
  if constexpr (kIsHalf<From>) {
    NEURONC_CHECK(to == DType::f32 || to == DType::f64);
    return to == DType::f32 ? convert<From, float> : convert<From, double>;
  } else {
    if constexpr (std::is_floating_point_v<From>) {
      if (to == DType::f16) return convert<From, F16>;
      if (to == DType::bf16) return convert<From, Bf16>;
    }
    switch (to) {
      case DType::boolean:
        return convert<From, Bool>;
      case DType::i8:
        return convert<From, int8_t>;
      case DType::i16:
        return convert<From, int16_t>;
      case DType::i32:
        return convert<From, int32_t>;
      case DType::i64:
        return convert<From, int64_t>;
      case DType::u8:
        return convert<From, uint8_t>;
      case DType::u16:
        return convert<From, uint16_t>;
      case DType::u32:
        return convert<From, uint32_t>;
      case DType::u64:
        return convert<From, uint64_t>;
      case DType::f32:
        return convert<From, float>;
      case DType::f64:
        return convert<From, double>;
      default:
        NEURONC_UNREACHABLE("no such conversion");
    }
  }
}

template <class A, class B, int kGroup>
void dot_integers(const LaneStep& s, std::byte* r) {
  const int32_t* acc = reinterpret_cast<const int32_t*>(r + s.operands[0]);
  const A* a = reinterpret_cast<const A*>(r + s.operands[1]);
  const B* b = reinterpret_cast<const B*>(r + s.operands[2]);
  int32_t* result = reinterpret_cast<int32_t*>(r + s.result);
  for (int i = 0; i < s.lanes; ++i) {
    uint32_t sum = static_cast<uint32_t>(acc[i]);
    for (int j = i * kGroup; j < (i + 1) * kGroup; ++j) {
      sum += static_cast<uint32_t>(static_cast<int32_t>(a[j]) * static_cast<int32_t>(b[j]));
    }
    result[i] = static_cast<int32_t>(sum);
  }
}

// A denormal becomes a zero of its sign.
float flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }

void dot_bf16(const LaneStep& s, std::byte* r) {
  const float* acc = reinterpret_cast<const float*>(r + s.operands[0]);
  const uint16_t* a = reinterpret_cast<const uint16_t*>(r + s.operands[1]);
  const uint16_t* b = reinterpret_cast<const uint16_t*>(r + s.operands[2]);
  float* result = reinterpret_cast<float*>(r + s.result);
  for (int i = 0; i < s.lanes; ++i) {
    float sum = flushed(acc[i]);
    for (int j : {2 * i + 1, 2 * i}) {
      const float x = flushed(bf16_to_f32(a[j])), y = flushed(bf16_to_f32(b[j]));
      sum = flushed(std::fma(x, y, sum));
    }
    result[i] = sum;
  }
}

float flushed_fma(float a, float b, float c) { return flushed(std::fma(a, b, c)); }

void matrix_dot_bf16(const LaneStep& s, std::byte* r) {
  constexpr int kColumns = kMatrixRowBytes / 4, kPairs = kMatrixRowBytes / 4;
  const float* acc = reinterpret_cast<const float*>(r + s.operands[0]);
  const uint16_t* a = reinterpret_cast<const uint16_t*>(r + s.operands[1]);
  const uint16_t* b = reinterpret_cast<const uint16_t*>(r + s.operands[2]);
  float* result = reinterpret_cast<float*>(r + s.result);
  const auto element = [](uint16_t bits) { return flushed(bf16_to_f32(bits)); };
  for (int i = 0; i < kMatrixRows; ++i) {
    for (int j = 0; j < kColumns; ++j) {
      float even = 0, odd = 0;
      for (int l = 0; l < kPairs; ++l) {
        const uint16_t* left = a + 2 * (i * kPairs + l);
        const uint16_t* right = b + 2 * (l * kColumns + j);
        even = flushed_fma(element(left[0]), element(right[0]), even);
        odd = flushed_fma(element(left[1]), element(right[1]), odd);
      }
      const int at = i * kColumns + j;
      result[at] = flushed(flushed(acc[at]) + flushed(even + odd));
    }
  }
}

template <class A>
void matrix_dot_bytes(const LaneStep& s, std::byte* r) {
  constexpr int kColumns = kMatrixRowBytes / 4, kQuads = kMatrixRowBytes / 4;
  const int32_t* acc = reinterpret_cast<const int32_t*>(r + s.operands[0]);
  const A* a = reinterpret_cast<const A*>(r + s.operands[1]);
  const int8_t* b = reinterpret_cast<const int8_t*>(r + s.operands[2]);
  int32_t* result = reinterpret_cast<int32_t*>(r + s.result);
  for (int i = 0; i < kMatrixRows; ++i) {
    for (int j = 0; j < kColumns; ++j) {
      auto sum = static_cast<uint32_t>(acc[i * kColumns + j]);
      for (int l = 0; l < 4 * kQuads; ++l) {
        const int32_t left = a[i * kMatrixRowBytes + l];
        const int32_t right = b[(l / 4 * kColumns + j) * 4 + l % 4];
        sum += static_cast<uint32_t>(left * right);
      }
      result[i * kColumns + j] = static_cast<int32_t>(sum);
    }
  }
}

}  // namespace

void zero_lanes(const LaneStep& s, std::byte* r) {
  std::memset(r + s.result, 0, static_cast<size_t>(kMatrixRows) * kMatrixRowBytes);
}

LaneFunction matrix_dot_function(DType a) {
  if (a == DType::bf16) return matrix_dot_bf16;
  return a == DType::u8 ? matrix_dot_bytes<uint8_t> : matrix_dot_bytes<int8_t>;
}

LaneFunction convert_function(DType from, DType to) {
  switch (from) {
    case DType::boolean:
      return convert_from<Bool>(to);
    case DType::i8:
      return convert_from<int8_t>(to);
    case DType::i16:
      return convert_from<int16_t>(to);
    case DType::i32:
      return convert_from<int32_t>(to);
    case DType::i64:
      return convert_from<int64_t>(to);
    case DType::u8:
      return convert_from<uint8_t>(to);
    case DType::u16:
      return convert_from<uint16_t>(to);
    case DType::u32:
      return convert_from<uint32_t>(to);
    case DType::u64:
      return convert_from<uint64_t>(to);
    case DType::f16:
      return convert_from<F16>(to);
    case DType::bf16:
      return convert_from<Bf16>(to);
    case DType::f32:
      return convert_from<float>(to);
    case DType::f64:
      return convert_from<double>(to);
    default:
      NEURONC_UNREACHABLE("no such conversion");
  }
}

LaneFunction dot_function(DType a) {
  switch (a) {
    case DType::bf16:
      return dot_bf16;
    case DType::i16:
      return dot_integers<int16_t, int16_t, 2>;
    case DType::u8:
      return dot_integers<uint8_t, int8_t, 4>;
    case DType::i8:
      return dot_integers<int8_t, int8_t, 4>;
    default:
      NEURONC_UNREACHABLE("no dot of this type");
  }
}

}  // namespace neuronc::kernel::interpreter
