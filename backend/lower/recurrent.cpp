// Lowerings of the recurrent operators with their usual activations and constant weights: steps in
// sequence, lanes along hidden units. Weights are packed so that one row has all gates of a unit
// side by side: w [D, I, gates, H], r [D, H, gates, H], hidden units padded to whole vectors.
#include <algorithm>

#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"
#include "ir/base/check.h"
#include "ir/kernel/math.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;
namespace math = kernel::math;

constexpr size_t kBias = 3, kLengths = 4, kInitialH = 5, kInitialC = 6, kPeepholes = 7;

int64_t num_gates(Op op) { return op == Op::lstm ? 4 : op == Op::gru ? 3 : 1; }

class Recurrence {
 public:
  Recurrence(GroupEmitter& e, const Node& node)
      : e_(e),
        b_(e.builder()),
        node_(node),
        gates_(num_gates(node.op)),
        lanes_(e.vector_lanes(DType::f32)) {
    const std::vector<int64_t> x = e.shape(node.operands[0]), w = e.shape(node.operands[1]);
    steps_ = x[0];
    batch_ = x[1];
    inputs_ = x[2];
    directions_ = w[0];
    hidden_ = w[1] / gates_;
    padded_ = (hidden_ + lanes_ - 1) / lanes_ * lanes_;
    w_ = e.packed_buffer("w", pack(*e.constant_of(node.operands[1]), inputs_));
    r_ = e.packed_buffer("r", pack(*e.constant_of(node.operands[2]), hidden_));
    bias_ = e.packed_buffer("b", pack_bias());
    for (BufferId* buffer : {&h_, &next_, &c_, &update_, &kept_, &candidate_}) {
      *buffer = b_.local("state", DType::f32, {padded_});
    }
  }

  void run() {
    for (int64_t d = 0; d < directions_; ++d) {
      e_.loop({0, batch_, 1}, [&](Index entry) { run_direction(d, entry); });
    }
  }

 private:
  // Constant weights [D, gates * H, K] as [D, K, gates, padded].
  Tensor pack(const Tensor& weights, int64_t depth) const {
    Tensor packed = Tensor::zeros(DType::f32, {directions_, depth, gates_, padded_});
    float* to = packed.mutable_as<float>().data();
    for (int64_t d = 0; d < directions_; ++d) {
      for (int64_t row = 0; row < gates_ * hidden_; ++row) {
        const int64_t gate = row / hidden_, unit = row % hidden_;
        for (int64_t k = 0; k < depth; ++k) {
          to[((d * depth + k) * gates_ + gate) * padded_ + unit] =
              static_cast<float>(weights.f64((d * gates_ * hidden_ + row) * depth + k));
        }
      }
    }
    return packed;
  }

  // Both biases of a gate added; those of the state for the last gate of gru apart, at `gates`.
  Tensor pack_bias() const {
    Tensor packed = Tensor::zeros(DType::f32, {directions_, gates_ + 1, padded_});
    if (!node_.has_operand(kBias)) return packed;
    const Tensor& bias = *e_.constant_of(node_.operands[kBias]);
    float* to = packed.mutable_as<float>().data();
    for (int64_t d = 0; d < directions_; ++d) {
      for (int64_t row = 0; row < gates_ * hidden_; ++row) {
        const int64_t gate = row / hidden_, unit = row % hidden_;
        const int64_t from = d * 2 * gates_ * hidden_ + row;
        const auto of_input = static_cast<float>(bias.f64(from));
        const auto of_state = static_cast<float>(bias.f64(from + gates_ * hidden_));
        const bool is_apart = node_.op == Op::gru && gate == 2;
        to[(d * (gates_ + 1) + gate) * padded_ + unit] = is_apart ? of_input : of_input + of_state;
        if (is_apart) to[(d * (gates_ + 1) + gates_) * padded_ + unit] = of_state;
      }
    }
    return packed;
  }

