// Random numbers: element i of a tensor is a function of the seed and i alone, so that results do
// not depend on the machine or on the order of evaluation. A node without a seed takes the seed 0.
#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "ir/ops/common.h"
#include "ir/ops/scalar_math.h"

namespace neuronc {

using namespace ops;

namespace {

// 64 mixed bits of a counter, by the finaliser of SplitMix64.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

class Random {
 public:
  explicit Random(const OpView& op)
      : key_(mix(std::bit_cast<uint64_t>(op.has("seed") ? op.f64("seed") : 0.0))) {}
  // In [0, 1).
  double uniform(int64_t i) const {
    return static_cast<double>(mix(key_ ^ mix(static_cast<uint64_t>(i))) >> 11) * 0x1p-53;
  }
  // Normally distributed, by Box and Muller's method.
  double normal(int64_t i) const {
    constexpr double kTwoPi = 6.28318530717958647692;
    const double radius = std::sqrt(-2 * math::log(1 - uniform(2 * i)));
    return radius * math::cos(kTwoPi * uniform(2 * i + 1));
  }

 private:
  uint64_t key_;
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
  const Random random(input.op);
  const double mean = input.op.f64("mean");
  const double scale = input.op.f64("scale");
  return fill(input, [&](int64_t i) { return mean + scale * random.normal(i); });
}

Values evaluate_uniform(const EvaluateInput& input) {
  const Random random(input.op);
  const double low = input.op.f64("low");
  const double high = input.op.f64("high");
  return fill(input, [&](int64_t i) { return low + (high - low) * random.uniform(i); });
}

Values evaluate_bernoulli(const EvaluateInput& input) {
  const Random random(input.op);
  const Tensor& x = input.tensor(0);
  return fill(input, [&](int64_t i) { return random.uniform(i) < x.f64(i) ? 1 : 0; });
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
  const Random random(input.op);
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
    const double at = random.uniform(i) * total;
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
