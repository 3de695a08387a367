// Attention without a softmax: a state that keys write to and queries read.
#include "ir/ops/linear_attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/graph.h"
#include "ir/ops/common.h"
#include "ir/ops/scalar_math.h"

namespace neuronc {

using namespace ops;

namespace ops {

// Of static operands of rank 3.
OrRefusal<LinearAttentionShape> linear_attention_shape(const OpView& op, const Type& query,
                                                       const Type& value) {
  LinearAttentionShape s;
  const std::string& rule = op.string("update_rule");
  s.is_gated = rule == "gated" || rule == "gated_delta";
  s.is_corrected = rule == "delta" || rule == "gated_delta";
  if (!s.is_gated && !s.is_corrected && rule != "linear") {
    return refuse(fmt::format("`update_rule` is `{}`", rule));
  }
  s.q_heads = op.i64("q_num_heads");
  s.kv_heads = op.i64("kv_num_heads");
  if (s.q_heads < 1 || s.kv_heads < 1 || s.q_heads % s.kv_heads != 0) {
    return refuse("the query heads do not divide among the key heads");
  }
  const Shape q = query.shape(), v = value.shape();
  if (q[2] % s.q_heads != 0 || v[2] % s.kv_heads != 0) {
    return refuse("the heads do not divide the last axis");
  }
  s.batch = q[0];
  s.length = q[1];
  s.key_size = q[2] / s.q_heads;
  s.value_size = v[2] / s.kv_heads;
  s.scale = op.f64("scale");
  if (s.scale == 0) s.scale = 1 / std::sqrt(static_cast<double>(s.key_size));
  return s;
}

}  // namespace ops

namespace {

enum Operand : uint8_t { kQuery, kKey, kValue, kPast, kDecay, kBeta, kErase };
constexpr OperandSpec kOperands[] = {{"query", kFloats, 'T'},
                                     {"key", kFloats, 'T'},
                                     {"value", kFloats, 'T'},
                                     {"past_state", kFloats, 0, Arity::optional},
                                     {"decay", kFloats, 'T', Arity::optional},
                                     {"beta", kFloats, 'T', Arity::optional},
                                     {"erase_gate", kFloats, 'T', Arity::optional}};
constexpr ResultSpec kResults[] = {{"y", kFloats, 'T'},
                                   {"present_state", kFloats, 0, Arity::optional}};
constexpr AttributeSpec kAttributes[] = {{"chunk_size", AttributeKind::i64, "0"},
                                         {"kv_num_heads", AttributeKind::i64, "", true},
                                         {"q_num_heads", AttributeKind::i64, "", true},
                                         {"scale", AttributeKind::f64, "0"},
                                         {"update_rule", AttributeKind::string, "\"gated_delta\""}};

OrRefusal<void> check_shape(const InferInput& input, size_t operand, const Shape& wanted) {
  if (!input.has(operand) || !input.operands[operand].is_static()) return {};
  if (input.operands[operand].shape() == wanted) return {};
  return refuse(fmt::format("operand `{}` is {}", input.op.def.operands[operand].name,
                            to_text(input.operands[operand])));
}

OrRefusal<void> check_gates(const InferInput& input, const LinearAttentionShape& s) {
  if (input.has(kDecay) != s.is_gated) return refuse("`decay` does not go with `update_rule`");
  if (input.has(kBeta) != s.is_corrected) return refuse("`beta` does not go with `update_rule`");
  if (input.has(kErase) && !s.is_corrected) {
    return refuse("`erase_gate` does not go with `update_rule`");
  }
  const auto last = [&](size_t operand) {
    const Type& type = input.operands[operand];
    return type.is_static() && type.rank() == 3 ? type.shape()[2] : 0;
  };
  if (input.has(kDecay)) {
    const bool is_vector = last(kDecay) == s.kv_heads * s.key_size;
    NEURONC_TRY(
        check_shape(input, kDecay, {s.batch, s.length, s.kv_heads * (is_vector ? s.key_size : 1)}));
  }
  if (input.has(kBeta)) {
    NEURONC_TRY(check_shape(input, kBeta, {s.batch, s.length, last(kBeta) == 1 ? 1 : s.kv_heads}));
  }
  return check_shape(input, kErase, {s.batch, s.length, s.kv_heads * s.key_size});
}

Types infer_linear_attention(const InferInput& input) {
  const DType dtype = input.operands[0].dtype;
  std::vector<Type> types{unknown_dims(dtype, 3),
                          unknown_dims(input.has(kPast) ? input.operands[kPast].dtype : dtype, 4)};
  types.resize(std::min<size_t>(types.size(), input.num_results));
  for (size_t i = 0; i < 3; ++i) {
    if (input.operands[i].is_ranked && input.operands[i].rank() != 3) {
      return refuse("an operand is not of rank 3");
    }
    if (!input.operands[i].is_static()) return types;
  }
  NEURONC_ASSIGN(const LinearAttentionShape s,
                 linear_attention_shape(input.op, input.operands[0], input.operands[2]));
  NEURONC_TRY(check_shape(input, kKey, {s.batch, s.length, s.kv_heads * s.key_size}));
  NEURONC_TRY(check_shape(input, kValue, {s.batch, s.length, s.kv_heads * s.value_size}));
  const Shape state{s.batch, s.kv_heads, s.key_size, s.value_size};
  NEURONC_TRY(check_shape(input, kPast, state));
  NEURONC_TRY(check_gates(input, s));
  types[0] = Type::tensor(dtype, Shape{s.batch, s.length, s.q_heads * s.value_size});
  if (types.size() > 1) types[1] = Type::tensor(types[1].dtype, state);
  return types;
}

// One head of keys through all steps; `state` is [key_size, value_size].
class Head {
 public:
  Head(const EvaluateInput& input, const LinearAttentionShape& s, int64_t batch, int64_t head)
      : input_(input), s_(s), batch_(batch), head_(head) {}

