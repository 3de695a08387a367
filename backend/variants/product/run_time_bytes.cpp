// Implements run_time_bytes.h.
#include "backend/variants/product/run_time_bytes.h"

#include <span>

#include "backend/lower/lanes.h"
#include "backend/variants/product/pack.h"

namespace neuronc {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;

namespace {

constexpr size_t kAZeroPoint = 2, kBZeroPoint = 3;
constexpr int64_t kByteOffset = 128;
constexpr int64_t kMaxColumns = 8192;  // whose sums are kept

// The zero point in i32, moved by `shift`.
Register moved_zero_point(GroupEmitter& e, const Node& node, size_t operand, int64_t shift) {
  Builder& b = e.builder();
  const Register moved = b.i32(static_cast<int32_t>(shift));
  if (!node.has_operand(operand)) return moved;
  const ValueId value = node.operands[operand];
  const Register given = e.pull(value, origin(e.shape(value).size()));
  return b.add(b.convert(given, DType::i32), moved);
}

bool is_nonzero(const GroupContext& context, size_t operand, int64_t shift) {
  if (!context.anchor_node().has_operand(operand)) return shift != 0;
  const Tensor* constant = context.constant_operand(operand);
  return constant == nullptr || constant->i64(0) + shift != 0;
}

}  // namespace

OrRefusal<void> check_run_time_bytes(const GroupContext& context, int64_t columns) {
  const Node& node = context.anchor_node();
  if (is_requantised(node.op)) return refuse("its sums are quantised again");
  if (columns > kMaxColumns) return refuse("it has too many columns to keep their sums");
  for (size_t i : {kAZeroPoint, kBZeroPoint}) {
    if (node.has_operand(i) && num_elements(context.operand_shape(i)) != 1) {
      return refuse("an operand has several zero points");
    }
  }
  return {};
}

RunTimeByteProduct::RunTimeByteProduct(GroupEmitter& emitter, const GroupContext& context,
                                       const BlockLoops& loops, int64_t k)
    : e_(emitter), k_(k) {
  const Node& node = context.anchor_node();
  const int64_t a_shift = context.operand_dtype(0) == DType::i8 ? kByteOffset : 0;
  const int64_t b_shift = context.operand_dtype(1) == DType::u8 ? -kByteOffset : 0;
  has_a_zero_point_ = is_nonzero(context, kAZeroPoint, a_shift);
  has_b_zero_point_ = is_nonzero(context, kBZeroPoint, b_shift);
  if (has_a_zero_point_) {
    a_zero_point_ = moved_zero_point(e_, node, kAZeroPoint, a_shift);
    column_sums_ =
        e_.workspace("column_sums", DType::i32, {loops.num_panels * loops.tile.columns()});
  }
  if (has_b_zero_point_) {
    b_zero_point_ = moved_zero_point(e_, node, kBZeroPoint, b_shift);
    row_sums_ = e_.workspace("row_sums", DType::i32, {loops.block_rows});
    first_row_ = loops.first_row;
  }
}

void RunTimeByteProduct::sum_columns(const BlockLoops& loops, Index panel, BufferId buffer) {
  if (!has_a_zero_point_) return;
  Builder& b = e_.builder();
  const int lanes = loops.tile.lanes;
  const int k_step = loops.step.k_step();
  const Register ones = b.constant({DType::u8, lanes * k_step}, 1);
  const int64_t groups = (k_ + k_step - 1) / k_step;
  for (int v = 0; v < loops.tile.vectors; ++v) {
    const Index column(v * lanes);
    const auto add = [&](Index group, std::span<const Register> sums) {
      const Values row = load_panel(e_, buffer, loops.step, column, group, 1, lanes);
      return Values{b.dot(sums[0], ones, row[0])};
    };
    const Values sums = b.for_loop({0, groups, 1}, Values{b.zero({DType::i32, lanes})}, add);
    b.store(column_sums_, {panel * loops.tile.columns() + column}, sums[0]);
  }
}

void RunTimeByteProduct::sum_rows(const BlockLoops& loops) {
  if (has_b_zero_point_) emit_row_sums(e_, loops, row_sums_);
}

Register RunTimeByteProduct::finish(Register sum, Index row, Index column, int active) {
  Builder& b = e_.builder();
  const int lanes = sum.type.lanes;
  const auto times = [&](Register zero_point, Register sums) {
    return b.mul(b.splat(zero_point, lanes), sums);
  };
  if (has_a_zero_point_) {
    Register columns = active == lanes ? b.load(column_sums_, {column}, lanes)
                                       : b.load_partial(column_sums_, {column},
                                                        kernel::Lanes{lanes, 0}, Index(active));
    if (has_b_zero_point_) {
      const Register all = b.mul(b_zero_point_, b.i32(static_cast<int32_t>(k_)));
      columns = b.sub(columns, b.splat(all, lanes));
    }
    sum = b.sub(sum, times(a_zero_point_, columns));
  }
  if (!has_b_zero_point_) return sum;
  return b.sub(sum, times(b_zero_point_, b.splat(b.load(row_sums_, {row - first_row_}), lanes)));
}

}  // namespace neuronc
