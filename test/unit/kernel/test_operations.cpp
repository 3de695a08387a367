// Each operation on each type: native code equals the interpreter on edge values.
#include <catch2/catch.hpp>

#include "differential.h"
#include "ir/kernel/builder.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::OpCode;
using kernel::Value;
using kernel::ValueType;
using testing::Case;

constexpr int64_t kElements = 1600;

constexpr DType kIntegers[] = {DType::i8, DType::i16, DType::i32, DType::i64,
                               DType::u8, DType::u16, DType::u32, DType::u64};
constexpr DType kReals[] = {DType::f32, DType::f64};
constexpr DType kAll[] = {DType::boolean, DType::i8,  DType::i16, DType::i32, DType::i64,
                          DType::u8,      DType::u16, DType::u32, DType::u64, DType::f16,
                          DType::bf16,    DType::f32, DType::f64};

// y[i] = f(x0[i], x1[i], x2[i]) on vectors of `lanes`.
using Function = std::function<Value(Builder&, const std::vector<Value>&)>;
Case elementwise(const std::string& name, const std::vector<DType>& inputs, int lanes,
                 const Function& f, std::mt19937_64& random) {
  Builder b(name + " x" + std::to_string(lanes), 1);
  std::vector<BufferId> buffers;
  for (DType dtype : inputs) buffers.push_back(b.input("x", dtype, {kElements}));
  // The result type is known once the body is built; a probe builder tells it.
  DType result = DType::none;
  {
    Builder probe("probe", 1);
    std::vector<Value> values;
    for (DType dtype : inputs) values.push_back(probe.zero({dtype, lanes}));
    result = f(probe, values).type.dtype;
  }
  const BufferId y = b.output("y", result, {kElements});
  b.for_loop({0, kElements, lanes}, [&](Index i) {
    std::vector<Value> values;
    for (BufferId x : buffers) values.push_back(b.load(x, {i}, lanes));
    b.store(y, {i}, f(b, values));
  });
  return testing::make_case(std::move(b).finish(), random);
}

Function unary(OpCode code) {
  return [code](Builder& b, const std::vector<Value>& x) { return b.unary(code, x[0]); };
}
Function binary(OpCode code) {
  return [code](Builder& b, const std::vector<Value>& x) { return b.binary(code, x[0], x[1]); };
}

std::string label(OpCode code, DType dtype) {
  return std::string(kernel::name(code)) + " " + std::string(name(dtype));
}

void add_binary(std::vector<Case>& cases, std::initializer_list<OpCode> codes, DType dtype,
                int lanes, std::mt19937_64& random) {
  for (OpCode code : codes) {
    cases.push_back(elementwise(label(code, dtype), {dtype, dtype}, lanes, binary(code), random));
  }
}
void add_unary(std::vector<Case>& cases, std::initializer_list<OpCode> codes, DType dtype,
               int lanes, std::mt19937_64& random) {
  for (OpCode code : codes) {
    cases.push_back(elementwise(label(code, dtype), {dtype}, lanes, unary(code), random));
  }
}

}  // namespace

TEST_CASE("integer operations are total, and native code agrees with the interpreter") {
  std::mt19937_64 random(1);
  std::vector<Case> cases;
  const int lanes = GENERATE(1, 8);
  for (DType dtype : kIntegers) {
    add_binary(cases,
               {OpCode::add,    OpCode::sub,    OpCode::mul,     OpCode::div,     OpCode::rem,
                OpCode::min,    OpCode::max,    OpCode::min_num, OpCode::max_num, OpCode::and_,
                OpCode::or_,    OpCode::xor_,   OpCode::shl,     OpCode::lshr,    OpCode::ashr,
                OpCode::cmp_eq, OpCode::cmp_ne, OpCode::cmp_lt,  OpCode::cmp_le,  OpCode::cmp_gt,
                OpCode::cmp_ge},
               dtype, lanes, random);
    add_unary(cases, {OpCode::neg, OpCode::abs, OpCode::not_}, dtype, lanes, random);
  }
  add_binary(cases,
             {OpCode::and_, OpCode::or_, OpCode::xor_, OpCode::min, OpCode::max, OpCode::cmp_eq,
              OpCode::cmp_ne},
             DType::boolean, lanes, random);
  add_unary(cases, {OpCode::not_}, DType::boolean, lanes, random);
  testing::check_same_bits(cases);
}

