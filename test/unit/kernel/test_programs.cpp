// Memory and control: loops, guards, partial and masked accesses, local tiles, checked indices; and
// random programs. Native code equals the interpreter.
#include <catch2/catch.hpp>
#include <cstring>

#include "differential.h"
#include "ir/kernel/builder.h"
#include "ir/kernel/interpreter.h"
#include "ir/kernel/text.h"
#include "jit.h"

namespace neuronc {
namespace {

using kernel::Access;
using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Kernel;
using kernel::OpCode;
using kernel::Value;
using kernel::Values;
using kernel::ValueType;
using testing::Case;

constexpr DType kTypes[] = {DType::boolean, DType::i8,  DType::u16,  DType::i32, DType::i64,
                            DType::f16,     DType::f32, DType::bf16, DType::f64};

}  // namespace

TEST_CASE("partial loads and stores touch the active lanes alone") {
  std::mt19937_64 random(11);
  std::vector<Case> cases;
  for (DType dtype : kTypes) {
    for (int lanes : {1, 4, 8, 16}) {
      Builder b("partial " + std::string(name(dtype)) + " x" + std::to_string(lanes), 1);
      const BufferId x = b.input("x", dtype, {37});
      const BufferId y = b.parameter({"y", dtype, {37}, {}, {}, Access::read_write});
      b.for_loop({0, 37, lanes}, [&](Index i) {
        const Index active = min(37 - i, lanes);
        b.store_partial(y, {i}, b.load_partial(x, {i}, lanes, active), active);
      });
      // Constant counts, the last at the very end of the buffer.
      if (lanes == 8) {
        const BufferId z = b.parameter({"z", dtype, {5, 16}, {}, {}, Access::read_write});
        for (int active : {1, 3, 5, 7}) {
          b.store(z, {active / 2, 0}, b.load_partial(x, {37 - active}, 8, active));
          b.store_partial(z, {4, 16 - active}, b.load(x, {0}, 8), active);
        }
      }
      cases.push_back(testing::make_case(std::move(b).finish(), random));
    }
  }
  testing::check_same_bits(cases);
}

TEST_CASE("inactive lanes may lie on a page that is not there") {
  Builder b("at_the_end", 1);
  const BufferId x = b.input("x", DType::f32, {5});
  const BufferId y = b.output("y", DType::f32, {5});
  b.store_partial(y, {0}, b.load_partial(x, {0}, 8, 5), 5);
  const Kernel kernel = std::move(b).finish();
  // Two allocations at the end of a page each would need mmap; sanitizers and the checked
  // interpreter see an overrun of the exact sizes instead.
  std::vector<float> in = {1, 2, 3, 4, 5}, out(5);
  void* const buffers[] = {in.data(), out.data()};
  const int64_t sizes[] = {20, 20};
  REQUIRE(kernel::Interpreter(kernel).run_checked(buffers, sizes, 0, 1).has_value());
  CHECK(out == in);
  const int64_t short_sizes[] = {16, 20};
  CHECK_FALSE(kernel::Interpreter(kernel).run_checked(buffers, short_sizes, 0, 1).has_value());
}

TEST_CASE("masked stores, lanes along an inner dim, strides, and unaligned pointers") {
  std::mt19937_64 random(12);
  std::vector<Case> cases;
  for (DType dtype : kTypes) {
    Builder b("masks " + std::string(name(dtype)), 3);
    // Column-major: the first dim has stride 1.
    const BufferId x = b.input("x", dtype, {16, 9}, {1, 17});
    const BufferId m = b.input("m", DType::boolean, {3, 8});
    const BufferId y = b.parameter({"y", dtype, {3, 8}, {9, 1}, {}, Access::read_write});
    const Index t = b.tile();
    const Value v = b.load(x, {t * 4, mod(t * 5 + 3, 9)}, kernel::Lanes(8, 0));
    b.store_masked(y, std::vector<Index>{t, 0}, v, b.load(m, {t, 0}, 8));
    b.store(y, {t, 7}, b.load(x, {15 - t, floor_div(t * 7, 2)}));
    cases.push_back(testing::make_case(std::move(b).finish(), random));
  }
  testing::check_same_bits(cases);
}

TEST_CASE("index arithmetic floors, also below zero") {
  std::mt19937_64 random(13);
  Builder b("indices", 40);
  const BufferId y = b.output("y", DType::i64, {40, 12});
  const Index x = b.tile() * 7 - 131;
  const Index results[] = {
      floor_div(x, 8),       mod(x, 8),       floor_div(x, 7),  mod(x, 7),
      floor_div(x, 1000),    mod(x, 1000),    min(x, b.tile()), max(x, b.tile() - 30),
      floor_div(x + 500, 9), mod(x + 500, 9), x * -3 + 2,       ceil_div(x, 6)};
  for (int i = 0; i < 12; ++i) b.store(y, {b.tile(), i}, b.index_value(results[i]));
  std::vector<Case> cases;
  cases.push_back(testing::make_case(std::move(b).finish(), random));
  testing::check_same_bits(cases);
  std::vector<int64_t> out(40 * 12);
  void* const buffers[] = {out.data()};
  REQUIRE(kernel::Interpreter(cases[0].kernel).run(buffers, 0, 40) == 0);
  CHECK(out[0] == -17);  // floor(-131 / 8)
  CHECK(out[1] == 5);    // -131 - 8*-17
  CHECK(out[2] == -19);  // floor(-131 / 7)
  CHECK(out[3] == 2);
  CHECK(out[11] == -21);  // ceil(-131 / 6)
}

TEST_CASE("loops may be empty, nested, unrolled, and permute what they carry") {
  std::mt19937_64 random(14);
  std::vector<Case> cases;
  for (int unroll : {1, 2, 4, 0}) {
    Builder b("loops, unroll " + std::to_string(unroll), 6);
    const BufferId x = b.input("x", DType::i32, {16});
    const BufferId y = b.output("y", DType::i32, {6, 4});
    const Index t = b.tile();
    const Values swapped =
        b.for_loop({0, 11, 1}, {b.i32(1), b.i32(2), b.i32(0)},
                   [&](Index i, std::span<const Value> c) -> Values {
                     return {c[1], b.add(c[0], b.load(x, {i})), b.sub(c[0], c[2])};
                   },
                   {unroll});
    const Values maybe = b.for_loop(
        {t, 3, 1}, {swapped[2]},
        [&](Index i, std::span<const Value> c) -> Values {
          return b.for_loop({0, i, 1}, {c[0]}, [&](Index j, std::span<const Value> d) -> Values {
            return {b.mul(b.add(d[0], b.load(x, {j + i})), b.i32(3))};
          });
        },
        {unroll == 0 ? 3 : unroll});
    const Values chosen = b.if_values(
        {{t, 1, 4}, {t * 2, 0, 5}},
        [&]() -> Values {
          return b.if_true_values(
              b.lt(swapped[0], maybe[0]), [&]() -> Values { return {swapped[0]}; },
              [&]() -> Values { return {maybe[0]}; });
        },
        [&]() -> Values { return {b.i32(-5)}; });
    b.store(y, {t, 0}, swapped[0]);
    b.store(y, {t, 1}, swapped[1]);
    b.store(y, {t, 2}, maybe[0]);
    b.store(y, {t, 3}, chosen[0]);
    cases.push_back(testing::make_case(std::move(b).finish(), random));
  }
  testing::check_same_bits(cases);
}

TEST_CASE("an index from data ends the kernel with a status when it is out of range") {
  std::mt19937_64 random(15);
  for (DType dtype : {DType::i8, DType::i32, DType::i64, DType::u64}) {
    Builder b("gather", 1);
    const BufferId ids = b.input("ids", dtype, {4});
    const BufferId x = b.input("x", DType::f32, {10});
    const BufferId y = b.parameter({"y", DType::f32, {4}, {}, {}, Access::read_write});
    b.for_loop({0, 4, 1},
               [&](Index i) { b.store(y, {i}, b.load(x, {b.check_index(b.load(ids, {i}), 10)})); });
    Case good = testing::make_case(std::move(b).finish(), random);
    for (int64_t i = 0; i < 4; ++i) store_from_i64(dtype, good.buffers[0].data(), i, 3 * i);
    Case bad{*kernel::parse(kernel::print(good.kernel)), good.buffers};
    store_from_i64(dtype, bad.buffers[0].data(), 2, dtype == DType::u64 ? -1 : 10);
    Case negative{*kernel::parse(kernel::print(good.kernel)), good.buffers};
    store_from_i64(dtype, negative.buffers[0].data(), 3, -1);
    std::vector<Case> cases;
    std::vector<void*> pointers;
    for (auto& buffer : bad.buffers) pointers.push_back(buffer.data());
    CHECK(kernel::Interpreter(bad.kernel).run(pointers.data(), 0, 1) ==
          kernel::kStatusIndexOutOfRange);
    cases.push_back(std::move(good));
    cases.push_back(std::move(bad));
    cases.push_back(std::move(negative));
    testing::check_same_bits(cases);
  }
}

TEST_CASE("local tiles carry values between loops, and tiles may be split anyhow") {
  Builder b("transpose", 4);
  const BufferId x = b.input("x", DType::f32, {32, 8});
  const BufferId y = b.output("y", DType::f32, {8, 32});
  const BufferId tile = b.local("tile", DType::f32, {8, 8});
  b.for_loop({0, 8, 1},
             [&](Index i) { b.store(tile, {i, 0}, b.load(x, {b.tile() * 8 + i, 0}, 8)); });
  b.for_loop({0, 8, 1}, [&](Index i) {
    b.for_loop({0, 8, 1},
               [&](Index j) { b.store(y, {j, b.tile() * 8 + i}, b.load(tile, {i, j})); });
  });
  const Kernel kernel = std::move(b).finish();
  std::vector<float> in(256), whole(256), split(256);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i);
  void* const to_whole[] = {in.data(), whole.data()};
  void* const to_split[] = {in.data(), split.data()};
  if (!testing::runs_here("x86-64-v3")) return;
  const testing::LoadedCode code(testing::compile_one(kernel, "x86-64-v3", 2));
  const auto run = code.function("transpose");
  CHECK(run(to_whole, 0, 4) == 0);
  CHECK(run(to_split, 3, 4) == 0);
  CHECK(run(to_split, 0, 0) == 0);
  CHECK(run(to_split, 0, 3) == 0);
  CHECK(whole == split);
  CHECK(whole[1] == 8.0f);
  // No alignment is assumed of parameters.
  std::vector<std::byte> shifted(256 * 4 + 1), out(256 * 4 + 1);
  std::memcpy(shifted.data() + 1, in.data(), 1024);
  void* const unaligned[] = {shifted.data() + 1, out.data() + 1};
  CHECK(run(unaligned, 0, 4) == 0);
  CHECK(std::memcmp(out.data() + 1, whole.data(), 1024) == 0);
}

