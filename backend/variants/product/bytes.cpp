// Implements bytes.h.
#include "backend/variants/product/bytes.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "backend/lower/lanes.h"
#include "backend/lower/quantization.h"

namespace neuronc {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;

namespace {

constexpr int64_t kByteOffset = 128;  // between i8 and u8
constexpr size_t kBias = 8;           // of q_linear_conv
constexpr size_t kAScale = 1, kBScale = 4, kYScale = 6, kYZeroPoint = 7;
// A product of two centred bytes is at most this great.
constexpr int64_t kMaxProduct = 255 * 255;
constexpr int64_t kMaxSum = int64_t{1} << 31;
constexpr double kExactInF32 = 1 << 24;
// Of the register tile that sums rows where products go by matrices; it divides their rows.
constexpr int kRowSumRows = 8;

struct ZeroPoints {
  size_t a, b;
};
ZeroPoints zero_points(Op op) { return is_requantised(op) ? ZeroPoints{2, 5} : ZeroPoints{2, 3}; }

bool is_one_or(const Tensor& tensor, int64_t columns) {
  return tensor.num_elements() == 1 ||
         (tensor.num_elements() == columns && tensor.shape().back() == columns);
}

int64_t element_of(const Tensor& tensor, int64_t column) {
  return tensor.i64(tensor.num_elements() == 1 ? 0 : column);
}

bool has(const GroupContext& context, size_t operand) {
  return context.anchor_node().has_operand(operand);
}

OrRefusal<void> check_requantisation(const GroupContext& context, int64_t columns) {
  for (size_t i : {kAScale, kBScale, kYScale, kYZeroPoint}) {
    const Tensor* number = context.constant_operand(i);
    if (number == nullptr) return refuse("a scale is not constant");
    if (!is_one_or(*number, i == kBScale ? columns : 1)) return refuse("a's rows have scales");
  }
  if (!has(context, kBias)) return {};
  const Tensor* bias = context.constant_operand(kBias);
  if (bias == nullptr) return refuse("the bias is not constant");
  for (int64_t i = 0; i < bias->num_elements(); ++i) {
    if (std::abs(bias->i64(i)) >= kMaxSum / 2) return refuse("the bias is too great");
  }
  return {};
}

Tensor i32_table(const std::vector<int64_t>& numbers) {
  // Whole registers may be read at the end.
  const auto size = static_cast<int64_t>(numbers.size());
  Tensor table = Tensor::zeros(DType::i32, {size});
  for (int64_t i = 0; i < size; ++i) table.set_i64(i, numbers[static_cast<size_t>(i)]);
  return table;
}

}  // namespace

bool is_byte_contraction(Op op) {
  return op == Op::matmul_integer || op == Op::conv_integer || is_requantised(op);
}

bool is_requantised(Op op) { return op == Op::q_linear_matmul || op == Op::q_linear_conv; }

size_t weights_operand(Op op) { return is_requantised(op) ? 3 : 1; }

OrRefusal<void> check_bytes(const GroupContext& context, int64_t columns, int64_t k) {
  const Op op = context.anchor_node().op;
  // Half of i32 for the products, half for the bias. What is not quantised again wraps.
  if (is_requantised(op) && k >= kMaxSum / 2 / kMaxProduct) {
    return refuse("its sums may not fit 32 bits");
  }
  const auto [a, b] = zero_points(op);
  if (has(context, a) && num_elements(context.operand_shape(a)) != 1) {
    return refuse("rows of a have zero points");
  }
  if (has(context, b)) {
    const Tensor* b_zero_point = context.constant_operand(b);
    if (b_zero_point == nullptr) return refuse("b's zero point is not constant");
    if (!is_one_or(*b_zero_point, columns)) return refuse("matrices of b have zero points");
  }
  return is_requantised(op) ? check_requantisation(context, columns) : OrRefusal<void>();
}

Tensor signed_bytes(const Tensor& weights) {
  if (weights.dtype() != DType::u8) return weights;
  Tensor result = Tensor::zeros(DType::i8, weights.shape());
  for (int64_t i = 0; i < weights.num_elements(); ++i) {
    result.mutable_data()[i] = weights.data()[i] ^ std::byte{0x80};
  }
  return result;
}

ByteProduct::ByteProduct(GroupEmitter& emitter, const GroupContext& context, int64_t columns,
                         int64_t k, const std::function<int64_t(int64_t, int64_t)>& offset)
    : e_(emitter), node_(context.anchor_node()) {
  const size_t a = zero_points(node_.op).a;
  if (context.operand_dtype(0) == DType::i8) a_shift_ = kByteOffset;
  if (!has(context, a)) {
    a_zero_point_ = 0;
  } else if (const Tensor* constant = context.constant_operand(a)) {
    a_zero_point_ = constant->i64(0);
  }
  make_tables(context, columns, k, offset);
}

void ByteProduct::make_tables(const GroupContext& context, int64_t columns, int64_t k,
                              const std::function<int64_t(int64_t, int64_t)>& offset) {
  const Tensor& weights = *context.constant_operand(weights_operand(node_.op));
  const int64_t shift = weights.dtype() == DType::u8 ? kByteOffset : 0;
  const size_t b = zero_points(node_.op).b;
  const Tensor* zero_point = has(context, b) ? context.constant_operand(b) : nullptr;
  const Tensor* bias = has(context, kBias) ? context.constant_operand(kBias) : nullptr;
  const auto size = static_cast<size_t>(columns);
  std::vector<int64_t> addends(size), centred(size), zeros(size);
  double greatest = 0;
  for (int64_t column = 0; column < columns; ++column) {
    const auto at = static_cast<size_t>(column);
    const int64_t own = zero_point != nullptr ? element_of(*zero_point, column) : 0;
    double magnitude = 0;
    for (int64_t i = 0; i < k; ++i) {
      const int64_t weight = weights.i64(offset(i, column)) - own;
      centred[at] += weight;
      magnitude += static_cast<double>(255 * std::abs(weight));
    }
    zeros[at] = own - shift;
    if (a_zero_point_) addends[at] = -(*a_zero_point_ + a_shift_) * centred[at];
    if (bias != nullptr) {
      addends[at] += bias->i64(column);
      magnitude += static_cast<double>(std::abs(bias->i64(column)));
    }
    greatest = std::max(greatest, magnitude);
  }
  is_exact_in_f32_ = greatest <= kExactInF32;
  const auto is_some = [](const std::vector<int64_t>& list) {
    return std::any_of(list.begin(), list.end(), [](int64_t x) { return x != 0; });
  };
  if (is_some(addends)) addends_ = e_.packed_buffer("addends", i32_table(addends));
  if (!a_zero_point_) centred_ = e_.packed_buffer("column_sums", i32_table(centred));
  if (is_some(zeros)) b_zero_points_ = e_.packed_buffer("b_zero_points", i32_table(zeros));
  if (!is_requantised(node_.op)) return;
  const double a_scale = context.constant_operand(kAScale)->f64(0);
  const double y_scale = context.constant_operand(kYScale)->f64(0);
  const Tensor& b_scale = *context.constant_operand(kBScale);
  Tensor factors = Tensor::zeros(DType::f32, {columns});
  for (int64_t column = 0; column < columns; ++column) {
    const double own = b_scale.f64(b_scale.num_elements() == 1 ? 0 : column);
    factors.set_f64(column, static_cast<double>(static_cast<float>(a_scale * own / y_scale)));
  }
  factors_ = e_.packed_buffer("factors", std::move(factors));
}

Register ByteProduct::border() {
  Builder& b = e_.builder();
  if (a_zero_point_) {
    return b.constant({e_.type(node_.operands[0]).dtype, 1}, static_cast<double>(*a_zero_point_));
  }
  const ValueId value = node_.operands[zero_points(node_.op).a];
  return e_.pull(value, origin(e_.shape(value).size()));
}

void emit_row_sums(GroupEmitter& e, const BlockLoops& loops, BufferId row_sums) {
  Builder& b = e.builder();
  const Register ones = b.constant({DType::i8, loops.tile.lanes * loops.step.k_step()}, 1);
  BlockLoops sums = loops;
  if (loops.step.is_matrix()) sums.step.kind = StepKind::dot_bytes;
  sums.n = loops.tile.lanes;
  sums.tile.vectors = 1;
  if (loops.step.is_matrix()) sums.tile.rows = kRowSumRows;
  sums.first_panel = Index(0);
  sums.num_panels = 1;
  sums.begin_panel = nullptr;
  sums.prefetch = nullptr;
  sums.load_b = [&](Index, int, Index) { return Values{ones}; };
  sums.store = [&](Index row, Index, int, Register sum) {
    b.store(row_sums, {row - loops.first_row}, b.extract(sum, 0));
  };
  emit_blocks(e, sums);
}

void ByteProduct::emit_row_sums(const BlockLoops& loops) {
  if (!b_zero_points_) return;
  row_sums_ = e_.workspace("row_sums", DType::i32, {loops.block_rows});
  first_row_ = loops.first_row;
  neuronc::emit_row_sums(e_, loops, row_sums_);
}

Register ByteProduct::column_numbers(BufferId table, Index column, Register like, int active) {
  Builder& b = e_.builder();
  if (active == like.type.lanes) return b.load(table, {column}, like.type.lanes);
  return b.load_partial(table, {column}, kernel::Lanes{like.type.lanes, 0}, Index(active));
}

Register ByteProduct::requantised(Register sum, Index column, int active) {
  Builder& b = e_.builder();
  Register factor = column_numbers(factors_, column, sum, active);
  Register quotient;
  if (is_exact_in_f32_) {
    quotient = b.mul(b.convert(sum, DType::f32), factor);
  } else {
    // The product rounds once.
    quotient =
        b.convert(b.mul(b.convert(sum, DType::f64), b.convert(factor, DType::f64)), DType::f32);
  }
  const ValueId value = node_.operands[kYZeroPoint];
  const Register zero_point = e_.pull(value, origin(e_.shape(value).size()));
  return saturated(b, quotient, b.splat(b.convert(zero_point, DType::f32), sum.type.lanes),
                   e_.type(node_.results[0]).dtype);
}

Register ByteProduct::finish(Register sum, Index row, Index column, int active) {
  Builder& b = e_.builder();
  const int lanes = sum.type.lanes;
  if (addends_) sum = b.add(sum, column_numbers(addends_, column, sum, active));
  if (centred_) {
    const Register given = b.convert(border(), DType::i32);
    const Register zero_point =
        b.splat(b.add(given, b.constant(given.type, static_cast<double>(a_shift_))), lanes);
    sum = b.sub(sum, b.mul(zero_point, column_numbers(centred_, column, sum, active)));
  }
  if (b_zero_points_) {
    const Register row_sum = b.splat(b.load(row_sums_, {row - first_row_}), lanes);
    sum = b.sub(sum, b.mul(row_sum, column_numbers(b_zero_points_, column, sum, active)));
  }
  return factors_ ? requantised(sum, column, active) : sum;
}

}  // namespace neuronc
