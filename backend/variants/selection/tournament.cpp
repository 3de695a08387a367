// top_k by a tournament: the line is cut into blocks, each of which knows its best element.
//
//   keys    integers in the order of the result, the greatest first, whatever the element type
//   k times: the best of the blocks' best is the next element; its block looks for its best again
//
// What was taken needs no mark: elements come out in order, so the rest is what stands behind the
// last one taken. With blocks of about sqrt(n) elements a step costs 2 sqrt(n) / lanes: k of n for
// any k, without passes over the line.
#include <algorithm>
#include <cmath>

#include "backend/lower/lanes.h"
#include "backend/variants/variant.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;

// Short lines are found by passes, with a line in each lane.
constexpr int64_t kMinLine = 64;

struct Line {
  std::vector<int64_t> shape;
  size_t axis = 0;
  int64_t n = 0, k = 0;
};

Line line_of(const GroupContext& context) {
  Line line;
  line.shape = context.operand_shape(0);
  line.axis = resolve_axis(context.anchor_node().view().i64("axis"), line.shape.size());
  line.n = line.shape[line.axis];
  line.k = context.result_shape()[line.axis];
  return line;
}

// Keys of 32 bits hold every element type that is not wider itself.
DType key_dtype(DType carrier) { return size_bytes(carrier) > 4 ? DType::i64 : DType::i32; }

class Tournament {
 public:
  Tournament(GroupEmitter& e, const Node& node, Line line)
      : e_(e),
        b_(e.builder()),
        node_(node),
        line_(std::move(line)),
        key_(key_dtype(carrier_of(e.type(node.operands[0]).dtype))),
        lanes_(e.vector_lanes(key_)) {
    const auto root = static_cast<int64_t>(std::sqrt(static_cast<double>(line_.n)));
    block_ = (root / lanes_ + 1) * lanes_;
    num_blocks_ = (line_.n + block_ - 1) / block_;
    padded_blocks_ = (num_blocks_ + lanes_ - 1) / lanes_ * lanes_;
    keys_ = e.workspace("keys", key_, {num_blocks_ * block_});
    best_key_ = e.workspace("best_key", key_, {padded_blocks_});
    best_position_ = e.workspace("best_position", key_, {padded_blocks_});
    least_ = key_ == DType::i64 ? INT64_MIN : INT32_MIN;
    nowhere_ = key_ == DType::i64 ? INT64_MAX : INT32_MAX;
  }

  void run(const std::vector<Index>& dims) {
    make_keys(dims);
    const Values before_all{scalar(nowhere_), scalar(-1)};  // the greatest key, position -1
    e_.loop({0, num_blocks_, 1}, [&](Index block) { find_best_of(block, before_all); });
    for (int64_t i = num_blocks_; i < padded_blocks_; ++i) {
      b_.store(best_key_, {Index(i)}, scalar(least_));
      b_.store(best_position_, {Index(i)}, scalar(nowhere_));
    }
    e_.loop({0, line_.k, 1}, [&](Index j) {
      const Values next = best_of(best_key_, Index(0), padded_blocks_, [&](Index i, Register) {
        return b_.load(best_position_, {i}, lanes_);
      });
      const Index position = b_.check_index(b_.convert(next[1], DType::i64), line_.n);
      store_result(dims, j, position);
      find_best_of(kernel::floor_div(position, block_), next);
    });
  }

 private:
  Register scalar(int64_t value) { return b_.constant_bits({key_, 1}, value); }
  Register vector(int64_t value) { return b_.constant_bits({key_, lanes_}, value); }

  // An integer that stands where `x` does in the order of the result; NaN is the greatest element,
  // zeros of both signs are one.
  Register key_of(Register x) {
    const DType dtype = x.type.dtype;
    const bool largest = node_.view().i64("largest") != 0;
    Register key;
    if (dtype == DType::f32 || dtype == DType::f64) {
      const int bits = 8 * size_bytes(dtype);
      const Register number = b_.bitcast(b_.add(x, b_.zero(x.type)), key_);
      const Register magnitude_flips = b_.lshr(b_.ashr(number, bits - 1), 1);
      key = b_.select(b_.eq(x, x), b_.bit_xor(number, magnitude_flips),
                      b_.constant_bits(number.type, nowhere_));
    } else if (dtype == DType::u32 || dtype == DType::u64) {
      const Register bits = b_.bitcast(x, key_);
      key = b_.bit_xor(bits, b_.constant_bits(bits.type, least_));
    } else {
      key = b_.convert(x, key_);
    }
    return largest ? key : b_.bit_not(key);
  }

