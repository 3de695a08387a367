// Builds kernels. Typed: every misuse (types, lanes, scopes) is a failed check, not a bad kernel.
//
//   Builder b("add_f32", /*num_tiles=*/n / 64);
//   BufferId x = b.input("x", DType::f32, {n}), y = b.output("y", DType::f32, {n});
//   b.for_loop({0, 64, 8}, [&](Index i) {
//     Value v = b.load(x, {b.tile() * 64 + i}, 8);
//     b.store(y, {b.tile() * 64 + i}, b.add(v, b.f32(1.0f, 8)));
//   });
//   Kernel kernel = std::move(b).finish();
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ir/kernel/kernel.h"

namespace neuronc::kernel {

// A handle to an SSA value with its type.
struct Value {
  ValueId id;
  ValueType type;
};

// Half open; step > 0.
struct Range {
  Index lower = 0;
  Index upper;
  int64_t step = 1;
};

// How often the emitter repeats the body; kUnrollFully replaces a loop of constant bounds.
inline constexpr int kUnrollFully = 0;
struct ForOptions {
  int unroll = 1;
  std::string_view name = "";
};

// lo <= expr < hi
struct GuardRange {
  Index expr;
  int64_t lo = 0;
  int64_t hi = 0;
};
// The guard a < b.
GuardRange guard_less(Index a, Index b);

// Lane count of a load or store along `dim` (the last by default).
struct Lanes {
  Lanes(int count = 1, int dim = -1) : count(count), dim(dim) {}  // NOLINT: implicit by design
  int count;
  int dim;
};

using Values = std::vector<Value>;

class Builder {
 public:
  Builder(std::string name, int64_t num_tiles);

  // Parameters, in the order of the ABI. Dense row-major unless strides (in elements) are given.
  BufferId input(std::string name, DType dtype, std::vector<int64_t> extents,
                 std::vector<int64_t> strides = {});
  BufferId output(std::string name, DType dtype, std::vector<int64_t> extents,
                  std::vector<int64_t> strides = {});
  BufferId parameter(Buffer buffer);  // `kind` is set; empty strides mean dense
  // A stack tile, private to the call. Its contents are unspecified until written, also at the
  // start of each tile.
  BufferId local(std::string name, DType dtype, std::vector<int64_t> extents);

  // The variable of the outermost loop, in [0, num_tiles).
  Index tile();

  // Constants. `value` is converted as constant_bits says.
  Value constant(ValueType type, double value);
  Value constant_bits(ValueType type, int64_t bits);
  Value constant_lanes(ValueType type, std::span<const int64_t> bits);
  Value f32(float value, int lanes = 1);
  Value f64(double value, int lanes = 1);
  Value i32(int32_t value, int lanes = 1);
  Value i64(int64_t value, int lanes = 1);
  Value boolean(bool value, int lanes = 1);
  Value zero(ValueType type);
  Value iota(ValueType type);
  Value index_value(Index index);