  void run_direction(int64_t d, Index entry) {
    load_state(kInitialH, h_, d, entry);
    if (node_.op == Op::lstm) load_state(kInitialC, c_, d, entry);
    const std::string& direction = node_.view().string("direction");
    const bool is_reverse = direction == "reverse" || d == 1;
    e_.loop({0, steps_, 1}, [&](Index s) {
      const Index t = is_reverse ? Index(steps_ - 1) - s : s;
      if (node_.op == Op::lstm) {
        lstm_step(d, entry, t);
      } else if (node_.op == Op::gru) {
        gru_step(d, entry, t);
      } else {
        rnn_step(d, entry, t);
      }
      units([&](Index j) { b_.store(h_, {j}, b_.load(next_, {j}, lanes_)); });
      store_result(0, {t, Index(d), entry}, h_);
    });
    store_result(1, {Index(d), entry}, h_);
    if (node_.op == Op::lstm) store_result(2, {Index(d), entry}, c_);
  }

  // Initial states, or zeros; padding is zero.
  void load_state(size_t operand, BufferId state, int64_t d, Index entry) {
    units([&](Index j) { b_.store(state, {j}, b_.zero({DType::f32, lanes_})); });
    if (!node_.has_operand(operand)) return;
    e_.loop({0, hidden_, 1}, [&](Index j) {
      b_.store(state, {j},
               e_.pull(node_.operands[operand], LaneIndex::scalar({Index(d), entry, j})));
    });
  }

  void units(const std::function<void(Index)>& body) { e_.loop({0, padded_, lanes_}, body); }

  // Result `i` of the operator, if it has one.
  void store_result(size_t i, std::vector<Index> dims, BufferId state) {
    if (i >= node_.results.size()) return;
    const size_t unit = dims.size();
    dims.emplace_back(0);
    const int64_t whole = hidden_ / lanes_ * lanes_;
    const auto store = [&](Index j, int active) {
      dims[unit] = j;
      e_.store_anchor_result(node_, i, LaneIndex::along(dims, unit, lanes_, active),
                             b_.load(state, {j}, lanes_));
    };
    if (whole > 0) e_.loop({0, whole, lanes_}, [&](Index j) { store(j, lanes_); });
    if (whole < hidden_) store(Index(whole), static_cast<int>(hidden_ - whole));
  }

  Register bias(int64_t d, int64_t gate, Index j) {
    return b_.load(bias_, {Index(d), Index(gate), j}, lanes_);
  }

  // Adds weights * vector for gates [first, first + sums.size()) of the units from j on.
  Values add_products(BufferId weights, int64_t d, int64_t first, int64_t depth, Index j,
                      const Values& sums, const std::function<Register(Index)>& element) {
    return e_.loop({0, depth, 1}, sums, [&](Index k, std::span<const Register> carried) {
      const Register x = b_.splat(element(k), lanes_);
      Values next;
      for (size_t g = 0; g < carried.size(); ++g) {
        const Index gate(first + static_cast<int64_t>(g));
        next.push_back(b_.fma(x, b_.load(weights, {Index(d), k, gate, j}, lanes_), carried[g]));
      }
      return next;
    });
  }

  Values add_input(int64_t d, Index entry, Index t, Index j, const Values& sums) {
    return add_products(w_, d, 0, inputs_, j, sums, [&](Index k) {
      return e_.pull(node_.operands[0], LaneIndex::scalar({t, entry, k}));
    });
  }

  Values add_state(BufferId state, int64_t d, int64_t first, Index j, const Values& sums) {
    return add_products(r_, d, first, hidden_, j, sums,
                        [&](Index k) { return b_.load(state, {k}); });
  }

  Values biases(int64_t d, Index j) {
    Values sums;
    for (int64_t gate = 0; gate < gates_; ++gate) sums.push_back(bias(d, gate, j));
    return sums;
  }

  void rnn_step(int64_t d, Index entry, Index t) {
    units([&](Index j) {
      const Values sums = add_state(h_, d, 0, j, add_input(d, entry, t, j, biases(d, j)));
      b_.store(next_, {j}, math::tanh(b_, sums[0]));
    });
  }

  // Gates in the order input, output, forget, cell.
  void lstm_step(int64_t d, Index entry, Index t) {
    units([&](Index j) {
      const Values sums = add_state(h_, d, 0, j, add_input(d, entry, t, j, biases(d, j)));
      const Register input = math::sigmoid(b_, sums[0]);
      const Register output = math::sigmoid(b_, sums[1]);
      const Register forget = math::sigmoid(b_, sums[2]);
      const Register old = b_.load(c_, {j}, lanes_);
      const Register cell = b_.add(b_.mul(forget, old), b_.mul(input, math::tanh(b_, sums[3])));
      b_.store(c_, {j}, cell);
      b_.store(next_, {j}, b_.mul(output, math::tanh(b_, cell)));
    });
  }

