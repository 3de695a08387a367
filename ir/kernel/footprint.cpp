// Every access is an affine form of its byte offset; over the values of its loop variables that is
// a set of ranges in several strides. Sets that touch are merged until nothing changes, which turns
// the many accesses of unrolled code back into the few runs that they are.
#include "ir/kernel/footprint.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <unordered_map>

namespace neuronc::kernel {
namespace {

struct Stride {
  int64_t stride_bytes = 0;
  int64_t count = 1;
  friend auto operator<=>(const Stride&, const Stride&) = default;
};

// Ranges of `size_bytes` at offset + sum of i_d * stride_d; strides descend.
struct Region {
  int64_t offset_bytes = 0;
  int64_t size_bytes = 0;
  std::vector<Stride> strides;
};

// Beyond this many a set of runs becomes the range around all of them.
constexpr size_t kMaxRuns = 4096;

// Strides that are no larger than what they repeat make one longer range.
void absorb(Region& region) {
  std::vector<Stride>& strides = region.strides;
  std::erase_if(strides, [](const Stride& s) { return s.count <= 1; });
  std::sort(strides.begin(), strides.end(), std::greater<>());
  while (!strides.empty() && strides.back().stride_bytes <= region.size_bytes) {
    region.size_bytes += strides.back().stride_bytes * (strides.back().count - 1);
    strides.pop_back();
  }
  // Rows of columns at equal distances are columns.
  for (size_t i = 0; i + 1 < strides.size();) {
    const Stride &outer = strides[i], &inner = strides[i + 1];
    if (outer.stride_bytes == inner.stride_bytes * inner.count) {
      strides[i] = {inner.stride_bytes, inner.count * outer.count};
      strides.erase(strides.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      i = 0;
    } else {
      ++i;
    }
  }
}

bool same_form(const Region& a, const Region& b) { return a.strides == b.strides; }

// Joins neighbours of one form: those that touch become longer, those at equal distances a stride.
bool merge_once(std::vector<Region>& regions) {
  std::sort(regions.begin(), regions.end(), [](const Region& a, const Region& b) {
    return std::tie(a.strides, a.offset_bytes, a.size_bytes) <
           std::tie(b.strides, b.offset_bytes, b.size_bytes);
  });
  std::vector<Region> merged;
  bool has_changed = false;
  for (Region& region : regions) {
    if (!merged.empty() && same_form(merged.back(), region)) {
      Region& last = merged.back();
      const int64_t end = last.offset_bytes + last.size_bytes;
      if (region.offset_bytes <= end) {
        last.size_bytes =
            std::max(end, region.offset_bytes + region.size_bytes) - last.offset_bytes;
        has_changed = true;
        continue;
      }
    }
    merged.push_back(std::move(region));
  }
  regions = std::move(merged);
  return has_changed;
}

// Runs of regions of one form and size at equal distances.
bool find_progressions(std::vector<Region>& regions) {
  std::vector<Region> result;
  bool has_changed = false;
  for (size_t i = 0; i < regions.size();) {
    size_t end = i + 1;
    const auto follows = [&](size_t j) {
      return same_form(regions[i], regions[j]) && regions[i].size_bytes == regions[j].size_bytes;
    };
    int64_t gap = 0;
    if (end < regions.size() && follows(end)) {
      gap = regions[end].offset_bytes - regions[i].offset_bytes;
      while (end < regions.size() && follows(end) &&
             regions[end].offset_bytes - regions[end - 1].offset_bytes == gap) {
        ++end;
      }
    }
    const auto count = static_cast<int64_t>(end - i);
    Region region = regions[i];
    if (count > 1) {
      // Rows 0, 1, 2 repeated every three rows are all rows.
      const auto longer =
          std::find_if(region.strides.begin(), region.strides.end(),
                       [&](const Stride& s) { return s.stride_bytes == gap * count; });
      if (longer != region.strides.end()) {
        *longer = {gap, count * longer->count};
      } else {
        region.strides.push_back({gap, count});
      }
      has_changed = true;
    }
    result.push_back(std::move(region));
    i = end;
  }
  regions = std::move(result);
  return has_changed;
}

void normalise(std::vector<Region>& regions) {
  for (bool has_changed = true; has_changed && regions.size() > 1;) {
    for (Region& region : regions) absorb(region);
    has_changed = merge_once(regions);
    for (Region& region : regions) absorb(region);
    std::sort(regions.begin(), regions.end(), [](const Region& a, const Region& b) {
      return std::tie(a.strides, a.size_bytes, a.offset_bytes) <
             std::tie(b.strides, b.size_bytes, b.offset_bytes);
    });
    has_changed |= find_progressions(regions);
  }
  for (Region& region : regions) absorb(region);
}

int64_t end_bytes(const Region& region) {
  int64_t end = region.offset_bytes + region.size_bytes;
  for (const Stride& s : region.strides) end += s.stride_bytes * (s.count - 1);
  return end;
}

// All strides but the innermost spelt out.
void add_runs(const Region& region, std::vector<ByteRun>& runs) {
  std::vector<ByteRun> all{{region.offset_bytes, region.size_bytes}};
  for (size_t d = 0; d < region.strides.size(); ++d) {
    const Stride& stride = region.strides[d];
    if (d + 1 == region.strides.size()) {
      for (ByteRun& run : all) {
        run.stride_bytes = stride.stride_bytes;
        run.count = stride.count;
      }
      break;
    }
    std::vector<ByteRun> next;
    for (const ByteRun& run : all) {
      for (int64_t i = 0; i < stride.count && next.size() <= kMaxRuns; ++i) {
        next.push_back({run.offset_bytes + i * stride.stride_bytes, run.size_bytes});
      }
    }
    all = std::move(next);
    if (all.size() > kMaxRuns) {
      runs.push_back({region.offset_bytes, end_bytes(region) - region.offset_bytes});
      return;
    }
  }
  runs.insert(runs.end(), all.begin(), all.end());
}

std::vector<ByteRun> to_runs(const std::vector<Region>& regions) {
  std::vector<ByteRun> runs;
  for (const Region& region : regions) {
    if (region.size_bytes > 0) add_runs(region, runs);
  }
  if (runs.size() > kMaxRuns) {
    int64_t begin = runs[0].offset_bytes, end = 0;
    for (const ByteRun& run : runs) {
      begin = std::min(begin, run.offset_bytes);
      end = std::max(end, run.offset_bytes + run.stride_bytes * (run.count - 1) + run.size_bytes);
    }
    return {{begin, end - begin}};
  }
  std::sort(runs.begin(), runs.end(),
            [](const ByteRun& a, const ByteRun& b) { return a.offset_bytes < b.offset_bytes; });
  return runs;
}

struct Regions {
  std::vector<Region> reads, writes;
};

}  // namespace

class FootprintAnalysis::Impl {
 public:
  explicit Impl(const Kernel& kernel) : kernel_(kernel), table_(kernel.indices()) {
    const std::vector<BufferId> parameters = kernel.parameters();
    parameter_of_.assign(kernel.buffers.size(), -1);
    for (size_t i = 0; i < parameters.size(); ++i) {
      parameter_of_[parameters[i].index] = static_cast<int>(i);
    }
    num_parameters_ = parameters.size();
    granularity_ = std::max<int64_t>(1, (kernel.num_tiles + kMaxTiles - 1) / kMaxTiles);
  }

