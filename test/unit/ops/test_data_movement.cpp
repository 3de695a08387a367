// Operators that move elements: every dtype, negative positions, empty tensors, unknown values.
#include <cstdint>
#include <limits>

#include "test/unit/ops/op_case.h"

using namespace neuronc;
using namespace neuronc::test;

namespace {
using Ints = std::vector<int64_t>;
}

TEST_CASE("shapes change without moving elements out of order") {
  const Tensor x = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  const OpCase cases[] = {
      {"reshape", {}, {x, i64({2}, {3, -1})}, {f32({3, 2}, {1, 2, 3, 4, 5, 6})}},
      {"reshape", {}, {x, i64({3}, {0, 1, -1})}, {f32({2, 1, 3}, {1, 2, 3, 4, 5, 6})}},
      {"reshape",
       {{"allowzero", int64_t{1}}},
       {f32({0, 2}, {}), i64({2}, {5, 0})},
       {f32({5, 0}, {})}},
      {"transpose", {}, {x}, {f32({3, 2}, {1, 4, 2, 5, 3, 6})}},
      {"transpose", {{"perm", Ints{1, 0}}}, {text({1, 2}, {"a", "b"})}, {text({2, 1}, {"a", "b"})}},
      {"squeeze", {}, {f32({1, 2, 1}, {1, 2}), i64({1}, {-1})}, {f32({1, 2}, {1, 2})}},
      {"unsqueeze", {}, {f32({2}, {1, 2}), i64({2}, {0, -1})}, {f32({1, 2, 1}, {1, 2})}},
      {"expand",
       {},
       {f32({2, 1}, {1, 2}), i64({3}, {2, 1, 2})},
       {f32({2, 2, 2}, {1, 1, 2, 2, 1, 1, 2, 2})}},
      {"tile",
       {},
       {f32({1, 2}, {1, 2}), i64({2}, {2, 2})},
       {f32({2, 4}, {1, 2, 1, 2, 1, 2, 1, 2})}},
      {"shape", {{"start", int64_t{-1}}}, {x}, {i64({1}, {3})}},
      {"size", {}, {x}, {i64({}, {6})}},
  };
  for (const OpCase& c : cases) require_case(c);
  REQUIRE(run("reshape", {}, {x, i64({2}, {4, -1})}).refusal ==
          "6 elements do not divide by the other extents' product 4");
  REQUIRE(run("transpose", {{"perm", Ints{0, 0}}}, {x}).refusal == "`perm` is not a permutation");
}

TEST_CASE("slices, parts and padding") {
  const Tensor x = f32({4}, {1, 2, 3, 4});
  const std::optional<Tensor> none;
  const OpCase cases[] = {
      {"slice", {}, {x, i64({1}, {1}), i64({1}, {1000})}, {f32({3}, {2, 3, 4})}},
      {"slice",
       {},
       {x, i64({1}, {-1}), i64({1}, {-1000}), i64({1}, {0}), i64({1}, {-2})},
       {f32({2}, {4, 2})}},
      {"slice", {}, {x, i64({1}, {3}), i64({1}, {1})}, {f32({0}, {})}},
      {"concat",
       {{"axis", int64_t{-1}}},
       {f32({2, 1}, {1, 2}), f32({2, 2}, {3, 4, 5, 6})},
       {f32({2, 3}, {1, 3, 4, 2, 5, 6})}},
      {"split", {}, {x, i64({2}, {1, 3})}, {f32({1}, {1}), f32({3}, {2, 3, 4})}},
      {"split", {}, {f32({3}, {1, 2, 3}), none}, {f32({2}, {1, 2}), f32({1}, {3})}},
      {"pad", {}, {f32({2}, {1, 2}), i64({2}, {1, 2}), f32({}, {9})}, {f32({5}, {9, 1, 2, 9, 9})}},
      {"pad", {}, {x, i64({2}, {-1, -2})}, {f32({1}, {2})}},
      // Rows of zeros, and of another number.
      {"pad", {}, {f32({1, 2}, {1, 2}), i64({4}, {1, 0, 1, 0})}, {f32({3, 2}, {0, 0, 1, 2, 0, 0})}},
      {"pad",
       {},
       {f32({1, 2}, {1, 2}), i64({4}, {1, 0, 0, 0}), f32({}, {9})},
       {f32({2, 2}, {9, 9, 1, 2})}},
      {"pad", {}, {f32({2, 1}, {1, 2}), i64({4}, {-1, 0, 1, 0})}, {f32({2, 1}, {2, 0})}},
      {"pad",
       {{"mode", std::string("reflect")}},
       {x, i64({2}, {2, 1})},
       {f32({7}, {3, 2, 1, 2, 3, 4, 3})}},
      {"pad",
       {{"mode", std::string("edge")}},
       {x, i64({2}, {1, 1})},
       {f32({6}, {1, 1, 2, 3, 4, 4})}},
      {"pad",
       {{"mode", std::string("wrap")}},
       {x, i64({2}, {1, 1})},
       {f32({6}, {4, 1, 2, 3, 4, 1})}},
      {"pad",
       {},
       {f32({1, 1}, {5}), i64({2}, {1, 0}), none, i64({1}, {-1})},
       {f32({1, 2}, {0, 5})}},
  };
  for (const OpCase& c : cases) require_case(c);
}

