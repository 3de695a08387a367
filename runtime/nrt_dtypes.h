// The element types of the C API beside the project's own: one list, read both ways.
#pragma once

#include <utility>

#include "ir/base/dtype.h"
#include "ir/type.h"
#include "runtime/include/nrt/nrt.h"

namespace neuronc::runtime {

inline constexpr std::pair<nrt_dtype_t, DType> kNrtDTypes[] = {
    {NRT_DTYPE_BOOL, DType::boolean},    {NRT_DTYPE_INT2, DType::i2},
    {NRT_DTYPE_INT4, DType::i4},         {NRT_DTYPE_INT8, DType::i8},
    {NRT_DTYPE_INT16, DType::i16},       {NRT_DTYPE_INT32, DType::i32},
    {NRT_DTYPE_INT64, DType::i64},       {NRT_DTYPE_UINT2, DType::u2},
    {NRT_DTYPE_UINT4, DType::u4},        {NRT_DTYPE_UINT8, DType::u8},
    {NRT_DTYPE_UINT16, DType::u16},      {NRT_DTYPE_UINT32, DType::u32},
    {NRT_DTYPE_UINT64, DType::u64},      {NRT_DTYPE_FLOAT16, DType::f16},
    {NRT_DTYPE_BFLOAT16, DType::bf16},   {NRT_DTYPE_FLOAT32, DType::f32},
    {NRT_DTYPE_FLOAT64, DType::f64},     {NRT_DTYPE_FP8_E4, DType::f8e4m3fn},
    {NRT_DTYPE_FP8_E5, DType::f8e5m2},   {NRT_DTYPE_FP8_E4_FNUZ, DType::f8e4m3fnuz},
    {NRT_DTYPE_FP8_E8M0, DType::f8e8m0}, {NRT_DTYPE_FP8_E5_FNUZ, DType::f8e5m2fnuz},
    {NRT_DTYPE_FP4_E2M1, DType::f4e2m1}, {NRT_DTYPE_STRING, DType::string},
};

constexpr DType from_nrt(nrt_dtype_t dtype) {
  for (const auto& [theirs, ours] : kNrtDTypes) {
    if (theirs == dtype) return ours;
  }
  return DType::none;
}

constexpr nrt_dtype_t to_nrt(DType dtype) {
  for (const auto& [theirs, ours] : kNrtDTypes) {
    if (ours == dtype) return theirs;
  }
  return NRT_DTYPE_UNKNOWN;
}

constexpr nrt_value_kind_t to_nrt(Type::Kind kind) {
  switch (kind) {
    case Type::Kind::sequence:
      return NRT_VALUE_SEQUENCE;
    case Type::Kind::optional:
      return NRT_VALUE_OPTIONAL;
    case Type::Kind::optional_sequence:
      return NRT_VALUE_OPTIONAL_SEQUENCE;
    default:
      return NRT_VALUE_TENSOR;
  }
}

constexpr Type::Kind from_nrt(nrt_value_kind_t kind) {
  for (const Type::Kind ours :
       {Type::Kind::sequence, Type::Kind::optional, Type::Kind::optional_sequence}) {
    if (to_nrt(ours) == kind) return ours;
  }
  return Type::Kind::tensor;
}

}  // namespace neuronc::runtime
