// Implements transpose.h.
#include "backend/lower/transpose.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "backend/lower/interleave.h"
#include "ir/base/check.h"

namespace neuronc {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;

namespace {

constexpr int kMaxBlock = 16;
constexpr int64_t kMaxTiles = 4096;
constexpr int64_t kMinCopyTiles = 8;
constexpr int64_t kMaxParts = 64;

using Picks = std::vector<int64_t>;

// One step: out[2i] and out[2i+1] are two choices from rows i and i + half.
Values step(Builder& b, const Values& rows, const Picks& low, const Picks& high) {
  const size_t half = rows.size() / 2;
  Values next;
  for (size_t i = 0; i < half; ++i) {
    next.push_back(b.shuffle(rows[i], rows[i + half], low));
    next.push_back(b.shuffle(rows[i], rows[i + half], high));
  }
  return next;
}

// The low or high half of every 16 bytes of two rows, element by element.
Picks unpack(int64_t lanes, int64_t piece, int64_t half) {
  Picks picks;
  for (int64_t l = 0; l < lanes; ++l) {
    const int64_t in_piece = l % piece;
    const int64_t from = l - in_piece + half * (piece / 2) + in_piece / 2;
    picks.push_back(in_piece % 2 == 0 ? from : from + lanes);
  }
  return picks;
}

// Every other piece of two rows, from `first` on: those of the first row, then of the second.
Picks every_other_piece(int64_t lanes, int64_t piece, int64_t first) {
  Picks picks;
  for (int64_t l = 0; l < lanes; ++l) {
    picks.push_back((2 * (l / piece) + first) * piece + l % piece);
  }
  return picks;
}

}  // namespace

Values transpose_rows(Builder& b, const Values& rows) {
  const auto lanes = static_cast<int64_t>(rows.size());
  NEURONC_CHECK(rows[0].type.lanes == lanes && (lanes & (lanes - 1)) == 0);
  const int64_t piece = std::min<int64_t>(lanes, 16 / size_bytes(rows[0].type.dtype));
  Values all;
  for (int64_t first = 0; first < lanes; first += piece) {
    Values part(rows.begin() + first, rows.begin() + first + piece);
    for (int64_t done = 1; done < piece; done *= 2) {
      part = step(b, part, unpack(lanes, piece, 0), unpack(lanes, piece, 1));
    }
    all.insert(all.end(), part.begin(), part.end());
  }
  // all[g * piece + j]: of rows g * piece..., piece p holds column p * piece + j.
  const int64_t pieces = lanes / piece;
  Values columns(rows.size());
  for (int64_t j = 0; j < piece; ++j) {
    Values part;
    for (int64_t g = 0; g < pieces; ++g) part.push_back(all[static_cast<size_t>(g * piece + j)]);
    // Neighbours first, then neighbours of those: log2(pieces) steps.
    for (int64_t done = 1; done < pieces; done *= 2) {
      Values next(part.size());
      const size_t half = part.size() / 2;
      for (size_t i = 0; i < half; ++i) {
        for (int64_t side = 0; side < 2; ++side) {
          next[i + static_cast<size_t>(side) * half] =
              b.shuffle(part[2 * i], part[2 * i + 1], every_other_piece(lanes, piece, side));
        }
      }
      part = std::move(next);
    }
    for (int64_t p = 0; p < pieces; ++p) {
      columns[static_cast<size_t>(p * piece + j)] = part[static_cast<size_t>(p)];
    }
  }
  return columns;
}

std::vector<CopyDim> merge_copy_dims(const std::vector<int64_t>& shape,
                                     std::span<const int64_t> from, std::span<const int64_t> to) {
  std::vector<CopyDim> dims;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] != 1) dims.push_back({shape[d], from[d], to[d]});
  }
  std::stable_sort(dims.begin(), dims.end(),
                   [](const CopyDim& a, const CopyDim& b) { return a.to > b.to; });
  std::vector<CopyDim> merged;
  for (const CopyDim& dim : dims) {
    if (!merged.empty() && merged.back().from == dim.from * dim.extent &&
        merged.back().to == dim.to * dim.extent) {
      merged.back() = {merged.back().extent * dim.extent, dim.from, dim.to};
    } else {
      merged.push_back(dim);
    }
  }
  if (merged.empty()) merged.push_back({1, 1, 1});
  return merged;
}