  void make_keys(std::vector<Index> dims) {
    const auto keys_at = [&](Index i, int active) {
      dims[line_.axis] = i;
      const Register x =
          e_.pull(node_.operands[0], LaneIndex::along(dims, line_.axis, lanes_, active));
      Register key = key_of(x);
      if (active < lanes_) {
        key = b_.select(active_lanes(b_, lanes_, active), key, vector(least_));
      }
      b_.store(keys_, {i}, key);
    };
    const int64_t whole = line_.n / lanes_ * lanes_;
    if (whole > 0) e_.loop({0, whole, lanes_}, [&](Index i) { keys_at(i, lanes_); });
    int64_t written = whole;
    if (whole < line_.n) {
      keys_at(Index(whole), static_cast<int>(line_.n - whole));
      written += lanes_;
    }
    // Behind the line nothing is better than any element; positions decide against what is equal.
    if (written < num_blocks_ * block_) {
      e_.loop({written, num_blocks_ * block_, lanes_},
              [&](Index i) { b_.store(keys_, {i}, vector(least_)); });
    }
  }

  // The greatest of `count` keys from `first` on and its least position: {key, position}.
  // `position_of` gives the positions of the lanes at i; `nowhere_` for those that do not count,
  // whose keys are then the least.
  Values best_of(BufferId keys, Index first, int64_t count,
                 const std::function<Register(Index, Register)>& position_of) {
    const Values best =
        e_.loop({0, count, lanes_}, {vector(least_), vector(nowhere_)},
                [&](Index i, std::span<const Register> carried) {
                  Register key = b_.load(keys, {first + i}, lanes_);
                  const Register position = position_of(first + i, key);
                  key = b_.select(b_.eq(position, vector(nowhere_)), vector(least_), key);
                  const Register is_better =
                      b_.bit_or(b_.gt(key, carried[0]),
                                b_.bit_and(b_.eq(key, carried[0]), b_.lt(position, carried[1])));
                  return Values{b_.select(is_better, key, carried[0]),
                                b_.select(is_better, position, carried[1])};
                });
    const Register key = b_.reduce_max(best[0]);
    const Register position =
        b_.reduce_min(b_.select(b_.eq(best[0], b_.splat(key, lanes_)), best[1], vector(nowhere_)));
    return {key, position};
  }

  // The best element of `block` behind `last` in the order of the result.
  void find_best_of(Index block, const Values& last) {
    const Register last_key = b_.splat(last[0], lanes_), last_position = b_.splat(last[1], lanes_);
    const Values best = best_of(keys_, block * block_, block_, [&](Index i, Register key) {
      const Register position = lane_positions(e_, i, 1, lanes_, key_);
      const Register is_behind = b_.bit_or(
          b_.lt(key, last_key), b_.bit_and(b_.eq(key, last_key), b_.gt(position, last_position)));
      return b_.select(is_behind, position, vector(nowhere_));
    });
    b_.store(best_key_, {block}, best[0]);
    b_.store(best_position_, {block}, best[1]);
  }

  void store_result(std::vector<Index> dims, Index j, Index position) {
    dims[line_.axis] = position;
    const Register value = e_.pull(node_.operands[0], LaneIndex::scalar(dims));
    dims[line_.axis] = j;
    const LaneIndex at = LaneIndex::scalar(dims);
    e_.provide(node_.results[0], at, value);
    if (node_.results.size() > 1) e_.provide(node_.results[1], at, b_.index_value(position));
    e_.store_results(at);
  }

  GroupEmitter& e_;
  Builder& b_;
  const Node& node_;
  Line line_;
  DType key_;
  int lanes_;
  int64_t block_ = 0, num_blocks_ = 0, padded_blocks_ = 0;
  int64_t least_ = 0, nowhere_ = 0;
  BufferId keys_, best_key_, best_position_;
};

OrRefusal<double> predict_ns(const GroupContext& context) {
  const Line line = line_of(context);
  if (line.n < kMinLine) return refuse("its lines are short");
  if (line.k == 0 || num_elements(line.shape) == 0) return refuse("it has no elements");
  if (line.n > INT32_MAX / 2) return refuse("its lines are longer than 2^30");
  const auto n = static_cast<double>(line.n);
  const auto lines = static_cast<double>(num_elements(line.shape)) / n;
  const double elements = lines * (n + static_cast<double>(line.k) * 2 * std::sqrt(n));
  const HardwareModel& hardware = context.machine.hardware;
  return hardware.launch_ns + elements * 8 / hardware.vector_flops_per_s * 1e9;
}

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  const Line line = line_of(context);
  const int64_t num_lines = num_elements(line.shape) / line.n;
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 kernel_name(context), num_lines);
  std::vector<Index> dims(line.shape.size(), Index(0));
  Index rest = num_lines > 1 ? e.builder().tile() : Index(0);
  for (size_t d = dims.size(); d-- > 0;) {
    if (d == line.axis || line.shape[d] == 1) continue;
    dims[d] = kernel::mod(rest, line.shape[d]);
    rest = kernel::floor_div(rest, line.shape[d]);
  }
  Tournament(e, context.anchor_node(), line).run(dims);
  return std::move(e).finish();
}

}  // namespace

const Variant kTopKTournament = {.name = "top_k.tournament",
                                 .predict_ns = predict_ns,
                                 .lower = lower,
                                 .operand_order = no_order,
                                 .result_order = no_result_order,
                                 .prologue = no_prologue};

}  // namespace neuronc
