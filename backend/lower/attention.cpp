// Lowerings of attention and rotary_embedding. Attention goes query by query: the scores of a query
// stand in a local row while they are masked and normalised; lanes run along the numbers of a head.
#include <cmath>
#include <limits>

#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"
#include "ir/kernel/math.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;
namespace math = kernel::math;

constexpr size_t kMask = 3, kPastKey = 4, kPastValue = 5, kNumKeys = 6;
constexpr int64_t kMaxKeys = 16384;  // of a local row

// An operand seen as [batch, heads, length, size]; of rank 3 the heads stand in the last axis.
struct Heads {
  int64_t batch = 0, heads = 0, length = 0, size = 0;
  bool is_flat = false;
};

Heads heads_of(const std::vector<int64_t>& shape, const OpView& op, const char* attribute) {
  if (shape.size() == 4) return {shape[0], shape[1], shape[2], shape[3], false};
  const int64_t heads = op.i64(attribute);
  return {shape[0], heads, shape[1], shape[2] / heads, true};
}

// The place of number `d` of a head, lanes along the numbers.
LaneIndex place_of(const Heads& heads, Index batch, Index head, Index row, Index d, int lanes,
                   int active) {
  if (heads.is_flat) {
    return LaneIndex::along({batch, row, head * Index(heads.size) + d}, 2, lanes, active);
  }
  return LaneIndex::along({batch, head, row, d}, 3, lanes, active);
}

class Attention {
 public:
  Attention(GroupEmitter& e, const Node& node)
      : e_(e),
        b_(e.builder()),
        node_(node),
        q_(heads_of(e.shape(node.operands[0]), node.view(), "q_num_heads")),
        k_(heads_of(e.shape(node.operands[1]), node.view(), "kv_num_heads")),
        v_(heads_of(e.shape(node.operands[2]), node.view(), "kv_num_heads")),
        carrier_(carrier_of(e.type(node.operands[0]).dtype)),
        lanes_(e.vector_lanes(carrier_)) {
    if (node.has_operand(kPastKey)) num_past_ = e.shape(node.operands[kPastKey])[2];
    row_ = b_.local("scores", carrier_, {num_past_ + k_.length});
  }

  void run() {
    const Index tile = b_.tile();
    query_ = kernel::mod(tile, q_.length);
    head_ = kernel::mod(kernel::floor_div(tile, q_.length), q_.heads);
    batch_ = kernel::floor_div(tile, q_.length * q_.heads);
    kv_head_ = kernel::floor_div(head_, q_.heads / k_.heads);
    const Register top = each_key(number(-std::numeric_limits<double>::infinity()),
                                  [&](Index key, const Source& source, Register best) {
                                    const Register score = score_of(key, source);
                                    b_.store(row_, {key}, score);
                                    return b_.select(b_.gt(score, best), score, best);
                                  });
    const Register sum = e_.loop({0, num_keys(), 1}, Values{number(0)},
                                 [&](Index key, std::span<const Register> carried) {
                                   const Register weight = weight_of(b_.load(row_, {key}), top);
                                   b_.store(row_, {key}, weight);
                                   return Values{b_.add(carried[0], weight)};
                                 })[0];
    write_values(sum);
  }

 private:
  // Where keys and values are read: those of the past stand first.
  struct Source {
    ValueId key, value;
    Heads key_heads, value_heads;
    int64_t begin = 0;
  };

  Register number(double value, int lanes = 1) { return b_.constant({carrier_, lanes}, value); }
  int64_t num_keys() const { return num_past_ + k_.length; }

  Register each_key(Register initial,
                    const std::function<Register(Index, const Source&, Register)>& body) {
    Values carried{initial};
    const auto walk = [&](const Source& source, int64_t count) {
      carried = e_.loop({0, count, 1}, carried, [&](Index i, std::span<const Register> state) {
        return Values{body(i + Index(source.begin), source, state[0])};
      });
    };
    if (num_past_ > 0) {
      const Heads keys = heads_of(e_.shape(node_.operands[kPastKey]), node_.view(), "");
      const Heads values = heads_of(e_.shape(node_.operands[kPastValue]), node_.view(), "");
      walk({node_.operands[kPastKey], node_.operands[kPastValue], keys, values, 0}, num_past_);
    }
    walk({node_.operands[1], node_.operands[2], k_, v_, num_past_}, k_.length);
    return carried[0];
  }

