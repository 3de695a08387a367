// Recurrent layers as products: the input half for many steps at once, the state half step by step.
//
//   for chunk of steps:  gates[step, entry] = x[step, entry] * w + biases        one product
//     for step:          next = activations(gates[step] + h * r)                 fused, unit by unit
//
// Columns of w and r are ordered (block of 16 units, gate, unit), a panel each, so that a run of
// units has all its gates in registers when its sums are complete and r streams through the core
// once per step. The state between steps is f32 whatever the weights are. Tiles are directions.
#include <fmt/format.h>

#include <algorithm>

#include "backend/lower/lanes.h"
#include "backend/variants/product/blocks.h"
#include "backend/variants/product/pack.h"
#include "backend/variants/variant.h"
#include "ir/kernel/math.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;
namespace math = kernel::math;

constexpr size_t kBias = 3, kInitialH = 5, kInitialC = 6;
// The gates of a chunk: they stay in the second level of cache between the two halves.
constexpr int64_t kChunkBytes = 512 * 1024;

int64_t num_gates(Op op) { return op == Op::lstm ? 4 : op == Op::gru ? 3 : 1; }

struct Plan {
  Op op = Op::lstm;
  int64_t steps = 0, batch = 0, inputs = 0, hidden = 0, directions = 1, gates = 1;
  int64_t padded = 0;  // hidden units in whole panels
  int64_t chunk = 1;   // steps whose input half is computed at once
  ProductStep input_step, state_step;
  int lanes = 8;
  int rows = 1, vectors = 1;  // batch entries and runs of units at a time in the state half

  int64_t columns() const { return gates * padded; }
};

// Accumulators of all gates stay in registers beside r, what is spread and a spare.
void choose_state_tile(const Machine& machine, Plan& plan) {
  const auto room = (machine.isa.num_vector_registers - 6) / static_cast<int>(plan.gates);
  const bool is_even = plan.padded / plan.lanes % 2 == 0;
  plan.vectors = plan.batch == 1 && is_even && room >= 2 ? 2 : 1;
  const int most = std::max(room / plan.vectors, 1);
  const int64_t tiles = (plan.batch + most - 1) / most;
  plan.rows = static_cast<int>((plan.batch + tiles - 1) / tiles);
}

OrRefusal<Plan> make_plan(const GroupContext& context) {
  Plan plan;
  const Node& node = context.anchor_node();
  const std::vector<int64_t> x = context.operand_shape(0), w = context.operand_shape(1);
  plan.op = node.op;
  plan.steps = x[0];
  plan.batch = x[1];
  plan.inputs = x[2];
  plan.directions = w[0];
  plan.gates = num_gates(node.op);
  plan.hidden = w[1] / plan.gates;
  if (num_elements(x) == 0 || plan.hidden == 0) return refuse("it has no elements");
  for (const size_t i : {size_t{1}, size_t{2}, kBias}) {
    if (node.has_operand(i) && context.constant_operand(i) == nullptr) {
      return refuse("its weights are not constant");
    }
  }
  NEURONC_ASSIGN(plan.input_step,
                 choose_step(context.machine, context.operand_dtype(0), context.operand_dtype(1)));
  NEURONC_ASSIGN(plan.state_step,
                 choose_step(context.machine, DType::f32, context.operand_dtype(2)));
  plan.lanes = context.machine.lanes(4);
  plan.padded = (plan.hidden + kPanelColumns - 1) / kPanelColumns * kPanelColumns;
  plan.chunk = std::clamp<int64_t>(kChunkBytes / (plan.batch * plan.columns() * 4), 1, plan.steps);
  choose_state_tile(context.machine, plan);
  return plan;
}

