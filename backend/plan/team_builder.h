// Collects what the lanes of a team share: memory by epoch, and the barriers that keep lanes from
// touching what another lane writes.
//
// A *place* is an allocation of the team's memory, or a value at home in an output or a channel.
// Between two barriers a lane may touch the bytes of a place that another lane writes neither before
// nor after it; `needs_barrier` says when a barrier has to come first.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ir/plan/byte_ranges.h"
#include "ir/plan/plan.h"

namespace neuronc {

// A place by kind and number.
struct Place {
  plan::Space space = plan::Space::shared;
  uint32_t index = 0;
  friend auto operator<=>(const Place&, const Place&) = default;
};

// What one lane of a team does to a place in a step.
struct LaneAccess {
  Place place;
  uint32_t lane = 0;  // within the team
  plan::Access access = plan::Access::read;
  plan::ByteRanges ranges;
};

class TeamBuilder {
 public:
  TeamBuilder(plan::TeamId id, plan::LaneId first_lane, uint32_t num_lanes)
      : id_(id), first_lane_(first_lane), num_lanes_(num_lanes) {}

  plan::TeamId id() const { return id_; }

  // A new allocation, live from the first to the last epoch in which `ref` names it.
  uint32_t allocate(std::string name, uint64_t size_bytes);
  // Until `finish` the index is the allocation's.
  plan::BufferRef ref(uint32_t allocation, plan::Access access, uint64_t offset_bytes,
                      uint64_t size_bytes);

  // Whether some access meets what another lane has done since the last barrier.
  bool needs_barrier(const std::vector<LaneAccess>& accesses) const;
  // Whether lanes get in each other's way within one step.
  static bool conflict(const std::vector<LaneAccess>& accesses);
  void note(const std::vector<LaneAccess>& accesses);
  // Accesses to what was sent wait for that, not for a barrier.
  void forget(Place place);
  // Ends the epoch.
  void pass_barrier();
  // Whether shared memory was touched since the last barrier.
  bool has_open_epoch() const { return is_open_; }

  // The team with its memory laid out; puts the references of its lanes' steps in their place.
  plan::Team finish(std::vector<plan::Lane>& lanes);

 private:
  struct Pending {
    std::string name;
    uint64_t size_bytes = 0;
    bool is_used = false;
    uint32_t first_epoch = 0, last_epoch = 0;
  };
  struct Touched {
    std::map<uint32_t, plan::ByteRanges> reads, writes;  // by lane
  };

  plan::TeamId id_;
  plan::LaneId first_lane_;
  uint32_t num_lanes_;
  uint32_t epoch_ = 0;
  bool is_open_ = false;
  std::vector<Pending> pending_;
  std::map<Place, Touched> touched_;
};

}  // namespace neuronc
