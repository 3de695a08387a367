// Random numbers: functions of the seed and of the trips of the loops around the node alone, drawn in
// the order of the elements. A node without a seed takes the seed 0.
#include <fmt/format.h>

#include <array>
#include <cmath>

#include "ir/ops/common.h"
#include "ir/ops/scalar_math.h"

namespace neuronc {

using namespace ops;

namespace {

// The Mersenne Twister MT19937 and what ONNX's reference implementation draws from it, so that a
// node with a seed gives the numbers of the reference: the same on every machine.
class Random {
 public:
  explicit Random(const EvaluateInput& input) {
    const double seed = input.op.has("seed") ? input.op.f64("seed") : 0.0;
    const bool fits = seed > -0x1p53 && seed < 0x1p53;
    auto next = static_cast<uint32_t>(fits ? static_cast<int64_t>(seed) : 0);
    // The first trip has the reference's numbers; the others are far from those of other seeds.
    next ^= static_cast<uint32_t>(input.trip * 0x9e3779b97f4a7c15u >> 32);
    for (uint32_t i = 0; i < kSize; ++i) {
      state_[i] = next;
      next = 1812433253u * (next ^ (next >> 30)) + i + 1;
    }
  }

  // In [0, 1), of 53 bits.
  double uniform() {
    const uint32_t high = bits() >> 5;
    const uint32_t low = bits() >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
  }

  // Normally distributed, by the polar method, which gives two at a time.
  double normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    double x = 0, y = 0, square = 0;
    do {
      x = 2 * uniform() - 1;
      y = 2 * uniform() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square == 0);
    const double factor = std::sqrt(-2 * math::log(square) / square);
    spare_ = factor * x;
    has_spare_ = true;
    return factor * y;
  }

  // True with probability p.
  bool chance(double p) { return p <= 0.5 ? uniform() > 1 - p : uniform() <= p; }

 private:
  static constexpr uint32_t kSize = 624, kShift = 397;

  uint32_t bits() {
    if (place_ == kSize) refill();
    uint32_t y = state_[place_++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
  }

  void refill() {
    for (uint32_t i = 0; i < kSize; ++i) {
      const uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % kSize] & 0x7fffffffu);
      state_[i] = state_[(i + kShift) % kSize] ^ (y >> 1) ^ ((y & 1) != 0 ? 0x9908b0dfu : 0);
    }
    place_ = 0;
  }

  std::array<uint32_t, kSize> state_{};
  uint32_t place_ = kSize;
  double spare_ = 0;
  bool has_spare_ = false;
};

constexpr AttributeSpec kSeed{"seed", AttributeKind::f64, ""};
constexpr AttributeSpec kNormalAttributes[] = {{"dtype", AttributeKind::dtype, "f32"},
                                               {"mean", AttributeKind::f64, "0"},
                                               {"scale", AttributeKind::f64, "1"},
                                               kSeed,
                                               {"shape", AttributeKind::ints, "[]"}};
constexpr AttributeSpec kNormalLikeAttributes[] = {{"dtype", AttributeKind::dtype, ""},
                                                   {"mean", AttributeKind::f64, "0"},
                                                   {"scale", AttributeKind::f64, "1"},
                                                   kSeed};
constexpr AttributeSpec kUniformAttributes[] = {{"dtype", AttributeKind::dtype, "f32"},
                                                {"high", AttributeKind::f64, "1"},
                                                {"low", AttributeKind::f64, "0"},
                                                kSeed,
                                                {"shape", AttributeKind::ints, "[]"}};
constexpr AttributeSpec kUniformLikeAttributes[] = {{"dtype", AttributeKind::dtype, ""},
                                                    {"high", AttributeKind::f64, "1"},
                                                    {"low", AttributeKind::f64, "0"},
                                                    kSeed};
constexpr AttributeSpec kBernoulliAttributes[] = {{"dtype", AttributeKind::dtype, ""}, kSeed};
constexpr AttributeSpec kMultinomialAttributes[] = {
    {"dtype", AttributeKind::dtype, "i32"}, {"sample_size", AttributeKind::i64, "1"}, kSeed};
constexpr OperandSpec kLike[] = {{"x", kAny}};
constexpr OperandSpec kFloatX[] = {{"x", kFloats}};
constexpr ResultSpec kNumericY[] = {{"y", kAnyNumeric}};

Types infer_shaped(const InferInput& input) {
  const Shape& shape = input.op.ints("shape");
  for (int64_t extent : shape) {
    if (extent < 0) return refuse(fmt::format("`shape` has the extent {}", extent));
  }
  return std::vector<Type>{Type::tensor(input.op.dtype("dtype"), shape)};
}

