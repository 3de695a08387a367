// Names, sizes and constants of kernel IR.
#include "ir/kernel/kernel.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>

#include "ir/base/check.h"

namespace neuronc::kernel {
namespace {

constexpr std::string_view kOpNames[] = {
    "constant",    "iota",        "index_value",  "load",       "store",      "store_masked",
    "prefetch",    "matrix_load", "matrix_store", "add",        "sub",        "mul",
    "div",         "rem",         "neg",          "abs",        "min",        "max",
    "min_num",     "max_num",     "fma",          "sqrt",       "floor",      "ceil",
    "trunc",       "round_even",  "and",          "or",         "xor",        "not",
    "shl",         "lshr",        "ashr",         "cmp_eq",     "cmp_ne",     "cmp_lt",
    "cmp_le",      "cmp_gt",      "cmp_ge",       "select",     "convert",    "bitcast",
    "splat",       "shuffle",     "extract",      "insert",     "concat",     "slice",
    "lookup",      "reduce_add",  "reduce_mul",   "reduce_min", "reduce_max", "dot",
    "matrix_zero", "matrix_dot",  "check_index",  "for",        "if",         "if_true",
    "yield"};
static_assert(std::size(kOpNames) == kNumOpCodes);

}  // namespace

std::string_view name(OpCode code) { return kOpNames[static_cast<size_t>(code)]; }

std::string to_text(ValueType type) {
  const std::string_view dtype = neuronc::name(type.dtype);
  return type.lanes == 1 ? std::string(dtype) : fmt::format("{}x{}", dtype, type.lanes);
}

ValueType matrix_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32:
    case DType::bf16:
    case DType::u8:
    case DType::i8:
      return {dtype, kMatrixRows * kMatrixRowBytes / size_bytes(dtype)};
    default:
      return {DType::none, 0};
  }
}

bool is_matrix(ValueType type) { return type.lanes > kMaxLanes && type == matrix_of(type.dtype); }

bool is_kernel_dtype(DType dtype) {
  switch (dtype) {
    case DType::boolean:
    case DType::i8:
    case DType::i16:
    case DType::i32:
    case DType::i64:
    case DType::u8:
    case DType::u16:
    case DType::u32:
    case DType::u64:
    case DType::f16:
    case DType::bf16:
    case DType::f32:
    case DType::f64:
      return true;
    default:
      return false;
  }
}

int lane_bits(DType dtype) { return dtype == DType::boolean ? 1 : size_bytes(dtype) * 8; }

int64_t Buffer::span_bytes() const {
  int64_t last = 0;
  for (size_t d = 0; d < extents.size(); ++d) {
    if (extents[d] == 0) return 0;
    last += (extents[d] - 1) * strides[d];
  }
  return (last + 1) * size_bytes(dtype);
}

Kernel::Kernel() : indices_(std::make_unique<IndexTable>()) {}

std::vector<BufferId> Kernel::parameters() const {
  std::vector<BufferId> ids;
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (buffers[i].kind == BufferKind::parameter) ids.push_back(BufferId(i));
  }
  return ids;
}

int64_t f32_bits(float value) { return std::bit_cast<uint32_t>(value); }
int64_t f64_bits(double value) { return std::bit_cast<int64_t>(value); }

int64_t constant_bits(DType dtype, double value) {
  switch (dtype) {
    case DType::f64:
      return f64_bits(value);
    case DType::f32:
      return f32_bits(static_cast<float>(value));
    case DType::f16:
      return f64_to_f16(value);
    case DType::bf16:
      return f64_to_bf16(value);
    case DType::boolean:
      return value != 0 ? 1 : 0;
    default: {
      NEURONC_CHECK(is_kernel_dtype(dtype));
      uint64_t bits = 0;
      store_from_f64(dtype, &bits, 0, value);
      // Sign-extend narrow signed integers: constants are kept as two's complement of 64 bits.
      const int shift = 64 - lane_bits(dtype);
      return is_signed_integer(dtype) ? static_cast<int64_t>(bits << shift) >> shift
                                      : static_cast<int64_t>(bits);
    }
  }
}

}  // namespace neuronc::kernel
