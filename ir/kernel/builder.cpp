// The builder's primitive operations and their type rules.
#include "ir/kernel/builder.h"

#include <algorithm>
#include <bit>

#include "ir/base/check.h"
#include "ir/kernel/type_rules.h"

namespace neuronc::kernel {
Builder::Builder(std::string name, int64_t num_tiles) {
  NEURONC_CHECK(num_tiles >= 0);
  kernel_.name = std::move(name);
  kernel_.num_tiles = num_tiles;
  kernel_.tile_variable =
      kernel_.indices().add_variable("t", {0, std::max<int64_t>(num_tiles - 1, 0)});
  kernel_.body = open_block();
}

Kernel Builder::finish() && {
  NEURONC_CHECK(open_blocks_.size() == 1);
  open_blocks_.clear();
  return std::move(kernel_);
}

Index Builder::tile() { return indices().variable_index(kernel_.tile_variable); }

BufferId Builder::add_buffer(Buffer buffer) {
  NEURONC_CHECK(is_kernel_dtype(buffer.dtype));
  if (buffer.strides.empty()) {
    buffer.strides.resize(buffer.extents.size());
    int64_t stride = 1;
    for (size_t d = buffer.extents.size(); d-- > 0;) {
      buffer.strides[d] = stride;
      stride *= std::max<int64_t>(buffer.extents[d], 1);
    }
  }
  NEURONC_CHECK(buffer.strides.size() == buffer.extents.size());
  kernel_.buffers.push_back(std::move(buffer));
  return BufferId(kernel_.buffers.size() - 1);
}

BufferId Builder::input(std::string name, DType dtype, std::vector<int64_t> extents,
                        std::vector<int64_t> strides) {
  return add_buffer({std::move(name), dtype, std::move(extents), std::move(strides)});
}

BufferId Builder::output(std::string name, DType dtype, std::vector<int64_t> extents,
                         std::vector<int64_t> strides) {
  return add_buffer({std::move(name), dtype, std::move(extents), std::move(strides),
                     BufferKind::parameter, Access::write});
}

BufferId Builder::parameter(Buffer buffer) {
  buffer.kind = BufferKind::parameter;
  return add_buffer(std::move(buffer));
}

BufferId Builder::local(std::string name, DType dtype, std::vector<int64_t> extents) {
  return add_buffer(
      {std::move(name), dtype, std::move(extents), {}, BufferKind::local, Access::read_write});
}

BlockId Builder::open_block() {
  const BlockId id(kernel_.blocks.size());
  kernel_.blocks.emplace_back();
  open_blocks_.push_back(id);
  return id;
}

void Builder::close_block(std::span<const Value> yields) {
  Op op{OpCode::yield};
  for (Value v : yields) use(op, v);
  append(std::move(op));
  open_blocks_.pop_back();
}

Value Builder::new_value(ValueType type, OpId def) {
  NEURONC_CHECK(is_kernel_dtype(type.dtype));
  NEURONC_CHECK(type.lanes >= 1 && (type.lanes <= kMaxLanes || is_matrix(type)));
  const ValueId id(kernel_.values.size());
  kernel_.values.push_back({type, def});
  value_blocks_.push_back(open_blocks_.back());
  return {id, type};
}

OpId Builder::append(Op op) {
  NEURONC_CHECK(!open_blocks_.empty());
  const OpId id(kernel_.ops.size());
  kernel_.ops.push_back(std::move(op));
  kernel_.blocks[open_blocks_.back().index].ops.push_back(id);
  return id;
}

Value Builder::emit(Op op, ValueType type) {
  const OpId id = append(std::move(op));
  const Value value = new_value(type, id);
  kernel_.ops[id.index].results.push_back(value.id);
  return value;
}

void Builder::use(Op& op, Value value) {
  NEURONC_CHECK(value.id.index < kernel_.values.size());
  NEURONC_CHECK(kernel_.type(value.id) == value.type);
  const BlockId block = value_blocks_[value.id.index];
  NEURONC_CHECK(std::find(open_blocks_.begin(), open_blocks_.end(), block) != open_blocks_.end());
  op.operands.push_back(value.id);
}

Value Builder::constant_bits(ValueType type, int64_t bits) {
  Op op{OpCode::constant};
  op.immediates.push_back(bits);
  return emit(std::move(op), type);
}

Value Builder::constant(ValueType type, double value) {
  return constant_bits(type, kernel::constant_bits(type.dtype, value));
}

Value Builder::constant_lanes(ValueType type, std::span<const int64_t> bits) {
  NEURONC_CHECK(static_cast<int>(bits.size()) == type.lanes);
  Op op{OpCode::constant};
  op.immediates.assign(bits.begin(), bits.end());
  return emit(std::move(op), type);
}

Value Builder::f32(float value, int lanes) {
  return constant_bits({DType::f32, lanes}, f32_bits(value));
}
Value Builder::f64(double value, int lanes) {
  return constant_bits({DType::f64, lanes}, f64_bits(value));
}
Value Builder::i32(int32_t value, int lanes) { return constant_bits({DType::i32, lanes}, value); }
Value Builder::i64(int64_t value, int lanes) { return constant_bits({DType::i64, lanes}, value); }
Value Builder::boolean(bool value, int lanes) {
  return constant_bits({DType::boolean, lanes}, value ? 1 : 0);
}
Value Builder::zero(ValueType type) { return constant_bits(type, 0); }

Value Builder::iota(ValueType type) {
  NEURONC_CHECK(is_integer(type.dtype));
  return emit(Op{OpCode::iota}, type);
}

Value Builder::index_value(Index index) {
  Op op{OpCode::index_value};
  op.indices.push_back(indices().intern(index));
  return emit(std::move(op), {DType::i64, 1});
}

Value Builder::unary(OpCode code, Value a) {
  NEURONC_CHECK(accepts(code, a.type.dtype));
  Op op{code};
  use(op, a);
  return emit(std::move(op), a.type);
}

Value Builder::binary(OpCode code, Value a, Value b) {
  NEURONC_CHECK(a.type == b.type);
  NEURONC_CHECK(accepts(code, a.type.dtype));
  Op op{code};
  use(op, a);
  use(op, b);
  return emit(std::move(op), is_compare(code) ? ValueType{DType::boolean, a.type.lanes} : a.type);
}

Value Builder::fma(Value a, Value b, Value c) {
  NEURONC_CHECK(a.type == b.type && a.type == c.type && accepts(OpCode::fma, a.type.dtype));
  Op op{OpCode::fma};
  use(op, a);
  use(op, b);
  use(op, c);
  return emit(std::move(op), a.type);
}

Value Builder::select(Value condition, Value if_true, Value if_false) {
  NEURONC_CHECK(condition.type.dtype == DType::boolean && if_true.type == if_false.type);
  NEURONC_CHECK(condition.type.lanes == 1 || condition.type.lanes == if_true.type.lanes);
  Op op{OpCode::select};
  use(op, condition);
  use(op, if_true);
  use(op, if_false);
  return emit(std::move(op), if_true.type);
}

Value Builder::convert(Value a, DType to) {
  if (a.type.dtype == to) return a;
  NEURONC_CHECK(is_convertible(a.type.dtype, to));
  // What was widened from f16 or bf16 narrows to itself.
  const OpId def = kernel_.values[a.id.index].def;
  if (def && kernel_.op(def).code == OpCode::convert && a.type.dtype == DType::f32 &&
      (to == DType::f16 || to == DType::bf16)) {
    const ValueId narrow = kernel_.op(def).operands[0];
    if (kernel_.type(narrow).dtype == to) return {narrow, kernel_.type(narrow)};
  }
  Op op{OpCode::convert};
  use(op, a);
  return emit(std::move(op), {to, a.type.lanes});
}

Value Builder::bitcast(Value a, ValueType to) {
  if (a.type == to) return a;
  NEURONC_CHECK(a.type.dtype != DType::boolean && to.dtype != DType::boolean);
  NEURONC_CHECK(lane_bits(a.type.dtype) * a.type.lanes == lane_bits(to.dtype) * to.lanes);
  Op op{OpCode::bitcast};
  use(op, a);
  return emit(std::move(op), to);
}

Value Builder::bitcast(Value a, DType to) {
  const int bits = lane_bits(a.type.dtype) * a.type.lanes;
  NEURONC_CHECK(bits % lane_bits(to) == 0);
  return bitcast(a, {to, bits / lane_bits(to)});
}

Value Builder::splat(Value scalar, int lanes) {
  if (scalar.type.lanes == lanes) return scalar;
  NEURONC_CHECK(scalar.type.lanes == 1);
  Op op{OpCode::splat};
  use(op, scalar);
  return emit(std::move(op), {scalar.type.dtype, lanes});
}

Value Builder::shuffle(Value a, Value b, std::span<const int64_t> lanes) {
  NEURONC_CHECK(a.type == b.type);
  for (int64_t lane : lanes) NEURONC_CHECK(lane >= -1 && lane < 2 * a.type.lanes);
  Op op{OpCode::shuffle};
  use(op, a);
  use(op, b);
  op.immediates.assign(lanes.begin(), lanes.end());
  return emit(std::move(op), {a.type.dtype, static_cast<int>(lanes.size())});
}

Value Builder::extract(Value a, int lane) {
  NEURONC_CHECK(lane >= 0 && lane < a.type.lanes);
  Op op{OpCode::extract};
  use(op, a);
  op.immediates.push_back(lane);
  return emit(std::move(op), {a.type.dtype, 1});
}

Value Builder::insert(Value a, Value scalar, int lane) {
  NEURONC_CHECK(lane >= 0 && lane < a.type.lanes);
  NEURONC_CHECK((scalar.type == ValueType{a.type.dtype, 1}));
  Op op{OpCode::insert};
  use(op, a);
  use(op, scalar);
  op.immediates.push_back(lane);
  return emit(std::move(op), a.type);
}

Value Builder::concat(Value low, Value high) {
  NEURONC_CHECK(low.type == high.type);
  Op op{OpCode::concat};
  use(op, low);
  use(op, high);
  return emit(std::move(op), {low.type.dtype, 2 * low.type.lanes});
}

Value Builder::slice(Value a, int first, int count) {
  NEURONC_CHECK(first >= 0 && count >= 1 && first + count <= a.type.lanes);
  if (count == a.type.lanes) return a;
  Op op{OpCode::slice};
  use(op, a);
  op.immediates.push_back(first);
  return emit(std::move(op), {a.type.dtype, count});
}

Value Builder::reduce(OpCode code, Value a) {
  NEURONC_CHECK(code >= OpCode::reduce_add && code <= OpCode::reduce_max);
  const bool is_min_max = code == OpCode::reduce_min || code == OpCode::reduce_max;
  NEURONC_CHECK(accepts(is_min_max ? OpCode::min : OpCode::add, a.type.dtype));
  NEURONC_CHECK(std::has_single_bit(static_cast<unsigned>(a.type.lanes)));
  if (a.type.lanes == 1) return a;
  Op op{code};
  use(op, a);
  return emit(std::move(op), {a.type.dtype, 1});
}

Value Builder::lookup(Value indices, Value low, Value high) {
  NEURONC_CHECK(indices.type.dtype == DType::u8 && low.type == high.type);
  NEURONC_CHECK(low.type.lanes == kTableLanes && size_bytes(low.type.dtype) == 1);
  Op op{OpCode::lookup};
  use(op, indices);
  use(op, low);
  use(op, high);
  return emit(std::move(op), {low.type.dtype, indices.type.lanes});
}

Value Builder::dot(Value acc, Value a, Value b) {
  NEURONC_CHECK(a.type.lanes == b.type.lanes);
  const DType x = a.type.dtype, y = b.type.dtype;
  if (x == DType::bf16) {
    NEURONC_CHECK(y == DType::bf16 && acc.type == (ValueType{DType::f32, a.type.lanes / 2}));
  } else if (x == DType::i16) {
    NEURONC_CHECK(y == DType::i16 && acc.type == (ValueType{DType::i32, a.type.lanes / 2}));
  } else {
    NEURONC_CHECK((x == DType::u8 || x == DType::i8) && y == DType::i8);
    NEURONC_CHECK((acc.type == ValueType{DType::i32, a.type.lanes / 4}));
  }
  Op op{OpCode::dot};
  use(op, acc);
  use(op, a);
  use(op, b);
  return emit(std::move(op), acc.type);
}

Index Builder::check_index(Value integer, int64_t bound) {
  NEURONC_CHECK(is_integer(integer.type.dtype) && integer.type.lanes == 1 && bound >= 0);
  Op op{OpCode::check_index};
  use(op, integer);
  op.immediates.push_back(bound);
  const Value checked = emit(std::move(op), {DType::i64, 1});
  return indices().data_index(checked.id, bound);
}

}  // namespace neuronc::kernel
