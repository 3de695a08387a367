// Implements rows.h.
#include "backend/lower/rows.h"

#include <algorithm>

#include "backend/lower/lanes.h"

namespace neuronc {

using kernel::Builder;
using kernel::Index;
using kernel::Values;

namespace {

constexpr int64_t kMaxLocalBytes = 64 * 1024;  // larger buffers are workspaces
constexpr int kAccumulators = 4;

// The last kept dim of more than one index, -1: none.
int block_dim_of(const RowSpace& space) {
  for (size_t d = space.extents.size(); d-- > 0;) {
    if (!space.is_row[d] && space.extents[d] > 1) return static_cast<int>(d);
  }
  return -1;
}

int64_t ceil_div(int64_t x, int64_t d) { return (x + d - 1) / d; }

// The dim of `space` that is dim `dim` of the tensor, or its faster part.
int in_space(const RowSpace& space, int dim) {
  if (dim < 0 || space.split_dim < 0 || dim < space.split_dim) return dim;
  if (dim > space.split_dim) return dim + 1;
  return space.extents[static_cast<size_t>(dim) + 1] > 1 ? dim + 1 : dim;
}

}  // namespace

int64_t RowSpace::row_size() const {
  int64_t size = 1;
  for (size_t d = 0; d < extents.size(); ++d) size *= is_row[d] ? extents[d] : 1;
  return size;
}

int64_t RowSpace::num_tiles() const {
  const int block = block_dim_of(*this);
  int64_t tiles = 1;
  for (size_t d = 0; d < extents.size(); ++d) {
    if (is_row[d]) continue;
    tiles *= static_cast<int>(d) == block ? ceil_div(extents[d], kRowsPerTile) : extents[d];
  }
  return std::max<int64_t>(tiles, 1);
}

RowWalk::RowWalk(GroupEmitter& e, ValueId x, RowSpace space)
    : e_(e), x_(x), space_(std::move(space)), carrier_(carrier_of(e.type(x).dtype)) {
  const size_t rank = space_.extents.size();
  block_dim_ = block_dim_of(space_);
  const int contiguous = in_space(space_, contiguous_dim(e, x));
  const bool is_contiguous_row = contiguous >= 0 && space_.is_row[static_cast<size_t>(contiguous)];
  for (size_t d = 0; d < rank; ++d) {
    if (!space_.is_row[d] || space_.extents[d] == 1) continue;
    if (!is_contiguous_row || static_cast<int>(d) == contiguous) {
      inner_dim_ = static_cast<int>(d);  // without a contiguous one, the last
    }
  }
  for (size_t d = 0; d < rank; ++d) {
    if (space_.is_row[d] && space_.extents[d] > 1 && static_cast<int>(d) != inner_dim_) {
      outer_dims_.push_back(d);
    }
  }
  lanes_in_row_ = is_contiguous_row || block_dim_ < 0 || contiguous != block_dim_;
  lanes_ = std::min<int>(e.vector_lanes(carrier_), static_cast<int>(kRowsPerTile));
  if (lanes_in_row_) lanes_ = e.vector_lanes(carrier_);
  while (lanes_in_row_ && lanes_ > 1 && lanes_ / 2 >= inner_extent()) lanes_ /= 2;
  dims_.assign(rank, Index(0));
}

void RowWalk::run(const std::function<void()>& body) {
  if (num_elements(space_.extents) == 0) return;
  Index rest = space_.num_tiles() > 1 ? e_.builder().tile() : Index(0);
  Index block = 0;
  for (size_t d = space_.extents.size(); d-- > 0;) {
    if (space_.is_row[d] || space_.extents[d] == 1) continue;
    const bool is_block = static_cast<int>(d) == block_dim_;
    const int64_t extent = is_block ? ceil_div(space_.extents[d], kRowsPerTile) : space_.extents[d];
    (is_block ? block : dims_[d]) = kernel::mod(rest, extent);
    rest = kernel::floor_div(rest, extent);
  }
  if (block_dim_ < 0) {
    body();
    return;
  }
  const int64_t extent = space_.extents[static_cast<size_t>(block_dim_)];
  const int64_t whole = extent / kRowsPerTile, tail = extent % kRowsPerTile;
  const Index begin = block * Index(kRowsPerTile);
  if (tail == 0) {
    run_rows(begin, kRowsPerTile, body);
  } else if (whole == 0) {
    run_rows(Index(0), tail, body);
  } else if (lanes_in_row_) {
    // One loop serves whole blocks and the last.
    e_.loop({begin, kernel::min(begin + Index(kRowsPerTile), extent), 1}, [&](Index row) {
      dims_[static_cast<size_t>(block_dim_)] = row;
      body();
    });
  } else {
    e_.when({{block, 0, whole}}, [&] { run_rows(begin, kRowsPerTile, body); });
    e_.when({{block, whole, whole + 1}},
            [&] { run_rows(Index(whole * kRowsPerTile), tail, body); });
  }
}

void RowWalk::run_rows(const Index& begin, int64_t count, const std::function<void()>& body) {
  const auto block = static_cast<size_t>(block_dim_);
  if (lanes_in_row_) {
    e_.loop({0, count, 1}, [&](Index row) {
      dims_[block] = begin + row;
      body();
    });
    return;
  }
  const int64_t whole = count / lanes_ * lanes_;
  active_rows_ = lanes_;
  if (whole > 0) {
    e_.loop({0, whole, lanes_}, [&](Index row) {
      dims_[block] = begin + row;
      body();
    });
  }
  if (whole < count) {
    dims_[block] = begin + Index(whole);
    active_rows_ = static_cast<int>(count - whole);
    body();
  }
}

LaneIndex RowWalk::lane_index(int active) const {
  const int lane_dim = lanes_in_row_ ? inner_dim_ : block_dim_;
  std::vector<int64_t> steps(dims_.size(), 0);
  if (lanes_ > 1 && lane_dim >= 0) steps[static_cast<size_t>(lane_dim)] = 1;
  std::vector<Index> dims = dims_;
  if (space_.split_dim >= 0) {
    const auto d = static_cast<size_t>(space_.split_dim);
    const int64_t inner = space_.extents[d + 1];
    dims[d] = dims[d] * Index(inner) + dims[d + 1];
    steps[d] = steps[d] * inner + steps[d + 1];
    dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(d) + 1);
    steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(d) + 1);
  }
  LaneIndex at = LaneIndex::scalar(std::move(dims));
  at.steps = std::move(steps);
  at.lanes = lanes_;
  at.active = active;
  return at;
}