TEST_CASE("gathering and scattering") {
  const Tensor x = f32({2, 2}, {1, 2, 3, 4});
  const OpCase cases[] = {
      {"gather", {{"axis", int64_t{1}}}, {x, i64({1, 2}, {-1, 0})}, {f32({2, 1, 2}, {2, 1, 4, 3})}},
      {"gather_elements", {{"axis", int64_t{1}}}, {x, i64({2, 1}, {1, 0})}, {f32({2, 1}, {2, 3})}},
      {"gather_nd", {}, {x, i64({2, 2}, {0, 0, 1, -1})}, {f32({2}, {1, 4})}},
      {"gather_nd", {{"batch_dims", int64_t{1}}}, {x, i64({2, 1}, {1, 0})}, {f32({2}, {2, 3})}},
      {"scatter_elements",
       {{"axis", int64_t{1}}, {"reduction", std::string("add")}},
       {x, i64({1, 2}, {0, 0}), f32({1, 2}, {10, 20})},
       {f32({2, 2}, {31, 2, 3, 4})}},
      // One index for a row, the last of equal ones stays; for a column.
      {"scatter_elements",
       {{"expands_indices", int64_t{1}}},
       {x, i64({3, 1}, {1, 0, -1}), f32({3, 2}, {5, 6, 7, 8, 9, 10})},
       {f32({2, 2}, {7, 8, 9, 10})}},
      {"scatter_elements",
       {{"axis", int64_t{1}}, {"expands_indices", int64_t{1}}},
       {x, i64({1, 1}, {1}), f32({2, 1}, {5, 6})},
       {f32({2, 2}, {1, 5, 3, 6})}},
      {"scatter_nd", {}, {x, i64({1, 1}, {1}), f32({1, 2}, {8, 9})}, {f32({2, 2}, {1, 2, 8, 9})}},
  };
  for (const OpCase& c : cases) require_case(c);
  REQUIRE(run("gather", {}, {x, i64({1}, {2})}).refusal ==
          "index 2 lies outside an axis of 2 elements");
  REQUIRE(run("scatter_elements", {{"expands_indices", int64_t{1}}},
              {x, i64({1, 1}, {2}), f32({1, 2}, {5, 6})})
              .refusal == "index 2 lies outside an axis of 2 elements");
  REQUIRE(run("scatter_elements", {{"expands_indices", int64_t{1}}},
              {x, i64({2, 1}, {0, 1}), f32({1, 2}, {5, 6})})
              .refusal == "the updates have another shape than the indices");
}

