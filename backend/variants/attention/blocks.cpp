// Attention of many queries in one kernel: scores stay in cache, softmax runs along with them.
//
//   for run of keys:         pack keys and values
//     for block of queries:  s = cap(scale * q k^T) masked        a block of scores, in cache
//                            m' = max(m, max s)    p = exp(s - m')    l = l exp(m - m') + sum p
//                            o = o exp(m - m') + p v
//   y = o / l
//
// Few keys are one run: then m, l and o never leave their block. A tile is a key head with all
// queries that it serves, or a share of them where there are few heads; runs of keys hidden from a
// whole block are passed over. The order of sums follows from shapes alone.
#include "backend/variants/product/blocks.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/lower/lanes.h"
#include "backend/variants/attention/plan.h"
#include "backend/variants/product/pack.h"
#include "backend/variants/product/run_time_pack.h"
#include "backend/variants/variant.h"
#include "ir/kernel/math.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;
namespace math = kernel::math;

constexpr size_t kMask = 3, kNumKeys = 6;
constexpr double kMinusInf = -std::numeric_limits<double>::infinity();

int64_t round_up(int64_t x, int64_t unit) { return (x + unit - 1) / unit * unit; }

class Attention {
 public:
  Attention(GroupEmitter& e, const Node& node, const AttentionPlan& plan)
      : e_(e),
        b_(e.builder()),
        node_(node),
        plan_(plan),
        lanes_(e.vector_lanes(DType::f32)),
        is_causal_(node.view().i64("is_causal") != 0) {
    const Index tile = plan.num_tiles() > 1 ? b_.tile() : Index(0);
    const Index head = kernel::floor_div(tile, plan.shares);
    tile_row_ = kernel::mod(tile, plan.shares) * Index(plan.tile_rows());
    batch_ = kernel::floor_div(head, plan.k.heads);
    kv_head_ = kernel::mod(head, plan.k.heads);
    const int64_t rows = plan.block_rows, run = plan.run;
    scores_ = e.workspace("scores", DType::f32, {rows, run});
    weights_ = plan.value_step.a == DType::f32
                   ? scores_
                   : e.workspace("weights", plan.value_step.a, {rows, run});
    factors_ = e.workspace("factors", DType::f32, {rows});
    keys_ = panels("keys", plan.score_step, plan.score_tile, plan.q.size, run);
    if (!values_lie_in_rows()) {
      values_ = panels("values", plan.value_step, plan.value_tile, run, plan.v.size);
    }
    if (plan.is_one_run()) return;
    tops_ = e.workspace("tops", DType::f32, {plan.tile_rows()});
    sums_ = e.workspace("sums", DType::f32, {plan.tile_rows()});
    outputs_ = e.workspace("outputs", DType::f32, {plan.tile_rows(), plan.v.size});
  }

  void run() {
    queries_ = query_rows();
    if (plan_.is_one_run()) return emit_run(Index(0), plan_.num_keys());
    each_tile_row([&](Index i, Index) {
      b_.store(tops_, {i}, number(kMinusInf));
      b_.store(sums_, {i}, number(0));
      each_value([&](Index d, int active) { store(outputs_, {i, d}, zeros(), active); });
    });
    const int64_t whole = plan_.num_keys() / plan_.run;
    e_.loop({0, whole, 1}, [&](Index i) { emit_run(i * plan_.run, plan_.run); });
    const int64_t tail = plan_.num_keys() % plan_.run;
    if (tail > 0) emit_run(Index(whole * plan_.run), tail);
    each_tile_row([&](Index i, Index row) {
      const Register factor = factor_of(b_.load(sums_, {i}));
      each_value([&](Index d, int active) {
        const Register sum = active == lanes_ ? b_.load(outputs_, {i, d}, lanes_)
                                              : b_.load_partial(outputs_, {i, d}, lanes_, active);
        store_result(row, d, active, b_.mul(sum, b_.splat(factor, lanes_)));
      });
    });
  }

 private:
  Register number(double value, int lanes = 1) { return b_.constant({DType::f32, lanes}, value); }
  Register zeros() { return b_.zero({DType::f32, lanes_}); }
  Index head_of(Index row) const {
    if (plan_.group == 1) return kv_head_;
    return kv_head_ * Index(plan_.group) + kernel::floor_div(row, plan_.q.length);
  }
  Index query_of(Index row) const {
    return plan_.group == 1 ? row : kernel::mod(row, plan_.q.length);
  }

