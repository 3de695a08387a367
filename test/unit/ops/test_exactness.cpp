// Where one rounding, one limit or one extent too few or too many changes a result: limits near the
// ends of i64, integers that no f64 holds, tensors without elements, ties of resampling.
#include <limits>

#include "test/unit/ops/op_case.h"

using namespace neuronc;
using namespace neuronc::test;

namespace {

using Ints = std::vector<int64_t>;
constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

Tensor exact(DType dtype, Shape shape, const Ints& values) {
  return Tensor::from<int64_t>(DType::i64, std::move(shape), values).converted(dtype);
}

Tensor ramp(DType dtype, int64_t count) {
  Tensor tensor = Tensor::zeros(dtype, {count});
  for (int64_t i = 0; i < count; ++i) tensor.set_f64(i, static_cast<double>(i));
  return tensor;
}

}  // namespace

TEST_CASE("limits at the end of i64 mean all there is") {
  const Tensor boxes = f32({1, 2, 4}, {0, 0, 1, 1, 5, 5, 6, 6});
  const Tensor scores = f32({1, 1, 2}, {0.5, 0.9});
  const OpCase cases[] = {
      {"non_max_suppression",
       {},
       {boxes, scores, exact(DType::i64, {1}, {kMost})},
       {exact(DType::i64, {2, 3}, {0, 0, 1, 0, 0, 0})}},
      {"slice",
       {},
       {f32({3}, {1, 2, 3}), exact(DType::i64, {1}, {1}), exact(DType::i64, {1}, {kMost})},
       {f32({2}, {2, 3})}},
      {"slice",
       {},
       {f32({3}, {1, 2, 3}), exact(DType::i64, {1}, {kMost}), exact(DType::i64, {1}, {-kMost - 1}),
        exact(DType::i64, {1}, {0}), exact(DType::i64, {1}, {-1})},
       {f32({3}, {3, 2, 1})}},
      {"trilu",
       {},
       {f32({1, 2}, {1, 2}), exact(DType::i64, {}, {-kMost - 1})},
       {f32({1, 2}, {1, 2})}},
  };
  for (const OpCase& c : cases) require_case(c);
  CHECK(run("roi_align", {{"sampling_ratio", kMost}},
            {f32({1, 1, 1, 1}, {1}), f32({1, 4}, {0, 0, 1, 1}), exact(DType::i64, {1}, {0})})
            .refusal == "`sampling_ratio` is 9223372036854775807");
  CHECK(run("resize", {}, {f32({1}, {1}), {}, {}, exact(DType::i64, {1}, {kMost})})
            .refusal.starts_with("an axis would grow to"));
}

TEST_CASE("products of integers wrap and lose no bits") {
  const int64_t odd = (int64_t{1} << 53) + 1;
  const OpCase cases[] = {
      {"gemm",
       {},
       {exact(DType::i64, {1, 2}, {odd, 1}), exact(DType::i64, {2, 1}, {1, 1}),
        exact(DType::i64, {1}, {1})},
       {exact(DType::i64, {1, 1}, {odd + 2})}},
      {"gemm",
       {{"alpha", 2.0}, {"beta", -1.0}, {"transA", int64_t{1}}},
       {exact(DType::i32, {2, 1}, {1 << 30, 7}), exact(DType::i32, {2, 1}, {1, 1}),
        exact(DType::i32, {1}, {5})},
       {exact(DType::i32, {1, 1}, {-2147483648LL + 14 - 5 + (int64_t{1} << 32)})}},
      {"matmul",
       {},
       {exact(DType::i64, {1, 1}, {odd}), exact(DType::i64, {1, 1}, {1})},
       {exact(DType::i64, {1, 1}, {odd})}},
      {"col2im",
       {},
       {exact(DType::i64, {1, 1, 1}, {odd}), exact(DType::i64, {2}, {1, 1}),
        exact(DType::i64, {2}, {1, 1})},
       {exact(DType::i64, {1, 1, 1, 1}, {odd})}},
      {"einsum",
       {{"equation", std::string("i,i->")}},
       {exact(DType::i64, {2}, {odd, 1}), exact(DType::i64, {2}, {1, 1})},
       {exact(DType::i64, {}, {odd + 1})}},
  };
  for (const OpCase& c : cases) require_case(c);
}