// Constant weights [D, gates * H, K] as the panels of all directions.
Tensor pack(const Plan& plan, const Tensor& weights, int64_t depth) {
  const KLoops k{{}, depth};
  Tensor joined;
  // The one element behind the weights stands for units that do not exist.
  Tensor extended = Tensor::zeros(weights.dtype(), {weights.num_elements() + 1});
  std::copy_n(weights.data(), weights.size_bytes(), extended.mutable_data());
  for (int64_t d = 0; d < plan.directions; ++d) {
    const Tensor part = pack_panels(extended, k, plan.columns(), [&](int64_t i, int64_t column) {
      const int64_t panel = column / kPanelColumns;
      const int64_t gate = panel % plan.gates;
      const int64_t unit = panel / plan.gates * kPanelColumns + column % kPanelColumns;
      if (unit >= plan.hidden) return weights.num_elements();
      return ((d * plan.gates + gate) * plan.hidden + unit) * depth + i;
    });
    if (plan.directions == 1) return part;
    if (d == 0) {
      std::vector<int64_t> shape = part.shape();
      shape[0] *= plan.directions;
      joined = Tensor::zeros(part.dtype(), shape);
    }
    std::copy_n(part.data(), part.size_bytes(), joined.mutable_data() + d * part.size_bytes());
  }
  return joined;
}

// [D, 2, columns]: the biases of input and state; those of the state are added to the others
// wherever the state half is added as it is.
Tensor pack_bias(const Plan& plan, const Node& node, const Tensor* bias) {
  Tensor packed = Tensor::zeros(DType::f32, {plan.directions, 2, plan.columns()});
  if (bias == nullptr) return packed;
  float* to = packed.mutable_as<float>().data();
  const int64_t rows = plan.gates * plan.hidden;
  const bool resets_after = node.op == Op::gru && node.view().i64("linear_before_reset") != 0;
  for (int64_t d = 0; d < plan.directions; ++d) {
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t gate = row / plan.hidden, unit = row % plan.hidden;
      const int64_t column =
          (unit / kPanelColumns * plan.gates + gate) * kPanelColumns + unit % kPanelColumns;
      const auto of_input = static_cast<float>(bias->f64(d * 2 * rows + row));
      const auto of_state = static_cast<float>(bias->f64((d * 2 + 1) * rows + row));
      const bool is_apart = resets_after && gate == 2;
      to[d * 2 * plan.columns() + column] = is_apart ? of_input : of_input + of_state;
      if (is_apart) to[(d * 2 + 1) * plan.columns() + column] = of_state;
    }
  }
  return packed;
}

// A run of hidden units, told by its panel, so that index proofs see where it ends.
struct Units {
  Index panel, offset;
  Index first() const { return panel * kPanelColumns + offset; }
};

class Emitter {
 public:
  Emitter(GroupEmitter& e, const GroupContext& context, const Plan& plan)
      : e_(e), b_(e.builder()), node_(context.anchor_node()), plan_(plan) {
    const Tensor &w = *context.constant_operand(1), &r = *context.constant_operand(2);
    const auto packed = [&](const char* name, const Tensor& weights, int64_t depth) {
      const std::string form =
          fmt::format("recurrent {} {} {}", plan.gates, plan.directions, plan.padded);
      return e.packed_buffer(name, context.machine.packs->get(
                                       weights, form, [&] { return pack(plan, weights, depth); }));
    };
    w_ = packed("w", w, plan.inputs);
    r_ = packed("r", r, plan.hidden);
    bias_ = e.packed_buffer("b", pack_bias(plan, node_, context.constant_operand(kBias)));
    gates_ = e.workspace("gates", DType::f32, {plan.chunk * plan.batch, plan.columns()});
    const std::vector<int64_t> state{plan.batch, plan.padded};
    h_ = e.workspace("h", DType::f32, state);
    next_ = e.workspace("next", DType::f32, state);
    if (plan.op == Op::lstm) c_ = e.workspace("c", DType::f32, state);
    if (plan.op == Op::gru) {
      kept_ = e.workspace("kept", DType::f32, state);
      update_ = e.workspace("update", DType::f32, state);
    }
  }

