// Implements ir/ops/recurrent.h.
#include "ir/ops/recurrent.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ir/graph.h"
#include "ir/ops/scalar_math.h"

namespace neuronc::ops {

// ---- activations

double Activation::operator()(double x) const {
  switch (kind) {
    case Kind::affine:
      return alpha * x + beta;
    case Kind::elu:
      return x < 0 ? alpha * math::expm1(x) : x;
    case Kind::hard_sigmoid:
      return std::min(std::max(alpha * x + beta, 0.0), 1.0);
    case Kind::leaky_relu:
      return x < 0 ? alpha * x : x;
    case Kind::relu:
      return std::max(x, 0.0);
    case Kind::scaled_tanh:
      return alpha * math::tanh(beta * x);
    case Kind::sigmoid:
      return math::sigmoid(x);
    case Kind::softplus:
      return math::softplus(x);
    case Kind::softsign:
      return x / (1 + std::fabs(x));
    case Kind::tanh:
      return math::tanh(x);
    case Kind::thresholded_relu:
      return x > alpha ? x : 0;
  }
  return x;
}

namespace {

struct ActivationInfo {
  std::string_view name;  // in lower case
  Activation::Kind kind;
  double alpha = 0;
  double beta = 0;
  int num_parameters = 0;
};
constexpr ActivationInfo kInfos[] = {
    {"affine", Activation::Kind::affine, 1, 0, 2},
    {"elu", Activation::Kind::elu, 1, 0, 1},
    {"hardsigmoid", Activation::Kind::hard_sigmoid, 0.2, 0.5, 2},
    {"leakyrelu", Activation::Kind::leaky_relu, 0.01, 0, 1},
    {"relu", Activation::Kind::relu},
    {"scaledtanh", Activation::Kind::scaled_tanh, 1, 1, 2},
    {"sigmoid", Activation::Kind::sigmoid},
    {"softplus", Activation::Kind::softplus},
    {"softsign", Activation::Kind::softsign},
    {"tanh", Activation::Kind::tanh},
    {"thresholdedrelu", Activation::Kind::thresholded_relu, 1, 0, 1},
};

const ActivationInfo* find_activation(std::string_view name) {
  std::string lower;
  for (char c : name) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  for (const ActivationInfo& info : kInfos) {
    if (info.name == lower) return &info;
  }
  return nullptr;
}

}  // namespace

OrRefusal<std::vector<Activation>> activations_of(const OpView& op, size_t num_directions,
                                                  std::span<const std::string_view> defaults) {
  const auto& given = std::get<std::vector<std::string>>(op.attribute("activations"));
  const std::vector<double>& alphas = op.floats("activation_alpha");
  const std::vector<double>& betas = op.floats("activation_beta");
  const size_t count = num_directions * defaults.size();
  if (!given.empty() && given.size() != count) {
    return refuse(fmt::format("{} activations are given, {} are needed", given.size(), count));
  }
  // Parameters are listed for those activations alone that have them.
  size_t next_alpha = 0;
  size_t next_beta = 0;
  std::vector<Activation> activations;
  for (size_t i = 0; i < count; ++i) {
    const std::string_view name = given.empty() ? defaults[i % defaults.size()] : given[i];
    const ActivationInfo* info = find_activation(name);
    if (info == nullptr) return refuse(fmt::format("the activation `{}` is not known", name));
    Activation activation{info->kind, info->alpha, info->beta};
    if (info->num_parameters > 0 && next_alpha < alphas.size()) {
      activation.alpha = alphas[next_alpha++];
    }
    if (info->num_parameters > 1 && next_beta < betas.size()) activation.beta = betas[next_beta++];
    activations.push_back(activation);
  }
  return activations;
}

// ---- types

namespace {

OrRefusal<int64_t> num_directions(const OpView& op) {
  const std::string& direction = op.string("direction");
  if (direction == "bidirectional") return 2;
  if (direction == "forward" || direction == "reverse") return 1;
  return refuse(fmt::format("`direction` is `{}`", direction));
}

// Of results, bias and states.
OrRefusal<DType> result_dtype(const InferInput& input) {
  const DType own = input.operands[0].dtype;
  const DType dtype = input.op.has("result_type") ? input.op.dtype("result_type") : own;
  if (dtype != own && (!kFloats.contains(own) || !kFloats.contains(dtype))) {
    return refuse(fmt::format("`result_type` is {}, the operands are {}", name(dtype), name(own)));
  }
  for (const size_t i : {size_t{3}, size_t{5}, size_t{6}, size_t{7}}) {
    if (!input.has(i) || input.operands[i].dtype == dtype) continue;
    return refuse(fmt::format("bias and states are {}, but {} is needed",
                              name(input.operands[i].dtype), name(dtype)));
  }
  return dtype;
}

}  // namespace

Types infer_recurrent(const InferInput& input, int64_t gates, size_t num_states) {
  const Type& x = input.operands[0];
  const Type& r = input.operands[2];
  NEURONC_ASSIGN(const int64_t directions, num_directions(input.op));
  const bool is_batch_first = input.op.i64("layout") != 0;
  Dim steps;
  Dim batch;
  Dim hidden;
  if (input.op.has("hidden_size")) {
    const int64_t given = input.op.i64("hidden_size");
    const bool fits =
        !r.is_ranked || r.rank() != 3 || !r.dims[2].is_number() || r.dims[2].number() == given;
    if (!fits || given < 0) {
      return refuse(
          fmt::format("`hidden_size` is {}, but the recurrent weights are {}", given, to_text(r)));
    }
    hidden = given;
  }
  if (x.is_ranked) {
    if (x.rank() != 3) return refuse("`x` is not of rank 3");
    steps = x.dims[is_batch_first ? 1 : 0];
    batch = x.dims[is_batch_first ? 0 : 1];
  }
  for (size_t i = 1; i < 3; ++i) {
    const Type& weights = input.operands[i];
    if (!weights.is_ranked) continue;
    if (weights.rank() != 3) return refuse("the weights are not of rank 3");
    NEURONC_TRY(same_dim(weights.dims[0], Dim(directions), "the number of directions"));
  }
  if (r.is_ranked) {
    NEURONC_ASSIGN(hidden, same_dim(r.dims[2], hidden, "the number of hidden units"));
    if (hidden.is_number()) {
      const Dim rows = hidden.number() * gates;
      NEURONC_TRY(same_dim(r.dims[1], rows, "the number of gate rows"));
      if (input.operands[1].is_ranked) {
        NEURONC_TRY(same_dim(input.operands[1].dims[1], rows, "the number of gate rows"));
      }
    }
  }
  if (x.is_ranked && input.operands[1].is_ranked) {
    NEURONC_TRY(same_dim(x.dims[2], input.operands[1].dims[2], "the number of inputs"));
  }
  NEURONC_ASSIGN(const DType dtype, result_dtype(input));
  const Dim d = directions;
  std::vector<Type> types;
  types.push_back(is_batch_first ? ranked(dtype, {batch, steps, d, hidden})
                                 : ranked(dtype, {steps, d, batch, hidden}));
  for (size_t i = 0; i < num_states; ++i) {
    types.push_back(is_batch_first ? ranked(dtype, {batch, d, hidden})
                                   : ranked(dtype, {d, batch, hidden}));
  }
  types.resize(std::min(types.size(), input.num_results));
  return types;
}

// ---- operands

namespace {

// [B,T,K] made [T,B,K], or back.
std::vector<double> swapped(const std::vector<double>& values, int64_t a, int64_t b, int64_t k) {
  std::vector<double> result(values.size());
  for (int64_t i = 0; i < a; ++i) {
    for (int64_t j = 0; j < b; ++j) {
      std::copy_n(values.begin() + (i * b + j) * k, k, result.begin() + (j * a + i) * k);
    }
  }
  return result;
}

}  // namespace

const double* Recurrence::input(int64_t d, int64_t t, int64_t b, bool is_reverse) const {
  const int64_t at = is_reverse ? lengths[static_cast<size_t>(b)] - 1 - t : t;
  return x.data() + (at * batch + b) * inputs;
}

bool Recurrence::is_reverse(const OpView& op, int64_t d) const {
  return d == 1 || op.string("direction") == "reverse";
}

double Recurrence::clipped(double value) const {
  return clip > 0 ? std::clamp(value, -clip, clip) : value;
}

double Recurrence::input_part(int64_t d, int64_t gate, int64_t j, const double* input) const {
  const int64_t row = gate * hidden + j;
  double sum = bias[static_cast<size_t>(d * 2 * gates * hidden + row)];
  const double* weights = w.data() + (d * gates * hidden + row) * inputs;
  for (int64_t i = 0; i < inputs; ++i) sum += weights[i] * input[i];
  return sum;
}

double Recurrence::state_part(int64_t d, int64_t gate, int64_t j, const double* h) const {
  const int64_t row = gate * hidden + j;
  double sum = bias[static_cast<size_t>((d * 2 + 1) * gates * hidden + row)];
  const double* weights = r.data() + (d * gates * hidden + row) * hidden;
  for (int64_t i = 0; i < hidden; ++i) sum += weights[i] * h[i];
  return sum;
}

OrRefusal<Recurrence> recurrence_of(const EvaluateInput& input, int64_t gates) {
  Recurrence run;
  const Shape& x_shape = input.tensor(0).shape();
  run.is_batch_first = input.op.i64("layout") != 0;
  run.steps = x_shape[run.is_batch_first ? 1 : 0];
  run.batch = x_shape[run.is_batch_first ? 0 : 1];
  run.inputs = x_shape[2];
  run.hidden = input.tensor(2).shape()[2];
  run.directions = input.tensor(2).shape()[0];
  run.gates = gates;
  run.clip = input.op.f64("clip");
  run.x = doubles(input.tensor(0));
  if (run.is_batch_first) run.x = swapped(run.x, run.batch, run.steps, run.inputs);
  run.w = doubles(input.tensor(1));
  run.r = doubles(input.tensor(2));
  run.bias.assign(static_cast<size_t>(run.directions * 2 * gates * run.hidden), 0);
  if (input.has(3)) {
    if (input.tensor(3).num_elements() != static_cast<int64_t>(run.bias.size())) {
      return refuse("the bias does not have two numbers per gate row");
    }
    run.bias = doubles(input.tensor(3));
  }
  run.lengths.assign(static_cast<size_t>(run.batch), run.steps);
  if (input.has(4)) {
    run.lengths = ints(input.tensor(4));
    bool fits = static_cast<int64_t>(run.lengths.size()) == run.batch;
    for (int64_t length : run.lengths) fits = fits && length >= 0 && length <= run.steps;
    if (!fits) return refuse("the sequence lengths do not fit the input");
  }
  return run;
}

OrRefusal<std::vector<double>> initial_state(const EvaluateInput& input, const Recurrence& run,
                                             size_t i) {
  const int64_t count = run.directions * run.batch * run.hidden;
  if (!input.has(i)) return std::vector<double>(static_cast<size_t>(count), 0);
  if (input.tensor(i).num_elements() != count) return refuse("an initial state has another shape");
  std::vector<double> state = doubles(input.tensor(i));
  return run.is_batch_first ? swapped(state, run.batch, run.directions, run.hidden) : state;
}

Values run_recurrence(const EvaluateInput& input, const Recurrence& run,
                      std::vector<std::vector<double>> states, const Step& step) {
  NEURONC_ASSIGN(const std::vector<Type> types, actual_types(input));
  const DType dtype = types.empty() ? DType::f32 : types[0].dtype;
  const auto hidden = static_cast<size_t>(run.hidden);
  std::vector<double> y(static_cast<size_t>(run.steps * run.directions * run.batch) * hidden, 0);
  for (int64_t d = 0; d < run.directions; ++d) {
    const bool is_reverse = run.is_reverse(input.op, d);
    for (int64_t b = 0; b < run.batch; ++b) {
      const auto at = static_cast<size_t>(d * run.batch + b) * hidden;
      const auto state = [&](size_t i) {
        return i < states.size() ? std::span(states[i]).subspan(at, hidden) : std::span<double>();
      };
      const int64_t length = run.lengths[static_cast<size_t>(b)];
      for (int64_t t = 0; t < length; ++t) {
        step({d, run.input(d, t, b, is_reverse), state(0), state(1)});
        const int64_t out = is_reverse ? length - 1 - t : t;
        std::copy_n(state(0).begin(), hidden,
                    y.begin() + ((out * run.directions + d) * run.batch + b) * run.hidden);
      }
    }
  }
  if (run.is_batch_first) {
    // [T,D,B,H] to [B,T,D,H].
    y = swapped(y, run.steps * run.directions, run.batch, run.hidden);
    for (auto& state : states) state = swapped(state, run.directions, run.batch, run.hidden);
  }
  std::vector<HostValue> results;
  for (size_t i = 0; i < types.size(); ++i) {
    results.emplace_back(from_doubles(dtype, types[i].shape(), i == 0 ? y : states[i - 1]));
  }
  return results;
}

}  // namespace neuronc::ops