  void store(BufferId buffer, const std::vector<Index>& at, Register value, int active) {
    if (active == value.type.lanes) return b_.store(buffer, at, value);
    b_.store_partial(buffer, at, value, Index(active));
  }

  // Calls body(row of the tile, row of the key head).
  void each_tile_row(const std::function<void(Index, Index)>& body) {
    e_.loop({0, plan_.tile_rows(), 1}, [&](Index i) {
      e_.when({{tile_row_ + i, 0, plan_.rows}}, [&] { body(i, tile_row_ + i); });
    });
  }

  // Runs of lanes over the numbers of a value.
  void each_value(const std::function<void(Index, int)>& body) {
    const int64_t whole = plan_.v.size / lanes_ * lanes_;
    if (whole > 0) e_.loop({0, whole, lanes_}, [&](Index d) { body(d, lanes_); });
    if (whole < plan_.v.size) body(Index(whole), static_cast<int>(plan_.v.size - whole));
  }

  BufferId panels(const char* name, const ProductStep& step, const RegisterTile& tile, int64_t k,
                  int64_t n) {
    const int64_t groups = (k + step.k_step() - 1) / step.k_step();
    const int64_t columns = round_up(n, tile.columns());
    return e_.workspace(name, step.b, {num_panels(columns), groups, step.row_elements()});
  }

  // Packs `n` columns.
  void pack(const ProductStep& step, const RegisterTile& tile, RunTimeOperand operand,
            BufferId buffer) {
    const int64_t whole = operand.n / tile.columns();
    const auto one = [&](Index panel) {
      const Index to = kernel::floor_div(panel * tile.columns(), kPanelColumns);
      pack_at_run_time(e_, step, tile, operand, panel, buffer, to);
    };
    if (whole > 0) e_.loop({0, whole, 1}, one);
    if (operand.n % tile.columns() != 0) one(Index(whole));
  }

  bool values_lie_in_rows() {
    const auto memory = e_.memory_of(node_.operands[2]);
    return plan_.value_step.kind == StepKind::fma && memory &&
           memory->strides[plan_.v.size_dim()] == 1;
  }

  // Queries where they lie, if memory order and type suit the step; otherwise copied. Those of
  // several heads are too: rows at equal distances need one address.
  RowOperand query_rows() {
    const ValueId q = node_.operands[0];
    const size_t dim = plan_.q.size_dim();
    const auto at = [this](Index row, Index d) {
      return plan_.q.at(batch_, head_of(row), query_of(row), d);
    };
    const auto memory = e_.memory_of(q);
    const DType dtype = plan_.score_step.a;
    if (memory && plan_.group == 1 && memory->dtype == dtype &&
        (memory->strides[dim] == 1 || !plan_.score_step.reads_a_in_groups())) {
      return {memory->buffer, static_cast<int>(dim),
              [at](Index row, std::span<const Index>, Index d) { return at(row, d); },
              static_cast<int>(plan_.q.row_dim())};
    }
    const BufferId copy = e_.workspace("queries", dtype, {plan_.tile_rows(), plan_.q.size});
    const int64_t whole = plan_.q.size / lanes_ * lanes_;
    each_tile_row([&](Index i, Index row) {
      const auto move = [&](Index d, int lanes) {
        const Register value = e_.pull(q, LaneIndex::along(at(row, d), dim, lanes));
        b_.store(copy, {i, d}, b_.convert(value, dtype));
      };
      if (whole > 0) e_.loop({0, whole, lanes_}, [&](Index d) { move(d, lanes_); });
      if (whole < plan_.q.size) {
        e_.loop({whole, plan_.q.size, 1}, [&](Index d) { move(d, 1); });
      }
    });
    return {copy, 1,
            [first = tile_row_](Index row, std::span<const Index>, Index d) {
              return std::vector<Index>{row - first, d};
            },
            /*row_dim=*/0};
  }