  // Runs over the numbers of a head: whole vectors, then the rest.
  void each_run(int64_t size, const std::function<void(Index, int active)>& body) {
    const int64_t whole = size / lanes_ * lanes_;
    if (whole > 0) e_.loop({0, whole, lanes_}, [&](Index d) { body(d, lanes_); });
    if (whole < size) body(Index(whole), static_cast<int>(size - whole));
  }

  Register dot(Index key, const Source& source) {
    const auto product = [&](Index d, int active, Register sum) {
      const Register q =
          e_.pull(node_.operands[0], place_of(q_, batch_, head_, query_, d, lanes_, active));
      const Register k =
          e_.pull(source.key, place_of(source.key_heads, batch_, kv_head_,
                                       key - Index(source.begin), d, lanes_, active));
      const Register next = b_.fma(q, k, sum);
      return active == lanes_ ? next : b_.select(active_lanes(b_, lanes_, active), next, sum);
    };
    const int64_t whole = q_.size / lanes_ * lanes_;
    Register sum = number(0, lanes_);
    if (whole > 0) {
      sum = e_.loop({0, whole, lanes_}, Values{sum}, [&](Index d, std::span<const Register> s) {
        return Values{product(d, lanes_, s[0])};
      })[0];
    }
    if (whole < q_.size) sum = product(Index(whole), static_cast<int>(q_.size - whole), sum);
    return lanes_ == 1 ? sum : b_.reduce_add(sum);
  }

  Register score_of(Index key, const Source& source) {
    const OpView op = node_.view();
    const double scale =
        op.has("scale") ? op.f64("scale") : 1 / std::sqrt(static_cast<double>(q_.size));
    Register score = b_.mul(dot(key, source), number(scale));
    // Before anything is hidden, which a cap would bring back.
    const double cap = op.f64("softcap");
    if (cap != 0) score = b_.mul(number(cap), math::tanh(b_, b_.div(score, number(cap))));
    const Register hidden = number(-std::numeric_limits<double>::infinity());
    if (node_.has_operand(kMask)) {
      const Register mask =
          e_.pull_broadcast(node_.operands[kMask], LaneIndex::scalar({batch_, head_, query_, key}));
      score = mask.type.dtype == DType::boolean ? b_.select(mask, score, hidden)
                                                : b_.add(score, b_.convert(mask, carrier_));
    }
    Register count = b_.i64(0);
    if (node_.has_operand(kNumKeys)) {
      count = e_.pull(node_.operands[kNumKeys], LaneIndex::scalar({batch_}));
      score = b_.select(b_.ge(b_.index_value(key), count), hidden, score);
    }
    if (op.i64("is_causal") != 0) {
      Register last = b_.index_value(query_ + Index(num_past_ + op.i64("causal_offset")));
      if (node_.has_operand(kNumKeys) && !node_.has_operand(kPastKey)) {
        last = b_.add(last, b_.sub(count, b_.i64(q_.length)));
      }
      score = b_.select(b_.gt(b_.index_value(key), last), hidden, score);
    }
    return score;
  }

  // A query that sees no key has no weights.
  Register weight_of(Register score, Register top) {
    const Register none = number(-std::numeric_limits<double>::infinity());
    return b_.select(b_.eq(top, none), number(0), math::exp(b_, b_.sub(score, top)));
  }