TEST_CASE("tensors made of few numbers") {
  const OpCase cases[] = {
      {"constant_of_shape", {}, {i64({2}, {1, 2}), i64({1}, {7})}, {i64({1, 2}, {7, 7})}},
      {"constant_of_shape", {}, {i64({0}, {})}, {f32({}, {0})}},
      {"range", {}, {i64({}, {10}), i64({}, {4}), i64({}, {-3})}, {i64({2}, {10, 7})}},
      {"range",
       {},
       {f32({}, {1}), f32({}, {2}), f32({}, {0.25})},
       {f32({4}, {1, 1.25, 1.5, 1.75})}},
      {"eye_like", {{"k", int64_t{1}}}, {f32({2, 2}, {0, 0, 0, 0})}, {f32({2, 2}, {0, 1, 0, 0})}},
      {"one_hot",
       {},
       {i64({2}, {1, -1}), i64({}, {3}), f32({2}, {0, 5})},
       {f32({2, 3}, {0, 5, 0, 0, 0, 5})}},
      {"trilu", {{"upper", int64_t{0}}}, {f32({2, 2}, {1, 2, 3, 4})}, {f32({2, 2}, {1, 0, 3, 4})}},
      {"non_zero", {}, {f32({2, 2}, {1, 0, 0, 2})}, {i64({2, 2}, {0, 1, 0, 1})}},
      {"non_zero",
       {},
       {f32({4}, {-0.0F, std::numeric_limits<float>::quiet_NaN(), 0, 1e-42F})},
       {i64({1, 2}, {1, 3})}},
      {"non_zero", {}, {boolean({3}, {1, 0, 1})}, {i64({1, 2}, {0, 2})}},
      {"non_zero", {}, {i64({2, 2}, {0, INT64_MIN, 0, 1})}, {i64({2, 2}, {0, 1, 1, 1})}},
      {"compress",
       {{"axis", int64_t{1}}},
       {f32({2, 2}, {1, 2, 3, 4}), boolean({2}, {0, 1})},
       {f32({2, 1}, {2, 4})}},
      {"unique",
       {{"sorted", int64_t{0}}},
       {f32({4}, {2, 1, 2, 3})},
       {f32({3}, {2, 1, 3}), i64({3}, {0, 1, 3}), i64({4}, {0, 1, 0, 2}), i64({3}, {2, 1, 1})}},
      // -0 is 0, NaN is greater than all, and numbers of either sign stand in their order.
      {"unique",
       {},
       {f32({6}, {std::numeric_limits<float>::quiet_NaN(), 0, 1e30F, -0.0F, -2, 1e30F})},
       {f32({4}, {-2, 0, 1e30F, std::numeric_limits<float>::quiet_NaN()}), i64({4}, {4, 1, 2, 0}),
        i64({6}, {3, 1, 2, 1, 0, 2}), i64({4}, {1, 2, 2, 1})}},
      {"unique",
       {},
       {i64({4}, {300, -1, INT64_MIN, 300})},
       {i64({3}, {INT64_MIN, -1, 300}), i64({3}, {2, 1, 0}), i64({4}, {2, 1, 0, 2}),
        i64({3}, {1, 1, 2})}},
      {"unique",
       {{"axis", int64_t{0}}},
       {f32({3, 2}, {1, 2, 0, 5, 1, 2})},
       {f32({2, 2}, {0, 5, 1, 2}), i64({2}, {1, 0}), i64({3}, {1, 0, 1}), i64({2}, {1, 2})}},
      {"non_zero",
       {},
       {f32({2, 2, 2}, {0, 1, 0, 0, 1, 0, 0, 1})},
       {i64({3, 3}, {0, 1, 1, 0, 0, 1, 1, 0, 1})}},
      {"non_zero", {}, {numbers(DType::i16, {3}, {0, -32768, 1})}, {i64({1, 2}, {1, 2})}},
      {"top_k",
       {},
       {f32({1, 4}, {1, 3, 2, 3}), i64({1}, {3})},
       {f32({1, 3}, {3, 3, 2}), i64({1, 3}, {1, 3, 2})}},
      {"depth_to_space",
       {{"blocksize", int64_t{2}}},
       {f32({1, 4, 1, 1}, {1, 2, 3, 4})},
       {f32({1, 1, 2, 2}, {1, 2, 3, 4})}},
      {"space_to_depth",
       {{"blocksize", int64_t{2}}},
       {f32({1, 1, 2, 2}, {1, 2, 3, 4})},
       {f32({1, 4, 1, 1}, {1, 2, 3, 4})}},
  };
  for (const OpCase& c : cases) require_case(c);
}