TEST_CASE("float operations agree bit for bit, fma without hardware included") {
  std::mt19937_64 random(2);
  std::vector<Case> cases;
  const int lanes = GENERATE(1, 4, 16);
  for (DType dtype : kReals) {
    add_binary(cases,
               {OpCode::add, OpCode::sub, OpCode::mul, OpCode::div, OpCode::min, OpCode::max,
                OpCode::min_num, OpCode::max_num, OpCode::cmp_eq, OpCode::cmp_ne, OpCode::cmp_lt,
                OpCode::cmp_le, OpCode::cmp_gt, OpCode::cmp_ge},
               dtype, lanes, random);
    add_unary(cases,
              {OpCode::neg, OpCode::abs, OpCode::sqrt, OpCode::floor, OpCode::ceil, OpCode::trunc,
               OpCode::round_even},
              dtype, lanes, random);
    for (int i = 0; i < 4; ++i) {
      cases.push_back(elementwise(
          label(OpCode::fma, dtype), {dtype, dtype, dtype}, lanes,
          [](Builder& b, const std::vector<Value>& x) { return b.fma(x[0], x[1], x[2]); }, random));
      // Cancellation: c is near -a*b, where a second rounding shows.
      cases.push_back(elementwise(
          label(OpCode::fma, dtype) + " cancelling", {dtype, dtype}, lanes,
          [](Builder& b, const std::vector<Value>& x) {
            return b.fma(x[0], x[1], b.neg(b.mul(x[0], x[1])));
          },
          random));
    }
  }
  testing::check_same_bits(cases);
}

TEST_CASE("every conversion agrees bit for bit") {
  std::mt19937_64 random(3);
  std::vector<Case> cases;
  const int lanes = GENERATE(1, 8, 16, 32);
  for (DType from : kAll) {
    for (DType to : kAll) {
      const bool is_half = from == DType::f16 || from == DType::bf16;
      const bool to_half = to == DType::f16 || to == DType::bf16;
      if (from == to) continue;
      if (is_half && to != DType::f32 && to != DType::f64) continue;
      if (to_half && from != DType::f32 && from != DType::f64) continue;
      cases.push_back(elementwise(
          "convert " + std::string(name(from)) + " to " + std::string(name(to)), {from}, lanes,
          [to](Builder& b, const std::vector<Value>& x) { return b.convert(x[0], to); }, random));
    }
  }
  // A vector of one value alone, as a denormal or NaN beside others decides how all are converted.
  cases.push_back(elementwise(
      "convert one f32 to bf16", {DType::f32}, lanes,
      [lanes](Builder& b, const std::vector<Value>& x) {
        const Value one = lanes == 1 ? x[0] : b.extract(x[0], lanes - 1);
        return b.convert(lanes == 1 ? one : b.splat(one, lanes), DType::bf16);
      },
      random));
  cases.push_back(elementwise(
      "round_to_bf16", {DType::f32}, lanes,
      [](Builder& b, const std::vector<Value>& x) { return b.round_to_bf16(x[0]); }, random));
  testing::check_same_bits(cases);
}

TEST_CASE("f16 to f32 and back is the identity on every code") {
  std::mt19937_64 random(4);
  std::vector<Case> cases;
  for (DType half : {DType::f16, DType::bf16}) {
    Builder b("all codes of " + std::string(name(half)), 65536 / 8);
    const BufferId y = b.output("y", DType::f32, {65536});
    const BufferId z = b.output("z", half, {65536});
    const Value first = b.convert(b.index_value(b.tile() * 8), DType::u16);
    const Value codes = b.add(b.splat(first, 8), b.iota({DType::u16, 8}));
    const Value wide = b.convert(b.bitcast(codes, half), DType::f32);
    b.store(y, {b.tile() * 8}, wide);
    b.store(z, {b.tile() * 8}, b.convert(wide, half));
    cases.push_back(testing::make_case(std::move(b).finish(), random));
  }
  testing::check_same_bits(cases);
}

