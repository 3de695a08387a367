// What `neuronc verify` calls equal.
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "compiler/runner/compare.h"
#include "compiler/runner/model_runner.h"
#include "ir/edit.h"

namespace neuronc {
namespace {

Tensor floats(std::vector<float> values) {
  const auto count = static_cast<int64_t>(values.size());
  return Tensor::from<float>(DType::f32, {1, count}, values);
}

TEST_CASE("floats may differ within the tolerance", "[verify]") {
  const Tolerance tolerance{1e-3, 1e-4, std::nullopt};
  CHECK(compare(floats({1.0f, 2.0f}), floats({1.0005f, 2.0f}), tolerance).is_passed);
  const Comparison far = compare(floats({1.0f, 2.1f}), floats({1.0f, 2.0f}), tolerance);
  CHECK_FALSE(far.is_passed);
  CHECK(far.num_mismatches == 1);
  CHECK(far.max_abs_diff == Approx(0.1).epsilon(1e-5));
  CHECK(far.why == "element 1 is 2.1, not 2");
}

TEST_CASE("NaN equals NaN and nothing else; infinities are themselves", "[verify]") {
  const float nan = std::nanf("");
  CHECK(compare(floats({nan, INFINITY}), floats({nan, INFINITY}), {}).is_passed);
  CHECK_FALSE(compare(floats({nan}), floats({1.0f}), {}).is_passed);
  CHECK_FALSE(compare(floats({INFINITY}), floats({-INFINITY}), {}).is_passed);
  Tolerance cosine;
  cosine.min_cosine = 0.5;
  CHECK_FALSE(compare(floats({nan, 1.0f}), floats({1.0f, 1.0f}), cosine).is_passed);
}

TEST_CASE("with a cosine the direction decides", "[verify]") {
  Tolerance cosine;
  cosine.min_cosine = 0.99;
  const Comparison near = compare(floats({3.0f, 4.0f}), floats({3.1f, 4.0f}), cosine);
  CHECK(near.is_passed);
  CHECK(near.num_rows == 1);
  CHECK(near.num_same_argmax == 1);
  CHECK_FALSE(compare(floats({3.0f, 4.0f}), floats({4.0f, -3.0f}), cosine).is_passed);
}

TEST_CASE("integers, shapes and types are exact", "[verify]") {
  const std::vector<int64_t> one{1, 2}, other{1, 3};
  CHECK(compare(Tensor::ints(one), Tensor::ints(one), {}).is_passed);
  CHECK(compare(Tensor::ints(one), Tensor::ints(other), {}).num_mismatches == 1);
  CHECK_FALSE(compare(Tensor::ints(one), floats({1.0f, 2.0f}), {}).is_passed);
  CHECK_FALSE(compare(floats({1.0f}), floats({1.0f, 2.0f}), {}).is_passed);
}

TEST_CASE("seeded inputs are the same each time and differ by seed", "[verify]") {
  Graph graph;
  GraphEditor(graph).add_input(Type::tensor(DType::f32, std::vector<int64_t>{4}), "x");
  const auto first = seeded_inputs(graph, 1);
  const auto again = seeded_inputs(graph, 1);
  const auto other = seeded_inputs(graph, 2);
  REQUIRE((first && again && other));
  CHECK((*first)[0].tensor().hash() == (*again)[0].tensor().hash());
  CHECK((*first)[0].tensor().hash() != (*other)[0].tensor().hash());
}

}  // namespace
}  // namespace neuronc