TEST_CASE("reductions and searches") {
  const Tensor x = f32({2, 2}, {1, 2, 3, 4});
  const Attributes no_keep{{"keepdims", int64_t{0}}};
  const OpCase cases[] = {
      {"reduce_sum", no_keep, {x, i64({1}, {-1})}, {f32({2}, {3, 7})}},
      {"reduce_sum", {}, {x}, {f32({1, 1}, {10})}},
      {"reduce_sum", {{"noop_with_empty_axes", int64_t{1}}}, {x}, {x}},
      {"reduce_mean", no_keep, {x}, {f32({}, {2.5})}},
      {"reduce_max", {}, {x, i64({1}, {0})}, {f32({1, 2}, {3, 4})}},
      {"reduce_min",
       no_keep,
       {numbers(DType::u8, {2}, {200, 100})},
       {numbers(DType::u8, {}, {100})}},
      {"reduce_prod", no_keep, {f32({0}, {})}, {f32({}, {1})}},
      {"arg_max", {{"axis", int64_t{1}}}, {f32({1, 3}, {2, 5, 5})}, {i64({1, 1}, {1})}},
      {"arg_max",
       {{"axis", int64_t{1}}, {"select_last_index", int64_t{1}}},
       {f32({1, 3}, {2, 5, 5})},
       {i64({1, 1}, {2})}},
      {"arg_min", {{"axis", int64_t{0}}, {"keepdims", int64_t{0}}}, {x}, {i64({2}, {0, 0})}},
      {"cum_sum",
       {{"exclusive", int64_t{1}}, {"reverse", int64_t{1}}},
       {f32({3}, {1, 2, 3}), i64({}, {0})},
       {f32({3}, {5, 3, 0})}},
  };
  for (const OpCase& c : cases) require_case(c);
}

TEST_CASE("resizing") {
  const Tensor x = f32({1, 1, 1, 4}, {1, 2, 3, 4});
  const std::optional<Tensor> none;
  const auto scales = [](double s) { return f32({4}, {1, 1, 1, s}); };
  const Attributes linear{{"mode", std::string("linear")}};
  const Attributes corners{{"mode", std::string("linear")},
                           {"coordinate_transformation_mode", std::string("align_corners")}};
  const Attributes antialias{{"mode", std::string("linear")}, {"antialias", int64_t{1}}};
  const Attributes asymmetric{{"coordinate_transformation_mode", std::string("asymmetric")},
                              {"nearest_mode", std::string("floor")}};
  const OpCase cases[] = {
      {"resize", asymmetric, {x, none, scales(2)}, {f32({1, 1, 1, 8}, {1, 1, 2, 2, 3, 3, 4, 4})}},
      {"resize", linear, {f32({2}, {0, 4}), none, none, i64({1}, {4})}, {f32({4}, {0, 1, 3, 4})}},
      {"resize", corners, {f32({2}, {0, 3}), none, none, i64({1}, {4})}, {f32({4}, {0, 1, 2, 3})}},
      {"resize", linear, {x, none, scales(0.5)}, {f32({1, 1, 1, 2}, {1.5, 3.5})}},
      {"resize",
       antialias,
       {f32({4}, {0, 0, 8, 8}), none, f32({1}, {0.5})},
       {f32({2}, {1, 7})},
       1e-6},
  };
  for (const OpCase& c : cases) {
    require_case(c);
  }
}