  void run(double* state, std::vector<double>& y) {
    for (int64_t t = 0; t < s_.length; ++t) {
      if (s_.is_gated) decay(state, t);
      write(state, t);
      read(state, t, y);
    }
  }

 private:
  // Number `d` of this head's `size` at step t; of one number per head or in all where it has less.
  double at(size_t operand, int64_t t, int64_t d, int64_t size) const {
    const Tensor& x = input_.tensor(operand);
    const int64_t last = x.shape()[2];
    const int64_t place = last == 1 ? 0 : last == s_.kv_heads ? head_ : head_ * size + d;
    return x.f64((batch_ * s_.length + t) * last + place);
  }

  void decay(double* state, int64_t t) const {
    for (int64_t d = 0; d < s_.key_size; ++d) {
      const double factor = math::exp(at(kDecay, t, d, s_.key_size));
      for (int64_t m = 0; m < s_.value_size; ++m) state[d * s_.value_size + m] *= factor;
    }
  }

  void write(double* state, int64_t t) const {
    for (int64_t m = 0; m < s_.value_size; ++m) {
      double value = at(kValue, t, m, s_.value_size);
      if (s_.is_corrected) {
        double known = 0;
        for (int64_t d = 0; d < s_.key_size; ++d) {
          const double gate = input_.has(kErase) ? at(kErase, t, d, s_.key_size) : 1;
          known += state[d * s_.value_size + m] * gate * at(kKey, t, d, s_.key_size);
        }
        value = at(kBeta, t, 0, 1) * (value - known);
      }
      for (int64_t d = 0; d < s_.key_size; ++d) {
        state[d * s_.value_size + m] += at(kKey, t, d, s_.key_size) * value;
      }
    }
  }

  void read(const double* state, int64_t t, std::vector<double>& y) const {
    const int64_t group = s_.q_heads / s_.kv_heads;
    for (int64_t q = head_ * group; q < (head_ + 1) * group; ++q) {
      const int64_t row = (batch_ * s_.length + t) * s_.q_heads + q;
      for (int64_t m = 0; m < s_.value_size; ++m) {
        double sum = 0;
        for (int64_t d = 0; d < s_.key_size; ++d) {
          sum += input_.tensor(kQuery).f64(row * s_.key_size + d) * state[d * s_.value_size + m];
        }
        y[static_cast<size_t>(row * s_.value_size + m)] = s_.scale * sum;
      }
    }
  }

  const EvaluateInput& input_;
  const LinearAttentionShape& s_;
  int64_t batch_, head_;
};

Values evaluate_linear_attention(const EvaluateInput& input) {
  NEURONC_ASSIGN(const std::vector<Type> types, actual_types(input));
  NEURONC_ASSIGN(const LinearAttentionShape s,
                 linear_attention_shape(input.op, input.tensor(0).type(), input.tensor(2).type()));
  const int64_t state_size = s.key_size * s.value_size;
  std::vector<double> state(static_cast<size_t>(s.batch * s.kv_heads * state_size), 0);
  if (input.has(kPast)) state = doubles(input.tensor(kPast));
  std::vector<double> y(static_cast<size_t>(types[0].num_elements()), 0);
  for (int64_t i = 0; i < s.batch * s.kv_heads; ++i) {
    Head(input, s, i / s.kv_heads, i % s.kv_heads).run(state.data() + i * state_size, y);
  }
  std::vector<HostValue> results;
  results.emplace_back(from_doubles(types[0].dtype, types[0].shape(), y));
  if (types.size() > 1) {
    results.emplace_back(from_doubles(types[1].dtype, types[1].shape(), state));
  }
  return results;
}

double linear_attention_flops(const OpView& op, std::span<const Type> operands,
                              std::span<const Type> results) {
  if (!operands[kQuery].is_static() || !results[0].is_static()) return 0;
  const double size = num_elements_of(operands[kQuery]) * num_elements_of(results[0]);
  const Shape q = operands[kQuery].shape();
  const double tokens = std::max(1.0, static_cast<double>(q[0]) * static_cast<double>(q[1]));
  return 6 * size / tokens / static_cast<double>(std::max<int64_t>(op.i64("q_num_heads"), 1));
}

}  // namespace

/// For each step t and head of keys, the state S [key_size, value_size] changes as `update_rule`
/// says, and each of its query heads reads y = scale * S^T q:
///   gated, gated_delta: S = exp(decay) S          delta, gated_delta: v = beta (v - S^T (erase k))
///   S = S + k v^T
/// scale is 1/sqrt(key_size) where it is 0. Shapes: query, key, value [B,T,heads*size]; decay
/// [B,T,kv_heads] or [B,T,kv_heads*key_size]; beta [B,T,kv_heads] or [B,T,1]; erase_gate as key;
/// states [B,kv_heads,key_size,value_size], zeros at first.   Types: floats.
/// Source: ONNX LinearAttention-28.
NEURONC_OP(linear_attention) = {"linear_attention",
                                "values read from a state that keys write",
                                "ONNX LinearAttention-28",
                                kOperands,
                                kAttributes,
                                kResults,
                                Trait::anchor,
                                Precision::statistic,
                                infer_linear_attention,
                                evaluate_linear_attention,
                                linear_attention_flops};

}  // namespace neuronc