  // (1 - z) * candidate + z * h
  Register blend(Register z, Register candidate, Register h) {
    return b_.add(b_.mul(b_.sub(b_.f32(1, lanes_), z), candidate), b_.mul(z, h));
  }

  // Gates in the order update, reset, candidate.
  void gru_step(int64_t d, Index entry, Index t) {
    const bool resets_after = node_.view().i64("linear_before_reset") != 0;
    units([&](Index j) {
      const Values inputs = add_input(d, entry, t, j, biases(d, j));
      const Register h = b_.load(h_, {j}, lanes_);
      if (resets_after) {
        const Values sums = add_state(h_, d, 0, j, {inputs[0], inputs[1], bias(d, gates_, j)});
        const Register z = math::sigmoid(b_, sums[0]), reset = math::sigmoid(b_, sums[1]);
        const Register candidate = math::tanh(b_, b_.add(inputs[2], b_.mul(reset, sums[2])));
        b_.store(next_, {j}, blend(z, candidate, h));
        return;
      }
      const Values sums = add_state(h_, d, 0, j, {inputs[0], inputs[1]});
      b_.store(update_, {j}, math::sigmoid(b_, sums[0]));
      b_.store(kept_, {j}, b_.mul(math::sigmoid(b_, sums[1]), h));
      b_.store(candidate_, {j}, b_.add(inputs[2], bias(d, gates_, j)));
    });
    if (resets_after) return;
    units([&](Index j) {
      const Values sums = add_state(kept_, d, 2, j, {b_.load(candidate_, {j}, lanes_)});
      b_.store(
          next_, {j},
          blend(b_.load(update_, {j}, lanes_), math::tanh(b_, sums[0]), b_.load(h_, {j}, lanes_)));
    });
  }

  GroupEmitter& e_;
  Builder& b_;
  const Node& node_;
  int64_t gates_;
  int lanes_;
  int64_t steps_ = 0, batch_ = 0, inputs_ = 0, hidden_ = 0, directions_ = 1, padded_ = 0;
  BufferId w_, r_, bias_, h_, next_, c_, update_, kept_, candidate_;
};

void nest_recurrent(GroupEmitter& e, const Node& node) { Recurrence(e, node).run(); }

// The state goes from step to step: there is nothing to share among cores.
int64_t one_tile(const Graph&, const Node&) { return 1; }

bool has_usual_activations(const Node& node) {
  const auto& names = std::get<std::vector<std::string>>(node.view().attribute("activations"));
  const std::vector<std::string> usual =
      node.op == Op::lstm  ? std::vector<std::string>{"Sigmoid", "Tanh", "Tanh"}
      : node.op == Op::gru ? std::vector<std::string>{"Sigmoid", "Tanh"}
                           : std::vector<std::string>{"Tanh"};
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] != usual[i % usual.size()]) return false;
  }
  return true;
}

OrRefusal<void> accepts_recurrent(const Module& module, const Graph& graph, const Node& node) {
  if (graph.type(node.operands[0]).dtype != DType::f32) return refuse("it is not of f32");
  for (size_t i : {size_t{1}, size_t{2}, kBias}) {
    if (node.has_operand(i) && module.constant_of(graph, node.operands[i]) == nullptr) {
      return refuse("its weights are not constant");
    }
  }
  if (node.has_operand(kLengths)) return refuse("its sequences have lengths of their own");
  if (node.has_operand(kPeepholes)) return refuse("it has peepholes");
  if (!has_usual_activations(node)) return refuse("its activations are not the usual ones");
  const OpView op = node.view();
  if (op.i64("layout") != 0) return refuse("its layout puts batches first");
  if (op.has("clip") && op.f64("clip") != 0) return refuse("it clips its gates");
  if (node.op == Op::lstm && op.i64("input_forget") != 0) return refuse("it couples two gates");
  if (graph.type(node.operands[1]).shape()[1] > 4096 * num_gates(node.op)) {
    return refuse("it has more than 4096 hidden units");
  }
  return {};
}

}  // namespace

void add_recurrent_lowerings(LoweringTable& t) {
  for (Op op : {Op::rnn, Op::gru, Op::lstm}) {
    row(t, op) = {nullptr, nest_recurrent, one_tile, accepts_recurrent};
  }
}

}  // namespace neuronc