  void write_values(Register sum) {
    const Register is_empty = b_.eq(sum, number(0));
    const bool is_nan = node_.view().i64("has_nan_rows") != 0;
    const Register empty = number(is_nan ? std::numeric_limits<double>::quiet_NaN() : 0);
    const Register factor =
        b_.select(is_empty, empty, b_.div(number(1), b_.select(is_empty, number(1), sum)));
    Heads y = q_;
    y.size = v_.size;
    const ValueId result = node_.results[0];
    each_run(v_.size, [&](Index d, int active) {
      const Register total =
          each_key(number(0, lanes_), [&](Index key, const Source& source, Register carried) {
            const Register value =
                e_.pull(source.value, place_of(source.value_heads, batch_, kv_head_,
                                               key - Index(source.begin), d, lanes_, active));
            return b_.fma(b_.splat(b_.load(row_, {key}), lanes_), value, carried);
          });
      const LaneIndex at = place_of(y, batch_, head_, query_, d, lanes_, active);
      e_.provide(result, at,
                 e_.rounded(b_.mul(total, b_.splat(factor, lanes_)), e_.type(result).dtype));
      e_.store_results(at);
    });
  }

  GroupEmitter& e_;
  Builder& b_;
  const Node& node_;
  Heads q_, k_, v_;
  DType carrier_;
  int lanes_;
  int64_t num_past_ = 0;
  BufferId row_;
  Index batch_, head_, kv_head_, query_;
};

int64_t attention_tiles(const Graph& body, const Node& node) {
  const Heads q = heads_of(body.type(node.operands[0]).shape(), node.view(), "q_num_heads");
  return q.batch * q.heads * q.length;
}

void nest_attention(GroupEmitter& e, const Node& node) {
  if (e.type(node.results[0]).num_elements() > 0) Attention(e, node).run();
}

OrRefusal<void> accepts_attention(const Module&, const Graph& graph, const Node& node) {
  if (node.results.size() > 1) return refuse("its keys, values or scores are results too");
  const auto shape = [&](size_t i) { return graph.type(node.operands[i]).shape(); };
  const Heads q = heads_of(shape(0), node.view(), "q_num_heads");
  const Heads k = heads_of(shape(1), node.view(), "kv_num_heads");
  int64_t num_keys = k.length;
  if (node.has_operand(kPastKey)) {
    const Heads v = heads_of(shape(2), node.view(), "kv_num_heads");
    const std::vector<int64_t> key = shape(kPastKey), value = shape(kPastValue);
    const int64_t past = key.size() == 4 ? key[2] : 0;
    const std::vector<int64_t> keys{k.batch, k.heads, past, k.size};
    const std::vector<int64_t> values{v.batch, v.heads, past, v.size};
    if (key != keys || value != values) return refuse("a past operand does not fit");
    num_keys += past;
  }
  if (num_keys < 1) return refuse("it has no keys");
  if (num_keys > kMaxKeys) return refuse("it has more than 16384 keys");
  if (node.has_operand(kMask)) {
    const std::vector<int64_t> mask = shape(kMask), scores{q.batch, q.heads, q.length, num_keys};
    for (size_t d = 0; d < mask.size(); ++d) {
      if (mask.size() > 4) return refuse("its mask has more than four axes");
      const int64_t extent = scores[4 - mask.size() + d];
      if (mask[d] != 1 && mask[d] != extent) return refuse("its mask does not fit the scores");
    }
  }
  return {};
}

// ---- rotary_embedding

struct Rotation {
  Heads heads;
  int64_t rotated, half;
};

Rotation rotation_of(const std::vector<int64_t>& x, const OpView& op) {
  const Heads heads = heads_of(x, op, "num_heads");
  const int64_t given = op.i64("rotary_embedding_dim");
  const int64_t rotated = given > 0 ? given : heads.size;
  return {heads, rotated, rotated / 2};
}

// Number `j` of the row of `table` that belongs to the token at `place`; leading axes are one.
Register angle_of(GroupEmitter& e, ValueId table, Index row, const LaneIndex& j) {
  const std::vector<int64_t> shape = e.shape(table);
  std::vector<Index> dims(shape.size(), Index(0));
  std::vector<int64_t> steps(shape.size(), 0);
  for (size_t d = shape.size() - 1; d-- > 0;) {
    dims[d] = d == 0 ? row : kernel::mod(row, shape[d]);
    row = kernel::floor_div(row, shape[d]);
  }
  dims.back() = j.dims[0];
  steps.back() = j.steps[0];
  return e.pull(table, j.with_dims(std::move(dims), std::move(steps)));
}

