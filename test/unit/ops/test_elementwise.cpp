// Elementwise operators on values computed by hand: broadcasting, wrapping, NaN, and rounding once.
#include <limits>

#include "test/unit/ops/op_case.h"

using namespace neuronc;
using namespace neuronc::test;

namespace {
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
}  // namespace

TEST_CASE("arithmetic broadcasts and wraps") {
  const OpCase cases[] = {
      {"add",
       {},
       {f32({2, 1}, {1, 2}), f32({3}, {10, 20, 30})},
       {f32({2, 3}, {11, 21, 31, 12, 22, 32})}},
      {"add",
       {},
       {numbers(DType::u8, {2}, {250, 1}), numbers(DType::u8, {}, {10})},
       {numbers(DType::u8, {2}, {4, 11})}},
      {"sub",
       {},
       {numbers(DType::i8, {1}, {-128}), numbers(DType::i8, {1}, {1})},
       {numbers(DType::i8, {1}, {127})}},
      {"mul", {}, {f32({0, 2}, {}), f32({2}, {1, 2})}, {f32({0, 2}, {})}},
      {"div", {}, {i64({4}, {7, -7, 7, 5}), i64({4}, {2, 2, -2, 0})}, {i64({4}, {3, -3, -3, 0})}},
      {"div", {}, {f32({2}, {1, -1}), f32({}, {0})}, {f32({2}, {kInf, -kInf})}},
      {"mod", {}, {i64({4}, {7, -7, 7, -7}), i64({4}, {3, 3, -3, -3})}, {i64({4}, {1, 2, -2, -1})}},
      {"mod",
       {{"fmod", int64_t{1}}},
       {f32({2}, {-4.5, 5}), f32({2}, {3, 8})},
       {f32({2}, {-1.5, 5})}},
      {"max", {}, {f32({3}, {1, kNan, 2}), f32({3}, {2, 0, kNan})}, {f32({3}, {2, kNan, kNan})}},
      {"min", {}, {i64({2}, {1, 5}), i64({2}, {3, -3})}, {i64({2}, {1, -3})}},
      {"prelu",
       {},
       {f32({1, 2, 2}, {-1, 2, -3, 4}), f32({2, 1}, {0.5, 2})},
       {f32({1, 2, 2}, {-0.5, 2, -6, 4})}},
  };
  for (const OpCase& c : cases) require_case(c);
}

TEST_CASE("functions of one operand keep to their definition at the edges") {
  const OpCase cases[] = {
      {"abs", {}, {numbers(DType::i8, {2}, {-128, -3})}, {numbers(DType::i8, {2}, {-128, 3})}},
      {"neg", {}, {f32({2}, {1.5, -2})}, {f32({2}, {-1.5, 2})}},
      {"round", {}, {f32({5}, {0.5, 1.5, 2.5, -0.5, -1.5})}, {f32({5}, {0, 2, 2, 0, -2})}},
      {"sign", {}, {f32({4}, {-2, 0, 3, kNan})}, {f32({4}, {-1, 0, 1, kNan})}},
      {"sqrt", {}, {f32({3}, {4, 0, -1})}, {f32({3}, {2, 0, kNan})}},
      {"reciprocal", {}, {f32({2}, {4, 0})}, {f32({2}, {0.25, kInf})}},
      {"relu", {}, {f32({3}, {-1, 0, 2})}, {f32({3}, {0, 0, 2})}},
      {"shrink",
       {{"bias", 1.5}, {"lambd", 1.5}},
       {f32({3}, {-2, 0, 2})},
       {f32({3}, {-0.5, 0, 0.5})}},
      {"clip", {}, {i64({3}, {-5, 2, 9}), std::nullopt, i64({}, {4})}, {i64({3}, {-5, 2, 4})}},
      {"clip", {}, {f32({2}, {-5, 9}), f32({}, {-1}), f32({}, {1})}, {f32({2}, {-1, 1})}},
      {"is_inf",
       {{"detect_negative", int64_t{0}}},
       {f32({3}, {kInf, -kInf, 1})},
       {boolean({3}, {1, 0, 0})}},
      {"is_nan", {}, {f32({2}, {kNan, 1})}, {boolean({2}, {1, 0})}},
  };
  for (const OpCase& c : cases) require_case(c);
}