  void run() {
    const Index tile = plan_.directions > 1 ? b_.tile() : Index(0);
    for (int64_t d = 0; d < plan_.directions; ++d) {
      e_.when({{tile, d, d + 1}}, [&] { run_direction(d); });
    }
  }

 private:
  void run_direction(int64_t d) {
    direction_ = d;
    is_reverse_ = node_.view().string("direction") == "reverse" || d == 1;
    load_state(kInitialH, h_);
    if (plan_.op == Op::lstm) load_state(kInitialC, c_);
    const int64_t whole = plan_.steps / plan_.chunk;
    e_.loop({0, whole, 1}, [&](Index i) { run_chunk(i * plan_.chunk, plan_.chunk); });
    if (whole * plan_.chunk < plan_.steps) {
      run_chunk(Index(whole * plan_.chunk), plan_.steps - whole * plan_.chunk);
    }
    store_state(1, h_);
    if (plan_.op == Op::lstm) store_state(2, c_);
  }

  // Step number `s` in the order of the direction.
  Index time_of(Index s) const { return is_reverse_ ? Index(plan_.steps - 1) - s : s; }

  void run_chunk(Index first, int64_t count) {
    compute_input_half(first, count);
    e_.loop({0, count, 1}, [&](Index s) {
      each_entry([&](Index entry, int rows) {
        each_unit([&](const Units& run) { step(s, entry, rows, run); });
      });
      if (plan_.op == Op::gru && !resets_after()) {
        each_entry([&](Index entry, int rows) {
          each_unit([&](const Units& run) { finish_candidate(s, entry, rows, run); });
        });
      }
      each_vector([&](Index entry, Index j) {
        b_.store(h_, {entry, j}, b_.load(next_, {entry, j}, plan_.lanes));
      });
      store_result(0, {time_of(first + s), Index(direction_)}, h_);
    });
  }

  // ---- the input half

  void compute_input_half(Index first, int64_t count) {
    const int64_t rows = count * plan_.batch;
    BlockLoops loops;
    loops.step = plan_.input_step;
    loops.tile = choose_register_tile(e_.machine(), plan_.input_step, rows, plan_.columns());
    loops.k.inner = plan_.inputs;
    loops.n = plan_.columns();
    loops.num_rows = loops.block_rows = rows;
    loops.first_row = Index(0);
    loops.num_panels = (loops.n + loops.tile.columns() - 1) / loops.tile.columns();
    loops.a = input_rows(first, rows);
    const Index base(direction_ * plan_.columns());
    loops.load_b = [&](Index panel, int vectors, Index k) {
      return load_panel(e_, w_, plan_.input_step, base + panel * loops.tile.columns(), k, vectors,
                        loops.tile.lanes);
    };
    loops.store = [&](Index row, Index column, int active, Register sum) {
      const Register bias = b_.load(bias_, {Index(direction_), Index(0), column}, plan_.lanes);
      sum = b_.add(sum, bias);
      if (active == plan_.lanes) {
        b_.store(gates_, {row, column}, sum);
      } else {
        b_.store_partial(gates_, {row, column}, sum, Index(active));
      }
    };
    emit_blocks(e_, loops);
  }

