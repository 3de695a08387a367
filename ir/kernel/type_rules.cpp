// Operand and result types of every operation.
#include "ir/kernel/type_rules.h"

#include <algorithm>
#include <bit>

namespace neuronc::kernel {

bool accepts(OpCode code, DType dtype) {
  switch (code) {
    case OpCode::rem:
      return is_integer(dtype);
    case OpCode::min:
    case OpCode::max:
    case OpCode::cmp_eq:
    case OpCode::cmp_ne:
      return is_arithmetic(dtype) || dtype == DType::boolean;
    case OpCode::fma:
    case OpCode::sqrt:
    case OpCode::floor:
    case OpCode::ceil:
    case OpCode::trunc:
    case OpCode::round_even:
      return is_wide_float(dtype);
    case OpCode::and_:
    case OpCode::or_:
    case OpCode::xor_:
    case OpCode::not_:
      return is_integer(dtype) || dtype == DType::boolean;
    case OpCode::shl:
    case OpCode::lshr:
    case OpCode::ashr:
      return is_integer(dtype);
    default:
      return is_arithmetic(dtype);
  }
}

bool is_convertible(DType from, DType to) {
  if (!is_kernel_dtype(from) || !is_kernel_dtype(to) || from == to) return false;
  return (!is_half(from) || is_wide_float(to)) && (!is_half(to) || is_wide_float(from));
}

namespace {

// Number of operands, and whether there is a result; -1 for any number.
struct Arity {
  int operands;
  int results;
};

Arity arity(OpCode code) {
  switch (code) {
    case OpCode::constant:
    case OpCode::iota:
    case OpCode::index_value:
    case OpCode::load:
    case OpCode::matrix_load:
    case OpCode::matrix_zero:
      return {0, 1};
    case OpCode::store:
    case OpCode::matrix_store:
      return {1, 0};
    case OpCode::store_masked:
      return {2, 0};
    case OpCode::prefetch:
      return {0, 0};
    case OpCode::neg:
    case OpCode::abs:
    case OpCode::sqrt:
    case OpCode::floor:
    case OpCode::ceil:
    case OpCode::trunc:
    case OpCode::round_even:
    case OpCode::not_:
    case OpCode::convert:
    case OpCode::bitcast:
    case OpCode::splat:
    case OpCode::extract:
    case OpCode::slice:
    case OpCode::reduce_add:
    case OpCode::reduce_mul:
    case OpCode::reduce_min:
    case OpCode::reduce_max:
    case OpCode::check_index:
      return {1, 1};
    case OpCode::fma:
    case OpCode::select:
    case OpCode::lookup:
    case OpCode::dot:
    case OpCode::matrix_dot:
      return {3, 1};
    case OpCode::for_:
    case OpCode::yield:
      return {-1, -1};
    case OpCode::if_:
      return {0, -1};
    case OpCode::if_true:
      return {1, -1};
    default:
      return {2, 1};
  }
}

bool lanes_in(const Op& op, int64_t low, int64_t high) {
  return std::all_of(op.immediates.begin(), op.immediates.end(),
                     [&](int64_t lane) { return lane >= low && lane < high; });
}

bool fits_dot(ValueType acc, ValueType a, ValueType b, ValueType result) {
  if (acc != result || a.lanes != b.lanes) return false;
  if (a.dtype == DType::bf16 || a.dtype == DType::i16) {
    const DType sum = a.dtype == DType::bf16 ? DType::f32 : DType::i32;
    return b.dtype == a.dtype && acc == ValueType{sum, a.lanes / 2} && a.lanes % 2 == 0;
  }
  return (a.dtype == DType::u8 || a.dtype == DType::i8) && b.dtype == DType::i8 &&
         acc == ValueType{DType::i32, a.lanes / 4} && a.lanes % 4 == 0;
}

bool is_byte_table(ValueType type) {
  return (type.dtype == DType::u8 || type.dtype == DType::i8) && type.lanes == kTableLanes;
}

bool fits_matrix_dot(ValueType acc, ValueType a, ValueType b, ValueType result) {
  if (!is_matrix(acc) || !is_matrix(a) || !is_matrix(b) || acc != result) return false;
  if (a.dtype == DType::bf16) return b.dtype == DType::bf16 && acc.dtype == DType::f32;
  return (a.dtype == DType::u8 || a.dtype == DType::i8) && b.dtype == DType::i8 &&
         acc.dtype == DType::i32;
}

// Matrices go through their own operations and through control alone.
bool takes_matrices(OpCode code) {
  switch (code) {
    case OpCode::matrix_load:
    case OpCode::matrix_store:
    case OpCode::matrix_zero:
    case OpCode::matrix_dot:
    case OpCode::for_:
    case OpCode::if_:
    case OpCode::if_true:
    case OpCode::yield:
      return true;
    default:
      return false;
  }
}

bool fits_movement(const Op& op, ValueType a, ValueType b, ValueType r) {
  const auto single = [&](int64_t low, int64_t high) {
    return op.immediates.size() == 1 && lanes_in(op, low, high);
  };
  switch (op.code) {
    case OpCode::splat:
      return a.lanes == 1 && a.dtype == r.dtype;
    case OpCode::shuffle:
      return a == b && a.dtype == r.dtype && op.immediates.size() == static_cast<size_t>(r.lanes) &&
             lanes_in(op, -1, 2 * a.lanes);
    case OpCode::extract:
      return r == ValueType{a.dtype, 1} && single(0, a.lanes);
    case OpCode::insert:
      return r == a && b == ValueType{a.dtype, 1} && single(0, a.lanes);
    case OpCode::concat:
      return a == b && r == ValueType{a.dtype, 2 * a.lanes};
    case OpCode::slice:
      return a.dtype == r.dtype && single(0, a.lanes - r.lanes + 1);
    case OpCode::bitcast:
      return a.dtype != DType::boolean && r.dtype != DType::boolean &&
             lane_bits(a.dtype) * a.lanes == lane_bits(r.dtype) * r.lanes;
    case OpCode::reduce_add:
    case OpCode::reduce_mul:
    case OpCode::reduce_min:
    case OpCode::reduce_max: {
      const bool is_sum = op.code == OpCode::reduce_add || op.code == OpCode::reduce_mul;
      return accepts(is_sum ? OpCode::add : OpCode::min, a.dtype) && r == ValueType{a.dtype, 1} &&
             std::has_single_bit(static_cast<unsigned>(a.lanes));
    }
    default:
      return false;
  }
}

bool fits(const Kernel& kernel, const Op& op) {
  const auto operand = [&](size_t i) {
    return i < op.operands.size() ? kernel.type(op.operands[i]) : ValueType{};
  };
  const ValueType a = operand(0), b = operand(1), c = operand(2);
  const ValueType r = op.results.empty() ? ValueType{} : kernel.type(op.results[0]);
  switch (op.code) {
    case OpCode::constant:
      return op.immediates.size() == 1 || op.immediates.size() == static_cast<size_t>(r.lanes);
    case OpCode::iota:
      return is_integer(r.dtype);
    case OpCode::index_value:
      return r == ValueType{DType::i64, 1} && op.indices.size() == 1;
    case OpCode::load:
      return r.dtype == kernel.buffer(op.buffer).dtype;
    case OpCode::store:
      return a.dtype == kernel.buffer(op.buffer).dtype;
    case OpCode::store_masked:
      return a.dtype == kernel.buffer(op.buffer).dtype && b == ValueType{DType::boolean, a.lanes} &&
             !op.has_active;
    case OpCode::prefetch:
      return true;
    case OpCode::matrix_zero:
      return is_matrix(r);
    case OpCode::matrix_load:
      return is_matrix(r) && r.dtype == kernel.buffer(op.buffer).dtype;
    case OpCode::matrix_store:
      return is_matrix(a) && a.dtype == kernel.buffer(op.buffer).dtype;
    case OpCode::matrix_dot:
      return fits_matrix_dot(a, b, c, r);
    case OpCode::select:
      return a.dtype == DType::boolean && (a.lanes == 1 || a.lanes == b.lanes) && b == c && b == r;
    case OpCode::convert:
      return a.lanes == r.lanes && is_convertible(a.dtype, r.dtype);
    case OpCode::lookup:
      return a.dtype == DType::u8 && is_byte_table(b) && b == c && r == ValueType{b.dtype, a.lanes};
    case OpCode::dot:
      return fits_dot(a, b, c, r);
    case OpCode::check_index:
      return is_integer(a.dtype) && a.lanes == 1 && r == ValueType{DType::i64, 1} &&
             op.immediates.size() == 1 && op.immediates[0] >= 0;
    case OpCode::if_true:
      return a == ValueType{DType::boolean, 1};
    case OpCode::for_:
    case OpCode::if_:
    case OpCode::yield:
      return true;
    case OpCode::fma:
      return accepts(op.code, a.dtype) && a == b && a == c && a == r;
    case OpCode::splat:
    case OpCode::shuffle:
    case OpCode::extract:
    case OpCode::insert:
    case OpCode::concat:
    case OpCode::slice:
    case OpCode::bitcast:
    case OpCode::reduce_add:
    case OpCode::reduce_mul:
    case OpCode::reduce_min:
    case OpCode::reduce_max:
      return fits_movement(op, a, b, r);
    default:
      break;
  }
  if (op.operands.size() == 2 && a != b) return false;
  const ValueType expected = is_compare(op.code) ? ValueType{DType::boolean, a.lanes} : a;
  return accepts(op.code, a.dtype) && r == expected;
}

}  // namespace

std::string type_problem(const Kernel& kernel, const Op& op) {
  const Arity expected = arity(op.code);
  const std::string code(name(op.code));
  if (expected.operands >= 0 && op.operands.size() != static_cast<size_t>(expected.operands)) {
    return "`" + code + "` takes " + std::to_string(expected.operands) + " operands";
  }
  if (expected.results >= 0 && op.results.size() != static_cast<size_t>(expected.results)) {
    return "`" + code + "` has " + std::to_string(expected.results) + " results";
  }
  const auto is_one = [&](ValueId v) { return is_matrix(kernel.type(v)); };
  const bool has_matrix = std::any_of(op.operands.begin(), op.operands.end(), is_one) ||
                          std::any_of(op.results.begin(), op.results.end(), is_one);
  if (fits(kernel, op) && (!has_matrix || takes_matrices(op.code))) return {};
  std::string text = "types do not fit `" + code + "`:";
  for (ValueId v : op.operands) text += " " + to_text(kernel.type(v));
  for (ValueId v : op.results) text += " -> " + to_text(kernel.type(v));
  return text;
}

}  // namespace neuronc::kernel
