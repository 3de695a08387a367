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
#include "backend/variants/selection/lines.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;

// A step waits for its reductions, whatever the line (measured on Zen 4).
constexpr double kStepNs = 40;

class Tournament {
 public:
  Tournament(GroupEmitter& e, const Node& node, const SelectionLine& line)
      : e_(e),
        b_(e.builder()),
        node_(node),
        line_(line),
        key_(selection_key(carrier_of(e.type(node.operands[0]).dtype))),
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
      store_selected(e_, node_, line_, dims, j, position);
      find_best_of(kernel::floor_div(position, block_), next);
    });
  }

 private:
  Register scalar(int64_t value) { return b_.constant_bits({key_, 1}, value); }
  Register vector(int64_t value) { return b_.constant_bits({key_, lanes_}, value); }

  void make_keys(std::vector<Index> dims) {
    const auto keys_at = [&](Index i, int active) {
      dims[line_.axis] = i;
      const Register x =
          e_.pull(node_.operands[0], LaneIndex::along(dims, line_.axis, lanes_, active));
      Register key = selection_key_of(b_, node_, x);
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

  GroupEmitter& e_;
  Builder& b_;
  const Node& node_;
  const SelectionLine& line_;
  DType key_;
  int lanes_;
  int64_t block_ = 0, num_blocks_ = 0, padded_blocks_ = 0;
  int64_t least_ = 0, nowhere_ = 0;
  BufferId keys_, best_key_, best_position_;
};

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const SelectionLine line, selection_line(context));
  const auto n = static_cast<double>(line.n);
  const auto k = static_cast<double>(line.k);
  const HardwareModel& hardware = context.machine.hardware;
  const double line_ns =
      k * kStepNs + (n + k * 2 * std::sqrt(n)) * 8 / hardware.vector_flops_per_s * 1e9;
  return faster_than_passes(context, line, line_ns);
}

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const SelectionLine line, selection_line(context));
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 kernel_name(context), line.num_lines());
  const Index tile = line.num_lines() > 1 ? e.builder().tile() : Index(0);
  Tournament(e, context.anchor_node(), line).run(begin_of_line(line, tile));
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