  // Rows (step, entry) of x: where they lie, or copied as the step reads them.
  RowOperand input_rows(Index first, int64_t rows) {
    const ValueId x = node_.operands[0];
    const auto at = [this, first](Index row, Index k) {
      const Index s = first + kernel::floor_div(row, plan_.batch);
      return std::vector<Index>{time_of(s), kernel::mod(row, plan_.batch), k};
    };
    const auto memory = e_.memory_of(x);
    const bool lies_as_read =
        memory && (plan_.input_step.reads_a_in_groups()
                       ? memory->dtype == plan_.input_step.a && memory->strides[2] == 1
                       : carrier_of(memory->dtype) == DType::f32);
    if (lies_as_read) {
      return {memory->buffer, 2,
              [at](Index row, std::span<const Index>, Index k) { return at(row, k); }};
    }
    if (!copy_) {
      copy_ = e_.workspace("x", plan_.input_step.a, {plan_.chunk * plan_.batch, plan_.inputs});
    }
    const int lanes = plan_.lanes;
    const int64_t whole = plan_.inputs / lanes * lanes;
    e_.loop({0, rows, 1}, [&](Index row) {
      const auto copy = [&](Index k, int n) {
        const Register value = e_.pull(x, LaneIndex::along(at(row, k), 2, n));
        b_.store(copy_, {row, k}, b_.convert(value, plan_.input_step.a));
      };
      if (whole > 0) e_.loop({0, whole, lanes}, [&](Index k) { copy(k, lanes); });
      if (whole < plan_.inputs) {
        e_.loop({whole, plan_.inputs, 1}, [&](Index k) { copy(k, 1); });
      }
    });
    return {copy_, 1,
            [](Index row, std::span<const Index>, Index k) { return std::vector<Index>{row, k}; }};
  }

  // ---- the state half

  void each_entry(const std::function<void(Index, int)>& body) {
    const int64_t whole = plan_.batch / plan_.rows * plan_.rows;
    e_.loop({0, whole, plan_.rows}, [&](Index entry) { body(entry, plan_.rows); });
    if (whole < plan_.batch) body(Index(whole), static_cast<int>(plan_.batch - whole));
  }
  // Runs of `vectors` registers.
  void each_unit(const std::function<void(const Units&)>& body) {
    const int64_t panels = plan_.padded / kPanelColumns;
    const int64_t run = int64_t{plan_.vectors} * plan_.lanes;
    if (run >= kPanelColumns) {
      e_.loop({0, panels, run / kPanelColumns}, [&](Index panel) { body({panel, Index(0)}); });
      return;
    }
    e_.loop({0, panels, 1}, [&](Index panel) {
      e_.loop({0, kPanelColumns, run}, [&](Index offset) { body({panel, offset}); });
    });
  }
  // Register `v` of a run.
  Units vector_of(const Units& run, int v) const {
    const int lane = v * plan_.lanes;
    return {run.panel + Index(lane / kPanelColumns), run.offset + Index(lane % kPanelColumns)};
  }
  void each_vector(const std::function<void(Index, Index)>& body) {
    e_.loop({0, plan_.batch, 1}, [&](Index entry) {
      e_.loop({0, plan_.padded, plan_.lanes}, [&](Index j) { body(entry, j); });
    });
  }

  bool resets_after() const {
    return plan_.op == Op::gru && node_.view().i64("linear_before_reset") != 0;
  }

  // Where gate `gate` of `units` stands among the columns.
  Index column_of(int64_t gate, const Units& units) const {
    return (units.panel * plan_.gates + Index(gate)) * kPanelColumns + units.offset;
  }

  // state * r for gates [first, end) of a run of units: [row][gate][vector].
  Values state_products(BufferId state, Index entry, int rows, const Units& run, int64_t first,
                        int64_t end) {
    const int vectors = plan_.vectors, lanes = plan_.lanes;
    const auto gates = static_cast<int>(end - first);
    const ProductStep& step = plan_.state_step;
    const int64_t groups = (plan_.hidden + step.k_step() - 1) / step.k_step();
    const Index base(direction_ * plan_.columns() / kPanelColumns);
    const Values zero(static_cast<size_t>(rows * gates * vectors), b_.f32(0.0f, lanes));
    return e_.loop({0, groups, 1}, zero, [&](Index k, std::span<const Register> carried) {
      Values next(carried.begin(), carried.end());
      std::vector<Values> a;
      for (int row = 0; row < rows; ++row) {
        // Padded units are zero, and so are their rows of r.
        a.push_back(load_a(b_, step, state, {entry + Index(row), k * step.k_step()}, 1,
                           step.k_step(), lanes));
      }
      for (int g = 0; g < gates; ++g) {
        for (int v = 0; v < vectors; ++v) {
          const Units units = vector_of(run, v);
          const Index panel = base + units.panel * plan_.gates + Index(first + g);
          const Values weights = prepare_b(
              b_, step,
              {b_.load(r_, {panel, k, units.offset * step.k_step()}, lanes * step.k_step())});
          for (int row = 0; row < rows; ++row) {
            Register& sum = next[static_cast<size_t>((row * gates + g) * vectors + v)];
            sum = multiply(b_, step, a[static_cast<size_t>(row)], weights, 0, sum);
          }
        }
      }
      return next;
    });
  }