TEST_CASE("select, shuffles, reductions and bitcasts move lanes alike") {
  std::mt19937_64 random(5);
  std::vector<Case> cases;
  for (DType dtype : kAll) {
    const std::string suffix = " " + std::string(name(dtype));
    cases.push_back(elementwise(
        "select" + suffix, {DType::boolean, dtype, dtype}, 8,
        [](Builder& b, const std::vector<Value>& x) { return b.select(x[0], x[1], x[2]); },
        random));
    cases.push_back(elementwise(
        "shuffle" + suffix, {dtype, dtype}, 8,
        [](Builder& b, const std::vector<Value>& x) {
          const int64_t lanes[] = {3, 15, -1, 0, 8, 8, 7, -1};
          return b.shuffle(x[0], x[1], lanes);
        },
        random));
    cases.push_back(elementwise(
        "slice concat insert extract" + suffix, {dtype, dtype}, 8,
        [](Builder& b, const std::vector<Value>& x) {
          const Value low = b.slice(x[0], 3, 4), high = b.slice(x[1], 0, 4);
          return b.insert(b.concat(low, high), b.extract(x[0], 7), 2);
        },
        random));
    cases.push_back(elementwise(
        "splat select by one bool" + suffix, {DType::boolean, dtype, dtype}, 1,
        [](Builder& b, const std::vector<Value>& x) {
          return b.extract(b.select(x[0], b.splat(x[1], 4), b.splat(x[2], 4)), 3);
        },
        random));
    if (dtype == DType::f16 || dtype == DType::bf16) continue;
    for (OpCode code :
         {OpCode::reduce_add, OpCode::reduce_mul, OpCode::reduce_min, OpCode::reduce_max}) {
      if (dtype == DType::boolean && code < OpCode::reduce_min) continue;
      for (int lanes : {2, 8, 32}) {
        cases.push_back(elementwise(
            label(code, dtype), {dtype}, lanes,
            [code, lanes](Builder& b, const std::vector<Value>& x) {
              return b.splat(b.reduce(code, x[0]), lanes);
            },
            random));
      }
    }
  }
  for (auto [from, to] : {std::pair{DType::u32, DType::u8},
                          {DType::u8, DType::u32},
                          {DType::f32, DType::bf16},
                          {DType::i64, DType::f32}}) {
    cases.push_back(elementwise(
        "bitcast " + std::string(name(from)), {from}, 8,
        [to = to](Builder& b, const std::vector<Value>& x) {
          const Value other = b.bitcast(x[0], to);
          return other.type.lanes >= 8 ? b.slice(other, 0, 8)
                 : b.concat(other, other).type.lanes >= 8
                     ? b.slice(b.concat(other, other), 0, 8)
                     : b.slice(b.concat(b.concat(other, other), b.concat(other, other)), 0, 8);
        },
        random));
  }
  testing::check_same_bits(cases);
}

TEST_CASE("lookup finds every byte of two tables, at every width") {
  std::mt19937_64 random(8);
  std::vector<Case> cases;
  for (int lanes : {1, 8, 16, 24, 32, 64}) {
    for (DType dtype : {DType::u8, DType::i8}) {
      Builder b("lookup " + std::string(name(dtype)) + " x" + std::to_string(lanes), 256);
      const BufferId tables = b.input("tables", dtype, {2, 64});
      const BufferId y = b.output("y", dtype, {256, lanes});
      // Tile t looks up t and the bytes after it.
      const Value first = b.convert(b.index_value(b.tile()), DType::u8);
      Value indices = b.splat(first, lanes);
      if (lanes > 1) indices = b.add(indices, b.iota({DType::u8, lanes}));
      const auto table = [&](int64_t i) { return b.load(tables, {Index(i), Index(0)}, 64); };
      b.store(y, {b.tile(), Index(0)}, b.lookup(indices, table(0), table(1)));
      cases.push_back(testing::make_case(std::move(b).finish(), random));
    }
  }
  testing::check_same_bits(cases);
}

TEST_CASE("widening dot products are exact sums, at every width") {
  std::mt19937_64 random(6);
  std::vector<Case> cases;
  for (int lanes : {4, 8, 16, 32, 64}) {
    for (DType a : {DType::u8, DType::i8, DType::i16, DType::bf16}) {
      const DType y = a == DType::u8 ? DType::i8 : a;
      const int group = size_bytes(a) == 1 ? 4 : 2;
      const DType acc = a == DType::bf16 ? DType::f32 : DType::i32;
      Builder b("dot " + std::string(name(a)) + " x" + std::to_string(lanes), 10);
      const BufferId x_buffer = b.input("x", a, {10, lanes});
      const BufferId y_buffer = b.input("y", y, {10, lanes});
      const BufferId acc_buffer = b.input("acc", acc, {10, lanes / group});
      const BufferId z = b.output("z", acc, {10, lanes / group});
      const Index t = b.tile();
      b.store(z, {t, 0},
              b.dot(b.load(acc_buffer, {t, 0}, lanes / group), b.load(x_buffer, {t, 0}, lanes),
                    b.load(y_buffer, {t, 0}, lanes)));
      cases.push_back(testing::make_case(std::move(b).finish(), random));
    }
  }
  testing::check_same_bits(cases);
}

}  // namespace neuronc