  int64_t granularity() const { return granularity_; }

  std::vector<Footprint> of_tiles(int64_t begin, int64_t end) {
    std::vector<Regions> all(num_parameters_);
    for (int64_t t = begin; t < end;) {
      const int64_t next = std::min(end, (t / granularity_ + 1) * granularity_);
      const std::vector<Regions>& part = of_group(t, next);
      for (size_t p = 0; p < num_parameters_; ++p) {
        append(all[p].reads, part[p].reads);
        append(all[p].writes, part[p].writes);
      }
      t = next;
    }
    std::vector<Footprint> result(num_parameters_);
    for (size_t p = 0; p < num_parameters_; ++p) {
      normalise(all[p].reads);
      normalise(all[p].writes);
      result[p] = {to_runs(all[p].reads), to_runs(all[p].writes)};
    }
    return result;
  }

 private:
  using Ranges = std::unordered_map<uint32_t, Interval>;  // by variable

  static void append(std::vector<Region>& to, const std::vector<Region>& from) {
    to.insert(to.end(), from.begin(), from.end());
  }

  const std::vector<Regions>& of_group(int64_t begin, int64_t end) {
    const auto [it, is_new] = known_.try_emplace({begin, end});
    if (!is_new) return it->second;
    current_.assign(num_parameters_, {});
    ranges_.clear();
    ranges_[kernel_.tile_variable.index] = {begin, end - 1};
    walk(kernel_.body);
    for (Regions& regions : current_) {
      normalise(regions.reads);
      normalise(regions.writes);
    }
    it->second = std::move(current_);
    return it->second;
  }

