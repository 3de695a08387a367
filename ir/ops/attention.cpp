// Attention over heads, and the rotation of positions that goes before it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/ops/common.h"
#include "ir/ops/scalar_math.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr double kMinusInf = -std::numeric_limits<double>::infinity();

constexpr OperandSpec kAttentionOperands[] = {
    {"query", kFloats, 'T'},
    {"key", kFloats, 'T'},
    {"value", kFloats, 'T'},
    {"mask", kFloats | kBool, 0, Arity::optional},
    {"past_key", kFloats, 'T', Arity::optional},
    {"past_value", kFloats, 'T', Arity::optional},
    {"num_keys", DTypeSet{DType::i64}, 0, Arity::optional}};
constexpr ResultSpec kAttentionResults[] = {{"y", kFloats, 'T'},
                                            {"present_key", kFloats, 'T', Arity::optional},
                                            {"present_value", kFloats, 'T', Arity::optional},
                                            {"scores", kFloats, 'T', Arity::optional}};
constexpr AttributeSpec kAttentionAttributes[] = {
    {"causal_offset", AttributeKind::i64, "0"}, {"has_nan_rows", AttributeKind::i64, "0"},
    {"is_causal", AttributeKind::i64, "0"},     {"kv_num_heads", AttributeKind::i64, ""},
    {"q_num_heads", AttributeKind::i64, ""},    {"qk_matmul_output_mode", AttributeKind::i64, "0"},
    {"result_type", AttributeKind::dtype, ""},  {"scale", AttributeKind::f64, ""},
    {"softcap", AttributeKind::f64, "0"},       {"softmax_precision", AttributeKind::dtype, ""}};

// Operand `i` as [batch, heads, length, size]; of rank 3 the heads stand in the last axis.
OrRefusal<std::vector<Dim>> heads_of(const InferInput& input, size_t i, const char* attribute) {
  const Type& x = input.operands[i];
  if (x.rank() == 4) return x.dims;
  if (x.rank() != 3) return refuse("an operand is neither of rank 3 nor of rank 4");
  if (!input.op.has(attribute)) return refuse(fmt::format("`{}` is needed", attribute));
  const int64_t heads = input.op.i64(attribute);
  Dim size;
  if (x.dims[2].is_number()) {
    if (heads < 1 || x.dims[2].number() % heads != 0) {
      return refuse(
          fmt::format("{} numbers do not divide into {} heads", x.dims[2].number(), heads));
    }
    size = x.dims[2].number() / heads;
  }
  return std::vector<Dim>{x.dims[0], Dim(heads), x.dims[1], size};
}

Types infer_attention(const InferInput& input) {
  const DType dtype =
      input.op.has("result_type") ? input.op.dtype("result_type") : input.operands[0].dtype;
  for (size_t i = 0; i < 3; ++i) {
    if (!input.operands[i].is_ranked) {
      return std::vector<Type>(input.num_results, Type::unranked(dtype));
    }
  }
  NEURONC_ASSIGN(const std::vector<Dim> q, heads_of(input, 0, "q_num_heads"));
  NEURONC_ASSIGN(const std::vector<Dim> k, heads_of(input, 1, "kv_num_heads"));
  NEURONC_ASSIGN(const std::vector<Dim> v, heads_of(input, 2, "kv_num_heads"));
  NEURONC_ASSIGN(const Dim batch, same_dim(q[0], k[0], "the batch"));
  NEURONC_TRY(same_dim(batch, v[0], "the batch"));
  NEURONC_TRY(same_dim(k[1], v[1], "the number of key heads"));
  NEURONC_TRY(same_dim(k[2], v[2], "the number of keys"));
  NEURONC_TRY(same_dim(q[3], k[3], "the size of a head"));
  if (q[1].is_number() && k[1].is_number() &&
      (k[1].number() == 0 || q[1].number() % k[1].number() != 0)) {
    return refuse("the query heads do not divide among the key heads");
  }
  if (input.has(4) != input.has(5)) return refuse("only one of the past operands is given");
  Dim total = k[2];
  if (input.has(4)) {
    const Type& past = input.operands[4];
    if (past.is_ranked && past.rank() != 4) return refuse("the past keys are not of rank 4");
    const bool known = past.is_ranked && past.dims[2].is_number() && total.is_number();
    total = known ? Dim(total.number() + past.dims[2].number()) : Dim::unknown();
  }
  std::vector<Type> types;
  types.push_back(ranked(dtype, {batch, q[1], q[2], v[3]}));
  if (input.operands[0].rank() == 3) {
    const Dim pair[] = {q[1], v[3]};
    types[0] = ranked(dtype, {batch, q[2], product(pair)});
  }
  types.push_back(ranked(dtype, {batch, k[1], total, k[3]}));
  types.push_back(ranked(dtype, {batch, v[1], total, v[3]}));
  types.push_back(ranked(dtype, {batch, q[1], q[2], total}));
  types.resize(std::min(types.size(), input.num_results));
  return types;
}

