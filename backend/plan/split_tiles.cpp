// Implements split_tiles.h.
#include "backend/plan/split_tiles.h"

#include <algorithm>

#include "ir/plan/byte_ranges.h"

namespace neuronc {
namespace {

using kernel::ByteRun;
using kernel::Footprint;
using kernel::FootprintAnalysis;

std::vector<plan::Run> to_plan(const std::vector<ByteRun>& runs) {
  std::vector<plan::Run> result;
  for (const ByteRun& run : runs) {
    result.push_back({static_cast<uint64_t>(run.offset_bytes),
                      static_cast<uint64_t>(run.size_bytes),
                      static_cast<uint64_t>(run.stride_bytes), static_cast<uint64_t>(run.count)});
  }
  return result;
}

uint64_t total_bytes(const std::vector<ByteRun>& runs) {
  uint64_t sum = 0;
  for (const ByteRun& run : runs) sum += static_cast<uint64_t>(run.size_bytes * run.count);
  return sum;
}

plan::ByteRanges to_ranges(const std::vector<plan::Run>& runs) {
  plan::ByteRanges ranges;
  for (const plan::Run& run : runs) {
    for (uint64_t i = 0; i < run.count; ++i) {
      const uint64_t begin = run.offset_bytes + i * run.stride_bytes;
      ranges.add(begin, begin + run.size_bytes);
    }
  }
  return ranges;
}

// Of a result that a lane's part writes. So many are a few bytes each, for which lanes would fight.
constexpr uint64_t kMostWritten = 4096;
// Of a plan; its verifier takes twice as many.
constexpr uint64_t kMostRangesOfPlan = uint64_t{1} << 21;

uint64_t num_ranges(const std::vector<plan::Run>& runs) {
  uint64_t sum = 0;
  for (const plan::Run& run : runs) sum += run.count;
  return sum;
}

uint64_t num_ranges(const TilePart& part) {
  uint64_t sum = 0;
  for (const std::vector<plan::Run>& runs : part.touched) sum += num_ranges(runs);
  return sum;
}

bool is_result(const KernelBuffer& buffer) { return buffer.kind == KernelBuffer::Kind::result; }

bool writes_few_pieces(const std::vector<TilePart>& parts,
                       const std::vector<KernelBuffer>& buffers) {
  for (const TilePart& part : parts) {
    for (size_t i = 0; i < buffers.size(); ++i) {
      if (is_result(buffers[i]) && num_ranges(part.touched[i]) > kMostWritten) return false;
    }
  }
  return true;
}

TilePart make_part(FootprintAnalysis& analysis, const std::vector<KernelBuffer>& buffers,
                   int64_t begin, int64_t end) {
  TilePart part{begin, end, {}};
  part.touched.resize(buffers.size());
  if (begin == end) return part;
  const std::vector<Footprint> footprints = analysis.of_tiles(begin, end);
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (buffers[i].kind == KernelBuffer::Kind::workspace) continue;  // each lane has its own
    part.touched[i] = to_plan(is_result(buffers[i]) ? footprints[i].writes : footprints[i].reads);
  }
  return part;
}

// Whether each lane writes what no other does, and reads no results but its own.
bool are_apart(const std::vector<TilePart>& parts, FootprintAnalysis& analysis,
               const std::vector<KernelBuffer>& buffers) {
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (!is_result(buffers[i])) continue;
    plan::ByteRanges all;
    for (const TilePart& part : parts) {
      if (part.is_empty()) continue;
      const plan::ByteRanges own = to_ranges(part.touched[i]);
      if (all.intersects(own)) return false;
      all.add_all(own);
      bool reads_own = true;
      const std::vector<Footprint> footprints = analysis.of_tiles(part.tile_begin, part.tile_end);
      to_ranges(to_plan(footprints[i].reads)).for_each([&](uint64_t begin, uint64_t end) {
        reads_own = reads_own && own.contains(begin, end);
      });
      if (!reads_own) return false;
    }
  }
  return true;
}

