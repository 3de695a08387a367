// What `neuronc verify` calls equal.
#include <algorithm>
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

TEST_CASE("with a cosine the largest difference may not exceed the output's spread", "[verify]") {
  Tolerance cosine;
  cosine.min_cosine = 0.995;
  // Identifiers: an error of a fifth of a percent names another one.
  std::vector<float> ids, wrong, close;
  for (int i = 0; i < 64; ++i) {
    ids.push_back(50000.0f + static_cast<float>(i));
    wrong.push_back(ids.back() + (i % 2 == 0 ? 113.0f : -80.0f));
    close.push_back(ids.back() + 0.5f);
  }
  const Comparison far = compare(floats(wrong), floats(ids), cosine);
  CHECK(far.cosine > 0.99999);
  CHECK_FALSE(far.is_passed);
  CHECK(far.why.starts_with("its largest difference, 113, is "));
  CHECK(compare(floats(close), floats(ids), cosine).is_passed);
  // A thousandth of an element is no error, however little an output varies; nor is a tall
  // element's.
  CHECK(compare(floats({0.9990f, 0.9991f}), floats({0.9999f, 0.9998f}), cosine).is_passed);
  CHECK(compare(floats({100.5f, 0, 0, 0, 0, 0}), floats({100, 0, 0, 0, 0, 0}), cosine).is_passed);
  CHECK(compare(floats({7.02f}), floats({7}), cosine).is_passed);
}

TEST_CASE("an output that is zero but for noise has no direction", "[verify]") {
  Tolerance cosine;
  cosine.min_cosine = 0.995;
  CHECK(compare(floats({1e-38f, -2e-38f}), floats({-1e-38f, 3e-38f}), cosine).is_passed);
  CHECK(compare(floats({1e-38f, 0}), floats({0, 0}), cosine).is_passed);
  CHECK_FALSE(compare(floats({1e-3f, 0}), floats({0, 0}), cosine).is_passed);
}

TEST_CASE("a NaN has no sign", "[verify]") {
  CHECK(compare(floats({-std::nanf("")}), floats({1.0f}), {}).why == "element 0 is nan, not 1");
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

TEST_CASE("seeded positions go as far as the model takes them", "[verify]") {
  Graph graph;
  GraphEditor edit(graph);
  const std::vector<int64_t> shape{64};
  edit.add_input(Type::tensor(DType::i64, shape), "input_ids");
  edit.add_input(Type::tensor(DType::i64, shape), "position_ids");
  const auto values = seeded_inputs(graph, 1);
  REQUIRE(values);
  const auto greatest = [&](size_t i) {
    const std::vector<int64_t> numbers = (*values)[i].tensor().to_ints();
    return *std::max_element(numbers.begin(), numbers.end());
  };
  CHECK(greatest(0) == 7);
  CHECK(greatest(1) > 500);
  CHECK(greatest(1) < 1024);
}

}  // namespace
}  // namespace neuronc