  void walk(BlockId block) {
    for (OpId id : kernel_.block(block).ops) {
      const Op& op = kernel_.op(id);
      switch (op.code) {
        case OpCode::load:
        case OpCode::store:
        case OpCode::store_masked:
        case OpCode::matrix_load:
        case OpCode::matrix_store:
          note_access(op, id);
          break;
        case OpCode::for_:
          walk_loop(op);
          break;
        case OpCode::if_:
          walk_guarded(op);
          if (op.blocks[1]) walk(op.blocks[1]);
          break;
        case OpCode::if_true:
          walk(op.blocks[0]);
          if (op.blocks[1]) walk(op.blocks[1]);
          break;
        default:
          break;
      }
    }
  }

  void walk_loop(const Op& op) {
    const Interval low = interval(op.indices[0]), high = interval(op.indices[1]);
    if (high.hi <= low.lo) return;  // it has no iteration
    const Interval range = loop_interval(low, high, op.immediates[0]);
    const uint32_t variable = op.variable.index;
    ranges_[variable] = range;
    steps_[variable] = low.is_single() ? op.immediates[0] : 1;
    walk(op.blocks[0]);
    ranges_.erase(variable);
  }

  // A guard on one variable narrows its range; one that never holds hides the block.
  void walk_guarded(const Op& op) {
    const Ranges saved = ranges_;
    bool is_reached = true;
    for (const Guard& guard : op.guards) is_reached = is_reached && narrow(guard);
    if (is_reached) walk(op.blocks[0]);
    ranges_ = saved;
  }

  bool narrow(const Guard& guard) {
    const Interval limits{guard.lo, guard.hi >= kIndexLimit ? kIndexLimit : guard.hi - 1};
    const Affine& affine = table_.affine(guard.expr);
    if (intersect(interval(affine), limits).is_empty()) return false;
    const Term* open = nullptr;
    int64_t fixed = affine.constant;
    for (const Term& term : affine.terms) {
      const Interval range = atom_interval(term.atom);
      if (range.is_single()) {
        fixed += range.lo * term.coefficient;
      } else if (open != nullptr || table_.atom(term.atom).kind != AtomKind::variable) {
        return true;
      } else {
        open = &term;
      }
    }
    if (open == nullptr) return true;
    // fixed + c * v in [lo, hi]
    const uint32_t variable = table_.atom(open->atom).variable.index;
    Interval& range = ranges_[variable];
    const int64_t c = open->coefficient;
    const auto bound = [&](int64_t limit) { return limit - fixed; };
    int64_t low = range.lo, high = range.hi;
    if (limits.hi < kIndexLimit) {
      if (c > 0) high = std::min(high, floor_div(bound(limits.hi), c));
      if (c < 0) low = std::max(low, -floor_div(bound(limits.hi), -c));
    }
    if (limits.lo > -kIndexLimit) {
      if (c > 0) low = std::max(low, -floor_div(-bound(limits.lo), c));
      if (c < 0) high = std::min(high, floor_div(-bound(limits.lo), -c));
    }
    // A loop's variable takes its first value plus whole steps.
    const auto step = steps_.find(variable);
    if (step != steps_.end() && step->second > 1) {
      const int64_t s = step->second;
      low = range.lo + -floor_div(-(low - range.lo), s) * s;
      high = range.lo + floor_div(high - range.lo, s) * s;
    }
    range = {low, high};
    return !range.is_empty();
  }

