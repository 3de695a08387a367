// Implements run_time_pack.h.
#include "backend/variants/product/run_time_pack.h"

#include <algorithm>

#include "backend/variants/product/pack.h"

namespace neuronc {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;
using kernel::ValueType;

namespace {

class Packer {
 public:
  Packer(GroupEmitter& emitter, const ProductStep& step, const RegisterTile& tile,
         const RunTimeOperand& operand, Index panel, BufferId buffer)
      : e_(emitter),
        b_(emitter.builder()),
        step_(step),
        operand_(operand),
        buffer_(buffer),
        lanes_(tile.lanes),
        first_(panel * tile.columns()),
        // The last, partial panel is emitted on its own with a constant index.
        active_(static_cast<int>(std::min<int64_t>(
            tile.columns(),
            panel.is_constant() ? operand.n - panel.constant() * tile.columns() : tile.columns()))),
        vectors_(tile.active_vectors(active_)) {}

  void pack() {
    const auto memory = e_.memory_of(operand_.value);
    const bool is_k_consecutive = memory && memory->dtype == DType::bf16 && step_.k_step() == 2 &&
                                  memory->strides[operand_.k_dim] == 1;
    if (is_k_consecutive) return transpose_words(memory->buffer);
    const int k_step = step_.k_step();
    const int64_t whole = operand_.k / k_step;
    const auto tail = static_cast<int>(operand_.k % k_step);
    if (whole > 0) {
      e_.loop({0, whole, 1}, [&](Index group) { pack_group(group, k_step); });
    }
    if (tail > 0) pack_group(Index(whole), tail);
  }

 private:
  int active_lanes(int v) const { return std::min(lanes_, active_ - v * lanes_); }

  void store_row(Index group, int v, Register row) {
    const int column = v * lanes_;
    b_.store(buffer_,
             {Index(column / kPanelColumns), group, Index(column % kPanelColumns * step_.k_step())},
             row);
  }

  Register column_elements(Index k, int v) {
    const Index column = first_ + Index(v * lanes_);
    return e_.pull(operand_.value, LaneIndex::along(operand_.at(k, column), operand_.column_dim,
                                                    lanes_, active_lanes(v)));
  }

  // `count` rows of k from group * k_step.
  void pack_group(Index group, int count) {
    for (int v = 0; v < vectors_; ++v) {
      const Index k = group * step_.k_step();
      if (step_.k_step() == 1) {
        store_row(group, v, b_.convert(column_elements(k, v), step_.b));
        continue;
      }
      // A pair of bf16 makes a word, the even one in its low half.
      const auto bits = [&](Index at) {
        return b_.convert(b_.bitcast(b_.convert(column_elements(at, v), DType::bf16), DType::u16),
                          DType::u32);
      };
      Register word = bits(k);
      if (count > 1) word = b_.bit_or(word, b_.shl(bits(k + Index(1)), 16));
      store_row(group, v, b_.bitcast(word, ValueType{DType::bf16, 2 * lanes_}));
    }
  }

  // Words of two neighbouring k: lanes_ columns of lanes_ words are transposed at a time.
  void transpose_words(BufferId from) {
    const int64_t groups = operand_.k / 2;
    const int64_t whole = groups / lanes_ * lanes_;
    for (int v = 0; v < vectors_; ++v) {
      if (whole > 0) {
        e_.loop({0, whole, lanes_}, [&](Index g) { transpose_block(from, v, g, lanes_); });
      }
      if (whole < groups) {
        transpose_block(from, v, Index(whole), static_cast<int>(groups - whole));
      }
      if (operand_.k % 2 != 0) pack_last(v);
    }
  }

  void transpose_block(BufferId from, int v, Index group, int count) {
    const kernel::Lanes row_lanes{2 * lanes_, static_cast<int>(operand_.k_dim)};
    Values columns;
    for (int c = 0; c < lanes_; ++c) {
      if (c >= active_lanes(v)) {
        columns.push_back(b_.zero({DType::u32, lanes_}));
        continue;
      }
      const std::vector<Index> at = operand_.at(group * 2, first_ + Index(v * lanes_ + c));
      const Register row = count == lanes_ ? b_.load(from, at, row_lanes)
                                           : b_.load_partial(from, at, row_lanes, Index(2 * count));
      columns.push_back(b_.bitcast(row, DType::u32));
    }
    const Values rows = transposed(std::move(columns));
    for (int g = 0; g < count; ++g) {
      store_row(group + Index(g), v,
                b_.bitcast(rows[static_cast<size_t>(g)], ValueType{DType::bf16, 2 * lanes_}));
    }
  }

  // A square of lanes by rounds of exchanging blocks of 1, 2, 4... lanes between rows that far
  // apart.
  Values transposed(Values rows) {
    for (int width = 1; width < lanes_; width *= 2) {
      std::vector<int64_t> low, high;
      for (int l = 0; l < lanes_; ++l) {
        const bool is_second = (l / width) % 2 != 0;
        low.push_back(is_second ? lanes_ + l - width : l);
        high.push_back(is_second ? lanes_ + l : l + width);
      }
      Values next = rows;
      for (int i = 0; i < lanes_; ++i) {
        if ((i / width) % 2 != 0) continue;
        const Register& a = rows[static_cast<size_t>(i)];
        const Register& b = rows[static_cast<size_t>(i + width)];
        next[static_cast<size_t>(i)] = b_.shuffle(a, b, low);
        next[static_cast<size_t>(i + width)] = b_.shuffle(a, b, high);
      }
      rows = std::move(next);
    }
    return rows;
  }

  void pack_last(int v) {
    const Index k(operand_.k - 1);
    const Register word = b_.convert(
        b_.bitcast(b_.convert(column_elements(k, v), DType::bf16), DType::u16), DType::u32);
    store_row(Index(operand_.k / 2), v, b_.bitcast(word, ValueType{DType::bf16, 2 * lanes_}));
  }

  GroupEmitter& e_;
  kernel::Builder& b_;
  const ProductStep& step_;
  const RunTimeOperand& operand_;
  BufferId buffer_;
  int lanes_;
  Index first_;
  int active_;
  int vectors_;
};

}  // namespace

BufferId run_time_panel(GroupEmitter& emitter, const ProductStep& step, const RegisterTile& tile,
                        const RunTimeOperand& operand) {
  const int64_t groups = (operand.k + step.k_step() - 1) / step.k_step();
  return emitter.workspace("b", step.b, {num_panels(tile.columns()), groups, step.row_elements()});
}

void pack_at_run_time(GroupEmitter& emitter, const ProductStep& step, const RegisterTile& tile,
                      const RunTimeOperand& operand, Index panel, BufferId buffer) {
  Packer(emitter, step, tile, operand, panel, buffer).pack();
}

}  // namespace neuronc