namespace {

class CopyEmitter {
 public:
  CopyEmitter(const Machine& machine, DType bits, std::vector<CopyDim> dims, size_t along)
      : dims_(std::move(dims)), along_(along), last_(dims_.size() - 1), dtype_(bits) {
    lanes_ = std::max(2, machine.lanes(size_bytes(dtype_)));
    if (along_ != last_) lanes_ = std::min(lanes_, kMaxBlock);
    num_tiles_ = 1;
    for (size_t d = 0; d < last_; ++d) {
      if (num_tiles_ * steps_of(d) > kMaxTiles) break;
      num_tiles_ *= steps_of(d);
      num_tile_dims_ = d + 1;
    }
  }

  LoweredKernel emit(std::string name) && {
    Builder builder(std::move(name), num_tiles_);
    b_ = &builder;
    std::vector<KernelBuffer> bound;
    from_ = parameter("x0", kernel::Access::read, bound);
    to_ = parameter("y0", kernel::Access::write, bound);
    std::vector<Index> at(dims_.size(), Index(0));
    Index rest = num_tiles_ > 1 ? builder.tile() : Index(0);
    for (size_t d = num_tile_dims_; d-- > 0;) {
      at[d] = kernel::mod(rest, steps_of(d)) * step_of(d);
      rest = kernel::floor_div(rest, steps_of(d));
    }
    walk(0, at);
    return {std::move(builder).finish(), std::move(bound)};
  }

 private:
  // Elements along `d` that one turn of its loop takes.
  int64_t step_of(size_t d) const { return d == along_ && along_ != last_ ? lanes_ : 1; }
  int64_t steps_of(size_t d) const { return (dims_[d].extent + step_of(d) - 1) / step_of(d); }

  BufferId parameter(std::string name, kernel::Access access, std::vector<KernelBuffer>& bound) {
    const bool is_read = access == kernel::Access::read;
    kernel::Buffer buffer;
    buffer.name = std::move(name);
    buffer.dtype = dtype_;
    for (const CopyDim& dim : dims_) {
      buffer.extents.push_back(dim.extent);
      buffer.strides.push_back(is_read ? dim.from : dim.to);
    }
    buffer.access = access;
    KernelBuffer known;
    known.kind = is_read ? KernelBuffer::Kind::operand : KernelBuffer::Kind::result;
    known.size_bytes = buffer.span_bytes();
    known.in_place_of = -1;
    bound.push_back(std::move(known));
    return b_->parameter(std::move(buffer));
  }

  void walk(size_t d, std::vector<Index> at) {
    if (d == last_) return along_ == last_ ? copy_row(at) : copy_blocks(at);
    if (d < num_tile_dims_) return walk(d + 1, at);
    b_->for_loop({0, steps_of(d), 1}, [&](Index i) {
      at[d] = i * step_of(d);
      walk(d + 1, at);
    });
  }

  // Both sides run along the innermost dim.
  void copy_row(std::vector<Index> at) {
    const int64_t extent = dims_[last_].extent;
    const auto run = [&](Index i, int active) {
      at[last_] = i;
      store(at, load(at, last_, active), active);
    };
    in_runs(extent, run);
  }

  void in_runs(int64_t extent, const std::function<void(Index, int)>& run) {
    const int64_t whole = extent / lanes_ * lanes_;
    if (whole > 0) b_->for_loop({0, whole, lanes_}, [&](Index i) { run(i, lanes_); });
    if (whole < extent) run(Index(whole), static_cast<int>(extent - whole));
  }

  // Blocks at `at[along_]`, along the innermost dim: the last one along `along_` may be partial.
  void copy_blocks(const std::vector<Index>& at) {
    const int64_t extent = dims_[along_].extent, whole = extent / lanes_ * lanes_;
    const auto row_of_blocks = [&](int active) {
      in_runs(dims_[last_].extent, [&](Index i, int rows) { copy_block(at, i, rows, active); });
    };
    const int tail = static_cast<int>(extent - whole);
    if (whole == 0) return row_of_blocks(tail);
    if (tail == 0) return row_of_blocks(lanes_);
    b_->if_else(
        {{at[along_], 0, whole - lanes_ + 1}}, [&] { row_of_blocks(lanes_); },
        [&] {
          tail_begin_ = whole;
          row_of_blocks(tail);
          tail_begin_ = -1;
        });
  }