  // `count` keys from `first` on.
  void emit_run(Index first, int64_t count) {
    first_key_ = first;
    num_run_keys_ = count;
    pack(plan_.score_step, plan_.score_tile,
         {node_.operands[1], plan_.k.size_dim(), plan_.k.row_dim(), plan_.q.size, count,
          [this, first](Index d, Index key) {
            return plan_.k.at(batch_, kv_head_, first + key, d);
          }},
         keys_);
    if (!values_lie_in_rows()) {
      pack(plan_.value_step, plan_.value_tile,
           {node_.operands[2], plan_.v.row_dim(), plan_.v.size_dim(), count, plan_.v.size,
            [this, first](Index key, Index d) {
              return plan_.v.at(batch_, kv_head_, first + key, d);
            }},
           values_);
    }
    e_.loop({0, plan_.tile_blocks, 1}, [&](Index i) {
      const Index row = tile_row_ + i * plan_.block_rows;
      std::vector<kernel::GuardRange> guards{{row, 0, plan_.rows}};
      if (is_causal_ && !node_.has_operand(kNumKeys)) {
        // Otherwise the last query of the block sees no key of the run. A block that reaches into
        // the next query head has queries of all positions.
        const Index last = query_of(row) + Index(plan_.block_rows - 1);
        const Index seen = last + Index(causal_offset()) - first;
        const Index reach = last - Index(plan_.q.length);
        guards.push_back({plan_.group == 1 ? seen : kernel::max(seen, reach), 0,
                          std::numeric_limits<int32_t>::max()});
      }
      e_.when(guards, [&] { emit_block(row); });
    });
  }

  int64_t causal_offset() const { return node_.view().i64("causal_offset"); }

  void emit_block(Index row) {
    block_row_ = row;
    BlockLoops scores =
        loops_of(plan_.score_step, plan_.score_tile, queries_, plan_.q.size, num_run_keys_, keys_);
    scores.store = [this](Index r, Index column, int active, Register sum) {
      store(scores_, {r - block_row_, column}, masked(r, column, active, sum), active);
    };
    emit_blocks(e_, scores);
    e_.loop({0, plan_.block_rows, 1},
            [&](Index i) { e_.when({{row + i, 0, plan_.rows}}, [&] { emit_softmax(i); }); });
    const RowOperand weights{weights_, 1,
                             [first = row](Index r, std::span<const Index>, Index k) {
                               return std::vector<Index>{r - first, k};
                             },
                             /*row_dim=*/0};
    BlockLoops values =
        loops_of(plan_.value_step, plan_.value_tile, weights, num_run_keys_, plan_.v.size, values_);
    if (values_lie_in_rows()) read_values(values);
    values.store = [this](Index r, Index d, int active, Register sum) {
      const Register factor = b_.load_splat(factors_, {r - block_row_}, sum.type.lanes);
      if (plan_.is_one_run()) return store_result(r, d, active, b_.mul(sum, factor));
      const std::vector<Index> at{r - tile_row_, d};
      const Register before = active == sum.type.lanes
                                  ? b_.load(outputs_, at, sum.type.lanes)
                                  : b_.load_partial(outputs_, at, sum.type.lanes, Index(active));
      store(outputs_, at, b_.fma(before, factor, sum), active);
    };
    emit_blocks(e_, values);
  }

  BlockLoops loops_of(const ProductStep& step, const RegisterTile& tile, const RowOperand& a,
                      int64_t k, int64_t n, BufferId packed) {
    BlockLoops loops;
    loops.step = step;
    loops.tile = tile;
    loops.k.inner = k;
    loops.a = a;
    loops.n = n;
    loops.first_row = block_row_;
    loops.block_rows = plan_.block_rows;
    loops.num_rows = plan_.rows;
    loops.num_panels = (n + tile.columns() - 1) / tile.columns();
    loops.load_b = [this, step, tile, packed](Index panel, int vectors, Index group) {
      return load_panel(e_, packed, step, panel * tile.columns(), group, vectors, tile.lanes);
    };
    loops.load_b_matrix = [this, tile, packed](Index panel, int v, Index group) {
      return load_panel_matrix(e_, packed, panel * tile.columns() + Index(v * kPanelColumns),
                               group);
    };
    return loops;
  }

