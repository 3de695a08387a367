// Who touches which memory, and where that memory is: the analysis behind a plan.
//
// All values that lie in one allocation share a *base*. Every base has one group of lanes that
// writes it, a single lane or a team, and a home: the caller's memory, a constant, the lane's arena
// or the team's memory, or, if others read it, a channel's slot that the writers fill directly.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "backend/plan/lower_module.h"
#include "backend/plan/split_tiles.h"
#include "ir/graph.h"
#include "ir/plan/byte_ranges.h"
#include "ir/plan/plan.h"

namespace neuronc {

// One access of a step to a value: `size_bytes` from `offset_bytes` of its base on.
struct Touch {
  ValueId value;
  ValueId base;  // none: not a value (packed constants, workspaces, absent operands)
  plan::Access access = plan::Access::read;
  uint64_t offset_bytes = 0;
  uint64_t size_bytes = 0;
  std::vector<plan::Run> runs;  // of a team's work: what all parts touch, from `offset_bytes` on
};

// Lanes that work together: a core, the cores of a team, or the host.
struct LaneGroup {
  uint32_t first = 0;
  uint32_t count = 1;
  uint32_t end() const { return first + count; }
};

// One step's worth of work, in execution order.
struct Work {
  NodeId node;
  uint32_t group = 0;
  const LoweredNode* lowered = nullptr;  // none: a host node, or control flow on a core
  std::vector<TilePart> parts;           // of a team's kernel, by lane
  uint32_t host_node = 0;
  // Per kernel buffer; of other nodes their operands, then their results.
  std::vector<Touch> touches;
};

enum class Home : uint8_t { input, output, constant, arena, channel, host_slot };

// Numbers of work items.
struct Span {
  uint32_t first = 0;
  uint32_t last = 0;
};

struct Base {
  ValueId value;
  Home home = Home::arena;
  uint32_t index = 0;  // of the input, output or constant
  uint32_t group = 0;  // that writes it
  bool is_written = false;
  Span writes;
  std::map<uint32_t, Span> reads;  // by group
  uint64_t size_bytes = 0;
  // Some bytes are read that no step writes (padding): it is to be cleared first.
  bool needs_clearing = false;
  bool is_viewed_on_host = false;
  // Carries it to other lanes: its home, or for an output a copy.
  plan::ChannelId channel;

  // A value without elements, which no kernel is run for.
  bool is_empty() const { return !is_written && size_bytes == 0; }
  bool is_read_by_others() const {
    return !is_empty() && !reads.empty() && (reads.size() > 1 || reads.begin()->first != group);
  }
  // The writers read it after it has been sent.
  bool is_read_back() const {
    const auto it = reads.find(group);
    return it != reads.end() && it->second.last > writes.last;
  }
};

struct ValueFlow {
  uint32_t num_core_lanes = 1;
  bool has_host_lane = false;
  std::vector<LaneGroup> groups;  // the host's last
  std::vector<Work> works;
  std::map<ValueId, Base> bases;

  uint32_t num_lanes() const { return num_core_lanes + (has_host_lane ? 1 : 0); }
  uint32_t host_lane() const { return num_core_lanes; }
  uint32_t host_group() const { return static_cast<uint32_t>(groups.size()) - 1; }
  bool is_team(uint32_t group) const { return groups[group].count > 1; }
};

// `module` as prepare_host leaves it; `lowered` its groups. Constants that are read as they are
// join `lowered.constants`.
ValueFlow trace_values(const Module& module, LoweredModule& lowered);
// Of a body that a core runs, as one lane's work alone. What is at home in an input or output has its
// number there.
ValueFlow trace_values(const Module& module, const Graph& body, LoweredModule& lowered);

}  // namespace neuronc