  void copy_block(std::vector<Index> at, Index first, int num_rows, int num_columns) {
    if (tail_begin_ >= 0) at[along_] = Index(tail_begin_);
    const Index column = at[along_];
    Values rows;
    for (int i = 0; i < lanes_; ++i) {
      at[last_] = first + Index(i);
      rows.push_back(i < num_rows ? load(at, along_, num_columns) : b_->zero({dtype_, lanes_}));
    }
    at[last_] = first;
    const Values columns = transpose_rows(*b_, rows);
    for (int j = 0; j < num_columns; ++j) {
      at[along_] = column + Index(j);
      store(at, columns[static_cast<size_t>(j)], num_rows);
    }
  }

  kernel::Value load(const std::vector<Index>& at, size_t dim, int active) {
    const kernel::Lanes lanes{lanes_, static_cast<int>(dim)};
    if (active == lanes_) return b_->load(from_, at, lanes);
    return b_->load_partial(from_, at, lanes, Index(active));
  }

  void store(const std::vector<Index>& at, kernel::Value value, int active) {
    const int dim = static_cast<int>(last_);
    if (active == lanes_) return b_->store(to_, at, value, dim);
    b_->store_partial(to_, at, value, Index(active), dim);
  }

  std::vector<CopyDim> dims_;
  size_t along_, last_;  // innermost dims of source and result
  DType dtype_;
  int lanes_ = 1;
  int64_t num_tiles_ = 1;
  size_t num_tile_dims_ = 0;
  int64_t tail_begin_ = -1;
  Builder* b_ = nullptr;
  BufferId from_, to_;
};

// Where the outer dims are too few tiles to share among cores, a part of the largest dim is one:
// it becomes the outermost of the list.
bool split_for_tiles(std::vector<CopyDim>& dims, int64_t lanes) {
  int64_t num_outer = 1;
  for (size_t d = 0; d + 2 < dims.size(); ++d) num_outer *= dims[d].extent;
  if (num_outer >= kMinCopyTiles) return false;
  auto largest = std::max_element(dims.begin(), dims.end(), [](const CopyDim& a, const CopyDim& b) {
    return a.extent < b.extent;
  });
  const int64_t extent = largest->extent;
  for (int64_t parts = (kMinCopyTiles + num_outer - 1) / num_outer;
       parts <= kMaxParts && extent / parts >= 4 * lanes; ++parts) {
    if (extent % parts != 0) continue;
    const int64_t part = extent / parts;
    *largest = {part, largest->from, largest->to};
    dims.insert(dims.begin(), {parts, largest->from * part, largest->to * part});
    return true;
  }
  return false;
}

}  // namespace

OrRefusal<LoweredKernel> lower_copy(const Machine& machine, DType dtype,
                                    const std::vector<CopyDim>& dims, std::string name) {
  const CopyDim& last = dims.back();
  if (last.to != 1) return refuse("the result's elements are not consecutive");
  size_t along = dims.size() - 1;
  for (size_t d = 0; d < dims.size(); ++d) {
    if (dims[d].extent == 0) return refuse("it has no elements");
    if (dims[d].from == 1 && last.from != 1) along = d;
    if (dims[d].from == 0 || dims[d].to == 0) return refuse("elements are repeated");
  }
  if (dims[along].from != 1) return refuse("the operand's elements are not consecutive");
  // Bits are copied, whatever they mean.
  constexpr DType kBySize[] = {DType::u8, DType::u16, DType::u32, DType::u64};
  const DType bits = kBySize[std::countr_zero(static_cast<unsigned>(size_bytes(dtype)))];
  const bool has_blocks = along + 1 < dims.size();
  std::vector<CopyDim> parts = dims;
  if (split_for_tiles(parts, machine.lanes(size_bytes(bits)))) ++along;
  if (has_blocks) {
    auto interleaved = lower_interleaved_copy(machine, bits, parts, along, name);
    if (interleaved) return interleaved;
  }
  return CopyEmitter(machine, bits, std::move(parts), along).emit(std::move(name));
}

}  // namespace neuronc