Types infer_like(const InferInput& input) {
  Type type = input.operands[0];
  if (input.op.has("dtype")) type.dtype = input.op.dtype("dtype");
  if (!kAnyNumeric.contains(type.dtype)) return refuse("random numbers are no text");
  return std::vector<Type>{std::move(type)};
}

template <class Sample>
Values fill(const EvaluateInput& input, Sample sample) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  Tensor y = Tensor::zeros(type.dtype, type.shape());
  for (int64_t i = 0; i < y.num_elements(); ++i) y.set_f64(i, sample(i));
  return one(std::move(y));
}

Values evaluate_normal(const EvaluateInput& input) {
  Random random(input);
  const double mean = input.op.f64("mean");
  const double scale = input.op.f64("scale");
  return fill(input, [&](int64_t) { return mean + scale * random.normal(); });
}

Values evaluate_uniform(const EvaluateInput& input) {
  Random random(input);
  const double low = input.op.f64("low");
  const double high = input.op.f64("high");
  return fill(input, [&](int64_t) { return low + (high - low) * random.uniform(); });
}

Values evaluate_bernoulli(const EvaluateInput& input) {
  Random random(input);
  const Tensor& x = input.tensor(0);
  return fill(input, [&](int64_t i) { return random.chance(x.f64(i)) ? 1 : 0; });
}

Types infer_multinomial(const InferInput& input) {
  const Type& x = input.operands[0];
  if (x.is_ranked && x.rank() != 2) return refuse("the operand is not of shape [batch, classes]");
  const Dim batch = x.is_ranked ? x.dims[0] : Dim::unknown();
  const int64_t samples = input.op.i64("sample_size");
  if (samples < 0) return refuse("`sample_size` is negative");
  if (!kIndices.contains(input.op.dtype("dtype"))) return refuse("`dtype` is neither i32 nor i64");
  return std::vector<Type>{ranked(input.op.dtype("dtype"), {batch, Dim(samples)})};
}

Values evaluate_multinomial(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  Random random(input);
  const Tensor& x = input.tensor(0);
  const int64_t classes = x.shape()[1];
  if (classes == 0) return refuse("there are no classes");
  Tensor y = Tensor::zeros(type.dtype, type.shape());
  const int64_t samples = type.dims[1].number();
  for (int64_t i = 0; i < y.num_elements(); ++i) {
    const int64_t row = i / samples * classes;
    std::vector<double> sums;
    double top = -INFINITY;
    for (int64_t c = 0; c < classes; ++c) top = std::fmax(top, x.f64(row + c));
    double total = 0;
    for (int64_t c = 0; c < classes; ++c) sums.push_back(total += math::exp(x.f64(row + c) - top));
    const double at = random.uniform() * total;
    int64_t chosen = 0;
    while (chosen < classes - 1 && at >= sums[static_cast<size_t>(chosen)]) ++chosen;
    y.set_i64(i, chosen);
  }
  return one(std::move(y));
}

constexpr std::span<const OperandSpec> kNothing = {};

}  // namespace

#define RANDOM_ROW(op_name, text, onnx, operand_specs, attribute_specs, infer, evaluator) \
  NEURONC_OP(op_name) = {#op_name,                                                        \
                         text,                                                            \
                         onnx,                                                            \
                         operand_specs,                                                   \
                         attribute_specs,                                                 \
                         kNumericY,                                                       \
                         Trait::random,                                                   \
                         Precision::fixed,                                                \
                         infer,                                                           \
                         evaluator,                                                       \
                         flops_per_result<4>};

// Independent samples, in the shape `shape` or that of x, of `dtype` or the dtype of x.
// clang-format off
RANDOM_ROW(bernoulli, "1 with probability x, else 0", "ONNX Bernoulli-22", kFloatX, kBernoulliAttributes, infer_like, evaluate_bernoulli)
RANDOM_ROW(multinomial, "`sample_size` classes for each row x of log probabilities", "ONNX Multinomial-22", kFloatX, kMultinomialAttributes, infer_multinomial, evaluate_multinomial)
RANDOM_ROW(random_normal, "normally distributed with `mean` and deviation `scale`", "ONNX RandomNormal-22", kNothing, kNormalAttributes, infer_shaped, evaluate_normal)
RANDOM_ROW(random_normal_like, "normally distributed with `mean` and deviation `scale`", "ONNX RandomNormalLike-22", kLike, kNormalLikeAttributes, infer_like, evaluate_normal)
RANDOM_ROW(random_uniform, "uniform in [low, high)", "ONNX RandomUniform-22", kNothing, kUniformAttributes, infer_shaped, evaluate_uniform)
RANDOM_ROW(random_uniform_like, "uniform in [low, high)", "ONNX RandomUniformLike-22", kLike, kUniformLikeAttributes, infer_like, evaluate_uniform)
// clang-format on

}  // namespace neuronc