  void read_values(BlockLoops& loops) {
    loops.load_b = [this](Index panel, int vectors, Index key) {
      const RegisterTile& tile = plan_.value_tile;
      Values columns;
      for (int v = 0; v < vectors; ++v) {
        const int64_t done = v * tile.lanes;
        // Only the last panel, which is emitted on its own, has fewer columns.
        const int64_t left = panel.is_constant()
                                 ? plan_.v.size - panel.constant() * tile.columns() - done
                                 : tile.lanes;
        const Index d = panel * tile.columns() + Index(done);
        columns.push_back(e_.pull(
            node_.operands[2],
            LaneIndex::along(plan_.v.at(batch_, kv_head_, first_key_ + key, d), plan_.v.size_dim(),
                             tile.lanes, static_cast<int>(std::min<int64_t>(tile.lanes, left)))));
      }
      return columns;
    };
  }

  // A register of scores from its sums: scaled, capped, and minus infinity where keys are hidden.
  Register masked(Index row, Index column, int active, Register sum) {
    const OpView op = node_.view();
    const int lanes = sum.type.lanes;
    const double scale =
        op.has("scale") ? op.f64("scale") : 1 / std::sqrt(static_cast<double>(plan_.q.size));
    Register score = scale == 1 ? sum : b_.mul(sum, number(scale, lanes));
    // Before anything is hidden, which a cap would bring back.
    const double cap = op.f64("softcap");
    if (cap != 0) {
      const Register limit = number(cap, lanes);
      score = b_.mul(limit, math::tanh(b_, b_.div(score, limit)));
    }
    const Register hidden = number(kMinusInf, lanes);
    const Index key = first_key_ + column;
    if (node_.has_operand(kMask)) {
      const Register mask = e_.pull_broadcast(
          node_.operands[kMask],
          LaneIndex::along({batch_, head_of(row), query_of(row), key}, 3, lanes, active));
      score = mask.type.dtype == DType::boolean
                  ? b_.select(b_.splat(mask, lanes), score, hidden)
                  : b_.add(score, b_.splat(b_.convert(mask, DType::f32), lanes));
    }
    if (node_.has_operand(kNumKeys)) return counted(row, key, score);
    if (!is_causal_) return score;
    // Most registers lie before the diagonal.
    const Index last_seen = query_of(row) + Index(causal_offset());
    const Index ahead = last_seen - key - Index(active - 1);
    return e_.choose(
        {{ahead, 0, std::numeric_limits<int32_t>::max()}}, [&] { return Values{score}; },
        [&] {
          const Register end = b_.convert(b_.index_value(last_seen - key + Index(1)), DType::i32);
          const Register lane = b_.iota({DType::i32, lanes});
          return Values{b_.select(b_.lt(lane, b_.splat(end, lanes)), score, hidden)};
        })[0];
  }

  // Of keys from the batch entry's own number on, and of later ones, nothing is seen.
  Register counted(Index row, Index key, Register score) {
    const int lanes = score.type.lanes;
    const Register hidden = number(kMinusInf, lanes);
    const Register keys = lane_positions(e_, key, 1, lanes);
    const Register count = e_.pull(node_.operands[kNumKeys], LaneIndex::scalar({batch_}));
    score = b_.select(b_.lt(keys, b_.splat(count, lanes)), score, hidden);
    if (!is_causal_) return score;
    // The last query sees the last key that is counted.
    const int64_t before = 1 + causal_offset() - plan_.q.length;
    const Register end = b_.add(b_.index_value(query_of(row) + Index(before)), count);
    return b_.select(b_.lt(keys, b_.splat(end, lanes)), score, hidden);
  }

  // Calls body(first key, active lanes, carried) over the row.
  Register each_key(Register initial, const std::function<Register(Index, int, Register)>& body) {
    const int64_t whole = num_run_keys_ / lanes_ * lanes_;
    Register carried = initial;
    if (whole > 0) {
      carried = e_.loop({0, whole, lanes_}, Values{initial},
                        [&](Index key, std::span<const Register> state) {
                          return Values{body(key, lanes_, state[0])};
                        })[0];
    }
    if (whole == num_run_keys_) return carried;
    return body(Index(whole), static_cast<int>(num_run_keys_ - whole), carried);
  }

