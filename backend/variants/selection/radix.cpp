// top_k by sorting the whole line: for results that are much of it.
//
//   element i    its key in the upper half of 64 bits, i in the lower one
//   four times   elements move to where one byte of the key, from the last to the first, says: behind
//                those of a smaller byte, and of the same byte behind those that came before
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

constexpr int kDigitBits = 8, kNumDigits = 4, kKeyShift = 32;
constexpr int64_t kRadix = 1 << kDigitBits;
// What an element and the counts of a line cost (measured on Zen 4).
constexpr double kElementNs = 8, kLineNs = 1200;

class RadixSort {
 public:
  RadixSort(GroupEmitter& e, const Node& node, const SelectionLine& line)
      : e_(e), b_(e.builder()), node_(node), line_(line), lanes_(e.vector_lanes(DType::i64)) {
    const int64_t whole = (line.n + lanes_ - 1) / lanes_ * lanes_;
    from_ = e.workspace("elements", DType::i64, {whole});
    to_ = e.workspace("moved", DType::i64, {whole});
    places_ = e.workspace("places", DType::i32, {kNumDigits, kRadix});
  }

  void run(const std::vector<Index>& dims) {
    make_elements(dims);
    count();
    for (int digit = 0; digit < kNumDigits; ++digit) {
      move(digit);
      std::swap(from_, to_);
    }
    e_.loop({0, line_.k, 1}, [&](Index j) {
      const Register element = b_.load(from_, {j});
      const Register number = b_.bit_and(element, scalar(INT32_MAX));
      store_selected(e_, node_, line_, dims, j, b_.check_index(number, line_.n));
    });
  }

 private:
  Register scalar(int64_t value) { return b_.constant_bits({DType::i64, 1}, value); }

  // The best has the least upper half, compared without a sign.
  void make_elements(std::vector<Index> dims) {
    const auto elements_at = [&](Index i, int active) {
      dims[line_.axis] = i;
      const Register x =
          e_.pull(node_.operands[0], LaneIndex::along(dims, line_.axis, lanes_, active));
      const Register key = selection_key_of(b_, node_, x);
      const Register rising = b_.bit_xor(key, b_.constant_bits(key.type, INT32_MAX));
      const Register upper = b_.shl(b_.convert(rising, DType::i64), kKeyShift);
      b_.store(from_, {i}, b_.bit_or(upper, lane_positions(e_, i, 1, lanes_)));
    };
    const int64_t whole = line_.n / lanes_ * lanes_;
    if (whole > 0) e_.loop({0, whole, lanes_}, [&](Index i) { elements_at(i, lanes_); });
    if (whole < line_.n) elements_at(Index(whole), static_cast<int>(line_.n - whole));
  }

  Index digit_of(Register element, int digit) {
    const Register shifted = b_.lshr(element, kKeyShift + digit * kDigitBits);
    return b_.check_index(b_.bit_and(shifted, scalar(kRadix - 1)), kRadix);
  }

  // Where the first element of every digit goes.
  void count() {
    const Register one = b_.constant_bits({DType::i32, 1}, 1);
    const Register none = b_.constant_bits({DType::i32, 1}, 0);
    for (int digit = 0; digit < kNumDigits; ++digit) {
      e_.loop({0, kRadix, lanes_}, [&](Index i) {
        b_.store(places_, {Index(digit), i}, b_.zero({DType::i32, lanes_}));
      });
    }
    e_.loop({0, line_.n, 1}, [&](Index i) {
      const Register element = b_.load(from_, {i});
      for (int digit = 0; digit < kNumDigits; ++digit) {
        const Index at = digit_of(element, digit);
        b_.store(places_, {Index(digit), at}, b_.add(b_.load(places_, {Index(digit), at}), one));
      }
    });
    e_.loop({0, kRadix, 1}, Values(kNumDigits, none), [&](Index i, std::span<const Register> sums) {
      Values next;
      for (int digit = 0; digit < kNumDigits; ++digit) {
        const auto d = static_cast<size_t>(digit);
        next.push_back(b_.add(sums[d], b_.load(places_, {Index(digit), i})));
        b_.store(places_, {Index(digit), i}, sums[d]);
      }
      return next;
    });
  }

  void move(int digit) {
    const Register one = b_.constant_bits({DType::i32, 1}, 1);
    e_.loop({0, line_.n, 1}, [&](Index i) {
      const Register element = b_.load(from_, {i});
      const Index at = digit_of(element, digit);
      const Register place = b_.load(places_, {Index(digit), at});
      b_.store(places_, {Index(digit), at}, b_.add(place, one));
      b_.store(to_, {b_.check_index(b_.convert(place, DType::i64), line_.n)}, element);
    });
  }

  GroupEmitter& e_;
  kernel::Builder& b_;
  const Node& node_;
  const SelectionLine& line_;
  int lanes_;
  BufferId from_, to_, places_;
};

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const SelectionLine line, selection_line(context));
  if (selection_key(carrier_of(context.operand_dtype(0))) != DType::i32) {
    return refuse("its elements are wider than 32 bits");
  }
  const double line_ns = kLineNs + static_cast<double>(line.n) * kElementNs;
  return context.machine.hardware.launch_ns + static_cast<double>(line.num_lines()) * line_ns;
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
