// Implements team_builder.h.
#include "backend/plan/team_builder.h"

#include <algorithm>

#include "backend/plan/arena.h"

namespace neuronc {
namespace {

bool is_write(const LaneAccess& access) { return access.access != plan::Access::read; }

bool meets_others(const std::map<uint32_t, plan::ByteRanges>& by_lane, const LaneAccess& access) {
  return std::any_of(by_lane.begin(), by_lane.end(), [&](const auto& entry) {
    return entry.first != access.lane && entry.second.intersects(access.ranges);
  });
}

}  // namespace

uint32_t TeamBuilder::allocate(std::string name, uint64_t size_bytes) {
  pending_.push_back({std::move(name), size_bytes});
  return static_cast<uint32_t>(pending_.size() - 1);
}

plan::BufferRef TeamBuilder::ref(uint32_t allocation, plan::Access access, uint64_t offset_bytes,
                                 uint64_t size_bytes) {
  Pending& pending = pending_[allocation];
  if (!pending.is_used) pending.first_epoch = epoch_;
  pending.last_epoch = epoch_;
  pending.is_used = true;
  is_open_ = true;
  return {plan::Space::shared, access, allocation, offset_bytes, size_bytes};
}

bool TeamBuilder::needs_barrier(const std::vector<LaneAccess>& accesses) const {
  return std::any_of(accesses.begin(), accesses.end(), [this](const LaneAccess& access) {
    const auto it = touched_.find(access.place);
    if (it == touched_.end()) return false;
    if (meets_others(it->second.writes, access)) return true;
    return is_write(access) && meets_others(it->second.reads, access);
  });
}

bool TeamBuilder::conflict(const std::vector<LaneAccess>& accesses) {
  for (const LaneAccess& a : accesses) {
    if (!is_write(a)) continue;
    for (const LaneAccess& b : accesses) {
      if (b.place == a.place && b.lane != a.lane && a.ranges.intersects(b.ranges)) return true;
    }
  }
  return false;
}

void TeamBuilder::note(const std::vector<LaneAccess>& accesses) {
  for (const LaneAccess& access : accesses) {
    Touched& touched = touched_[access.place];
    (is_write(access) ? touched.writes : touched.reads)[access.lane].add_all(access.ranges);
  }
}

void TeamBuilder::forget(Place place) { touched_.erase(place); }

void TeamBuilder::pass_barrier() {
  touched_.clear();
  is_open_ = false;
  ++epoch_;
}

plan::Team TeamBuilder::finish(std::vector<plan::Lane>& lanes) {
  std::vector<LiveRange> ranges;
  for (const Pending& p : pending_) {
    ranges.push_back({p.is_used ? p.size_bytes : 0, p.first_epoch, p.last_epoch});
  }
  const ArenaLayout layout = lay_out_arena(ranges);
  plan::Team team{first_lane_, num_lanes_, layout.size_bytes, {}};
  for (size_t i = 0; i < pending_.size(); ++i) {
    Pending& p = pending_[i];
    if (!p.is_used || p.size_bytes == 0) continue;
    team.allocations.push_back(
        {std::move(p.name), layout.offsets_bytes[i], p.size_bytes, p.first_epoch, p.last_epoch});
  }
  const auto settle = [&](plan::BufferRef& ref) {
    if (ref.space != plan::Space::shared) return;
    ref.offset_bytes += layout.offsets_bytes[ref.index];
    ref.index = id_.index;
  };
  for (uint32_t i = 0; i < num_lanes_; ++i) {
    for (plan::Block& block : lanes[first_lane_.index + i].blocks) {
      for (plan::Step& step : block.steps) plan::for_each_ref(step, settle);
    }
  }
  return team;
}

}  // namespace neuronc