Values RowWalk::walk_outer(size_t depth, Index outer, const Values& carried,
                           const std::function<Values(Index, const Values&)>& inner) {
  if (depth == outer_dims_.size()) return inner(outer, carried);
  const size_t dim = outer_dims_[depth];
  return e_.loop({0, space_.extents[dim], 1}, carried,
                 [&](Index i, std::span<const Register> values) {
                   dims_[dim] = i;
                   return walk_outer(depth + 1, outer * Index(space_.extents[dim]) + i,
                                     Values(values.begin(), values.end()), inner);
                 });
}

// One vector of terms from inner index `i` on; lanes past the row's end are neutral.
Register RowWalk::term_at(ReduceKind kind, const Term& term, Index outer, Index i, int64_t count) {
  Builder& b = e_.builder();
  if (inner_dim_ >= 0) dims_[inner_index()] = i;
  const int active =
      lanes_in_row_ ? static_cast<int>(std::min<int64_t>(count, lanes_)) : active_rows_;
  const Register value = term(lane_index(active), {outer, i});
  if (active == lanes_) return value;
  return b.select(active_lanes(b, lanes_, active), value, neutral(b, kind, value.type));
}

Register RowWalk::reduce_inner(ReduceKind kind, const Term& term, Index outer) {
  Builder& b = e_.builder();
  const kernel::ValueType type{carrier_, lanes_};
  const int64_t step = lanes_in_row_ ? lanes_ : 1;
  const int64_t extent = inner_extent();
  const int64_t unrolled = extent / (step * kAccumulators) * (step * kAccumulators);
  Values sums(unrolled > 0 ? kAccumulators : 1, neutral(b, kind, type));
  if (unrolled > 0) {
    sums = e_.loop(
        {0, unrolled, step * kAccumulators}, sums, [&](Index i, std::span<const Register> carried) {
          Values next;
          for (int k = 0; k < kAccumulators; ++k) {
            next.push_back(combine(b, kind, carried[static_cast<size_t>(k)],
                                   term_at(kind, term, outer, i + Index(k * step), step)));
          }
          return next;
        });
  }
  size_t k = 0;
  for (int64_t i = unrolled; i < extent; i += step, ++k) {
    Register& sum = sums[k % sums.size()];
    sum = combine(b, kind, sum, term_at(kind, term, outer, Index(i), extent - i));
  }
  if (sums.size() == 1) return sums[0];
  return combine(b, kind, combine(b, kind, sums[0], sums[1]), combine(b, kind, sums[2], sums[3]));
}

