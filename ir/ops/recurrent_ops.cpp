// The recurrent operators: simple, gated, and long short-term memory.
#include "ir/ops/recurrent.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kI32{DType::i32};
constexpr OperandSpec kRnnOperands[] = {{"x", kFloats, 'X'},
                                        {"w", kFloats, 'X'},
                                        {"r", kFloats, 'X'},
                                        {"bias", kFloats, 'T', Arity::optional},
                                        {"sequence_lengths", kI32, 0, Arity::optional},
                                        {"initial_h", kFloats, 'T', Arity::optional}};
constexpr OperandSpec kLstmOperands[] = {{"x", kFloats, 'X'},
                                         {"w", kFloats, 'X'},
                                         {"r", kFloats, 'X'},
                                         {"bias", kFloats, 'T', Arity::optional},
                                         {"sequence_lengths", kI32, 0, Arity::optional},
                                         {"initial_h", kFloats, 'T', Arity::optional},
                                         {"initial_c", kFloats, 'T', Arity::optional},
                                         {"peepholes", kFloats, 'T', Arity::optional}};
constexpr ResultSpec kRnnResults[] = {{"y", kFloats, 'T', Arity::optional},
                                      {"y_h", kFloats, 'T', Arity::optional}};
constexpr ResultSpec kLstmResults[] = {{"y", kFloats, 'T', Arity::optional},
                                       {"y_h", kFloats, 'T', Arity::optional},
                                       {"y_c", kFloats, 'T', Arity::optional}};
constexpr AttributeSpec kRnnAttributes[] = {
    kActivationAlpha, kActivationBeta, kActivations, kClip,
    kDirection,       kHiddenSize,     kLayout,      kResultType};
constexpr AttributeSpec kGruAttributes[] = {
    kActivationAlpha, kActivationBeta,
    kActivations,     kClip,
    kDirection,       kHiddenSize,
    kLayout,          {"linear_before_reset", AttributeKind::i64, "0"},
    kResultType};
constexpr AttributeSpec kLstmAttributes[] = {kActivationAlpha,
                                             kActivationBeta,
                                             kActivations,
                                             kClip,
                                             kDirection,
                                             kHiddenSize,
                                             {"input_forget", AttributeKind::i64, "0"},
                                             kLayout,
                                             kResultType};
constexpr std::string_view kRnnActivations[] = {"Tanh"};
constexpr std::string_view kGruActivations[] = {"Sigmoid", "Tanh"};
constexpr std::string_view kLstmActivations[] = {"Sigmoid", "Tanh", "Tanh"};

template <int64_t kGates, size_t kStates>
Types infer(const InferInput& input) {
  return infer_recurrent(input, kGates, kStates);
}

Values evaluate_rnn(const EvaluateInput& input) {
  NEURONC_TRY(actual_types(input));
  NEURONC_ASSIGN(const Recurrence run, recurrence_of(input, 1));
  NEURONC_ASSIGN(const auto f,
                 activations_of(input.op, static_cast<size_t>(run.directions), kRnnActivations));
  NEURONC_ASSIGN(std::vector<double> h0, initial_state(input, run, 5));
  std::vector<double> next(static_cast<size_t>(run.hidden));
  return run_recurrence(input, run, {std::move(h0)}, [&](const StepView& step) {
    const int64_t d = step.direction;
    for (int64_t j = 0; j < run.hidden; ++j) {
      next[static_cast<size_t>(j)] = f[static_cast<size_t>(d)](
          run.clipped(run.input_part(d, 0, j, step.x) + run.state_part(d, 0, j, step.h.data())));
    }
    std::copy(next.begin(), next.end(), step.h.begin());
  });
}

Values evaluate_gru(const EvaluateInput& input) {
  NEURONC_TRY(actual_types(input));
  NEURONC_ASSIGN(const Recurrence run, recurrence_of(input, 3));
  NEURONC_ASSIGN(const auto activations,
                 activations_of(input.op, static_cast<size_t>(run.directions), kGruActivations));
  NEURONC_ASSIGN(std::vector<double> h0, initial_state(input, run, 5));
  const bool resets_after = input.op.i64("linear_before_reset") != 0;
  const auto hidden = static_cast<size_t>(run.hidden);
  std::vector<double> z(hidden), reset(hidden), kept(hidden), next(hidden);
  return run_recurrence(input, run, {std::move(h0)}, [&](const StepView& step) {
    const int64_t d = step.direction;
    const Activation& f = activations[static_cast<size_t>(2 * d)];
    const Activation& g = activations[static_cast<size_t>(2 * d + 1)];
    const double* h = step.h.data();
    for (size_t j = 0; j < hidden; ++j) {
      const auto at = static_cast<int64_t>(j);
      z[j] = f(run.clipped(run.input_part(d, 0, at, step.x) + run.state_part(d, 0, at, h)));
      reset[j] = f(run.clipped(run.input_part(d, 1, at, step.x) + run.state_part(d, 1, at, h)));
      kept[j] = reset[j] * h[j];
    }
    for (size_t j = 0; j < hidden; ++j) {
      const auto at = static_cast<int64_t>(j);
      const double state = resets_after ? reset[j] * run.state_part(d, 2, at, h)
                                        : run.state_part(d, 2, at, kept.data());
      const double candidate = g(run.clipped(run.input_part(d, 2, at, step.x) + state));
      next[j] = (1 - z[j]) * candidate + z[j] * h[j];
    }
    std::copy(next.begin(), next.end(), step.h.begin());
  });
}

