// Conversions are checked exhaustively where a format has at most 16 bits: every code survives the
// round trip, and every midpoint between neighbours, with its neighbours in f32, rounds as it must.
#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "ir/base/dtype.h"

using namespace neuronc;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

// Checks `to(from(code))` for every finite code and rounding between neighbouring magnitudes.
template <class From, class To>
void check_positive_codes(uint32_t last_finite, From from, To to) {
  for (uint32_t code = 0; code < last_finite; ++code) {
    const double low = from(code);
    const double high = from(code + 1);
    const double middle = (low + high) / 2;
    REQUIRE(low < high);
    REQUIRE(to(low) == code);
    REQUIRE(to(middle) == ((code & 1) != 0 ? code + 1 : code));
    REQUIRE(to(std::nextafter(middle, 0.0)) == code);
    REQUIRE(to(std::nextafter(middle, 1e300)) == code + 1);
  }
  REQUIRE(to(from(last_finite)) == last_finite);
}

}  // namespace

TEST_CASE("every dtype's name is found again") {
  for (int i = 1; i <= static_cast<int>(DType::string); ++i) {
    const DType dtype = static_cast<DType>(i);
    CHECK(dtype_from_name(name(dtype)) == dtype);
    CHECK(static_cast<int>(is_float(dtype)) + static_cast<int>(is_integer(dtype)) <= 1);
  }
  CHECK_FALSE(dtype_from_name("none"));
  CHECK_FALSE(dtype_from_name("float"));
  CHECK(size_bytes(DType::i4) == 1);
  CHECK(size_bytes(DType::string) == 0);
  CHECK(integer_bits(DType::u2) == 2);
}

TEST_CASE("f16 rounds once, to nearest even, from f64 and f32") {
  const auto from = [](uint32_t code) { return double{f16_to_f32(static_cast<uint16_t>(code))}; };
  check_positive_codes(0x7bff, from, [](double v) { return uint32_t{f64_to_f16(v)}; });
  check_positive_codes(0x7bff, from, [](double v) {
    const float narrow = static_cast<float>(v);
    return narrow == v ? uint32_t{f32_to_f16(narrow)} : uint32_t{f64_to_f16(v)};
  });
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const uint16_t bits = static_cast<uint16_t>(code);
    const float value = f16_to_f32(bits);
    if (std::isnan(value)) {
      REQUIRE((code & 0x7fff) > 0x7c00);
      REQUIRE(std::isnan(f16_to_f32(f32_to_f16(value))));
    } else {
      REQUIRE(f32_to_f16(value) == bits);
    }
  }
  CHECK(f32_to_f16(65519.996f) == 0x7bff);
  CHECK(f32_to_f16(65520.0f) == 0x7c00);
  CHECK(f32_to_f16(-kInf) == 0xfc00);
  CHECK(f64_to_f16(1.0 + 0x1p-11 + 0x1p-40) == 0x3c01);  // through f32 this would tie to 0x3c00
}

TEST_CASE("bf16 rounds once, to nearest even, from f64 and f32") {
  const auto from = [](uint32_t code) { return double{bf16_to_f32(static_cast<uint16_t>(code))}; };
  check_positive_codes(0x7f7f, from, [](double v) { return uint32_t{f64_to_bf16(v)}; });
  for (uint32_t code = 0; code < 0x10000; ++code) {
    const uint16_t bits = static_cast<uint16_t>(code);
    const float value = bf16_to_f32(bits);
    if (std::isnan(value)) {
      REQUIRE((code & 0x7fff) > 0x7f80);
      REQUIRE(std::isnan(bf16_to_f32(f32_to_bf16(value))));
    } else {
      REQUIRE(f32_to_bf16(value) == bits);
    }
  }
  // The bit trick for f32 and the general routine for f64 must agree everywhere; a stride prime to
  // the bit pattern samples all exponents and mantissas.
  for (uint64_t bits = 0; bits < 0x7f800000; bits += 8191) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(bits));
    REQUIRE(f32_to_bf16(value) == f64_to_bf16(value));
    REQUIRE(f32_to_bf16(-value) == f64_to_bf16(-value));
  }
  CHECK(f32_to_bf16(std::numeric_limits<float>::max()) == 0x7f80);
  CHECK(f32_to_bf16(std::bit_cast<float>(0x7f800001u)) == 0x7fc0);  // a signalling NaN stays NaN
}

