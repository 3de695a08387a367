// The lowering of linear_attention: a tile is one head of keys of one batch entry and one run of
// lanes of its values, whose part of the state no other tile needs; steps in sequence.
#include "ir/ops/linear_attention.h"

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

constexpr size_t kQuery = 0, kKey = 1, kValue = 2, kPast = 3, kDecay = 4, kBeta = 5, kErase = 6;
constexpr int64_t kLanes = 8;  // the state's columns of a tile, whatever the target
constexpr int64_t kMostKeys = 4096;

ops::LinearAttentionShape shape_of(const Graph& body, const Node& node) {
  const auto shape = ops::linear_attention_shape(node.view(), body.type(node.operands[kQuery]),
                                                 body.type(node.operands[kValue]));
  NEURONC_CHECK(shape.has_value());
  return *shape;
}

int64_t num_runs(const ops::LinearAttentionShape& s) {
  return (s.value_size + kLanes - 1) / kLanes;
}

class LinearAttention {
 public:
  LinearAttention(GroupEmitter& e, const Node& node)
      : e_(e), b_(e.builder()), node_(node), s_(shape_of(e.body(), node)) {
    state_ = b_.local("state", DType::f32, {s_.key_size, kLanes});
  }

  void run() {
    const Index tile = b_.tile();
    const int64_t runs = num_runs(s_);
    first_ = kernel::mod(tile, runs) * Index(kLanes);
    head_ = kernel::mod(kernel::floor_div(tile, runs), s_.kv_heads);
    batch_ = kernel::floor_div(tile, runs * s_.kv_heads);
    keys([&](Index d) {
      lanes([&](Index m, Index lane) {
        const Register old =
            node_.has_operand(kPast)
                ? e_.pull(node_.operands[kPast], LaneIndex::scalar({batch_, head_, d, m}))
                : b_.f32(0);
        b_.store(state_, {d, lane}, old);
      });
    });
    e_.loop({0, s_.length, 1}, [&](Index t) { step(t); });
    keys([&](Index d) {
      lanes([&](Index m, Index lane) {
        store(1, LaneIndex::scalar({batch_, head_, d, m}), b_.load(state_, {d, lane}));
      });
    });
  }

 private:
  void keys(const std::function<void(Index)>& body) { e_.loop({0, s_.key_size, 1}, body); }
  // The columns of the values that this tile has.
  void lanes(const std::function<void(Index, Index)>& body) {
    e_.loop({0, kLanes, 1}, [&](Index lane) {
      const Index m = first_ + lane;
      e_.when({{m, 0, s_.value_size}}, [&] { body(m, lane); });
    });
  }

  Register at(size_t operand, Index t, Index d, int64_t size) {
    const int64_t last = e_.shape(node_.operands[operand])[2];
    const Index place = last == 1             ? Index(0)
                        : last == s_.kv_heads ? head_
                                              : head_ * Index(size) + d;
    return e_.pull(node_.operands[operand], LaneIndex::scalar({batch_, t, place}));
  }
  Register key(Index t, Index d) { return at(kKey, t, d, s_.key_size); }

  void step(Index t) {
    const int width = static_cast<int>(kLanes);
    if (s_.is_gated) {
      keys([&](Index d) {
        const Register factor = b_.splat(math::exp(b_, at(kDecay, t, d, s_.key_size)), width);
        b_.store(state_, {d, Index(0)}, b_.mul(factor, b_.load(state_, {d, Index(0)}, width)));
      });
    }
    Register value = values_at(t);
    if (s_.is_corrected) {
      const Register known = weighted_sum([&](Index d) {
        return node_.has_operand(kErase) ? b_.mul(at(kErase, t, d, s_.key_size), key(t, d))
                                         : key(t, d);
      });
      const Register beta = at(kBeta, t, Index(0), 1);
      value = b_.mul(b_.splat(beta, width), b_.sub(value, known));
    }
    keys([&](Index d) {
      const Register old = b_.load(state_, {d, Index(0)}, width);
      b_.store(state_, {d, Index(0)}, b_.fma(b_.splat(key(t, d), width), value, old));
    });
    read(t);
  }

  // The step's values, 0 in lanes beyond the head.
  Register values_at(Index t) {
    const BufferId row = b_.local("values", DType::f32, {kLanes});
    b_.store(row, {Index(0)}, b_.zero({DType::f32, static_cast<int>(kLanes)}));
    lanes([&](Index m, Index lane) { b_.store(row, {lane}, at(kValue, t, m, s_.value_size)); });
    return b_.load(row, {Index(0)}, static_cast<int>(kLanes));
  }

  // sum over d of factor(d) * S[d]
  Register weighted_sum(const std::function<Register(Index)>& factor) {
    const int width = static_cast<int>(kLanes);
    const Values none{b_.zero({DType::f32, width})};
    return e_.loop({0, s_.key_size, 1}, none, [&](Index d, std::span<const Register> sum) {
      const Register state = b_.load(state_, {d, Index(0)}, width);
      return Values{b_.fma(b_.splat(factor(d), width), state, sum[0])};
    })[0];
  }

  void read(Index t) {
    const int64_t group = s_.q_heads / s_.kv_heads;
    const BufferId row = b_.local("read", DType::f32, {kLanes});
    e_.loop({0, group, 1}, [&](Index i) {
      const Index head = head_ * Index(group) + i;
      const Register sum = weighted_sum([&](Index d) {
        return e_.pull(node_.operands[kQuery],
                       LaneIndex::scalar({batch_, t, head * Index(s_.key_size) + d}));
      });
      b_.store(row, {Index(0)},
               b_.mul(sum, b_.f32(static_cast<float>(s_.scale), static_cast<int>(kLanes))));
      lanes([&](Index m, Index lane) {
        store(0, LaneIndex::scalar({batch_, t, head * Index(s_.value_size) + m}),
              b_.load(row, {lane}));
      });
    });
  }

  // Result `i`, where it is one.
  void store(size_t i, const LaneIndex& at, Register value) {
    if (i >= node_.results.size()) return;
    e_.store_anchor_result(node_, i, at, value);
  }

  GroupEmitter& e_;
  Builder& b_;
  const Node& node_;
  ops::LinearAttentionShape s_;
  BufferId state_;
  Index batch_, head_, first_;
};

int64_t linear_attention_tiles(const Graph& body, const Node& node) {
  const ops::LinearAttentionShape s = shape_of(body, node);
  return std::max<int64_t>(1, s.batch * s.kv_heads * num_runs(s));
}

void nest_linear_attention(GroupEmitter& e, const Node& node) { LinearAttention(e, node).run(); }

OrRefusal<void> accepts_linear_attention(const Module&, const Graph& graph, const Node& node) {
  const ops::LinearAttentionShape s = shape_of(graph, node);
  if (s.batch * s.length * s.key_size * s.value_size == 0) return refuse("it has no elements");
  if (s.key_size > kMostKeys) return refuse("its keys have more than 4096 numbers");
  for (ValueId operand : node.operands) {
    if (operand && graph.type(operand).dtype == DType::f64) return refuse("it is of f64");
  }
  return {};
}

}  // namespace

void add_linear_attention_lowerings(LoweringTable& t) {
  row(t, Op::linear_attention) = {nullptr, nest_linear_attention, linear_attention_tiles,
                                  accepts_linear_attention};
}

}  // namespace neuronc