struct Heads {
  int64_t batch = 0, heads = 0, length = 0, size = 0;
  std::vector<double> values;  // [batch, heads, length, size]

  const double* row(int64_t b, int64_t h, int64_t l) const {
    return values.data() + ((b * heads + h) * length + l) * size;
  }
};

Heads read_heads(const Tensor& x, int64_t num_heads) {
  const Shape& shape = x.shape();
  if (shape.size() == 4) return {shape[0], shape[1], shape[2], shape[3], doubles(x)};
  Heads result{shape[0], num_heads, shape[1], shape[2] / num_heads, {}};
  const Tensor moved = take_strided(x, {result.batch, result.heads, result.length, result.size},
                                    {shape[1] * shape[2], result.size, shape[2], 1}, 0);
  result.values = doubles(moved);
  return result;
}

// `past` with `next` behind it.
OrRefusal<Heads> appended(const Tensor& past, const Heads& next) {
  const Shape& shape = past.shape();
  if (shape.size() != 4 || shape[0] != next.batch || shape[1] != next.heads ||
      shape[3] != next.size) {
    return refuse("a past operand does not fit");
  }
  const std::vector<double> old = doubles(past);
  Heads result{next.batch, next.heads, shape[2] + next.length, next.size, {}};
  for (int64_t i = 0; i < next.batch * next.heads; ++i) {
    const auto copy_of = [&](const std::vector<double>& from, int64_t count) {
      result.values.insert(result.values.end(), from.begin() + i * count,
                           from.begin() + (i + 1) * count);
    };
    copy_of(old, shape[2] * next.size);
    copy_of(next.values, next.length * next.size);
  }
  return result;
}

// What is added to each score: [batch, heads, queries, keys].
OrRefusal<std::vector<double>> score_bias(const EvaluateInput& input, const Shape& shape,
                                          int64_t num_past) {
  std::vector<double> bias(static_cast<size_t>(num_elements(shape)), 0);
  if (input.has(3)) {
    const Tensor& mask = input.tensor(3);
    const Type types[] = {ranked(DType::f32, {shape.begin(), shape.end()}), mask.type()};
    const auto both = broadcast_types(types, DType::f32);
    if (!both || both->shape() != shape) return refuse("the mask does not fit the scores");
    size_t i = 0;
    for_each_offset(shape, broadcast_strides(mask.shape(), shape), 0, [&](int64_t at) {
      const double value = mask.f64(at);
      bias[i++] = mask.dtype() == DType::boolean ? (value != 0 ? 0 : kMinusInf) : value;
    });
  }
  if (input.has(6) && input.tensor(6).num_elements() != shape[0]) {
    return refuse("the numbers of keys are not one per batch entry");
  }
  const bool is_causal = input.op.i64("is_causal") != 0;
  for (int64_t i = 0; i < static_cast<int64_t>(bias.size()); ++i) {
    const int64_t key = i % shape[3];
    const int64_t query = i / shape[3] % shape[2];
    const int64_t batch = i / (shape[1] * shape[2] * shape[3]);
    const int64_t count = input.has(6) ? input.tensor(6).i64(batch) : 0;
    // Without a past the queries are the last ones of the keys that are counted.
    const int64_t before = (input.has(6) && !input.has(4) ? count - shape[2] : num_past) +
                           input.op.i64("causal_offset");
    const bool is_hidden = (is_causal && key > query + before) || (input.has(6) && key >= count);
    if (is_hidden) bias[static_cast<size_t>(i)] = kMinusInf;
  }
  return bias;
}

// Softmax in place; a row without keys becomes 0 or, as softmax has it, NaN.
void normalise(std::span<double> row, bool has_nan_rows) {
  double top = kMinusInf;
  for (double x : row) top = std::fmax(top, x);
  double sum = 0;
  for (double& x : row) sum += x = top == kMinusInf ? 0 : math::exp(x - top);
  const double empty = has_nan_rows ? std::numeric_limits<double>::quiet_NaN() : 0;
  for (double& x : row) x = sum == 0 ? empty : x / sum;
}