Register RowWalk::reduce(ReduceKind kind, const Term& term) {
  Builder& b = e_.builder();
  Register result;
  if (outer_dims_.empty()) {
    result = reduce_inner(kind, term, Index(0));
  } else {
    const Values initial{neutral(b, kind, {carrier_, lanes_})};
    result = walk_outer(0, Index(0), initial, [&](Index outer, const Values& carried) {
      return Values{combine(b, kind, carried[0], reduce_inner(kind, term, outer))};
    })[0];
  }
  return lanes_in_row_ ? b.splat(combine_lanes(b, kind, result), lanes_) : result;
}

void RowWalk::each(const Visit& visit) {
  const int64_t extent = inner_extent();
  const int64_t step = lanes_in_row_ ? lanes_ : 1;
  const int64_t whole = extent / step * step;
  const auto at = [&](Index outer, Index i, int64_t count) {
    if (inner_dim_ >= 0) dims_[inner_index()] = i;
    const int active =
        lanes_in_row_ ? static_cast<int>(std::min<int64_t>(count, lanes_)) : active_rows_;
    visit(lane_index(active), {outer, i});
  };
  walk_outer(0, Index(0), {}, [&](Index outer, const Values&) {
    if (whole > 0) {
      e_.loop({0, whole, step}, [&](Index i) { at(outer, i, step); });
    }
    if (whole < extent) at(outer, Index(whole), extent - whole);
    return Values{};
  });
}

Register RowWalk::keep(const LaneIndex& at, const Slot& slot) {
  const Register value = e_.pull(x_, at);
  if (e_.producer(x_)) store(slot, value);
  return value;
}

Register RowWalk::element(const LaneIndex& at, const Slot& slot) {
  return e_.producer(x_) ? load(slot) : e_.pull(x_, at);
}

void RowWalk::store(const Slot& slot, Register value) {
  if (!buffer_) {
    int64_t outer = 1;
    for (size_t d : outer_dims_) outer *= space_.extents[d];
    const int64_t inner =
        lanes_in_row_ ? ceil_div(inner_extent(), lanes_) * lanes_ : inner_extent() * lanes_;
    const bool is_local = outer * inner * size_bytes(carrier_) <= kMaxLocalBytes;
    buffer_ = is_local ? e_.builder().local("row", carrier_, {outer, inner})
                       : e_.workspace("row", carrier_, {outer, inner});
  }
  const Index inner = lanes_in_row_ ? slot.inner : slot.inner * Index(lanes_);
  e_.builder().store(*buffer_, {slot.outer, inner}, value);
}

Register RowWalk::load(const Slot& slot) {
  const Index inner = lanes_in_row_ ? slot.inner : slot.inner * Index(lanes_);
  return e_.builder().load(*buffer_, {slot.outer, inner}, lanes_);
}

}  // namespace neuronc
