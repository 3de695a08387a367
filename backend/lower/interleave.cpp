// Implements interleave.h.
#include "backend/lower/interleave.h"

#include <algorithm>
#include <functional>

namespace neuronc {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;

namespace {

class InterleaveEmitter {
 public:
  // `few` and `pixels` are dims of the copy, the others are the tiles.
  InterleaveEmitter(DType bits, const std::vector<CopyDim>& dims, size_t few, size_t pixels,
                    bool to_planes, int lanes)
      : bits_(bits), few_(dims[few]), pixels_(dims[pixels]), to_planes_(to_planes), lanes_(lanes) {
    for (size_t d = 0; d < dims.size(); ++d) {
      if (d != few && d != pixels) outer_.push_back(dims[d]);
    }
  }

  LoweredKernel emit(std::string name) && {
    int64_t num_tiles = 1;
    for (const CopyDim& dim : outer_) num_tiles *= dim.extent;
    Builder builder(std::move(name), num_tiles);
    b_ = &builder;
    std::vector<KernelBuffer> bound;
    from_ = parameter("x0", kernel::Access::read, bound);
    to_ = parameter("y0", kernel::Access::write, bound);
    at_.assign(outer_.size(), Index(0));
    Index rest = num_tiles > 1 ? builder.tile() : Index(0);
    for (size_t d = outer_.size(); d-- > 0;) {
      at_[d] = kernel::mod(rest, outer_[d].extent);
      rest = kernel::floor_div(rest, outer_[d].extent);
    }
    const int64_t whole = pixels_.extent / lanes_ * lanes_;
    const auto run = [&](Index first, int64_t count) {
      to_planes_ ? take_apart(first, count) : put_together(first, count);
    };
    if (whole > 0) builder.for_loop({0, whole, lanes_}, [&](Index i) { run(i, lanes_); });
    if (whole < pixels_.extent) run(Index(whole), pixels_.extent - whole);
    return {std::move(builder).finish(), std::move(bound)};
  }

 private:
  // Pixels are one dim of consecutive elements, planes two.
  BufferId parameter(std::string name, kernel::Access access, std::vector<KernelBuffer>& bound) {
    const bool is_read = access == kernel::Access::read;
    kernel::Buffer buffer;
    buffer.name = std::move(name);
    buffer.dtype = bits_;
    for (const CopyDim& dim : outer_) {
      buffer.extents.push_back(dim.extent);
      buffer.strides.push_back(is_read ? dim.from : dim.to);
    }
    if (is_read == to_planes_) {
      buffer.extents.push_back(pixels_.extent * few_.extent);
    } else {
      buffer.extents.push_back(few_.extent);
      buffer.strides.push_back(is_read ? few_.from : few_.to);
      buffer.extents.push_back(pixels_.extent);
    }
    buffer.strides.push_back(1);
    buffer.access = access;
    KernelBuffer known;
    known.kind = is_read ? KernelBuffer::Kind::operand : KernelBuffer::Kind::result;
    known.size_bytes = buffer.span_bytes();
    bound.push_back(std::move(known));
    return b_->parameter(std::move(buffer));
  }

  std::vector<Index> pixel(Index first, int64_t vector) const {
    std::vector<Index> at = at_;
    at.push_back(first * few_.extent + Index(vector * lanes_));
    return at;
  }

  std::vector<Index> plane(Index first, int64_t number) const {
    std::vector<Index> at = at_;
    at.emplace_back(number);
    at.push_back(first);
    return at;
  }

  // Elements of vector `v` of `count` pixels.
  int64_t active_of(int64_t v, int64_t count) const {
    return std::clamp<int64_t>(count * few_.extent - v * lanes_, 0, lanes_);
  }

  void take_apart(Index first, int64_t count) {
    Values vectors;
    for (int64_t v = 0; v < few_.extent; ++v) {
      vectors.push_back(load(pixel(first, v), active_of(v, count)));
    }
    for (int64_t c = 0; c < few_.extent; ++c) {
      const auto place = [&](int64_t lane) { return lane * few_.extent + c; };
      store(plane(first, c),
            pick(
                vectors, [&](int64_t lane) { return place(lane) / lanes_; },
                [&](int64_t lane) { return place(lane) % lanes_; }),
            count);
    }
  }

  void put_together(Index first, int64_t count) {
    Values planes;
    for (int64_t c = 0; c < few_.extent; ++c) planes.push_back(load(plane(first, c), count));
    for (int64_t v = 0; v < few_.extent; ++v) {
      const int64_t active = active_of(v, count);
      if (active == 0) continue;
      const auto place = [&](int64_t lane) { return v * lanes_ + lane; };
      store(pixel(first, v),
            pick(
                planes, [&](int64_t lane) { return place(lane) % few_.extent; },
                [&](int64_t lane) { return place(lane) / few_.extent; }),
            active);
    }
  }

  // Lane l is lane from(l) of vector of(l); every vector after the first adds its own.
  kernel::Value pick(const Values& vectors, const std::function<int64_t(int64_t)>& of,
                     const std::function<int64_t(int64_t)>& from) {
    kernel::Value merged = vectors[0];
    for (size_t v = 1; v < vectors.size(); ++v) {
      std::vector<int64_t> picks;
      for (int64_t lane = 0; lane < lanes_; ++lane) {
        const bool is_new = of(lane) == static_cast<int64_t>(v);
        // The first shuffle brings the elements of vector 0 to their places.
        const bool is_first = v == 1 && of(lane) == 0;
        picks.push_back(is_new ? lanes_ + from(lane) : is_first ? from(lane) : lane);
      }
      merged = b_->shuffle(merged, vectors[v], picks);
    }
    return merged;
  }

  kernel::Value load(const std::vector<Index>& at, int64_t active) {
    if (active == 0) return b_->zero({bits_, lanes_});
    const kernel::Lanes lanes{lanes_, static_cast<int>(at.size()) - 1};
    if (active == lanes_) return b_->load(from_, at, lanes);
    return b_->load_partial(from_, at, lanes, Index(active));
  }

  void store(const std::vector<Index>& at, kernel::Value value, int64_t active) {
    if (active == lanes_) return b_->store(to_, at, value);
    b_->store_partial(to_, at, value, Index(active));
  }

  DType bits_;
  CopyDim few_, pixels_;
  std::vector<CopyDim> outer_;
  bool to_planes_;
  int lanes_;
  Builder* b_ = nullptr;
  BufferId from_, to_;
  std::vector<Index> at_;
};

}  // namespace

OrRefusal<LoweredKernel> lower_interleaved_copy(const Machine& machine, DType bits,
                                                const std::vector<CopyDim>& dims, size_t along,
                                                std::string name) {
  const size_t last = dims.size() - 1;
  const int lanes = std::max(2, machine.lanes(size_bytes(bits)));
  const auto emit = [&](size_t few, size_t pixels, bool to_planes) {
    return InterleaveEmitter(bits, dims, few, pixels, to_planes, lanes).emit(std::move(name));
  };
  const bool has_few_to = dims[last].extent <= kFewPlanes;
  const bool has_few_from = dims[along].extent <= kFewPlanes;
  if (has_few_to && dims[along].to == dims[last].extent) return emit(last, along, false);
  if (has_few_from && dims[last].from == dims[along].extent) return emit(along, last, true);
  return refuse("it has more than a few planes, or pixels with gaps");
}

}  // namespace neuronc