TEST_CASE("the 8- and 4-bit floats") {
  struct Row {
    DType dtype;
    uint8_t last_finite;
    float max;
    float least;
  };
  const Row rows[] = {{DType::f8e4m3fn, 0x7e, 448, 0x1p-9f},
                      {DType::f8e4m3fnuz, 0x7f, 240, 0x1p-10f},
                      {DType::f8e5m2, 0x7b, 57344, 0x1p-16f},
                      {DType::f8e5m2fnuz, 0x7f, 57344, 0x1p-17f},
                      {DType::f4e2m1, 0x7, 6, 0.5f}};
  for (const Row& row : rows) {
    INFO(name(row.dtype));
    check_positive_codes(
        row.last_finite,
        [&](uint32_t code) {
          return double{small_float_to_f32(row.dtype, static_cast<uint8_t>(code))};
        },
        [&](double v) {
          uint8_t code = 0;
          store_from_f64(row.dtype, &code, 0, v);
          return uint32_t{code};
        });
    CHECK(small_float_to_f32(row.dtype, row.last_finite) == row.max);
    CHECK(small_float_to_f32(row.dtype, 1) == row.least);
    CHECK(f32_to_small_float(row.dtype, kInf, Saturate::yes) == row.last_finite);
    CHECK(small_float_to_f32(row.dtype, f32_to_small_float(row.dtype, -1e30f, Saturate::yes)) ==
          -row.max);
  }
  CHECK(f32_to_small_float(DType::f8e4m3fn, 464.0f, Saturate::no) == 0x7e);
  CHECK(f32_to_small_float(DType::f8e4m3fn, 465.0f, Saturate::no) == 0x7f);
  CHECK(f32_to_small_float(DType::f8e5m2, 1e9f, Saturate::no) == 0x7c);
  CHECK(f32_to_small_float(DType::f8e5m2fnuz, kInf, Saturate::no) == 0x80);
  CHECK(f32_to_small_float(DType::f8e4m3fnuz, -0.0f, Saturate::yes) == 0);
  CHECK(f32_to_small_float(DType::f8e4m3fn, -0.0f, Saturate::yes) == 0x80);
  for (DType dtype :
       {DType::f8e4m3fn, DType::f8e4m3fnuz, DType::f8e5m2, DType::f8e5m2fnuz, DType::f8e8m0}) {
    CHECK(std::isnan(small_float_to_f32(dtype, f32_to_small_float(dtype, kNan, Saturate::yes))));
  }
  CHECK(f32_to_small_float(DType::f4e2m1, kNan, Saturate::yes) == 8);
  CHECK(f32_to_small_float(DType::f4e2m1, 0.25f, Saturate::yes) == 0);   // a tie
  CHECK(f32_to_small_float(DType::f4e2m1, -3.5f, Saturate::yes) == 14);  // another
}

TEST_CASE("e8m0 is a power of two, rounded up") {
  for (int code = 0; code < 0xff; ++code) {
    const float value = small_float_to_f32(DType::f8e8m0, static_cast<uint8_t>(code));
    CHECK(value == std::ldexp(1.0f, code - 127));
    CHECK(f32_to_small_float(DType::f8e8m0, value, Saturate::yes) == code);
    CHECK(f32_to_small_float(DType::f8e8m0, -value, Saturate::yes) == code);
    const int above = f32_to_small_float(DType::f8e8m0, std::nextafter(value, kInf), Saturate::yes);
    CHECK(above == std::min(code + 1, 0xfe));
  }
  CHECK(f32_to_small_float(DType::f8e8m0, 3e38f, Saturate::no) == 0xff);
  CHECK(f32_to_small_float(DType::f8e8m0, 0.0f, Saturate::yes) == 0);
}

TEST_CASE("integers saturate from f64 and wrap from i64") {
  int8_t i4 = 0;
  store_from_f64(DType::i4, &i4, 0, 100.0);
  CHECK(i4 == 7);
  store_from_f64(DType::i4, &i4, 0, -8.9);
  CHECK(i4 == -8);
  store_from_i64(DType::i4, &i4, 0, 9);
  CHECK(i4 == -7);
  uint8_t u2 = 0;
  store_from_i64(DType::u2, &u2, 0, -1);
  CHECK(u2 == 3);
  int64_t i64 = 1;
  store_from_f64(DType::i64, &i64, 0, 1e300);
  CHECK(i64 == std::numeric_limits<int64_t>::max());
  store_from_f64(DType::i64, &i64, 0, std::nan(""));
  CHECK(i64 == 0);
  uint64_t u64 = 0;
  store_from_f64(DType::u64, &u64, 0, 18446744073709549568.0);
  CHECK(u64 == 18446744073709549568u);
  CHECK(load_as_f64(DType::u64, &u64, 0) == 18446744073709549568.0);
  uint8_t boolean = 7;
  store_from_f64(DType::boolean, &boolean, 0, 0.25);
  CHECK(boolean == 1);
  const std::vector<float> floats = {1.0f, -2.75f};
  CHECK(load_as_i64(DType::f32, floats.data(), 1) == -2);
}

TEST_CASE("large integers round to narrower floats once") {
  // 2^54 + 2^46 is a tie in bf16; one more must round up, although f64 cannot hold it.
  const int64_t tie = (int64_t{1} << 54) + (int64_t{1} << 46);
  uint16_t bits = 0;
  store_from_i64(DType::bf16, &bits, 0, tie);
  CHECK(bf16_to_f32(bits) == 0x1p54f);
  store_from_i64(DType::bf16, &bits, 0, tie + 1);
  CHECK(bf16_to_f32(bits) == 0x1p54f + 0x1p47f);
  float f32 = 0;
  store_from_i64(DType::f32, &f32, 0, -(tie + 1));
  CHECK(f32 == static_cast<float>(-(tie + 1)));
}