  Register input_gate(Index s, Index entry, int64_t gate, const Units& units) {
    return b_.load(gates_, {s * plan_.batch + entry, column_of(gate, units)}, plan_.lanes);
  }

  // All gates of step `s` of the chunk for `rows` entries and a run of units.
  void step(Index s, Index entry, int rows, const Units& run) {
    const bool has_two_passes = plan_.op == Op::gru && !resets_after();
    const int64_t gates = has_two_passes ? 2 : plan_.gates;
    const Values products = state_products(h_, entry, rows, run, 0, gates);
    for (int row = 0; row < rows; ++row) {
      for (int v = 0; v < plan_.vectors; ++v) {
        Values sums;
        for (int64_t g = 0; g < gates; ++g) {
          sums.push_back(products[static_cast<size_t>((row * gates + g) * plan_.vectors + v)]);
        }
        activate(s, entry + Index(row), vector_of(run, v), sums);
      }
    }
  }

  void activate(Index s, Index entry, const Units& units, Values sums) {
    const bool is_apart = resets_after();
    for (size_t g = 0; g < sums.size(); ++g) {
      if (is_apart && g == 2) continue;
      sums[g] = b_.add(input_gate(s, entry, static_cast<int64_t>(g), units), sums[g]);
    }
    if (plan_.op == Op::rnn) {
      b_.store(next_, {entry, units.first()}, math::tanh(b_, sums[0]));
    } else if (plan_.op == Op::lstm) {
      activate_lstm(entry, units.first(), sums);
    } else {
      activate_gru(s, entry, units, sums);
    }
  }

  // Gates in the order input, output, forget, cell.
  void activate_lstm(Index entry, Index j, const Values& sums) {
    const Register input = math::sigmoid(b_, sums[0]), output = math::sigmoid(b_, sums[1]);
    const Register forget = math::sigmoid(b_, sums[2]);
    const Register old = b_.load(c_, {entry, j}, plan_.lanes);
    const Register cell = b_.add(b_.mul(forget, old), b_.mul(input, math::tanh(b_, sums[3])));
    b_.store(c_, {entry, j}, cell);
    b_.store(next_, {entry, j}, b_.mul(output, math::tanh(b_, cell)));
  }

  // Gates in the order update, reset, candidate.
  void activate_gru(Index s, Index entry, const Units& units, const Values& sums) {
    const Index j = units.first();
    const Register h = b_.load(h_, {entry, j}, plan_.lanes);
    const Register z = math::sigmoid(b_, sums[0]), reset = math::sigmoid(b_, sums[1]);
    if (!resets_after()) {
      b_.store(update_, {entry, j}, z);
      b_.store(kept_, {entry, j}, b_.mul(reset, h));
      return;
    }
    const Register bias =
        b_.load(bias_, {Index(direction_), Index(1), column_of(2, units)}, plan_.lanes);
    const Register candidate =
        b_.add(input_gate(s, entry, 2, units), b_.mul(reset, b_.add(sums[2], bias)));
    b_.store(next_, {entry, j}, blend(z, math::tanh(b_, candidate), h));
  }

