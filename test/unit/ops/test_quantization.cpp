// Quantised operators: ties, saturation, zero points per axis and block.
#include "test/unit/ops/op_case.h"

using namespace neuronc;
using namespace neuronc::test;

namespace {
Tensor u8(Shape shape, const std::vector<double>& values) {
  return numbers(DType::u8, std::move(shape), values);
}
Tensor i8(Shape shape, const std::vector<double>& values) {
  return numbers(DType::i8, std::move(shape), values);
}
Tensor i32(Shape shape, const std::vector<double>& values) {
  return numbers(DType::i32, std::move(shape), values);
}
}  // namespace

TEST_CASE("quantisation rounds ties to even and saturates") {
  const Attributes first_axis{{"axis", int64_t{0}}};
  const Attributes blocks{{"axis", int64_t{0}}, {"block_size", int64_t{2}}};
  const OpCase cases[] = {
      {"quantize_linear",
       {},
       {f32({5}, {1, 3, 5, -1000, 1000}), f32({}, {2}), u8({}, {128})},
       {u8({5}, {128, 130, 130, 0, 255})}},
      {"quantize_linear",
       first_axis,
       {f32({2, 1}, {4, 4}), f32({2}, {1, 2}), i8({2}, {0, 1})},
       {i8({2, 1}, {4, 3})}},
      {"quantize_linear",
       {{"output_dtype", DType::i16}},
       {f32({1}, {70000}), f32({}, {1})},
       {numbers(DType::i16, {1}, {32767})}},
      {"dequantize_linear",
       {},
       {u8({2}, {0, 255}), f32({}, {0.5}), u8({}, {128})},
       {f32({2}, {-64, 63.5})}},
      {"dequantize_linear",
       blocks,
       {i8({3}, {1, 2, 3}), f32({2}, {1, 10}), i8({2}, {0, 1})},
       {f32({3}, {1, 2, 20})}},
      {"dynamic_quantize_linear",
       {},
       {f32({3}, {0, 51, 255})},
       {u8({3}, {0, 51, 255}), f32({}, {1}), u8({}, {0})}},
  };
  for (const OpCase& c : cases) require_case(c);
}

TEST_CASE("integer contractions centre their operands first") {
  const OpCase cases[] = {
      {"matmul_integer",
       {},
       {u8({2, 2}, {1, 2, 3, 4}), i8({2, 1}, {1, -1}), u8({2}, {1, 3}), i8({}, {0})},
       {i32({2, 1}, {-1, -1})}},
      {"conv_integer",
       {{"pads", std::vector<int64_t>{1, 1}}},
       {u8({1, 1, 2}, {5, 6}), u8({1, 1, 3}, {1, 1, 1}), u8({}, {4})},
       {i32({1, 1, 2}, {3, 3})}},
      {"q_linear_matmul",
       {},
       {u8({1, 2}, {2, 4}), f32({}, {1}), u8({}, {0}), u8({2, 1}, {1, 1}), f32({}, {0.5}),
        u8({}, {0}), f32({}, {1}), u8({}, {10})},
       {u8({1, 1}, {13})}},
      {"q_linear_conv",
       {},
       {u8({1, 1, 2}, {3, 5}), f32({}, {1}), u8({}, {1}), i8({2, 1, 1}, {1, 2}), f32({2}, {1, 0.5}),
        i8({2}, {0, 0}), f32({}, {1}), u8({}, {0}), i32({2}, {1, 0})},
       {u8({1, 2, 2}, {3, 5, 2, 4})}},
  };
  for (const OpCase& c : cases) require_case(c);
}