Values evaluate_attention(const EvaluateInput& input) {
  NEURONC_ASSIGN(const std::vector<Type> types, actual_types(input));
  const auto num_heads = [&](const char* name) {
    return input.op.has(name) ? input.op.i64(name) : 1;
  };
  const Heads q = read_heads(input.tensor(0), num_heads("q_num_heads"));
  Heads k = read_heads(input.tensor(1), num_heads("kv_num_heads"));
  Heads v = read_heads(input.tensor(2), num_heads("kv_num_heads"));
  int64_t num_past = 0;
  if (input.has(4)) {
    num_past = -k.length;
    NEURONC_ASSIGN(k, appended(input.tensor(4), std::move(k)));
    NEURONC_ASSIGN(v, appended(input.tensor(5), std::move(v)));
    num_past += k.length;
    if (k.length != v.length) return refuse("the past operands differ in length");
  }
  const Shape shape{q.batch, q.heads, q.length, k.length};
  NEURONC_ASSIGN(const std::vector<double> bias, score_bias(input, shape, num_past));
  const double scale =
      input.op.has("scale") ? input.op.f64("scale") : 1 / std::sqrt(static_cast<double>(q.size));
  const double softcap = input.op.f64("softcap");
  const int64_t mode = input.op.i64("qk_matmul_output_mode");
  std::vector<double> shown;
  std::vector<double> y(static_cast<size_t>(q.batch * q.heads * q.length * v.size), 0);
  std::vector<double> row(static_cast<size_t>(k.length));
  const bool is_flat = types[0].rank() == 3;
  for (int64_t i = 0; i < q.batch * q.heads * q.length; ++i) {
    const int64_t l = i % q.length;
    const int64_t h = i / q.length % q.heads;
    const int64_t b = i / (q.length * q.heads);
    const int64_t kv_head = h / (q.heads / k.heads);
    const auto show = [&](int64_t at) {
      if (mode == at && types.size() > 3) shown.insert(shown.end(), row.begin(), row.end());
    };
    for (int64_t j = 0; j < k.length; ++j) {
      double sum = 0;
      for (int64_t d = 0; d < q.size; ++d) sum += q.row(b, h, l)[d] * k.row(b, kv_head, j)[d];
      row[static_cast<size_t>(j)] = sum * scale;
    }
    show(0);
    for (double& x : row) x = softcap == 0 ? x : softcap * math::tanh(x / softcap);
    show(1);
    for (size_t j = 0; j < row.size(); ++j) row[j] += bias[static_cast<size_t>(i) * row.size() + j];
    show(2);
    normalise(row, input.op.i64("has_nan_rows") != 0);
    show(3);
    double* out = y.data() + (is_flat ? (b * q.length + l) * q.heads + h : i) * v.size;
    for (int64_t j = 0; j < k.length; ++j) {
      const double* value = v.row(b, kv_head, j);
      for (int64_t d = 0; d < v.size; ++d) out[d] += row[static_cast<size_t>(j)] * value[d];
    }
  }
  std::vector<HostValue> results;
  const std::vector<double>* parts[] = {&y, &k.values, &v.values, &shown};
  if (types.size() > 3) shown.resize(static_cast<size_t>(types[3].num_elements()));
  for (size_t i = 0; i < types.size(); ++i) {
    results.emplace_back(from_doubles(types[i].dtype, types[i].shape(), *parts[i]));
  }
  return results;
}

double attention_flops(const OpView&, std::span<const Type> operands, std::span<const Type>) {
  const Type& k = operands[1];
  if (!operands[0].is_static() || !k.is_static()) return 0;
  return 4 * num_elements_of(operands[0]) *
         static_cast<double>(k.dims[k.rank() == 3 ? 1 : 2].number());
}

// ---- rotary_embedding

constexpr OperandSpec kRotaryOperands[] = {{"x", kFloats, 'T'},
                                           {"cosines", kFloats, 'T'},
                                           {"sines", kFloats, 'T'},
                                           {"positions", DTypeSet{DType::i64}, 0, Arity::optional}};
constexpr ResultSpec kRotaryResults[] = {{"y", kFloats, 'T'}};
constexpr AttributeSpec kRotaryAttributes[] = {{"interleaved", AttributeKind::i64, "0"},
                                               {"num_heads", AttributeKind::i64, "0"},
                                               {"rotary_embedding_dim", AttributeKind::i64, "0"}};

Types infer_rotary(const InferInput& input) {
  const Type& x = input.operands[0];
  if (x.is_ranked && x.rank() != 4) {
    if (x.rank() != 3) return refuse("the operand is neither of rank 3 nor of rank 4");
    const int64_t heads = input.op.i64("num_heads");
    if (heads < 1 || (x.dims[2].is_number() && x.dims[2].number() % heads != 0)) {
      return refuse("`num_heads` does not divide the last axis");
    }
  }
  return infer_as_first(input);
}