  Interval interval(IndexId id) { return interval(table_.affine(id)); }

  Interval interval(const Affine& affine) {
    Interval sum{affine.constant, affine.constant};
    for (const Term& term : affine.terms) sum = sum + atom_interval(term.atom) * term.coefficient;
    return sum;
  }

  Interval atom_interval(AtomId id) {
    const Atom& atom = table_.atom(id);
    switch (atom.kind) {
      case AtomKind::variable: {
        const auto it = ranges_.find(atom.variable.index);
        return it == ranges_.end() ? table_.atom_interval(id) : it->second;
      }
      case AtomKind::floor_div: {
        const Interval a = interval(atom.a);
        return {floor_div(a.lo, atom.constant), floor_div(a.hi, atom.constant)};
      }
      case AtomKind::mod: {
        const Interval a = interval(atom.a);
        const int64_t q = floor_div(a.lo, atom.constant);
        if (q != floor_div(a.hi, atom.constant)) return {0, atom.constant - 1};
        return {a.lo - q * atom.constant, a.hi - q * atom.constant};
      }
      case AtomKind::min: {
        const Interval a = interval(atom.a), b = interval(atom.b);
        return {std::min(a.lo, b.lo), std::min(a.hi, b.hi)};
      }
      case AtomKind::max: {
        const Interval a = interval(atom.a), b = interval(atom.b);
        return {std::max(a.lo, b.lo), std::max(a.hi, b.hi)};
      }
      case AtomKind::data:
        break;
    }
    return table_.atom_interval(id);
  }

  // The byte offset of an access, with s*floor_div(x,d) + t*mod(x,d) joined where s is d*t.
  const Affine& offset_of(const Op& op, OpId id) {
    const auto [it, is_new] = offsets_.try_emplace(id.index);
    if (!is_new) return it->second;
    const Buffer& buffer = kernel_.buffer(op.buffer);
    Affine sum;
    for (size_t d = 0; d < buffer.extents.size(); ++d) {
      sum = add_scaled(sum, table_.affine(op.indices[d]),
                       buffer.strides[d] * size_bytes(buffer.dtype));
    }
    while (join_quotient(sum)) {
    }
    it->second = std::move(sum);
    return it->second;
  }

  bool join_quotient(Affine& sum) const {
    for (const Term& mod : sum.terms) {
      const Atom& m = table_.atom(mod.atom);
      if (m.kind != AtomKind::mod) continue;
      for (const Term& quotient : sum.terms) {
        const Atom& q = table_.atom(quotient.atom);
        if (q.kind != AtomKind::floor_div || q.a != m.a || q.constant != m.constant ||
            quotient.coefficient != mod.coefficient * m.constant) {
          continue;
        }
        Affine joined{sum.constant, {}};
        for (const Term& t : sum.terms) {
          if (t.atom != mod.atom && t.atom != quotient.atom) joined.terms.push_back(t);
        }
        sum = add_scaled(joined, table_.affine(m.a), mod.coefficient);
        return true;
      }
    }
    return false;
  }

