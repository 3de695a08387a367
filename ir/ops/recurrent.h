// What the recurrent operators share: their operands made uniform, and their activations. Private
// to ir/ops/.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/ops/common.h"

namespace neuronc::ops {

// An activation of a recurrent operator with its parameters.
struct Activation {
  enum class Kind : uint8_t {
    affine,
    elu,
    hard_sigmoid,
    leaky_relu,
    relu,
    scaled_tanh,
    sigmoid,
    softplus,
    softsign,
    tanh,
    thresholded_relu,
  };
  Kind kind = Kind::tanh;
  double alpha = 0;
  double beta = 0;

  double operator()(double x) const;
};

// The activations of all directions, in order; `defaults` are those of one direction.
OrRefusal<std::vector<Activation>> activations_of(const OpView& op, size_t num_directions,
                                                  std::span<const std::string_view> defaults);

// The extents and operands of one run, whatever the layout: x [T,B,I], states [D,B,H].
struct Recurrence {
  int64_t steps = 0, batch = 0, inputs = 0, hidden = 0, directions = 1, gates = 1;
  bool is_batch_first = false;
  double clip = 0;                    // 0: none
  std::vector<double> x, w, r, bias;  // bias [D,2*G*H], zeros where absent
  std::vector<int64_t> lengths;       // per batch entry

  // The input of direction `d` at its own step `t`, which runs backwards in a reverse direction.
  const double* input(int64_t d, int64_t t, int64_t b, bool is_reverse) const;
  bool is_reverse(const OpView& op, int64_t d) const;
  double clipped(double value) const;
  // W[gate] x + Wb[gate] for hidden unit `j`, and R[gate] h + Rb[gate].
  double input_part(int64_t d, int64_t gate, int64_t j, const double* input) const;
  double state_part(int64_t d, int64_t gate, int64_t j, const double* h) const;
};

// Operands 0 to 4: x, w, r, bias, sequence lengths.
OrRefusal<Recurrence> recurrence_of(const EvaluateInput& input, int64_t gates);
// Operand `i` as [D,B,H]; zeros where absent.
OrRefusal<std::vector<double>> initial_state(const EvaluateInput& input, const Recurrence& run,
                                             size_t i);

// The types of y, y_h (and y_c).
Types infer_recurrent(const InferInput& input, int64_t gates, size_t num_states);

// One step of direction `d` for batch entry `b`: reads x and changes its states, h first.
struct StepView {
  int64_t direction;
  const double* x;
  std::span<double> h;
  std::span<double> c;  // empty without a cell state
};
using Step = std::function<void(const StepView&)>;
// Runs `step` over all directions, steps and batch entries and makes the results; `states` are the
// initial ones as initial_state gives them.
Values run_recurrence(const EvaluateInput& input, const Recurrence& run,
                      std::vector<std::vector<double>> states, const Step& step);

inline constexpr AttributeSpec kActivationAlpha{"activation_alpha", AttributeKind::floats, "[]"};
inline constexpr AttributeSpec kActivationBeta{"activation_beta", AttributeKind::floats, "[]"};
inline constexpr AttributeSpec kActivations{"activations", AttributeKind::strings, "[]"};
inline constexpr AttributeSpec kClip{"clip", AttributeKind::f64, "0"};
inline constexpr AttributeSpec kDirection{"direction", AttributeKind::string, "\"forward\""};
inline constexpr AttributeSpec kHiddenSize{"hidden_size", AttributeKind::i64, ""};
inline constexpr AttributeSpec kLayout{"layout", AttributeKind::i64, "0"};

}  // namespace neuronc::ops
