// Implements run_time_pack.h.
#include "backend/variants/product/run_time_pack.h"

#include <algorithm>

#include "backend/variants/product/bytes.h"
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
         const RunTimeOperand& operand, Index panel, BufferId buffer, Index to)
      : e_(emitter),
        b_(emitter.builder()),
        step_(step),
        operand_(operand),
        buffer_(buffer),
        to_(to),
        lanes_(tile.lanes),
        first_(panel * tile.columns()),
        // The last, partial panel is emitted on its own with a constant index.
        active_(static_cast<int>(std::min<int64_t>(
            tile.columns(),
            panel.is_constant() ? operand.n - panel.constant() * tile.columns() : tile.columns()))),
        vectors_(tile.active_vectors(active_)) {}

  void pack() {
    const auto memory = e_.memory_of(operand_.value);
    const int k_step = step_.k_step();
    const bool is_word =
        memory && packed_dtype(memory->dtype) == step_.b && size_bytes(step_.b) * k_step == 4;
    const bool is_k_consecutive = is_word && memory->strides[operand_.k_dim] == 1 && is_one_run();
    if (is_k_consecutive) return transpose_words(memory->buffer, memory->dtype);
    const int64_t whole = operand_.k / k_step;
    const auto tail = static_cast<int>(operand_.k % k_step);
    if (whole > 0) {
      e_.loop({0, whole, 1}, [&](Index group) { pack_group(group, k_step); });
    }
    if (tail > 0) pack_group(Index(whole), tail);
  }

 private:
  // Whether a register of k's never reaches from one run of neighbours into the next.
  bool is_one_run() const { return operand_.k_extent == 0 || operand_.k_extent >= operand_.k; }

  int active_lanes(int v) const { return std::min(lanes_, active_ - v * lanes_); }

  void store_row(Index group, int v, Register row) {
    const int column = v * lanes_;
    b_.store(buffer_,
             {to_ + Index(column / kPanelColumns), group,
              Index(column % kPanelColumns * step_.k_step())},
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
      // Two bf16 or four bytes make a word, the first one in its lowest bits.
      Register word;
      for (int j = 0; j < count; ++j) {
        const Register part =
            b_.convert(element_bits(column_elements(k + Index(j), v)), DType::u32);
        word = j == 0 ? part : b_.bit_or(word, b_.shl(part, j * 8 * size_bytes(step_.b)));
      }
      store_word(group, v, word);
    }
  }

  // An element as it is packed; bytes are signed there.
  Register element_bits(Register x) {
    if (step_.b == DType::bf16) return b_.bitcast(b_.convert(x, DType::bf16), DType::u16);
    if (x.type.dtype == DType::u8) x = b_.bit_xor(x, b_.constant_bits(x.type, 0x80));
    return b_.bitcast(x, DType::u8);
  }

  void store_word(Index group, int v, Register word) {
    store_row(group, v, b_.bitcast(word, ValueType{step_.b, step_.k_step() * lanes_}));
  }

  // Words of neighbouring k: lanes_ columns of lanes_ words are transposed at a time.
  void transpose_words(BufferId from, DType dtype) {
    const int64_t groups = operand_.k / step_.k_step();
    const auto tail = static_cast<int>(operand_.k % step_.k_step());
    const int64_t whole = groups / lanes_ * lanes_;
    for (int v = 0; v < vectors_; ++v) {
      if (whole > 0) {
        e_.loop({0, whole, lanes_}, [&](Index g) { transpose_block(from, dtype, v, g, lanes_); });
      }
      if (whole < groups) {
        transpose_block(from, dtype, v, Index(whole), static_cast<int>(groups - whole));
      }
    }
    if (tail > 0) pack_group(Index(groups), tail);
  }

  void transpose_block(BufferId from, DType dtype, int v, Index group, int count) {
    const int k_step = step_.k_step();
    const kernel::Lanes row_lanes{k_step * lanes_, static_cast<int>(operand_.k_dim)};
    Values columns;
    for (int c = 0; c < lanes_; ++c) {
      if (c >= active_lanes(v)) {
        columns.push_back(b_.zero({DType::u32, lanes_}));
        continue;
      }
      const std::vector<Index> at = operand_.at(group * k_step, first_ + Index(v * lanes_ + c));
      const Register row = count == lanes_
                               ? b_.load(from, at, row_lanes)
                               : b_.load_partial(from, at, row_lanes, Index(k_step * count));
      columns.push_back(b_.bitcast(row, DType::u32));
    }
    const Values rows = transposed(std::move(columns));
    for (int g = 0; g < count; ++g) {
      Register word = rows[static_cast<size_t>(g)];
      if (dtype == DType::u8) word = b_.bit_xor(word, b_.constant_bits(word.type, 0x80808080));
      store_word(group + Index(g), v, word);
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

  GroupEmitter& e_;
  kernel::Builder& b_;
  const ProductStep& step_;
  const RunTimeOperand& operand_;
  BufferId buffer_;
  Index to_;
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
                      const RunTimeOperand& operand, Index panel, BufferId buffer, Index to) {
  Packer(emitter, step, tile, operand, panel, buffer, to).pack();
}

}  // namespace neuronc