  void note_access(const Op& op, OpId id) {
    const int parameter = parameter_of_[op.buffer.index];
    if (parameter < 0) return;
    const bool is_load = op.code == OpCode::load || op.code == OpCode::matrix_load;
    int64_t lanes = kernel_.type(is_load ? op.results[0] : op.operands[0]).lanes;
    if (op.has_active) {
      const Interval active = interval(op.indices.back());
      lanes = std::clamp<int64_t>(active.hi, 0, lanes);
    }
    const Buffer& buffer = kernel_.buffer(op.buffer);
    const bool has_rows = lanes > kMaxLanes;
    if (has_rows) lanes /= kMatrixRows;
    if (lanes == 0 || std::count(buffer.extents.begin(), buffer.extents.end(), 0) > 0) return;
    const Affine& offset = offset_of(op, id);
    Region region;
    region.offset_bytes = offset.constant;
    region.size_bytes = lanes * size_bytes(buffer.dtype);
    if (has_rows) {
      const int64_t row_stride = buffer.strides[static_cast<size_t>(op.row_dim)];
      region.strides.push_back({row_stride * size_bytes(buffer.dtype), kMatrixRows});
    }
    for (const Term& term : offset.terms) {
      const Interval range = atom_interval(term.atom);
      int64_t step = 1;
      const Atom& atom = table_.atom(term.atom);
      if (atom.kind == AtomKind::variable) {
        const auto it = steps_.find(atom.variable.index);
        if (it != steps_.end()) step = it->second;
      }
      region.offset_bytes += term.coefficient * (term.coefficient > 0 ? range.lo : range.hi);
      const int64_t stride = std::abs(term.coefficient) * step;
      region.strides.push_back({stride, (range.hi - range.lo) / step + 1});
    }
    absorb(region);
    Regions& regions = current_[static_cast<size_t>(parameter)];
    clip(std::move(region), buffer.span_bytes(), is_load ? regions.reads : regions.writes);
  }

  // What was taken larger than it is stays inside the buffer, which the kernel verifier has proven.
  static void clip(Region region, int64_t span_bytes, std::vector<Region>& regions) {
    const int64_t end = end_bytes(region);
    if (region.offset_bytes >= span_bytes) return;
    if (region.offset_bytes >= 0 && end <= span_bytes) {
      regions.push_back(std::move(region));
      return;
    }
    if (region.offset_bytes < 0 || region.strides.empty()) {
      const int64_t begin = std::max<int64_t>(region.offset_bytes, 0);
      regions.push_back({begin, std::min(end, span_bytes) - begin, {}});
      return;
    }
    // The repetitions that fit as they are, and the others one by one.
    const Stride outer = region.strides.front();
    region.strides.erase(region.strides.begin());
    const int64_t room = span_bytes - end_bytes(region);
    const int64_t whole = room < 0 ? 0 : std::min(outer.count, room / outer.stride_bytes + 1);
    if (whole > 0) {
      Region fitting = region;
      fitting.strides.insert(fitting.strides.begin(), {outer.stride_bytes, whole});
      regions.push_back(std::move(fitting));
    }
    for (int64_t i = whole; i < outer.count; ++i) {
      Region other = region;
      other.offset_bytes += i * outer.stride_bytes;
      if (other.offset_bytes >= span_bytes) break;
      clip(std::move(other), span_bytes, regions);
    }
  }

  const Kernel& kernel_;
  const IndexTable& table_;
  std::vector<int> parameter_of_;
  size_t num_parameters_ = 0;
  int64_t granularity_ = 1;
  std::map<std::pair<int64_t, int64_t>, std::vector<Regions>> known_;
  std::unordered_map<uint32_t, Affine> offsets_;  // by operation
  Ranges ranges_;
  std::unordered_map<uint32_t, int64_t> steps_;  // of loop variables
  std::vector<Regions> current_;
};

FootprintAnalysis::FootprintAnalysis(const Kernel& kernel)
    : impl_(std::make_unique<Impl>(kernel)) {}
FootprintAnalysis::~FootprintAnalysis() = default;
FootprintAnalysis::FootprintAnalysis(FootprintAnalysis&&) noexcept = default;

std::vector<Footprint> FootprintAnalysis::of_tiles(int64_t begin, int64_t end) {
  return impl_->of_tiles(begin, end);
}

int64_t FootprintAnalysis::granularity() const { return impl_->granularity(); }

}  // namespace neuronc::kernel
