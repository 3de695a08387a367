// Implements byte_regions.h.
#include "ir/kernel/byte_regions.h"

#include <algorithm>
#include <tuple>

namespace neuronc::kernel {
namespace {

// Beyond this many a set of runs becomes the range around all of them.
constexpr size_t kMaxRuns = 4096;

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

}  // namespace

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

// What was taken larger than it is stays inside the buffer, which the kernel verifier has proven.
void clip(Region region, int64_t span_bytes, std::vector<Region>& regions) {
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

}  // namespace neuronc::kernel
