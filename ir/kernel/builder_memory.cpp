// The builder's memory operations, control flow and compositions.
#include <algorithm>
#include <bit>

#include "ir/base/check.h"
#include "ir/kernel/builder.h"

namespace neuronc::kernel {
namespace {

std::span<const Index> as_span(const std::initializer_list<Index>& list) {
  return {list.begin(), list.size()};
}

}  // namespace

void Builder::add_address(Op& op, BufferId buffer, std::span<const Index> indices_of_lane,
                          int lanes, int lane_dim) {
  NEURONC_CHECK(buffer.index < kernel_.buffers.size());
  const Buffer& b = kernel_.buffer(buffer);
  NEURONC_CHECK(indices_of_lane.size() == b.extents.size());
  const int rank = static_cast<int>(b.extents.size());
  if (lane_dim < 0) lane_dim = rank - 1;
  NEURONC_CHECK(lane_dim < std::max(rank, 1));
  if (lanes > 1) NEURONC_CHECK(rank > 0 && b.strides[lane_dim] == 1);
  op.buffer = buffer;
  op.lane_dim = static_cast<int8_t>(lane_dim);
  for (Index i : indices_of_lane) op.indices.push_back(indices().intern(i));
}

Value Builder::load(BufferId buffer, std::span<const Index> indices_of_lane, Lanes lanes) {
  Op op{OpCode::load};
  add_address(op, buffer, indices_of_lane, lanes.count, lanes.dim);
  NEURONC_CHECK(kernel_.buffer(buffer).access != Access::write);
  return emit(std::move(op), {kernel_.buffer(buffer).dtype, lanes.count});
}
Value Builder::load(BufferId buffer, std::initializer_list<Index> indices_of_lane, int lanes) {
  return load(buffer, as_span(indices_of_lane), Lanes(lanes));
}
Value Builder::load(BufferId buffer, std::initializer_list<Index> indices_of_lane, Lanes lanes) {
  return load(buffer, as_span(indices_of_lane), lanes);
}

Value Builder::load_partial(BufferId buffer, std::span<const Index> indices_of_lane, Lanes lanes,
                            Index active) {
  if (active.is_constant()) {
    NEURONC_CHECK(active.constant() >= 0 && active.constant() <= lanes.count);
    if (active.constant() == lanes.count) return load(buffer, indices_of_lane, lanes);
    if (active.constant() == 0) return zero({kernel_.buffer(buffer).dtype, lanes.count});
  }
  Op op{OpCode::load};
  add_address(op, buffer, indices_of_lane, lanes.count, lanes.dim);
  NEURONC_CHECK(kernel_.buffer(buffer).access != Access::write);
  op.has_active = true;
  op.indices.push_back(indices().intern(active));
  return emit(std::move(op), {kernel_.buffer(buffer).dtype, lanes.count});
}
Value Builder::load_partial(BufferId buffer, std::initializer_list<Index> indices_of_lane,
                            Lanes lanes, Index active) {
  return load_partial(buffer, as_span(indices_of_lane), lanes, active);
}

Value Builder::load_splat(BufferId buffer, std::span<const Index> indices_of_lane, int lanes) {
  return splat(load(buffer, indices_of_lane), lanes);
}
Value Builder::load_splat(BufferId buffer, std::initializer_list<Index> indices_of_lane,
                          int lanes) {
  return load_splat(buffer, as_span(indices_of_lane), lanes);
}

Value Builder::load_strided(BufferId buffer, std::span<const Index> indices_of_lane, Lanes lanes,
                            int64_t step) {
  const int rank = static_cast<int>(indices_of_lane.size());
  const int dim = lanes.dim < 0 ? rank - 1 : lanes.dim;
  NEURONC_CHECK(dim >= 0 && dim < rank);
  Value result = zero({kernel_.buffer(buffer).dtype, lanes.count});
  std::vector<Index> at(indices_of_lane.begin(), indices_of_lane.end());
  for (int lane = 0; lane < lanes.count; ++lane) {
    at[dim] = indices_of_lane[dim] + lane * step;
    const Value element = load(buffer, at);
    if (lanes.count == 1) return element;
    result = insert(result, element, lane);
  }
  return result;
}

void Builder::store(BufferId buffer, std::span<const Index> indices_of_lane, Value value,
                    int lane_dim) {
  NEURONC_CHECK(value.type.dtype == kernel_.buffer(buffer).dtype);
  NEURONC_CHECK(kernel_.buffer(buffer).access != Access::read);
  Op op{OpCode::store};
  use(op, value);
  add_address(op, buffer, indices_of_lane, value.type.lanes, lane_dim);
  append(std::move(op));
}
void Builder::store(BufferId buffer, std::initializer_list<Index> indices_of_lane, Value value,
                    int lane_dim) {
  store(buffer, as_span(indices_of_lane), value, lane_dim);
}

void Builder::store_partial(BufferId buffer, std::span<const Index> indices_of_lane, Value value,
                            Index active, int lane_dim) {
  NEURONC_CHECK(value.type.dtype == kernel_.buffer(buffer).dtype);
  NEURONC_CHECK(kernel_.buffer(buffer).access != Access::read);
  if (active.is_constant()) {
    NEURONC_CHECK(active.constant() >= 0 && active.constant() <= value.type.lanes);
    if (active.constant() == value.type.lanes) {
      return store(buffer, indices_of_lane, value, lane_dim);
    }
    if (active.constant() == 0) return;
  }
  Op op{OpCode::store};
  use(op, value);
  add_address(op, buffer, indices_of_lane, value.type.lanes, lane_dim);
  op.has_active = true;
  op.indices.push_back(indices().intern(active));
  append(std::move(op));
}
void Builder::store_partial(BufferId buffer, std::initializer_list<Index> indices_of_lane,
                            Value value, Index active, int lane_dim) {
  store_partial(buffer, as_span(indices_of_lane), value, active, lane_dim);
}

void Builder::store_masked(BufferId buffer, std::span<const Index> indices_of_lane, Value value,
                           Value mask, int lane_dim) {
  NEURONC_CHECK(value.type.dtype == kernel_.buffer(buffer).dtype);
  NEURONC_CHECK(kernel_.buffer(buffer).access != Access::read);
  NEURONC_CHECK((mask.type == ValueType{DType::boolean, value.type.lanes}));
  Op op{OpCode::store_masked};
  use(op, value);
  use(op, mask);
  add_address(op, buffer, indices_of_lane, value.type.lanes, lane_dim);
  append(std::move(op));
}

void Builder::prefetch(BufferId buffer, std::span<const Index> indices_of_lane) {
  Op op{OpCode::prefetch};
  add_address(op, buffer, indices_of_lane, 1, -1);
  append(std::move(op));
}
void Builder::prefetch(BufferId buffer, std::initializer_list<Index> indices_of_lane) {
  prefetch(buffer, as_span(indices_of_lane));
}

Value Builder::matrix_load(BufferId buffer, std::span<const Index> indices_of_lane, int row_dim,
                           int lane_dim) {
  const ValueType type = matrix_of(kernel_.buffer(buffer).dtype);
  NEURONC_CHECK(type.lanes > 0 && row_dim >= 0 && row_dim != lane_dim);
  NEURONC_CHECK(kernel_.buffer(buffer).access != Access::write);
  Op op{OpCode::matrix_load};
  add_address(op, buffer, indices_of_lane, type.lanes, lane_dim);
  op.row_dim = static_cast<int8_t>(row_dim);
  return emit(std::move(op), type);
}

void Builder::matrix_store(BufferId buffer, std::span<const Index> indices_of_lane, Value value,
                           int row_dim, int lane_dim) {
  NEURONC_CHECK(is_matrix(value.type) && value.type.dtype == kernel_.buffer(buffer).dtype);
  NEURONC_CHECK(row_dim >= 0 && row_dim != lane_dim);
  NEURONC_CHECK(kernel_.buffer(buffer).access != Access::read);
  Op op{OpCode::matrix_store};
  use(op, value);
  add_address(op, buffer, indices_of_lane, value.type.lanes, lane_dim);
  op.row_dim = static_cast<int8_t>(row_dim);
  append(std::move(op));
}

Value Builder::matrix_zero(DType dtype) {
  NEURONC_CHECK(matrix_of(dtype).lanes > 0);
  return emit(Op{OpCode::matrix_zero}, matrix_of(dtype));
}

Value Builder::matrix_dot(Value acc, Value a, Value b) {
  NEURONC_CHECK(is_matrix(acc.type) && is_matrix(a.type) && is_matrix(b.type));
  Op op{OpCode::matrix_dot};
  use(op, acc);
  use(op, a);
  use(op, b);
  return emit(std::move(op), acc.type);
}

// As a conversion there and back, so that what stores the rounded value as bf16 rounds nothing again.
Value Builder::round_to_bf16(Value f32_value) {
  NEURONC_CHECK(f32_value.type.dtype == DType::f32);
  return convert(convert(f32_value, DType::bf16), DType::f32);
}

Value Builder::bf16_low_to_f32(Value u32) {
  NEURONC_CHECK(u32.type.dtype == DType::u32);
  return bitcast(shl(u32, 16), DType::f32);
}

Value Builder::bf16_high_to_f32(Value u32) {
  NEURONC_CHECK(u32.type.dtype == DType::u32);
  return bitcast(bit_and(u32, constant_bits(u32.type, 0xffff0000)), DType::f32);
}

GuardRange guard_less(Index a, Index b) { return {b - a, 1, kIndexLimit}; }

std::vector<Guard> Builder::to_guards(const std::vector<GuardRange>& guards) {
  std::vector<Guard> result;
  for (const GuardRange& g : guards) result.push_back({indices().intern(g.expr), g.lo, g.hi});
  return result;
}

Values Builder::for_loop(const Range& range, const Values& initial,
                         const std::function<Values(Index, std::span<const Value>)>& body,
                         const ForOptions& options) {
  NEURONC_CHECK(range.step > 0 && options.unroll >= 0);
  Op op{OpCode::for_};
  for (Value v : initial) use(op, v);
  const Interval interval =
      loop_interval(range.lower.interval(), range.upper.interval(), range.step);
  const size_t number = indices().num_variables();
  std::string name(options.name);
  if (name.empty()) name.append("i").append(std::to_string(number));
  op.variable = indices().add_variable(std::move(name), interval);
  op.indices = {indices().intern(range.lower), indices().intern(range.upper)};
  op.immediates = {range.step, options.unroll};
  const BlockId block = open_block();
  op.blocks[0] = block;
  Values carried;
  for (Value v : initial) carried.push_back(new_value(v.type, OpId()));
  for (Value v : carried) kernel_.blocks[block.index].arguments.push_back(v.id);
  const Index variable = indices().variable_index(op.variable);
  const Values next = body(variable, carried);
  NEURONC_CHECK(next.size() == initial.size());
  for (size_t i = 0; i < next.size(); ++i) NEURONC_CHECK(next[i].type == initial[i].type);
  close_block(next);
  const OpId id = append(std::move(op));
  Values results;
  for (Value v : initial) {
    results.push_back(new_value(v.type, id));
    kernel_.ops[id.index].results.push_back(results.back().id);
  }
  return results;
}

void Builder::for_loop(const Range& range, const std::function<void(Index)>& body,
                       const ForOptions& options) {
  for_loop(
      range, {},
      [&](Index i, std::span<const Value>) {
        body(i);
        return Values{};
      },
      options);
}

Values Builder::finish_if(Op op, const std::function<Values()>& then,
                          const std::function<Values()>* otherwise) {
  op.blocks[0] = open_block();
  const Values first = then();
  close_block(first);
  if (otherwise != nullptr) {
    op.blocks[1] = open_block();
    const Values second = (*otherwise)();
    NEURONC_CHECK(first.size() == second.size());
    for (size_t i = 0; i < first.size(); ++i) NEURONC_CHECK(first[i].type == second[i].type);
    close_block(second);
  } else {
    NEURONC_CHECK(first.empty());
  }
  const OpId id = append(std::move(op));
  Values results;
  for (Value v : first) {
    results.push_back(new_value(v.type, id));
    kernel_.ops[id.index].results.push_back(results.back().id);
  }
  return results;
}

Values Builder::if_values(const std::vector<GuardRange>& guards,
                          const std::function<Values()>& then,
                          const std::function<Values()>& otherwise) {
  Op op{OpCode::if_};
  op.guards = to_guards(guards);
  return finish_if(std::move(op), then, &otherwise);
}

void Builder::if_then(const std::vector<GuardRange>& guards, const std::function<void()>& then) {
  Op op{OpCode::if_};
  op.guards = to_guards(guards);
  finish_if(std::move(op), [&] { return then(), Values{}; }, nullptr);
}

void Builder::if_else(const std::vector<GuardRange>& guards, const std::function<void()>& then,
                      const std::function<void()>& otherwise) {
  if_values(guards, [&] { return then(), Values{}; }, [&] { return otherwise(), Values{}; });
}

void Builder::if_true(Value condition, const std::function<void()>& then) {
  NEURONC_CHECK((condition.type == ValueType{DType::boolean, 1}));
  Op op{OpCode::if_true};
  use(op, condition);
  finish_if(std::move(op), [&] { return then(), Values{}; }, nullptr);
}

Values Builder::if_true_values(Value condition, const std::function<Values()>& then,
                               const std::function<Values()>& otherwise) {
  NEURONC_CHECK((condition.type == ValueType{DType::boolean, 1}));
  Op op{OpCode::if_true};
  use(op, condition);
  return finish_if(std::move(op), then, &otherwise);
}

}  // namespace neuronc::kernel