  void finish_candidate(Index s, Index entry, int rows, const Units& run) {
    const Values products = state_products(kept_, entry, rows, run, 2, 3);
    for (int row = 0; row < rows; ++row) {
      for (int v = 0; v < plan_.vectors; ++v) {
        const Units units = vector_of(run, v);
        const Index at = entry + Index(row), unit = units.first();
        const Register sum = b_.add(input_gate(s, at, 2, units),
                                    products[static_cast<size_t>(row * plan_.vectors + v)]);
        b_.store(next_, {at, unit},
                 blend(b_.load(update_, {at, unit}, plan_.lanes), math::tanh(b_, sum),
                       b_.load(h_, {at, unit}, plan_.lanes)));
      }
    }
  }

  // (1 - z) * candidate + z * h
  Register blend(Register z, Register candidate, Register h) {
    return b_.add(b_.mul(b_.sub(b_.f32(1, plan_.lanes), z), candidate), b_.mul(z, h));
  }

  // ---- states and results

  // Initial states, or zeros; padding is zero.
  void load_state(size_t operand, BufferId state) {
    each_vector([&](Index entry, Index j) {
      b_.store(state, {entry, j}, b_.zero({DType::f32, plan_.lanes}));
    });
    if (!node_.has_operand(operand)) return;
    e_.loop({0, plan_.batch, 1}, [&](Index entry) {
      e_.loop({0, plan_.hidden, 1}, [&](Index j) {
        b_.store(
            state, {entry, j},
            e_.pull(node_.operands[operand], LaneIndex::scalar({Index(direction_), entry, j})));
      });
    });
  }

  void store_state(size_t result, BufferId state) {
    store_result(result, {Index(direction_)}, state);
  }

  // Result `i` of the operator at (`lead`, entry, unit), if it has one. Only an operator of one
  // result has elementwise consumers beside it.
  void store_result(size_t i, std::vector<Index> lead, BufferId state) {
    if (i >= node_.results.size()) return;
    const int64_t whole = plan_.hidden / plan_.lanes * plan_.lanes;
    const auto store = [&](Index entry, Index j, int active) {
      std::vector<Index> dims = lead;
      dims.push_back(entry);
      dims.push_back(j);
      const LaneIndex at = LaneIndex::along(dims, dims.size() - 1, plan_.lanes, active);
      e_.store_anchor_result(node_, i, at, b_.load(state, {entry, j}, plan_.lanes));
    };
    e_.loop({0, plan_.batch, 1}, [&](Index entry) {
      if (whole > 0) {
        e_.loop({0, whole, plan_.lanes}, [&](Index j) { store(entry, j, plan_.lanes); });
      }
      if (whole < plan_.hidden) {
        store(entry, Index(whole), static_cast<int>(plan_.hidden - whole));
      }
    });
  }

  GroupEmitter& e_;
  Builder& b_;
  const Node& node_;
  const Plan& plan_;
  int64_t direction_ = 0;
  bool is_reverse_ = false;
  BufferId w_, r_, bias_, gates_, copy_, h_, next_, c_, kept_, update_;
};

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const Plan plan, make_plan(context));
  const HardwareModel& hardware = context.machine.hardware;
  const auto rows = static_cast<double>(plan.steps * plan.batch * plan.directions);
  const double flops = 2 * rows * static_cast<double>(plan.columns()) *
                       static_cast<double>(plan.inputs + plan.hidden);
  const double state_bytes = static_cast<double>(plan.steps * plan.directions * plan.columns() *
                                                 plan.hidden * size_bytes(plan.state_step.b));
  return hardware.launch_ns +
         std::max(flops / hardware.f32_flops_per_s, state_bytes / hardware.on_chip_bytes_per_s) *
             1e9;
}

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const Plan plan, make_plan(context));
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 kernel_name(context), plan.directions);
  Emitter(e, context, plan).run();
  return std::move(e).finish();
}

}  // namespace

const Variant kRecurrentProducts = {.name = "recurrent.products",
                                    .predict_ns = predict_ns,
                                    .lower = lower,
                                    .operand_order = no_order,
                                    .result_order = no_result_order,
                                    .prologue = no_prologue};

}  // namespace neuronc
