// Implements break_plan.h.
#include "break_plan.h"

#include <algorithm>
#include <vector>

namespace neuronc::test {
namespace {

using plan::Access;
using plan::Plan;
using plan::Space;
using plan::Step;
using plan::Team;

size_t below(size_t n, std::mt19937& random) { return random() % n; }

std::vector<Step>& steps_of(Plan& plan, const Team& team, size_t lane) {
  return plan.lanes[team.first_lane.index + lane].blocks[0].steps;
}

size_t num_barriers(const std::vector<Step>& steps) {
  return static_cast<size_t>(std::count_if(steps.begin(), steps.end(), [](const Step& step) {
    return std::holds_alternative<plan::Barrier>(step);
  }));
}

void remove_barrier(std::vector<Step>& steps, size_t ordinal) {
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!std::holds_alternative<plan::Barrier>(steps[i]) || ordinal-- > 0) continue;
    steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(i));
    return;
  }
}

bool remove_barrier(Plan& plan, const Team& team, std::mt19937& random) {
  const size_t count = num_barriers(steps_of(plan, team, 0));
  if (count == 0) return false;
  const size_t ordinal = below(count, random);
  const bool from_all = below(2, random) == 0;
  const size_t only = below(team.num_lanes, random);
  for (size_t lane = 0; lane < team.num_lanes; ++lane) {
    if (from_all || lane == only) remove_barrier(steps_of(plan, team, lane), ordinal);
  }
  return true;
}

// What a lane writes of the team's memory, and behind how many barriers.
struct Write {
  size_t lane = 0;
  size_t epoch = 0;
  plan::BufferRef* ref = nullptr;
};

std::vector<Write> shared_writes(Plan& plan, const Team& team) {
  std::vector<Write> writes;
  for (size_t lane = 0; lane < team.num_lanes; ++lane) {
    size_t epoch = 0;
    for (Step& step : steps_of(plan, team, lane)) {
      epoch += std::holds_alternative<plan::Barrier>(step);
      auto* run = std::get_if<plan::RunKernel>(&step);
      if (run == nullptr) continue;
      for (plan::BufferRef& ref : run->buffers) {
        if (ref.space != Space::shared || ref.access == Access::read || ref.size_bytes == 0)
          continue;
        writes.push_back({lane, epoch, &ref});
      }
    }
  }
  return writes;
}

bool write_over_another(Plan& plan, const Team& team, std::mt19937& random) {
  std::vector<Write> writes = shared_writes(plan, team);
  std::shuffle(writes.begin(), writes.end(), random);
  for (const Write& a : writes) {
    for (const Write& b : writes) {
      if (a.lane == b.lane || a.epoch != b.epoch) continue;
      *b.ref = *a.ref;
      return true;
    }
  }
  return false;
}

bool shrink_memory(Team& team) {
  uint64_t end = 0;
  for (const auto& a : team.allocations) end = std::max(end, a.offset_bytes + a.size_bytes);
  if (end == 0) return false;
  team.shared_bytes = end - 1;
  return true;
}

}  // namespace

bool break_plan(Plan& plan, std::mt19937& random) {
  if (plan.teams.empty()) return false;
  Team& team = plan.teams[below(plan.teams.size(), random)];
  switch (below(5, random)) {
    case 0:
    case 1:
      return remove_barrier(plan, team, random);
    case 2:
    case 3:
      return write_over_another(plan, team, random);
    default:
      return shrink_memory(team);
  }
}

}  // namespace neuronc::test
