// Matrix products, convolutions and pools on small integers, whose results are exact.
#include <limits>

#include "test/unit/ops/op_case.h"

using namespace neuronc;
using namespace neuronc::test;

namespace {
using Ints = std::vector<int64_t>;

Tensor counting(Shape shape) {
  Tensor tensor = Tensor::zeros(DType::f32, std::move(shape));
  for (int64_t i = 0; i < tensor.num_elements(); ++i) tensor.set_f64(i, static_cast<double>(i));
  return tensor;
}
}  // namespace

TEST_CASE("matmul follows numpy's shapes") {
  const Tensor a = f32({2, 2}, {1, 2, 3, 4});
  const OpCase cases[] = {
      {"matmul", {}, {a, f32({2, 2}, {5, 6, 7, 8})}, {f32({2, 2}, {19, 22, 43, 50})}},
      {"matmul", {}, {f32({2}, {1, 2}), f32({2}, {3, 4})}, {f32({}, {11})}},
      {"matmul", {}, {a, f32({2}, {1, 1})}, {f32({2}, {3, 7})}},
      {"matmul",
       {},
       {f32({2, 1, 2}, {1, 2, 3, 4}), f32({1, 2, 1}, {1, 10})},
       {f32({2, 1, 1}, {21, 43})}},
      {"matmul", {}, {f32({2, 0}, {}), f32({0, 1}, {})}, {f32({2, 1}, {0, 0})}},
      {"gemm",
       {{"alpha", 2.0}, {"beta", 0.5}, {"transA", int64_t{1}}},
       {a, f32({2, 1}, {1, 1}), f32({1}, {4})},
       {f32({2, 1}, {10, 14})}},
  };
  for (const OpCase& c : cases) require_case(c);
  REQUIRE(run("matmul", {}, {a, f32({3, 1}, {1, 2, 3})}).refusal ==
          "the inner extent is 2 in one operand, but 3 in another");
}

TEST_CASE("convolution with padding, stride, groups and dilation") {
  const Tensor ones = f32({1, 1, 3, 3}, std::vector<double>(9, 1));
  const OpCase cases[] = {
      {"conv",
       {{"pads", Ints{1, 1, 1, 1}}},
       {counting({1, 1, 3, 3}), ones},
       {f32({1, 1, 3, 3}, {8, 15, 12, 21, 36, 27, 20, 33, 24})}},
      {"conv",
       {{"strides", Ints{2}}},
       {f32({1, 1, 5}, {1, 2, 3, 4, 5}), f32({1, 1, 2}, {1, 10}), f32({1}, {100})},
       {f32({1, 1, 2}, {121, 143})}},
      {"conv",
       {{"group", int64_t{2}}},
       {f32({1, 2, 2}, {1, 2, 3, 4}), f32({2, 1, 1}, {10, 100})},
       {f32({1, 2, 2}, {10, 20, 300, 400})}},
      {"conv",
       {{"dilations", Ints{2}}},
       {f32({1, 1, 4}, {1, 2, 3, 4}), f32({1, 1, 2}, {1, 1})},
       {f32({1, 1, 2}, {4, 6})}},
      {"conv_transpose",
       {{"strides", Ints{2}}},
       {f32({1, 1, 2}, {1, 2}), f32({1, 1, 2}, {1, 10})},
       {f32({1, 1, 4}, {1, 10, 2, 20})}},
      {"conv_transpose",
       {{"pads", Ints{1, 0}}, {"output_padding", Ints{1}}, {"strides", Ints{2}}},
       {f32({1, 1, 2}, {1, 2}), f32({1, 1, 2}, {1, 10}), f32({1}, {0.5})},
       {f32({1, 1, 4}, {10.5, 2.5, 20.5, 0.5})}},
  };
  for (const OpCase& c : cases) require_case(c);
  REQUIRE(run("conv", {}, {counting({1, 2, 3, 3}), ones}).refusal ==
          "the input has 2 channels, but the weights need 1 (1 in each of 1 groups)");
  REQUIRE(run("conv", {}, {counting({1, 1, 2, 2}), ones}).refusal ==
          "a window of 3 does not fit into 2 elements");
}

TEST_CASE("pools") {
  const Attributes two{{"kernel_shape", Ints{2}}, {"strides", Ints{2}}};
  const Attributes ceil{{"kernel_shape", Ints{2}}, {"strides", Ints{2}}, {"ceil_mode", int64_t{1}}};
  const Tensor x = f32({1, 1, 5}, {1, 5, 2, 4, 3});
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const OpCase cases[] = {
      {"max_pool", two, {x}, {f32({1, 1, 2}, {5, 4}), i64({1, 1, 2}, {1, 3})}},
      {"max_pool", ceil, {x}, {f32({1, 1, 3}, {5, 4, 3})}},
      {"max_pool", two, {f32({1, 1, 2}, {nan, 1})}, {f32({1, 1, 1}, {nan})}},
      {"average_pool", ceil, {x}, {f32({1, 1, 3}, {3, 3, 3})}},
      {"average_pool",
       {{"kernel_shape", Ints{3}}, {"pads", Ints{1, 1}}},
       {f32({1, 1, 2}, {2, 4})},
       {f32({1, 1, 2}, {3, 3})}},
      {"average_pool",
       {{"kernel_shape", Ints{3}}, {"pads", Ints{1, 1}}, {"count_include_pad", int64_t{1}}},
       {f32({1, 1, 2}, {2, 4})},
       {f32({1, 1, 2}, {2, 2})}},
      {"global_average_pool", {}, {f32({1, 2, 1, 2}, {1, 3, 5, 9})}, {f32({1, 2, 1, 1}, {2, 7})}},
      {"global_max_pool", {}, {f32({1, 2, 1, 2}, {1, 3, 9, 5})}, {f32({1, 2, 1, 1}, {3, 9})}},
  };
  for (const OpCase& c : cases) require_case(c);
}

TEST_CASE("normalisations") {
  const OpCase cases[] = {
      {"batch_normalization",
       {{"epsilon", 0.0}},
       {f32({1, 2, 1}, {3, 5}), f32({2}, {2, 1}), f32({2}, {1, 0}), f32({2}, {1, 1}),
        f32({2}, {4, 16})},
       {f32({1, 2, 1}, {3, 1})}},
      {"layer_normalization",
       {{"epsilon", 0.0}},
       {f32({2, 2}, {1, 3, -4, 4}), f32({2}, {1, 2}), f32({2}, {0, 1})},
       {f32({2, 2}, {-1, 3, -1, 3}), f32({2, 1}, {2, 0}), f32({2, 1}, {1, 0.25})}},
      {"rms_normalization",
       {{"epsilon", 0.0}},
       {f32({1, 2}, {7, 1}), f32({2}, {5, 10})},
       {f32({1, 2}, {7, 2})},
       1e-7},
      {"instance_normalization",
       {{"epsilon", 0.0}},
       {f32({1, 1, 2}, {1, 3}), f32({1}, {2}), f32({1}, {1})},
       {f32({1, 1, 2}, {-1, 3})}},
      {"group_normalization",
       {{"epsilon", 0.0}, {"num_groups", int64_t{1}}},
       {f32({1, 2, 1}, {1, 3}), f32({2}, {2, 3}), f32({2}, {1, 1})},
       {f32({1, 2, 1}, {-1, 4})}},
  };
  for (const OpCase& c : cases) require_case(c);
}
