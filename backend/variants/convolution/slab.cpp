// Implements slab.h.
#include "backend/variants/convolution/slab.h"

#include <algorithm>

namespace neuronc {

using kernel::BufferId;
using kernel::Index;
using kernel::Values;

namespace {

constexpr int64_t kFewChannels = 4;

class SlabEmitter {
 public:
  SlabEmitter(GroupEmitter& e, const Slab& slab, ValueId input, BufferId buffer,
              const SlabPlace& place)
      : e_(e),
        b_(e.builder()),
        slab_(slab),
        g_(slab.g),
        c_(slab.channels),
        input_(input),
        buffer_(buffer),
        place_(place),
        lanes_(e.vector_lanes(DType::f32)),
        left_(std::min(slab.g.pad_left, slab.width)),
        width_(std::min(slab.g.w, slab.width - left_)) {}

  void emit() {
    e_.loop({0, slab_.height, 1}, [&](Index row) {
      if (left_ > 0) fill_columns(row, 0, left_);
      if (left_ + width_ < slab_.width) fill_columns(row, left_ + width_, slab_.width);
      const Index at = row_of_input(row);
      e_.when({{at, 0, g_.h}}, [&] { copy_row(row); });
      e_.when({{at, -g_.pad_top - g_.h - slab_.height, 0}},
              [&] { fill_columns(row, left_, left_ + width_); });
      e_.when({{at, g_.h, g_.h * 2 + g_.pad_bottom + slab_.height + g_.pad_top}},
              [&] { fill_columns(row, left_, left_ + width_); });
    });
  }

 private:
  Index row_of_input(Index row) const {
    return place_.first_row + (slab_.distance ? slab_.distance(row) : row);
  }

  void fill_columns(Index row, int64_t begin, int64_t end) {
    const int64_t from = begin * c_, to = end * c_;
    const int64_t vectors_end = from + (to - from) / lanes_ * lanes_;
    const Register border = slab_.border ? slab_.border() : b_.zero({slab_.dtype, 1});
    const Register borders = b_.splat(border, lanes_);
    if (vectors_end > from) {
      e_.loop({from, vectors_end, lanes_}, [&](Index i) { b_.store(buffer_, {row, i}, borders); });
    }
    if (to > vectors_end) {
      e_.loop({vectors_end, to, 1}, [&](Index i) { b_.store(buffer_, {row, i}, border); });
    }
  }

  // The dim along which elements of the input are consecutive in memory, -1 if none that matters.
  int consecutive_dim() {
    ValueId leaf = input_;
    while (const NodeId producer = e_.producer(leaf)) {
      if (e_.body().node(producer).operands.empty()) return -1;
      leaf = e_.body().node(producer).operands[0];
    }
    const auto memory = e_.memory_of(leaf);
    if (!memory || memory->strides.size() != g_.rank) return -1;
    if (memory->strides[1] == 1 && c_ >= lanes_) return 1;
    const size_t column = g_.column_dim();
    return memory->strides[column] == 1 && c_ <= kFewChannels ? static_cast<int>(column) : -1;
  }

  void copy_row(Index row) {
    const int dim = consecutive_dim();
    if (dim > 1 && width_ >= lanes_) {
      const int64_t whole = width_ / lanes_ * lanes_;
      e_.loop({0, whole, lanes_}, [&](Index column) { interleave(row, column); });
      if (whole < width_) copy_columns(row, whole, 1);
    } else {
      copy_columns(row, 0, dim == 1 ? lanes_ : 1);
    }
  }

  // Columns from `first` on, channel by channel or `lanes` of them at a time.
  void copy_columns(Index row, int64_t first, int lanes) {
    const int64_t whole = c_ / lanes * lanes;
    e_.loop({first, width_, 1}, [&](Index column) {
      if (whole > 0) {
        e_.loop({0, whole, lanes}, [&](Index ch) { copy_run(row, column, ch, lanes); });
      }
      if (whole < c_) e_.loop({whole, c_, 1}, [&](Index ch) { copy_run(row, column, ch, 1); });
    });
  }

  Register load(Index row, Index column, Index channel, size_t dim, int lanes) {
    const std::vector<Index> at =
        g_.at(place_.image, place_.group * c_ + channel, row_of_input(row), column);
    return b_.convert(e_.pull(input_, LaneIndex::along(at, dim, lanes)), slab_.dtype);
  }

  void copy_run(Index row, Index column, Index channel, int lanes) {
    b_.store(buffer_, {row, (column + Index(left_)) * c_ + channel},
             load(row, column, channel, 1, lanes));
  }

  // lanes_ columns of all channels: element i of the slab is column i / c of channel i % c.
  void interleave(Index row, Index column) {
    Values channels;
    for (int64_t ch = 0; ch < c_; ++ch) {
      channels.push_back(load(row, column, Index(ch), g_.column_dim(), lanes_));
    }
    for (int64_t part = 0; part < c_; ++part) {
      Register merged = channels[0];
      for (int64_t ch = c_ == 1 ? 0 : 1; ch < c_; ++ch) {
        std::vector<int64_t> picks;
        for (int64_t lane = 0; lane < lanes_; ++lane) {
          const int64_t i = part * lanes_ + lane;
          const bool is_here = i % c_ == ch;
          // The first shuffle brings the elements of channel 0 to their places.
          const bool is_first = i % c_ == 0 && ch == 1;
          picks.push_back(is_here ? lanes_ + i / c_ : is_first ? i / c_ : lane);
        }
        merged = b_.shuffle(merged, channels[static_cast<size_t>(ch)], picks);
      }
      b_.store(buffer_, {row, (column + Index(left_)) * c_ + Index(part * lanes_)}, merged);
    }
  }

  GroupEmitter& e_;
  kernel::Builder& b_;
  const Slab& slab_;
  const ConvGeometry& g_;
  int64_t c_;
  ValueId input_;
  BufferId buffer_;
  const SlabPlace& place_;
  int lanes_;
  int64_t left_, width_;
};

}  // namespace

void emit_slab(GroupEmitter& e, const Slab& slab, ValueId input, BufferId buffer,
               const SlabPlace& place) {
  SlabEmitter(e, slab, input, buffer, place).emit();
}

}  // namespace neuronc