Values evaluate_rotary(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const Shape shape = type.shape();
  const bool is_flat = shape.size() == 3;
  const int64_t heads = is_flat ? input.op.i64("num_heads") : shape[1];
  const int64_t length = is_flat ? shape[1] : shape[2];
  const int64_t size = is_flat ? shape[2] / heads : shape[3];
  const int64_t rotated =
      input.op.i64("rotary_embedding_dim") > 0 ? input.op.i64("rotary_embedding_dim") : size;
  const int64_t half = rotated / 2;
  const std::vector<double> cosines = doubles(input.tensor(1));
  const std::vector<double> sines = doubles(input.tensor(2));
  const auto num_rows = half == 0 ? 0 : static_cast<int64_t>(cosines.size()) / half;
  if (rotated > size || rotated % 2 != 0 || sines.size() != cosines.size() ||
      input.tensor(1).rank() < 1 || input.tensor(1).shape().back() != half) {
    return refuse("the cosines and sines do not fit the rotated size");
  }
  if (input.has(3) && input.tensor(3).num_elements() != shape[0] * length) {
    return refuse("there is not one position per token");
  }
  const bool is_interleaved = input.op.i64("interleaved") != 0;
  const std::vector<double> x = doubles(input.tensor(0));
  std::vector<double> y = x;
  for (int64_t i = 0; i < shape[0] * heads * length; ++i) {
    const int64_t b = i / (heads * length);
    const int64_t token = b * length + (is_flat ? i / heads % length : i % length);
    const int64_t row = input.has(3) ? input.tensor(3).i64(token) : token;
    if (row < 0 || row >= num_rows) {
      return refuse(fmt::format("position {} lies outside {} rows", row, num_rows));
    }
    for (int64_t j = 0; j < half; ++j) {
      const auto first = static_cast<size_t>(i * size + (is_interleaved ? 2 * j : j));
      const size_t second = first + static_cast<size_t>(is_interleaved ? 1 : half);
      const double c = cosines[static_cast<size_t>(row * half + j)];
      const double s = sines[static_cast<size_t>(row * half + j)];
      y[first] = c * x[first] - s * x[second];
      y[second] = s * x[first] + c * x[second];
    }
  }
  return one(from_doubles(type.dtype, shape, y));
}

}  // namespace

/// y = softmax(cap(scale * q k^T) + mask) v per head; each key head serves a run of query heads.
/// cap(s) = softcap * tanh(s / softcap), before the mask as ONNX corrected it in 2026. A bool mask
/// hides where it is false; keys from num_keys[b] on are hidden; past keys and values stand before
/// the new ones; `is_causal` hides keys behind the query's own, where the first query stands behind
/// the past, or else behind the first num_keys[b] - L keys, and `causal_offset` (ours) keys further. A
/// query that sees no key gives 0, with `has_nan_rows` (ours) NaN, as softmax does; `result_type` (ours)
/// is the result's type where it is not the operands'. `scores` shows the scores scaled (0),
/// capped (1), masked (2) or normalised (3). Shapes: query [B,H,L,D] or [B,L,H*D], key and value
/// alike with their own heads, past [B,heads,P,size], mask broadcast to [B,H,L,keys], num_keys [B].
/// Types: floats.   Source: ONNX Attention-24.
NEURONC_OP(attention) = {"attention",          "values weighted by the match of queries and keys",
                         "ONNX Attention-24",  kAttentionOperands,
                         kAttentionAttributes, kAttentionResults,
                         Trait::anchor,        Precision::statistic,
                         infer_attention,      evaluate_attention,
                         attention_flops};

/// Rotates pairs of the first `rotary_embedding_dim` (default all) numbers of each head by the
/// angle of the token's position: halves, or neighbours with `interleaved`. Shapes: x [B,H,L,D] or
/// [B,L,H*D]; cosines and sines [rows, dim/2] by positions [B,L], or [B,L,dim/2].   Types: floats.
/// Errors: a position beyond the rows. Source: ONNX RotaryEmbedding-23.
NEURONC_OP(rotary_embedding) = {"rotary_embedding",
                                "pairs rotated by their position",
                                "ONNX RotaryEmbedding-23",
                                kRotaryOperands,
                                kRotaryAttributes,
                                kRotaryResults,
                                Trait::none,
                                Precision::statistic,
                                infer_rotary,
                                evaluate_rotary,
                                flops_per_result<3>};

}  // namespace neuronc
