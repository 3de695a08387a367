// Who touches which memory, and where that memory is: the analysis behind a plan.
//
// All values that lie in one allocation share a *base*. Every base has one lane that writes it and
// a home: the caller's memory, a constant, the writing lane's arena, or, if other lanes read it, a
// channel's slot that the writing lane fills directly.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "backend/plan/lower_module.h"
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
};

// One step's worth of work, in execution order.
struct Work {
  NodeId node;
  uint32_t lane = 0;
  const LoweredNode* lowered = nullptr;  // none: a host node
  uint32_t host_node = 0;
  // Per kernel buffer; of a host node its operands, then its results.
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
  uint32_t lane = 0;   // that writes it
  bool is_written = false;
  Span writes;
  std::map<uint32_t, Span> reads;  // by lane
  uint64_t size_bytes = 0;
  // Some bytes are read that no step writes (padding): it is to be cleared first.
  bool needs_clearing = false;
  bool is_viewed_on_host = false;
  // Carries it to other lanes: its home, or for an output a copy.
  plan::ChannelId channel;

  // A value without elements, which no kernel is run for.
  bool is_empty() const { return !is_written && size_bytes == 0; }
  bool is_read_by_others() const {
    return !is_empty() && !reads.empty() && (reads.size() > 1 || reads.begin()->first != lane);
  }
  // The writing lane reads it after it has been sent.
  bool is_read_back() const {
    const auto it = reads.find(lane);
    return it != reads.end() && it->second.last > writes.last;
  }
};

struct ValueFlow {
  uint32_t num_core_lanes = 1;
  bool has_host_lane = false;
  std::vector<Work> works;
  std::map<ValueId, Base> bases;

  uint32_t num_lanes() const { return num_core_lanes + (has_host_lane ? 1 : 0); }
  uint32_t host_lane() const { return num_core_lanes; }
};

// `module` as prepare_host leaves it; `lowered` its groups. Constants that are read as they are
// join `lowered.constants`.
ValueFlow trace_values(const Module& module, LoweredModule& lowered);

}  // namespace neuronc