Register emit_rotary(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const Rotation r = rotation_of(e.shape(node.operands[0]), node.view());
  const DType dtype = e.type(node.results[0]).dtype;
  const auto by_lane = [&] {
    return by_lanes(e, at, carrier_of(dtype),
                    [&](const LaneIndex& one) { return emit_rotary(e, node, 0, one); });
  };
  const size_t last = at.dims.size() - 1, time = r.heads.is_flat ? 1 : 2;
  const bool is_interleaved = node.view().i64("interleaved") != 0;
  for (size_t d = 0; d <= last; ++d) {
    if (at.varies(d) && (d != last || is_interleaved)) return by_lane();
  }
  const Index d = kernel::mod(at.dims[last], r.heads.size);
  const int64_t reach = lane_reach(at, last);
  const Index token = at.dims[0] * Index(r.heads.length) + at.dims[time];
  // Element `d` turned with the one `other` numbers further on.
  const auto turned = [&](Index j, int64_t other, double sign) {
    Index row = token;
    if (node.has_operand(3)) {
      const std::vector<int64_t> table = e.shape(node.operands[1]);
      const LaneIndex place = LaneIndex::scalar({at.dims[0], at.dims[time]});
      row = b.check_index(e.pull(node.operands[3], place), num_elements(table) / table.back());
    }
    const LaneIndex along = at.with_dims({j}, {at.steps[last]});
    const Register c = angle_of(e, node.operands[1], row, along);
    const Register s = angle_of(e, node.operands[2], row, along);
    LaneIndex partner = at;
    // The guards say as much; the bounds are for the verifier.
    const Index bound(e.shape(node.operands[0])[last] - 1 - reach);
    partner.dims[last] = kernel::min(kernel::max(at.dims[last] + Index(other), 0), bound);
    const Register own = b.mul(c, e.pull(node.operands[0], at));
    const Register crossed = b.mul(s, e.pull(node.operands[0], partner));
    return e.rounded(sign < 0 ? b.sub(own, crossed) : b.add(crossed, own), dtype);
  };
  const auto unturned = [&]() -> Values {
    if (at.is_scalar()) return {e.pull(node.operands[0], at)};
    return {by_lane()};
  };
  if (is_interleaved) {
    const Index j = kernel::floor_div(d, 2);
    const auto pair = [&] {
      return e.choose(
          {{kernel::mod(d, 2), 0, 1}}, [&] { return Values{turned(j, 1, -1)}; },
          [&] { return Values{turned(j, -1, 1)}; });
    };
    return e.choose({guard_between(d, 0, 0, r.rotated)}, pair, unturned)[0];
  }
  const auto second = [&] {
    return e.choose(
        {guard_between(d, reach, r.half, r.rotated)},
        [&] { return Values{turned(d - Index(r.half), -r.half, 1)}; }, unturned);
  };
  return e.choose(
      {guard_between(d, reach, 0, r.half)}, [&] { return Values{turned(d, r.half, -1)}; },
      second)[0];
}

OrRefusal<void> accepts_rotary(const Module&, const Graph& graph, const Node& node) {
  const auto shape = [&](size_t i) { return graph.type(node.operands[i]).shape(); };
  const Rotation r = rotation_of(shape(0), node.view());
  const std::vector<int64_t> table = shape(1);
  if (table.empty() || r.half == 0 || r.rotated % 2 != 0 || r.rotated > r.heads.size ||
      table.back() != r.half || shape(2) != table) {
    return refuse("the cosines and sines do not fit the rotated size");
  }
  const int64_t num_tokens = r.heads.batch * r.heads.length;
  if (num_elements(table) == 0) return refuse("it has no cosines");
  if (node.has_operand(3)) {
    if (shape(3) == std::vector<int64_t>{r.heads.batch, r.heads.length}) return {};
    return refuse("there is not one position per token");
  }
  if (num_tokens > num_elements(table) / r.half) return refuse("it has too few cosines");
  return {};
}

}  // namespace

void add_attention_lowerings(LoweringTable& t) {
  row(t, Op::attention) = {nullptr, nest_attention, attention_tiles, accepts_attention};
  row(t, Op::rotary_embedding) = {emit_rotary, nullptr, nullptr, accepts_rotary};
}

}  // namespace neuronc