// Borders between lanes, so that the largest share of the results' bytes is as small as possible.
std::vector<int64_t> balanced_borders(FootprintAnalysis& analysis, const LoweredNode& node,
                                      uint32_t num_lanes) {
  const int64_t unit = analysis.granularity();
  std::vector<int64_t> starts{0};
  std::vector<uint64_t> before{0};  // bytes of results before each start
  for (int64_t t = 0; t < node.num_tiles; t += unit) {
    const int64_t end = std::min(node.num_tiles, t + unit);
    const std::vector<Footprint> footprints = analysis.of_tiles(t, end);
    uint64_t bytes = 0;
    for (size_t i = 0; i < node.buffers.size(); ++i) {
      if (is_result(node.buffers[i])) bytes += total_bytes(footprints[i].writes);
    }
    starts.push_back(end);
    before.push_back(before.back() + bytes);
  }
  std::vector<int64_t> borders{0};
  for (uint32_t lane = 1; lane < num_lanes; ++lane) {
    const uint64_t ideal = before.back() * lane / num_lanes;
    auto at = std::lower_bound(before.begin(), before.end(), ideal);
    if (at != before.begin() && ideal - *std::prev(at) < *at - ideal) --at;
    borders.push_back(std::max(borders.back(), starts[static_cast<size_t>(at - before.begin())]));
  }
  borders.push_back(node.num_tiles);
  return borders;
}

}  // namespace

KernelTiles tiles_to_share(const LoweredKernel& lowered) {
  const int64_t num_tiles = lowered.kernel.num_tiles;
  FootprintAnalysis analysis(lowered.kernel);
  const int64_t unit = analysis.granularity();
  const int64_t border = num_tiles / 2 / unit * unit;
  if (border == 0) return {1, "it has one tile"};
  const std::vector<TilePart> parts = {make_part(analysis, lowered.buffers, 0, border),
                                       make_part(analysis, lowered.buffers, border, num_tiles)};
  if (!writes_few_pieces(parts, lowered.buffers)) {
    return {1, "each core would write thousands of pieces"};
  }
  if (!are_apart(parts, analysis, lowered.buffers)) {
    return {1, "what a tile writes is not known before"};
  }
  return {(num_tiles + unit - 1) / unit, {}};
}

std::vector<TilePart> TileSplitter::make(Known& known, const LoweredNode& node, uint32_t num_lanes,
                                         TileShare share) {
  std::vector<TilePart> parts(num_lanes);
  if (share == TileShare::all_lanes) {
    const std::vector<int64_t> borders = balanced_borders(known.analysis, node, num_lanes);
    for (uint32_t lane = 0; lane < num_lanes; ++lane) {
      parts[lane] = make_part(known.analysis, node.buffers, borders[lane], borders[lane + 1]);
    }
    if (are_apart(parts, known.analysis, node.buffers)) return parts;
  }
  for (uint32_t lane = 0; lane < num_lanes; ++lane) {
    parts[lane] =
        make_part(known.analysis, node.buffers, lane == 0 ? 0 : node.num_tiles, node.num_tiles);
  }
  return parts;
}

const std::vector<TilePart>& TileSplitter::split(const LoweredNode& node, uint32_t num_lanes,
                                                 TileShare share) {
  const kernel::Kernel& kernel = kernels_.entries()[node.kernel.index].kernel;
  Known& known = known_.try_emplace(node.kernel.index, kernel).first->second;
  const auto [it, is_new] = known.parts.try_emplace({num_lanes, share});
  if (is_new) it->second = make(known, node, num_lanes, share);
  uint64_t sum = 0;
  for (const TilePart& part : it->second) sum += num_ranges(part);
  const bool are_too_many =
      num_ranges_ + sum > kMostRangesOfPlan || !writes_few_pieces(it->second, node.buffers);
  if (are_too_many && share == TileShare::all_lanes) {
    return split(node, num_lanes, TileShare::first_lane);
  }
  num_ranges_ += sum;
  return it->second;
}

}  // namespace neuronc