  Register load_scores(Index i, Index key, int active) {
    if (active == lanes_) return b_.load(scores_, {i, key}, lanes_);
    return b_.load_partial(scores_, {i, key}, lanes_, Index(active));
  }

  // Row `i` of the block: scores become weights, and the factor of what was summed before them, or
  // of the whole sum where there is one run.
  void emit_softmax(Index i) {
    const Register none = number(kMinusInf, lanes_);
    const Register tops = each_key(none, [&](Index key, int active, Register best) {
      Register s = load_scores(i, key, active);
      if (active < lanes_) s = b_.select(active_lanes(b_, lanes_, active), s, none);
      return b_.max_num(best, s);
    });
    Register top = b_.reduce_max(tops);
    const Index at = block_row_ - tile_row_ + i;
    Register before;
    if (!plan_.is_one_run()) {
      before = b_.load(tops_, {at});
      top = b_.max_num(before, top);
      b_.store(tops_, {at}, top);
    }
    // Of a row that sees no key yet: exp(-inf - 0) is 0.
    const Register base = b_.select(b_.eq(top, number(kMinusInf)), number(0), top);
    const Register bases = b_.splat(base, lanes_);
    const Register sums = each_key(zeros(), [&](Index key, int active, Register sum) {
      Register p = math::exp(b_, b_.sub(load_scores(i, key, active), bases));
      if (active < lanes_) p = b_.select(active_lanes(b_, lanes_, active), p, zeros());
      store(weights_, {i, key}, b_.convert(p, plan_.value_step.a), active);
      return b_.add(sum, p);
    });
    const Register sum = b_.reduce_add(sums);
    if (plan_.is_one_run()) return b_.store(factors_, {i}, factor_of(sum));
    const Register shrink = math::exp(b_, b_.sub(before, base));
    b_.store(factors_, {i}, shrink);
    b_.store(sums_, {at}, b_.fma(b_.load(sums_, {at}), shrink, sum));
  }

  // Of a query that sees no key: 0, or what softmax gives.
  Register factor_of(Register sum) {
    const bool is_nan = node_.view().i64("has_nan_rows") != 0;
    const Register is_empty = b_.eq(sum, number(0));
    const Register inverse = b_.div(number(1), b_.select(is_empty, number(1), sum));
    const Register empty = number(is_nan ? std::numeric_limits<double>::quiet_NaN() : 0);
    return b_.select(is_empty, empty, inverse);
  }

  void store_result(Index row, Index d, int active, Register value) {
    AttentionHeads y = plan_.q;
    y.size = plan_.v.size;
    const LaneIndex at = LaneIndex::along(y.at(batch_, head_of(row), query_of(row), d),
                                          y.size_dim(), value.type.lanes, active);
    e_.provide_rounded(node_.results[0], at, value);
    e_.store_results(at);
  }

  GroupEmitter& e_;
  Builder& b_;
  const Node& node_;
  const AttentionPlan& plan_;
  int lanes_;
  bool is_causal_;
  Index batch_, kv_head_, tile_row_;
  // Of the run and the block that are emitted.
  Index first_key_, block_row_;
  int64_t num_run_keys_ = 0;
  RowOperand queries_;
  BufferId scores_, weights_, keys_, values_;
  BufferId factors_;                // of the rows of a block
  BufferId tops_, sums_, outputs_;  // of the rows of a tile, where there are several runs
};

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const AttentionPlan plan, plan_attention(context));
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 kernel_name(context), plan.num_tiles());
  Attention(e, context.anchor_node(), plan).run();
  return std::move(e).finish();
}

// Queries are copied once, a tile's at a time.
OrRefusal<void> prologue(const Module&, const Graph& graph, const Node& anchor, size_t operand) {
  if (operand == 0 && carrier_of(graph.type(anchor.operands[0]).dtype) == DType::f32) return {};
  return refuse("the operand is read more than once");
}

}  // namespace

const Variant kAttentionBlocks = {.name = "attention.blocks",
                                  .predict_ns = predict_attention_ns,
                                  .lower = lower,
                                  .operand_order = no_order,
                                  .result_order = no_result_order,
                                  .prologue = prologue};

}  // namespace neuronc