namespace {

// A straight-line program over vectors of one width, with values of several types.
Case random_program(int number, std::mt19937_64& random) {
  const auto pick = [&](size_t n) { return static_cast<size_t>(random() % n); };
  constexpr int kLanes[] = {1, 4, 8, 16};
  constexpr DType kValues[] = {DType::i8,  DType::u8,  DType::i16, DType::i32, DType::u32,
                               DType::i64, DType::u64, DType::f32, DType::f64, DType::boolean};
  const int lanes = kLanes[pick(4)];
  constexpr int64_t kElements = 64;
  Builder b("random program " + std::to_string(number), 1);
  std::vector<BufferId> inputs;
  for (int i = 0; i < 4; ++i) inputs.push_back(b.input("x", kValues[pick(10)], {kElements}));
  std::vector<std::pair<BufferId, DType>> outputs;
  for (DType dtype : kValues) outputs.push_back({b.output("y", dtype, {kElements}), dtype});
  b.for_loop({0, kElements, lanes}, [&](Index i) {
    Values values;
    for (BufferId x : inputs) values.push_back(b.load(x, {i}, lanes));
    for (int step = 0; step < 40; ++step) {
      const Value a = values[pick(values.size())];
      Value c = values[pick(values.size())];
      if (c.type.dtype != a.type.dtype) c = b.convert(c, a.type.dtype);
      const DType dtype = a.type.dtype;
      const bool is_real = dtype == DType::f32 || dtype == DType::f64;
      const auto code =
          static_cast<OpCode>(static_cast<int>(OpCode::add) +
                              static_cast<int>(pick(static_cast<int>(OpCode::cmp_ge) -
                                                    static_cast<int>(OpCode::add) + 1)));
      const bool is_unary = code == OpCode::neg || code == OpCode::abs || code == OpCode::not_ ||
                            (code >= OpCode::sqrt && code <= OpCode::round_even);
      const bool is_bits = code >= OpCode::and_ && code <= OpCode::not_;
      const bool is_shift = code >= OpCode::shl && code <= OpCode::ashr;
      const bool is_real_only = code >= OpCode::fma && code <= OpCode::round_even;
      const bool is_for_bool = is_bits || code == OpCode::min || code == OpCode::max ||
                               code == OpCode::cmp_eq || code == OpCode::cmp_ne;
      if (dtype == DType::boolean ? !is_for_bool
          : is_real               ? is_bits || is_shift || code == OpCode::rem
                                  : is_real_only) {
        values.push_back(b.convert(a, kValues[pick(9)]));
      } else if (code == OpCode::fma) {
        values.push_back(b.fma(a, c, a));
      } else {
        values.push_back(is_unary ? b.unary(code, a) : b.binary(code, a, c));
      }
      if (values.back().type.dtype == DType::boolean && pick(2) == 0) {
        values.push_back(b.select(values.back(), a, c));
      }
    }
    for (const auto& [y, dtype] : outputs) {
      b.store(y, {i}, b.convert(values[values.size() - 1 - pick(12)], dtype));
    }
  });
  return testing::make_case(std::move(b).finish(), random);
}

}  // namespace

TEST_CASE("random programs give the same bits interpreted and natively, at -O0 and -O2") {
  std::mt19937_64 random(16);
  std::vector<Case> cases;
  for (int i = 0; i < 60; ++i) cases.push_back(random_program(i, random));
  testing::check_same_bits(cases);
}

}  // namespace neuronc