Values evaluate_lstm(const EvaluateInput& input) {
  NEURONC_TRY(actual_types(input));
  NEURONC_ASSIGN(const Recurrence run, recurrence_of(input, 4));
  NEURONC_ASSIGN(const auto activations,
                 activations_of(input.op, static_cast<size_t>(run.directions), kLstmActivations));
  NEURONC_ASSIGN(std::vector<double> h0, initial_state(input, run, 5));
  NEURONC_ASSIGN(std::vector<double> c0, initial_state(input, run, 6));
  const bool couples = input.op.i64("input_forget") != 0;
  const auto hidden = static_cast<size_t>(run.hidden);
  std::vector<double> peepholes(static_cast<size_t>(run.directions) * 3 * hidden, 0);
  if (input.has(7)) {
    if (input.tensor(7).num_elements() != static_cast<int64_t>(peepholes.size())) {
      return refuse("the peepholes do not have three numbers per hidden unit");
    }
    peepholes = doubles(input.tensor(7));
  }
  std::vector<double> next(hidden);
  return run_recurrence(input, run, {std::move(h0), std::move(c0)}, [&](const StepView& step) {
    const int64_t d = step.direction;
    const Activation* act = activations.data() + 3 * d;
    // Peepholes stand in the order input, output, forget.
    const double* peep = peepholes.data() + 3 * d * run.hidden;
    for (size_t j = 0; j < hidden; ++j) {
      const auto at = static_cast<int64_t>(j);
      const auto gate = [&](int64_t index) {
        return run.input_part(d, index, at, step.x) + run.state_part(d, index, at, step.h.data());
      };
      const double old = step.c[j];
      const double i = act[0](run.clipped(gate(0) + peep[j] * old));
      const double f = couples ? 1 - i : act[0](run.clipped(gate(2) + peep[2 * hidden + j] * old));
      const double candidate = act[1](run.clipped(gate(3)));
      const double cell = f * old + i * candidate;
      const double o = act[0](run.clipped(gate(1) + peep[hidden + j] * cell));
      step.c[j] = cell;
      next[j] = o * act[2](cell);
    }
    std::copy(next.begin(), next.end(), step.h.begin());
  });
}

double recurrent_flops(const OpView&, std::span<const Type> operands, std::span<const Type>) {
  const Type& x = operands[0];
  if (!x.is_static() || x.rank() != 3) return 0;
  const auto steps = static_cast<double>(x.dims[0].number() * x.dims[1].number());
  return 2 * steps * (num_elements_of(operands[1]) + num_elements_of(operands[2]));
}

}  // namespace

// Shapes, for layout 0: x [T,B,I], w [D,G*H,I], r [D,G*H,H], bias [D,2*G*H] (of w, then of r),
// sequence_lengths [B], initial states [D,B,H], y [T,D,B,H], y_h and y_c [D,B,H]; layout 1 puts B
// first. D is 2 for direction "bidirectional". Beyond an entry's length y is 0 and the states stay.
// `clip` bounds what goes into the activations; wX is w x + its bias, rH is r h + its bias.
// Types: floats; x, w and r may be narrower than the rest, the state between steps is as wide as
// the results. Accumulates in f32 or more.

/// h = f(wX + rH).   Source: ONNX RNN-22.
NEURONC_OP(rnn) = {"rnn",          "a simple recurrent layer",
                   "ONNX RNN-22",  kRnnOperands,
                   kRnnAttributes, kRnnResults,
                   Trait::anchor,  Precision::matmul,
                   infer<1, 1>,    evaluate_rnn,
                   recurrent_flops};

/// z = f(wX + rH), r = f(wX + rH), n = g(wX + r o h), h = (1 - z) * n + z * h, gates in the order
/// z, r, n; with `linear_before_reset` n = g(wX + r * rH).   Source: ONNX GRU-22.
NEURONC_OP(gru) = {"gru",          "a gated recurrent layer",
                   "ONNX GRU-22",  kRnnOperands,
                   kGruAttributes, kRnnResults,
                   Trait::anchor,  Precision::matmul,
                   infer<3, 1>,    evaluate_gru,
                   recurrent_flops};

/// i, o, f = f(wX + rH + peephole * c), n = g(wX + rH), c = f * c + i * n, h = o * h(c), gates in
/// the order i, o, f, n; the peephole of o sees the new c. With `input_forget` f = 1 - i. Source:
/// ONNX LSTM-22.
NEURONC_OP(lstm) = {"lstm",          "a long short-term memory layer",
                    "ONNX LSTM-22",  kLstmOperands,
                    kLstmAttributes, kLstmResults,
                    Trait::anchor,   Precision::matmul,
                    infer<4, 2>,     evaluate_lstm,
                    recurrent_flops};

}  // namespace neuronc