TEST_CASE("comparisons, logic and bits") {
  const OpCase cases[] = {
      {"greater", {}, {f32({3}, {1, 2, kNan}), f32({}, {1})}, {boolean({3}, {0, 1, 0})}},
      {"less_or_equal", {}, {i64({2}, {1, 2}), i64({2}, {1, 1})}, {boolean({2}, {1, 0})}},
      {"equal", {}, {text({2}, {"a", "b"}), text({1}, {"b"})}, {boolean({2}, {0, 1})}},
      {"logical_xor", {}, {boolean({2}, {1, 1}), boolean({2}, {0, 1})}, {boolean({2}, {1, 0})}},
      {"logical_not", {}, {boolean({2}, {1, 0})}, {boolean({2}, {0, 1})}},
      {"bitwise_not", {}, {numbers(DType::u8, {1}, {5})}, {numbers(DType::u8, {1}, {250})}},
      {"bit_shift",
       {{"direction", std::string("LEFT")}},
       {numbers(DType::u8, {2}, {16, 129}), numbers(DType::u8, {2}, {1, 1})},
       {numbers(DType::u8, {2}, {32, 2})}},
      {"where",
       {},
       {boolean({2, 1}, {1, 0}), text({2}, {"a", "b"}), text({}, {"c"})},
       {text({2, 2}, {"a", "b", "c", "c"})}},
  };
  for (const OpCase& c : cases) require_case(c);
}

TEST_CASE("a cast rounds to nearest even, saturates to integers and reads text") {
  const auto cast = [](DType to) { return Attributes{{"to", to}}; };
  const OpCase cases[] = {
      {"cast",
       cast(DType::i32),
       {f32({4}, {2.9, -2.9, 1e20, kNan})},
       {numbers(DType::i32, {4}, {2, -2, 2147483647, 0})}},
      {"cast",
       cast(DType::bf16),
       {f32({2}, {1.00390625, 1.01171875})},
       {numbers(DType::bf16, {2}, {1, 1.015625})}},
      {"cast", cast(DType::u8), {i64({1}, {-1})}, {numbers(DType::u8, {1}, {255})}},
      {"cast", cast(DType::string), {f32({3}, {1, 0.1, -kInf})}, {text({3}, {"1", "0.1", "-INF"})}},
      {"cast",
       cast(DType::f32),
       {text({4}, {"3.5", "+INF", "nan", " 1e-3"})},
       {f32({4}, {3.5, kInf, kNan, 1e-3})}},
      {"cast", cast(DType::boolean), {f32({3}, {0, -0.0, 0.1})}, {boolean({3}, {0, 0, 1})}},
      {"bit_cast", cast(DType::u32), {f32({1}, {1})}, {numbers(DType::u32, {1}, {0x3f800000})}},
  };
  for (const OpCase& c : cases) require_case(c);
  REQUIRE(run("cast", cast(DType::i32), {text({1}, {"x"})}).refusal == "`x` is not a number");
}

TEST_CASE("what does not fit is refused with the reason") {
  REQUIRE(run("add", {}, {f32({2}, {1, 2}), f32({3}, {1, 2, 3})}).refusal ==
          "extents 2 and 3 do not broadcast");
  REQUIRE(run("add", {}, {f32({1}, {1}), i64({1}, {1})}).refusal.find("element type i64") !=
          std::string::npos);
  REQUIRE(run("bit_shift", {{"direction", std::string("UP")}},
              {numbers(DType::u8, {1}, {1}), numbers(DType::u8, {1}, {1})})
              .refusal == "`direction` is neither LEFT nor RIGHT");
}
