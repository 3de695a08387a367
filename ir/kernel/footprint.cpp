// Every access is an affine form of its byte offset; over the values of its loop variables that is
// a set of ranges in several strides. Sets that touch are merged until nothing changes, which turns
// the many accesses of unrolled code back into the few runs that they are.
#include "ir/kernel/footprint.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_map>

#include "ir/kernel/byte_regions.h"

namespace neuronc::kernel {
namespace {

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
    const auto num_ops = static_cast<int64_t>(kernel.ops.size()) + 1;
    const int64_t most = std::clamp(kMaxWork / num_ops, kMinTiles, kMaxTiles);
    granularity_ = std::max<int64_t>(1, (kernel.num_tiles + most - 1) / most);
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
  // As many tiles are looked at one by one as make so many operations, within bounds.
  static constexpr int64_t kMaxWork = 200'000, kMinTiles = 256, kMaxTiles = 4096;

  using Ranges = std::unordered_map<uint32_t, Interval>;  // by variable
  // A sum of several variables that stays within limits.
  struct GuardedSum {
    const Affine* affine;
    Interval limits;
  };

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
          if (op.blocks[1]) walk_otherwise(op);
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

  // A guard on one variable narrows its range, one on several the accesses that have them in the same
  // proportion; one that never holds hides the block.
  void walk_guarded(const Op& op) {
    const Ranges saved = ranges_;
    const size_t num_sums = guarded_sums_.size();
    bool is_reached = true;
    for (const Guard& guard : op.guards) {
      is_reached = is_reached && narrow(table_.affine(guard.expr), limits_of(guard));
    }
    if (is_reached) walk(op.blocks[0]);
    ranges_ = saved;
    guarded_sums_.resize(num_sums);
  }

  // Where one side of one guard alone can fail, the other block has the values beyond it.
  void walk_otherwise(const Op& op) {
    const Guard* open = nullptr;
    size_t num_open = 0;
    for (const Guard& guard : op.guards) {
      const Interval range = interval(guard.expr), limits = limits_of(guard);
      const bool may_be_low = range.lo<limits.lo, may_be_high = range.hi> limits.hi;
      if (!may_be_low && !may_be_high) continue;
      open = &guard;
      num_open += may_be_low && may_be_high ? 2 : 1;
    }
    if (num_open == 0) return;
    const Ranges saved = ranges_;
    const size_t num_sums = guarded_sums_.size();
    bool is_reached = true;
    if (num_open == 1) {
      const Interval limits = limits_of(*open);
      const bool is_high = interval(open->expr).hi > limits.hi;
      is_reached =
          narrow(table_.affine(open->expr), is_high ? Interval{limits.hi + 1, kIndexLimit}
                                                    : Interval{-kIndexLimit, limits.lo - 1});
    }
    if (is_reached) walk(op.blocks[1]);
    ranges_ = saved;
    guarded_sums_.resize(num_sums);
  }

  static Interval limits_of(const Guard& guard) {
    return {guard.lo, guard.hi >= kIndexLimit ? kIndexLimit : guard.hi - 1};
  }

  bool narrow(const Affine& affine, Interval limits) {
    if (intersect(interval(affine), limits).is_empty()) return false;
    const Term* open = nullptr;
    int64_t fixed = affine.constant;
    for (const Term& term : affine.terms) {
      const Interval range = atom_interval(term.atom);
      if (range.is_single()) {
        fixed += range.lo * term.coefficient;
      } else if (open != nullptr || table_.atom(term.atom).kind != AtomKind::variable) {
        guarded_sums_.push_back({&affine, limits});
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
    std::vector<Term> terms = offset.terms;
    for (const GuardedSum& sum : guarded_sums_) {
      if (!add_guarded(sum, terms, region)) return;
    }
    for (const Term& term : terms) {
      const Interval range = atom_interval(term.atom);
      const int64_t step = step_of(term.atom);
      region.offset_bytes += term.coefficient * (term.coefficient > 0 ? range.lo : range.hi);
      const int64_t stride = std::abs(term.coefficient) * step;
      region.strides.push_back({stride, (range.hi - range.lo) / step + 1});
    }
    absorb(region);
    Regions& regions = current_[static_cast<size_t>(parameter)];
    clip(std::move(region), buffer.span_bytes(), is_load ? regions.reads : regions.writes);
  }

  int64_t step_of(AtomId id) const {
    const Atom& atom = table_.atom(id);
    if (atom.kind != AtomKind::variable) return 1;
    const auto it = steps_.find(atom.variable.index);
    return it == steps_.end() ? 1 : it->second;
  }

  // Where the terms hold a multiple of the guarded sum, moves it from them to the region, as the one
  // stride of the values that the guard lets through. False: it lets none through.
  bool add_guarded(const GuardedSum& sum, std::vector<Term>& terms, Region& region) {
    int64_t factor = 0, fixed = sum.affine->constant, step = 0, num_values = 1;
    Interval range{0, 0};
    std::vector<Term> rest = terms;
    for (const Term& term : sum.affine->terms) {
      const Interval values = atom_interval(term.atom);
      if (values.is_single()) {
        fixed += values.lo * term.coefficient;
        continue;
      }
      const auto at = std::find_if(rest.begin(), rest.end(),
                                   [&](const Term& t) { return t.atom == term.atom; });
      if (at == rest.end() || at->coefficient % term.coefficient != 0) return true;
      if (factor != 0 && at->coefficient != factor * term.coefficient) return true;
      factor = at->coefficient / term.coefficient;
      rest.erase(at);
      range = range + values * term.coefficient;
      step = std::gcd(step, term.coefficient * step_of(term.atom));
      num_values *= (values.hi - values.lo) / step_of(term.atom) + 1;
    }
    if (step == 0) return true;
    const int64_t low = std::max(range.lo, sum.limits.lo - fixed);
    const int64_t first = range.lo - floor_div(range.lo - low, step) * step;
    const int64_t last = std::min(range.hi, sum.limits.hi - fixed);
    if (first > last) return false;
    const int64_t count = (last - first) / step + 1;
    if (count > num_values) return true;  // the sum has gaps, which its terms know
    region.offset_bytes += factor * (factor > 0 ? first : first + (count - 1) * step);
    region.strides.push_back({std::abs(factor) * step, count});
    terms = std::move(rest);
    return true;
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
  std::vector<GuardedSum> guarded_sums_;         // of the open guards
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
