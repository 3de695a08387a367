// top_k by sorting the whole line: for results that are much of it.
//
//   element i    its key in the upper half of 64 bits, i in the lower one; i apart where keys have 64 bits
//   every byte   of the key in which elements differ, from the last to the first: elements move to behind
//                those of a smaller byte, and of the same byte to behind those that came before
//
// Passes keep the order of what is equal, so that equal elements come out by position.
#include <cmath>

#include "backend/lower/lanes.h"
#include "backend/variants/selection/lines.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;

constexpr int kDigitBits = 8, kElementBits = 64;
constexpr int64_t kRadix = 1 << kDigitBits;
// What an element and the counts of a digit cost (measured on Zen 4).
constexpr double kElementNs = 3, kDigitNs = 0.3 * kRadix;

class RadixSort {
 public:
  RadixSort(GroupEmitter& e, const Node& node, const SelectionLine& line)
      : e_(e),
        b_(e.builder()),
        node_(node),
        line_(line),
        is_wide_(selection_key(carrier_of(e.type(node.operands[0]).dtype)) == DType::i64),
        lanes_(e.vector_lanes(DType::i64)) {
    // What is to be moved, and what has moved; they take turns.
    const int64_t whole = (line.n + lanes_ - 1) / lanes_ * lanes_;
    elements_ = e.workspace("elements", DType::i64, {2, whole});
    if (is_wide_) positions_ = e.workspace("positions", DType::i64, {2, whole});
    places_ = e.workspace("places", DType::i32, {kRadix});
  }

  void run(const std::vector<Index>& dims) {
    const Register differing = make_elements(dims);
    Register side = scalar(0);
    for (int shift = is_wide_ ? 0 : kElementBits / 2; shift < kElementBits; shift += kDigitBits) {
      const Register digit = b_.bit_and(b_.lshr(differing, shift), scalar(kRadix - 1));
      side = b_.if_true_values(
          b_.ne(digit, scalar(0)),
          [&]() -> Values {
            const Index from = b_.check_index(side, 2);
            count(from, shift);
            move(from, shift);
            return {b_.sub(scalar(1), side)};
          },
          [&]() -> Values { return {side}; })[0];
    }
    const Index sorted = b_.check_index(side, 2);
    e_.loop({0, line_.k, 1}, [&](Index j) {
      const Register number = is_wide_
                                  ? b_.load(positions_, {sorted, j})
                                  : b_.bit_and(b_.load(elements_, {sorted, j}), scalar(INT32_MAX));
      store_selected(e_, node_, line_, dims, j, b_.check_index(number, line_.n));
    });
  }

 private:
  Register scalar(int64_t value) { return b_.constant_bits({DType::i64, 1}, value); }

  // The best is the least, compared without a sign. Gives the bits in which keys differ.
  Register make_elements(std::vector<Index> dims) {
    const auto elements_at = [&](Index i, int active, std::span<const Register> seen) -> Values {
      dims[line_.axis] = i;
      const Register x =
          e_.pull(node_.operands[0], LaneIndex::along(dims, line_.axis, lanes_, active));
      const Register key = selection_key_of(b_, node_, x);
      const int64_t all_but_sign = is_wide_ ? INT64_MAX : INT32_MAX;
      const Register rising = b_.bit_xor(key, b_.constant_bits(key.type, all_but_sign));
      const Register place = lane_positions(e_, i, 1, lanes_);
      Register element = rising;
      if (is_wide_) {
        b_.store(positions_, {Index(0), i}, place);
      } else {
        element = b_.bit_or(b_.shl(b_.convert(rising, DType::i64), kElementBits / 2), place);
      }
      b_.store(elements_, {Index(0), i}, element);
      return {b_.bit_or(seen[0], element), b_.bit_and(seen[1], element)};
    };
    const int64_t whole = line_.n / lanes_ * lanes_;
    Values seen{b_.zero({DType::i64, lanes_}), b_.constant_bits({DType::i64, lanes_}, -1)};
    if (whole > 0) {
      seen = e_.loop({0, whole, lanes_}, seen, [&](Index i, std::span<const Register> carried) {
        return elements_at(i, lanes_, carried);
      });
    }
    if (whole < line_.n) {
      seen = elements_at(Index(whole), static_cast<int>(line_.n - whole), seen);
    }
    Register set = scalar(0), common = scalar(-1);
    for (int lane = 0; lane < lanes_; ++lane) {
      set = b_.bit_or(set, b_.extract(seen[0], lane));
      common = b_.bit_and(common, b_.extract(seen[1], lane));
    }
    return b_.bit_xor(set, common);
  }

  Index digit_of(Register element, int shift) {
    return b_.check_index(b_.bit_and(b_.lshr(element, shift), scalar(kRadix - 1)), kRadix);
  }

  // Where the first element of every digit goes.
  void count(Index from, int shift) {
    const Register one = b_.constant_bits({DType::i32, 1}, 1);
    e_.loop({0, kRadix, lanes_},
            [&](Index i) { b_.store(places_, {i}, b_.zero({DType::i32, lanes_})); });
    e_.loop({0, line_.n, 1}, [&](Index i) {
      const Index digit = digit_of(b_.load(elements_, {from, i}), shift);
      b_.store(places_, {digit}, b_.add(b_.load(places_, {digit}), one));
    });
    e_.loop({0, kRadix, 1}, Values{b_.constant_bits({DType::i32, 1}, 0)},
            [&](Index i, std::span<const Register> sum) {
              const Register next = b_.add(sum[0], b_.load(places_, {i}));
              b_.store(places_, {i}, sum[0]);
              return Values{next};
            });
  }

  void move(Index from, int shift) {
    const Register one = b_.constant_bits({DType::i32, 1}, 1);
    const Index to = Index(1) - from;
    e_.loop({0, line_.n, 1}, [&](Index i) {
      const Register element = b_.load(elements_, {from, i});
      const Index digit = digit_of(element, shift);
      const Register place = b_.load(places_, {digit});
      b_.store(places_, {digit}, b_.add(place, one));
      const Index at = b_.check_index(b_.convert(place, DType::i64), line_.n);
      b_.store(elements_, {to, at}, element);
      if (is_wide_) b_.store(positions_, {to, at}, b_.load(positions_, {from, i}));
    });
  }

  GroupEmitter& e_;
  kernel::Builder& b_;
  const Node& node_;
  const SelectionLine& line_;
  bool is_wide_;
  int lanes_;
  BufferId elements_, positions_, places_;
};

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const SelectionLine line, selection_line(context));
  // Of wide keys few bytes differ: they are counts, or numbers made from narrow ones.
  constexpr double kDigits = 4;
  const double line_ns = kDigits * (kDigitNs + static_cast<double>(line.n) * kElementNs);
  return faster_than_passes(context, line, line_ns);
}

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const SelectionLine line, selection_line(context));
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 "sorted_" + kernel_name(context), line.num_lines());
  const Index tile = line.num_lines() > 1 ? e.builder().tile() : Index(0);
  RadixSort(e, context.anchor_node(), line).run(begin_of_line(line, tile));
  return std::move(e).finish();
}

}  // namespace

const Variant kTopKRadix = {.name = "top_k.radix",
                            .predict_ns = predict_ns,
                            .lower = lower,
                            .operand_order = no_order,
                            .result_order = no_result_order,
                            .prologue = no_prologue};

}  // namespace neuronc