  // Memory. `indices` name the first lane. `active` lanes (constant or index) are touched; the
  // others read as 0.
  Value load(BufferId buffer, std::span<const Index> indices, Lanes lanes = {});
  Value load(BufferId buffer, std::initializer_list<Index> indices, int lanes = 1);
  Value load(BufferId buffer, std::initializer_list<Index> indices, Lanes lanes);
  Value load_partial(BufferId buffer, std::span<const Index> indices, Lanes lanes, Index active);
  Value load_partial(BufferId buffer, std::initializer_list<Index> indices, Lanes lanes,
                     Index active);
  // One element in all lanes.
  Value load_splat(BufferId buffer, std::span<const Index> indices, int lanes);
  Value load_splat(BufferId buffer, std::initializer_list<Index> indices, int lanes);
  // `lanes` elements at stride `step` along `dim`, gathered by scalar loads.
  Value load_strided(BufferId buffer, std::span<const Index> indices, Lanes lanes, int64_t step);
  void store(BufferId buffer, std::span<const Index> indices, Value value, int lane_dim = -1);
  void store(BufferId buffer, std::initializer_list<Index> indices, Value value, int lane_dim = -1);
  void store_partial(BufferId buffer, std::span<const Index> indices, Value value, Index active,
                     int lane_dim = -1);
  void store_partial(BufferId buffer, std::initializer_list<Index> indices, Value value,
                     Index active, int lane_dim = -1);
  void store_masked(BufferId buffer, std::span<const Index> indices, Value value, Value mask,
                    int lane_dim = -1);
  void prefetch(BufferId buffer, std::span<const Index> indices);
  void prefetch(BufferId buffer, std::initializer_list<Index> indices);
  // Matrices: 16 rows of 64 bytes from the element at `indices` on, rows along `row_dim`, a row
  // along `lane_dim`.
  Value matrix_load(BufferId buffer, std::span<const Index> indices, int row_dim, int lane_dim);
  void matrix_store(BufferId buffer, std::span<const Index> indices, Value value, int row_dim,
                    int lane_dim);
  Value matrix_zero(DType dtype);
  Value matrix_dot(Value acc, Value a, Value b);

  // Arithmetic; both operands of one type.
  Value add(Value a, Value b) { return binary(OpCode::add, a, b); }
  Value sub(Value a, Value b) { return binary(OpCode::sub, a, b); }
  Value mul(Value a, Value b) { return binary(OpCode::mul, a, b); }
  Value div(Value a, Value b) { return binary(OpCode::div, a, b); }
  Value rem(Value a, Value b) { return binary(OpCode::rem, a, b); }
  Value min(Value a, Value b) { return binary(OpCode::min, a, b); }
  Value max(Value a, Value b) { return binary(OpCode::max, a, b); }
  Value min_num(Value a, Value b) { return binary(OpCode::min_num, a, b); }  // a < b ? a : b
  Value max_num(Value a, Value b) { return binary(OpCode::max_num, a, b); }  // a > b ? a : b
  Value neg(Value a) { return unary(OpCode::neg, a); }
  Value abs(Value a) { return unary(OpCode::abs, a); }
  Value fma(Value a, Value b, Value c);  // a*b + c, rounded once
  Value sqrt(Value a) { return unary(OpCode::sqrt, a); }
  Value floor(Value a) { return unary(OpCode::floor, a); }
  Value ceil(Value a) { return unary(OpCode::ceil, a); }
  Value trunc(Value a) { return unary(OpCode::trunc, a); }
  Value round_even(Value a) { return unary(OpCode::round_even, a); }
  Value bit_and(Value a, Value b) { return binary(OpCode::and_, a, b); }
  Value bit_or(Value a, Value b) { return binary(OpCode::or_, a, b); }
  Value bit_xor(Value a, Value b) { return binary(OpCode::xor_, a, b); }
  Value bit_not(Value a) { return unary(OpCode::not_, a); }
  Value shl(Value a, Value b) { return binary(OpCode::shl, a, b); }
  Value lshr(Value a, Value b) { return binary(OpCode::lshr, a, b); }
  Value ashr(Value a, Value b) { return binary(OpCode::ashr, a, b); }
  Value shl(Value a, int amount) { return shl(a, constant_bits(a.type, amount)); }
  Value lshr(Value a, int amount) { return lshr(a, constant_bits(a.type, amount)); }
  Value ashr(Value a, int amount) { return ashr(a, constant_bits(a.type, amount)); }
  Value unary(OpCode code, Value a);
  Value binary(OpCode code, Value a, Value b);  // arithmetic, bits or comparison

  Value cmp(OpCode code, Value a, Value b) { return binary(code, a, b); }
  Value eq(Value a, Value b) { return binary(OpCode::cmp_eq, a, b); }
  Value ne(Value a, Value b) { return binary(OpCode::cmp_ne, a, b); }
  Value lt(Value a, Value b) { return binary(OpCode::cmp_lt, a, b); }
  Value le(Value a, Value b) { return binary(OpCode::cmp_le, a, b); }
  Value gt(Value a, Value b) { return binary(OpCode::cmp_gt, a, b); }
  Value ge(Value a, Value b) { return binary(OpCode::cmp_ge, a, b); }
  Value select(Value condition, Value if_true, Value if_false);

