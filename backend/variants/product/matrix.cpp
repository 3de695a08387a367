// Implements matrix.h.
#include "backend/variants/product/matrix.h"

#include <algorithm>

#include "ir/base/check.h"

namespace neuronc {

using kernel::BufferId;
using kernel::Index;
using kernel::kMatrixRows;
using kernel::Values;
using kernel::ValueType;

namespace {

constexpr int64_t kLineBytes = kernel::kMatrixRowBytes;
// Rows this many lines apart share every eighth set of a cache of 64 sets at most.
constexpr int64_t kMaxSharedLines = 8;

DType scratch_dtype(const ProductStep& step) { return step.a == DType::i8 ? DType::u8 : step.a; }

}  // namespace

MatrixBlock::MatrixBlock(GroupEmitter& emitter, const BlockLoops& loops)
    : e_(emitter),
      loops_(loops),
      row_elements_(static_cast<int>(kLineBytes) / size_bytes(loops.step.a)),
      groups_(loops.k.num_groups(loops.step.k_step())),
      whole_blocks_(groups_ / kMatrixRows),
      has_tail_(groups_ % kMatrixRows != 0) {
  const int per_row = kPanelColumns;
  sums_ = e_.workspace("sums", loops.step.accumulator, {4, kMatrixRows, per_row});
  if (has_tail_) {
    tail_ = e_.workspace("b_tail", loops.step.b, {2, kMatrixRows, loops.step.row_elements()});
  }
  if (!lies_in_lines()) copy_rows();
}

// Whether matrices of a can be loaded from where the rows are.
bool MatrixBlock::lies_in_lines() const {
  const RowOperand& a = loops_.a;
  if (a.row_dim < 0 || loops_.step.a == DType::i8 || loops_.k.num_outer() != 1) return false;
  if (loops_.k.inner % row_elements_ != 0 || loops_.num_rows < kMatrixRows) return false;
  const kernel::Buffer& buffer = e_.builder().kernel().buffer(a.buffer);
  const int64_t stride_bytes =
      buffer.strides[static_cast<size_t>(a.row_dim)] * size_bytes(buffer.dtype);
  return stride_bytes % kLineBytes != 0 || stride_bytes / kLineBytes % (2 * kMaxSharedLines) != 0;
}

void MatrixBlock::copy_rows() {
  const int64_t lines = whole_blocks_ + (has_tail_ ? 1 : 0);
  const int64_t pitch = (lines | 1) * row_elements_;
  const int64_t matrices = (loops_.block_rows + kMatrixRows - 1) / kMatrixRows;
  a_ = e_.workspace("a_lines", scratch_dtype(loops_.step), {matrices * kMatrixRows, pitch});
  e_.loop({0, std::min(loops_.block_rows, loops_.num_rows), 1}, [&](Index i) {
    const Index row = loops_.first_row + i;
    if (loops_.block_rows >= loops_.num_rows) return copy_row(row, i);
    e_.when({{row, 0, loops_.num_rows}}, [&] { copy_row(row, i); });
  });
}

// Elements of k, block by block of the outer loops; what a group of k lacks is zero.
void MatrixBlock::copy_row(Index row, Index to) {
  kernel::Builder& b = e_.builder();
  const DType dtype = scratch_dtype(loops_.step);
  const int64_t inner = loops_.k.inner;
  const int64_t padded =
      (inner + loops_.step.k_step() - 1) / loops_.step.k_step() * loops_.step.k_step();
  if (has_tail_) {
    b.store(a_, {to, Index(whole_blocks_ * row_elements_)}, b.zero({dtype, row_elements_}));
  }
  const auto piece = [&](const std::vector<Index>& outer, Index flat, Index k, int64_t count,
                         int64_t stored) {
    const std::vector<Index> from = loops_.a.at(row, outer, k);
    const kernel::Lanes lanes{row_elements_, loops_.a.lane_dim};
    Register line = b.load_partial(loops_.a.buffer, from, lanes, Index(count));
    if (loops_.step.a == DType::i8) {
      // What follows the row meets zeros of b.
      line = b.bitcast(line, DType::u8);
      line = b.bit_xor(line, b.constant(line.type, 0x80));
    }
    b.store_partial(a_, {to, flat * padded + k}, line, Index(stored));
  };
  const int64_t whole = inner / row_elements_ * row_elements_;
  const std::function<void(std::vector<Index>, Index, size_t)> walk =
      [&](std::vector<Index> outer, Index flat, size_t depth) {
        if (depth < loops_.k.outer.size()) {
          const int64_t extent = loops_.k.outer[depth];
          const auto step = [&](Index i) {
            std::vector<Index> deeper = outer;
            deeper.push_back(i);
            walk(std::move(deeper), flat * extent + i, depth + 1);
          };
          if (extent == 1) return step(Index(0));
          return e_.loop({0, extent, 1}, step);
        }
        if (whole > 0) {
          e_.loop({0, whole, row_elements_},
                  [&](Index k) { piece(outer, flat, k, row_elements_, row_elements_); });
        }
        if (whole < inner) piece(outer, flat, Index(whole), inner - whole, padded - whole);
      };
  walk({}, Index(0), 0);
}

void MatrixBlock::begin_panel(Index panel, int active) {
  if (!has_tail_) return;
  kernel::Builder& b = e_.builder();
  const int vectors = loops_.tile.active_vectors(active);
  for (int g = 0; g < kMatrixRows; ++g) {
    const Index group(whole_blocks_ * kMatrixRows + g);
    const bool is_there = whole_blocks_ * kMatrixRows + g < groups_;
    const Values rows = is_there ? loops_.load_b(panel, vectors, group) : Values();
    for (int v = 0; v < vectors; ++v) {
      const Register row = is_there ? rows[static_cast<size_t>(v)]
                                    : b.zero({loops_.step.b, loops_.step.row_elements()});
      b.store(tail_, {Index(v), Index(g), Index(0)}, row);
    }
  }
}

// The last rows of all are read together with rows in front of them, where they lie.
MatrixBlock::Rows MatrixBlock::rows_of(Index row, int rows) const {
  if (a_ || rows >= kMatrixRows) return {row, 0};
  return {Index(loops_.num_rows - kMatrixRows), kMatrixRows - rows};
}

Register MatrixBlock::load_a(Index row, Index k_block) {
  kernel::Builder& b = e_.builder();
  const Index k = k_block * row_elements_;
  if (a_) {
    return b.matrix_load(a_, std::vector<Index>{row - loops_.first_row, k}, /*row_dim=*/0,
                         /*lane_dim=*/1);
  }
  const std::vector<Index> outer(loops_.k.outer.size(), Index(0));
  return b.matrix_load(loops_.a.buffer, loops_.a.at(row, outer, k), loops_.a.row_dim,
                       loops_.a.lane_dim);
}

Register MatrixBlock::load_b(Index panel, int v, Index k_block, bool is_tail) {
  if (!is_tail) return loops_.load_b_matrix(panel, v, k_block * kMatrixRows);
  return e_.builder().matrix_load(tail_, std::vector<Index>{Index(v), Index(0), Index(0)},
                                  /*row_dim=*/1, /*lane_dim=*/2);
}

Values MatrixBlock::multiply(const std::vector<Rows>& rows, int vectors, Index panel, Index k_block,
                             bool is_tail, const Values& sums) {
  Values a, b;
  for (const Rows& r : rows) a.push_back(load_a(r.first, k_block));
  for (int v = 0; v < vectors; ++v) b.push_back(load_b(panel, v, k_block, is_tail));
  Values next;
  for (size_t i = 0; i < sums.size(); ++i) {
    next.push_back(e_.builder().matrix_dot(sums[i], a[i / b.size()], b[i % b.size()]));
  }
  return next;
}

void MatrixBlock::emit_tile(Index panel, int active, Index row, int rows) {
  kernel::Builder& b = e_.builder();
  const int vectors = loops_.tile.active_vectors(active);
  std::vector<Rows> a_rows;
  for (int first = 0; first < rows; first += kMatrixRows) {
    a_rows.push_back(rows_of(row + Index(first), std::min(kMatrixRows, rows - first)));
  }
  Values sums;
  // A zero of its own for each: a copy between tile registers goes through memory.
  for (size_t i = 0; i < a_rows.size() * static_cast<size_t>(vectors); ++i) {
    sums.push_back(b.matrix_zero(loops_.step.accumulator));
  }
  if (whole_blocks_ > 0) {
    sums = e_.loop({0, whole_blocks_, 1}, sums, [&](Index k, std::span<const Register> carried) {
      return multiply(a_rows, vectors, panel, k, false, Values(carried.begin(), carried.end()));
    });
  }
  if (has_tail_) sums = multiply(a_rows, vectors, panel, Index(whole_blocks_), true, sums);
  for (size_t i = 0; i < sums.size(); ++i) {
    b.matrix_store(sums_, std::vector<Index>{Index(static_cast<int64_t>(i)), Index(0), Index(0)},
                   sums[i], /*row_dim=*/1, /*lane_dim=*/2);
  }
  for (int i = 0; i < static_cast<int>(a_rows.size()); ++i) {
    const int first = i * kMatrixRows;
    store_rows(panel, active, row + Index(first), std::min(kMatrixRows, rows - first),
               a_rows[static_cast<size_t>(i)].num_skipped, i * vectors);
  }
}

void MatrixBlock::store_rows(Index panel, int active, Index row, int rows, int skipped,
                             int matrix) {
  const int vectors = loops_.tile.active_vectors(active);
  const auto store = [&](Index i) {
    for (int v = 0; v < vectors; ++v) {
      const Register sum = e_.builder().load(
          sums_, {Index(matrix + v), i + Index(skipped), Index(0)}, kPanelColumns);
      loops_.store(row + i, panel * loops_.tile.columns() + Index(v * kPanelColumns),
                   std::min(kPanelColumns, active - v * kPanelColumns), sum);
    }
  };
  if (rows == 1) return store(Index(0));
  e_.loop({0, rows, 1}, store);
}

}  // namespace neuronc
