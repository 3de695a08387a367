// Element types, and exact scalar conversions for those the host language lacks.
//
// In memory every element takes whole bytes: 4- and 2-bit types take one byte an element (sign- or
// zero-extended); ONNX's packing of them ends at import.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace neuronc {

enum class DType : uint8_t {
  none,
  boolean,
  i2,
  i4,
  i8,
  i16,
  i32,
  i64,
  u2,
  u4,
  u8,
  u16,
  u32,
  u64,
  f16,
  bf16,
  f32,
  f64,
  f8e4m3fn,
  f8e4m3fnuz,
  f8e5m2,
  f8e5m2fnuz,
  f8e8m0,
  f4e2m1,
  string,
};

// The text-form name: "f32", "bool", "i64", "string"...
std::string_view name(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);

// Bytes one element takes in memory; 0 for string and none.
int size_bytes(DType dtype);

bool is_float(DType dtype);    // any floating-point type, the 8- and 4-bit ones included
bool is_integer(DType dtype);  // signed or unsigned, bool excluded
bool is_signed_integer(DType dtype);
bool is_unsigned_integer(DType dtype);
bool is_numeric(DType dtype);  // float, integer or bool

// Bits of precision of an integer type's value range: 2, 4, 8, ... 64; 0 for others.
int integer_bits(DType dtype);

// Conversions round to nearest even; NaN stays NaN (quiet); f16 overflow gives infinity; the f8, f4
// and e8m0 types saturate as ONNX's Cast does with saturate=1 unless told otherwise. e8m0, which
// has no mantissa, ignores the sign and rounds up (the default of ONNX's Cast); NaN in f4
// becomes 6.
float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value);
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);
uint16_t f64_to_f16(double value);                    // rounds once
uint16_t f64_to_bf16(double value);                   // rounds once
float small_float_to_f32(DType dtype, uint8_t bits);  // f8*, e8m0, f4
enum class Saturate : bool { no, yes };
uint8_t f32_to_small_float(DType dtype, float value, Saturate saturate);

// Reads or writes element `index` of a dense array of `dtype` as f64 / i64. Values are converted
// as the types' own rules say: to integers by truncation with saturation, NaN to 0; to bool by
// comparing with zero. string and none may not be passed.
double load_as_f64(DType dtype, const void* data, int64_t index);
void store_from_f64(DType dtype, void* data, int64_t index, double value);
int64_t load_as_i64(DType dtype, const void* data, int64_t index);
void store_from_i64(DType dtype, void* data, int64_t index, int64_t value);  // wraps

}  // namespace neuronc