TEST_CASE("tensors without elements keep the extents that are not open") {
  const auto reshaped = [](Shape from, const Ints& to, int64_t allows_zero) {
    return run(
        "reshape", {{"allowzero", allows_zero}},
        {f32(std::move(from), {}), exact(DType::i64, {static_cast<int64_t>(to.size())}, to)});
  };
  require_equal(reshaped({0, 3, 4}, {0, -1}, 0).results[0], f32({0, 12}, {}));
  require_equal(reshaped({0, 3, 4}, {-1, 12}, 0).results[0], f32({0, 12}, {}));
  require_equal(reshaped({2, 0, 4}, {-1, 0, 2}, 0).results[0], f32({4, 0, 2}, {}));
  require_equal(reshaped({0, 3}, {3, 0}, 1).results[0], f32({3, 0}, {}));
  require_equal(reshaped({0, 3}, {0, 7}, 0).results[0], f32({0, 7}, {}));
  CHECK(reshaped({0, 3}, {0, -1}, 1).refusal.starts_with("0 elements do not divide"));
}

TEST_CASE("nearest elements are those of f32 arithmetic") {
  const auto nearest = [](int64_t count, double scale, const char* coordinates, const char* mode) {
    return run("resize",
               {{"coordinate_transformation_mode", std::string(coordinates)},
                {"nearest_mode", std::string(mode)}},
               {ramp(DType::f32, count), {}, f32({1}, {scale})})
        .results[0]
        .to_ints();
  };
  // 3 / f32(1/3) is 9; in f64 it is just below.
  CHECK(nearest(30, 1.0 / 3, "asymmetric", "floor") == Ints{0, 3, 6, 9, 12, 15, 18, 21, 24, 27});
  CHECK(nearest(20, 0.3f, "asymmetric", "floor") == Ints{0, 3, 6, 10, 13, 16});
  CHECK(nearest(9, 2.0 / 3, "asymmetric", "floor") == Ints{0, 1, 3, 4, 6, 7});
  CHECK(nearest(4, 0.5, "half_pixel", "round_prefer_floor") == Ints{0, 2});
  CHECK(nearest(4, 0.5, "half_pixel", "round_prefer_ceil") == Ints{1, 3});
}

TEST_CASE("resampled integers are rounded as image libraries do") {
  const auto resized = [](Attributes attributes, DType dtype, const Ints& x, int64_t size) {
    const auto count = static_cast<int64_t>(x.size());
    return run("resize", std::move(attributes),
               {exact(dtype, {1, count}, x), {}, {}, exact(DType::i64, {2}, {1, size})})
        .results[0]
        .to_ints();
  };
  const std::string linear = "linear", cubic = "cubic";
  // Without antialiasing fractions are cut off.
  CHECK(resized({{"mode", linear}}, DType::u8, {0, 255}, 4) == Ints{0, 63, 191, 255});
  CHECK(resized({{"mode", linear}}, DType::i8, {-128, 127}, 4) == Ints{-128, -64, 63, 127});
  CHECK(resized({{"mode", linear}}, DType::i32, {-10, 10}, 4) == Ints{-10, -5, 5, 10});
  const Attributes smooth{{"mode", linear}, {"antialias", int64_t{1}}};
  CHECK(resized(smooth, DType::u8, {1, 2, 2, 2, 4, 5}, 2) == Ints{2, 4});
  CHECK(resized(smooth, DType::i8, {-1, -2, -2, -2, -4, -5}, 2) == Ints{-2, -4});
  CHECK(resized({{"mode", cubic}}, DType::u8, {0, 0, 255, 255}, 8).front() == 0);
  CHECK(resized({{"mode", cubic}}, DType::u8, {0, 0, 255, 255}, 8).back() == 255);
  CHECK(resized({{"mode", cubic}}, DType::u8, {10, 10, 13, 13}, 8)[3] == 11);
}
