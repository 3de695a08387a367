// Splits a kernel's tiles over the lanes of a team: neighbouring tiles to each lane, about as many
// bytes of results to all, and for each lane the bytes that its tiles touch.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "backend/plan/lower_module.h"
#include "ir/kernel/footprint.h"
#include "ir/plan/plan.h"
#include "ir/target.h"

namespace neuronc {

// A lane's share of a kernel; without tiles it has none.
struct TilePart {
  int64_t tile_begin = 0;
  int64_t tile_end = 0;
  // Per buffer, from the pointer that the kernel gets: bytes read of operands, written of results;
  // none: nothing.
  std::vector<std::vector<plan::Run>> touched;

  bool is_empty() const { return tile_begin == tile_end; }
  friend bool operator==(const TilePart&, const TilePart&) = default;
};

// Who of a team gets tiles.
enum class TileShare : uint8_t { all_lanes, first_lane };

// The tiles, or runs of them, that lanes take apart; one, and why, where even two cannot.
KernelTiles tiles_to_share(const LoweredKernel& lowered);

class TileSplitter {
 public:
  // `kernels` outlives the splitter.
  explicit TileSplitter(const KernelTable& kernels) : kernels_(kernels) {}

  // One part a lane, for one step of the plan. Where the tiles' results cannot be told apart, or in
  // very many ranges alone, the first lane has all of them.
  const std::vector<TilePart>& split(const LoweredNode& node, uint32_t num_lanes, TileShare share);

 private:
  struct Known {
    explicit Known(const kernel::Kernel& kernel) : analysis(kernel) {}
    kernel::FootprintAnalysis analysis;
    std::map<std::pair<uint32_t, TileShare>, std::vector<TilePart>> parts;  // by number of lanes
  };
  std::vector<TilePart> make(Known& known, const LoweredNode& node, uint32_t num_lanes,
                             TileShare share);

  const KernelTable& kernels_;
  std::map<uint32_t, Known> known_;  // by kernel
  uint64_t num_ranges_ = 0;          // of all steps so far
};

}  // namespace neuronc