  Value convert(Value a, DType to);  // returns `a` itself when it has that dtype
  Value bitcast(Value a, ValueType to);
  Value bitcast(Value a, DType to);      // lanes follow from the sizes
  Value splat(Value scalar, int lanes);  // returns a vector of that many lanes as it is
  Value shuffle(Value a, Value b, std::span<const int64_t> lanes);
  Value shuffle(Value a, std::span<const int64_t> lanes) { return shuffle(a, a, lanes); }
  Value extract(Value a, int lane);
  Value insert(Value a, Value scalar, int lane);
  Value concat(Value low, Value high);
  // Of the 128 bytes of two tables those that the low seven bits of `indices` (u8) name.
  Value lookup(Value indices, Value low, Value high);
  Value slice(Value a, int first, int count);
  Value reduce(OpCode code, Value a);  // reduce_add, reduce_mul, reduce_min, reduce_max
  Value reduce_add(Value a) { return reduce(OpCode::reduce_add, a); }
  Value reduce_max(Value a) { return reduce(OpCode::reduce_max, a); }
  Value reduce_min(Value a) { return reduce(OpCode::reduce_min, a); }
  Value dot(Value acc, Value a, Value b);

  // Compositions that every lowering wants.
  // f32 rounded to what bf16 can hold, still f32; NaN stays NaN.
  Value round_to_bf16(Value f32);
  // f32 with the even (low) or odd (high) bf16 of each u32 lane: one shift or one and.
  Value bf16_low_to_f32(Value u32);
  Value bf16_high_to_f32(Value u32);

  // An index from data; out of [0, bound) ends the kernel with kStatusIndexOutOfRange.
  Index check_index(Value integer, int64_t bound);

  // Loops. The body gets the variable and the carried values and returns their next values; the
  // result is the values after the last iteration.
  Values for_loop(const Range& range, const Values& initial,
                  const std::function<Values(Index, std::span<const Value>)>& body,
                  const ForOptions& options = {});
  void for_loop(const Range& range, const std::function<void(Index)>& body,
                const ForOptions& options = {});

  // Conditions. The verifier takes guards into account inside `then`.
  void if_then(const std::vector<GuardRange>& guards, const std::function<void()>& then);
  void if_else(const std::vector<GuardRange>& guards, const std::function<void()>& then,
               const std::function<void()>& otherwise);
  Values if_values(const std::vector<GuardRange>& guards, const std::function<Values()>& then,
                   const std::function<Values()>& otherwise);
  void if_true(Value condition, const std::function<void()>& then);
  Values if_true_values(Value condition, const std::function<Values()>& then,
                        const std::function<Values()>& otherwise);

  const Kernel& kernel() const { return kernel_; }
  IndexTable& indices() { return kernel_.indices(); }

  // Ends the body. The builder is spent. The kernel is well-formed but not yet verified.
  Kernel finish() &&;

 private:
  BufferId add_buffer(Buffer buffer);
  Value new_value(ValueType type, OpId def);
  Value emit(Op op, ValueType type);
  OpId append(Op op);
  void use(Op& op, Value value);
  void add_address(Op& op, BufferId buffer, std::span<const Index> indices, int lanes,
                   int lane_dim);
  BlockId open_block();
  void close_block(std::span<const Value> yields);
  std::vector<Guard> to_guards(const std::vector<GuardRange>& guards);
  Values finish_if(Op op, const std::function<Values()>& then,
                   const std::function<Values()>* otherwise);

  Kernel kernel_;
  std::vector<BlockId> open_blocks_;   // innermost last
  std::vector<BlockId> value_blocks_;  // by value: where it was made, to check scopes
};

}  // namespace neuronc::kernel
