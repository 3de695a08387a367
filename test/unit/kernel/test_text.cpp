// The text form of kernels: it round-trips, and bad text is refused with its place.
#include <catch2/catch.hpp>

#include "ir/kernel/builder.h"
#include "ir/kernel/math.h"
#include "ir/kernel/text.h"
#include "ir/kernel/verify.h"

namespace neuronc::kernel {
namespace {

Kernel make_varied() {
  Builder b("a kernel \"of\" many", 5);
  const BufferId x = b.input("x", DType::f32, {5, 19}, {32, 1});
  const BufferId ids = b.input("ids", DType::i32, {5});
  const BufferId y = b.parameter({"y", DType::f32, {5, 19}, {}, {}, Access::read_write, false});
  const BufferId scratch = b.local("x", DType::f32, {32});
  const Index t = b.tile();
  const Values sums =
      b.for_loop({0, 19, 8}, {b.f32(0, 8), b.f32(1)},
                 [&](Index i, std::span<const Value> acc) -> Values {
                   const Value v = b.load_partial(x, {t, i}, 8, min(19 - i, 8));
                   b.store_partial(scratch, {i}, v, min(19 - i, 8));
                   return {b.add(acc[0], math::exp(b, v)), b.add(acc[1], b.reduce_add(v))};
                 },
                 {2, "column"});
  const Values picked = b.if_values(
      {{t + 1, 2, 4}, guard_less(mod(t * 3, 5), t)}, [&]() -> Values { return {sums[1]}; },
      [&]() -> Values { return {b.extract(sums[0], 3)}; });
  const Index row = b.check_index(b.load(ids, {floor_div(t * 3 + 1, 4)}), 5);
  b.if_true(b.gt(picked[0], b.f32(0)), [&] { b.store(y, {row, 18}, picked[0]); });
  const int64_t lanes[] = {1, 2, -3, 4};
  const Value constants = b.convert(b.constant_lanes({DType::i16, 4}, lanes), DType::f32);
  const int64_t order[] = {3, -1, 0, 7};
  b.store_masked(y, std::vector<Index>{t, 0}, b.shuffle(constants, order),
                 b.lt(constants, b.f32(2.5f, 4)));
  b.prefetch(x, {t + 1, 0});
  return std::move(b).finish();
}

}  // namespace

TEST_CASE("printing, parsing and printing again gives the same text") {
  const Kernel kernel = make_varied();
  CHECK(verify(kernel) == std::vector<std::string>());
  const std::string text = print(kernel);
  const OrRefusal<Kernel> parsed = parse(text);
  INFO(text << (parsed ? "" : parsed.error().reason));
  REQUIRE(parsed.has_value());
  CHECK(print(*parsed) == text);
  CHECK(verify(*parsed) == std::vector<std::string>());
  CHECK(structural_hash(*parsed) == structural_hash(kernel));
}

TEST_CASE("the structural hash ignores names and nothing else") {
  const auto make = [](std::string name, float addend, int64_t tiles) {
    Builder b(name, tiles);
    const BufferId x = b.input(name + "_in", DType::f32, {8});
    const BufferId y = b.output(name + "_out", DType::f32, {8});
    b.for_loop({0, 8, 1}, [&](Index i) { b.store(y, {i}, b.add(b.load(x, {i}), b.f32(addend))); },
               {1, name});
    return structural_hash(std::move(b).finish());
  };
  CHECK(make("a", 1, 1) == make("b", 1, 1));
  CHECK(make("a", 1, 1) != make("a", 2, 1));
  CHECK(make("a", 1, 1) != make("a", 1, 2));
}

TEST_CASE("text that is cut off anywhere is refused, never fatal") {
  const std::string text = print(make_varied());
  for (size_t length = 0; length + 2 < text.size(); ++length) {
    CHECK_FALSE(parse(std::string_view(text).substr(0, length)).has_value());
  }
}

TEST_CASE(
    "text with one character changed parses to a kernel that can be verified, or is refused") {
  const std::string text = print(make_varied());
  for (size_t at = 0; at < text.size(); ++at) {
    for (char c : {'0', '9', 'v', '%', ']', ' '}) {
      std::string changed = text;
      changed[at] = c;
      if (OrRefusal<Kernel> kernel = parse(changed)) verify(*kernel);
    }
  }
}

TEST_CASE("a refusal names line and column") {
  const auto kernel = parse("kernel @k tiles 1 {\n  read %x: f32[4]\n  v0 = lode %x[0] : f32\n}\n");
  REQUIRE_FALSE(kernel.has_value());
  CHECK(kernel.error().reason == "line 3, column 12: an operation is expected");
}

}  // namespace neuronc::kernel
