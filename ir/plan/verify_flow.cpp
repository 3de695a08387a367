// Follows one request through all lanes of a plan, which proves the rules on data flow and order.
//
// Lanes run in turns until each waits or is done, as a machine with one processor would run them.
// What a lane may rely on is kept per lane: `Written` grows with its own writes, and takes in other
// lanes' writes only where the plan orders them (recv, barrier). A race is therefore seen as a read
// of something unwritten whatever the order of the turns.
#include <fmt/format.h>

#include <map>
#include <set>
#include <utility>

#include "ir/plan/byte_ranges.h"
#include "ir/plan/text.h"
#include "ir/plan/verify_internal.h"

namespace neuronc::plan {
namespace {

using SpaceKey = std::pair<Space, uint32_t>;
using Written = std::map<SpaceKey, ByteRanges>;

enum class SlotUse : uint8_t { closed, open, done };

struct LaneState {
  size_t next_step = 0;
  bool waits_at_barrier = false;
  Written written;
  ByteRanges shared_reads, shared_writes;          // since the last barrier
  std::map<uint64_t, const Allocation*> live;      // by offset
  std::map<uint32_t, SlotUse> produced, consumed;  // by channel
};

class FlowVerifier {
 public:
  FlowVerifier(const Plan& plan, Errors& errors)
      : plan_(plan),
        errors_(errors),
        lanes_(plan.lanes.size()),
        sent_(plan.channels.size()),
        is_sent_(plan.channels.size(), false),
        channel_init_(plan.channels.size()) {}

  void run() {
    run_init();
    while (errors_.is_empty() && (advance_all() || pass_barrier())) {
    }
    if (errors_.is_empty()) check_end();
  }

 private:
  const std::vector<Step>& entry(size_t lane) const { return plan_.lanes[lane].blocks[0].steps; }
  bool is_done(size_t lane) const { return lanes_[lane].next_step == entry(lane).size(); }

  void error(std::string_view text) {
    errors_.add(fmt::format("{}: {}", place(plan_, lane_, list_, step_index_, *step_), text));
  }

  // --- Init ----------------------------------------------------------------------------------

  void run_init() {
    list_ = "init ";
    Written expanded;
    for (lane_ = 0; lane_ < plan_.lanes.size(); ++lane_) {
      LaneState& state = lanes_[lane_];
      state.written = expanded;
      for (const Allocation& allocation : plan_.lanes[lane_].allocations) {
        if (allocation.lifetime == Lifetime::persistent && allocation.size_bytes > 0) {
          state.live.emplace(allocation.offset_bytes, &allocation);
        }
      }
      const std::vector<Step>& steps = plan_.lanes[lane_].init;
      for (step_index_ = 0; step_index_ < steps.size(); ++step_index_) {
        step_ = &steps[step_index_];
        const Fill* fill = std::get_if<Fill>(step_);
        if (fill != nullptr && fill->target.space == Space::channel) {
          const BufferRef& ref = fill->target;
          channel_init_[ref.index].add(ref.offset_bytes, ref.offset_bytes + ref.size_bytes);
        } else {
          check_refs(*step_);
        }
      }
      const SpaceKey key{Space::expanded, 0};
      if (state.written.contains(key)) expanded[key] = state.written[key];
    }
    for (LaneState& state : lanes_) {
      for (const auto& [key, ranges] : expanded) state.written[key] = ranges;
    }
    list_ = "";
  }

  // --- Turns ---------------------------------------------------------------------------------

  bool advance_all() {
    bool has_advanced = false;
    for (lane_ = 0; lane_ < lanes_.size(); ++lane_) {
      while (!is_done(lane_) && errors_.is_empty() && advance()) has_advanced = true;
    }
    return has_advanced;
  }

  // Runs the next step of the current lane; false if it has to wait.
  bool advance() {
    LaneState& state = lanes_[lane_];
    step_index_ = state.next_step;
    step_ = &entry(lane_)[step_index_];
    if (const Recv* recv = std::get_if<Recv>(step_); recv && !is_sent_[recv->channel.index]) {
      return false;
    }
    if (std::holds_alternative<Barrier>(*step_)) {
      state.waits_at_barrier = true;
      return false;
    }
    begin_allocations();
    run_step(*step_);
    end_allocations();
    ++state.next_step;
    return true;
  }

  void begin_allocations() {
    LaneState& state = lanes_[lane_];
    if (step_index_ == 0) index_allocations();
    for (const Allocation* allocation : begins_[{lane_, step_index_}]) {
      const uint64_t end = allocation->offset_bytes + allocation->size_bytes;
      state.live.emplace(allocation->offset_bytes, allocation);
      state.written[{Space::arena, 0}].remove(allocation->offset_bytes, end);
    }
  }

  void index_allocations() {
    for (const Allocation& allocation : plan_.lanes[lane_].allocations) {
      if (allocation.lifetime != Lifetime::steps || allocation.size_bytes == 0) continue;
      begins_[{lane_, allocation.first_step}].push_back(&allocation);
      ends_[{lane_, allocation.last_step}].push_back(&allocation);
    }
  }

  void end_allocations() {
    for (const Allocation* allocation : ends_[{lane_, step_index_}]) {
      lanes_[lane_].live.erase(allocation->offset_bytes);
    }
  }

  // Lets all core lanes over their barrier once each stands at one; false if they do not.
  bool pass_barrier() {
    Written merged;
    size_t num_waiting = 0;
    for (size_t i = 0; i < lanes_.size(); ++i) {
      if (plan_.lanes[i].kind != LaneKind::core) continue;
      if (!lanes_[i].waits_at_barrier) return false;
      ++num_waiting;
    }
    if (num_waiting == 0) return false;
    check_shared_races();
    const SpaceKey key{Space::shared, 0};
    for (LaneState& state : lanes_) merged[key].add_all(state.written[key]);
    for (size_t i = 0; i < lanes_.size(); ++i) {
      if (!lanes_[i].waits_at_barrier) continue;
      LaneState& state = lanes_[i];
      state.written[key] = merged[key];
      state.shared_reads.clear();
      state.shared_writes.clear();
      state.waits_at_barrier = false;
      // Allocations may begin or end at the barrier's own step.
      lane_ = i;
      step_index_ = state.next_step;
      begin_allocations();
      end_allocations();
      ++state.next_step;
    }
    return true;
  }

  void check_shared_races() {
    for (size_t a = 0; a < lanes_.size(); ++a) {
      for (size_t b = 0; b < lanes_.size(); ++b) {
        const LaneState& writer = lanes_[a];
        const LaneState& other = lanes_[b];
        if (a != b && (writer.shared_writes.intersects(other.shared_reads) ||
                       writer.shared_writes.intersects(other.shared_writes))) {
          errors_.add(
              fmt::format("lanes {} and {} touch the same shared memory between barriers", a, b));
          return;
        }
      }
    }
  }

  // --- Steps ---------------------------------------------------------------------------------

  void run_step(const Step& step) {
    check_refs(step);
    if (const auto* s = std::get_if<Acquire>(&step)) return acquire(s->channel);
    if (const auto* s = std::get_if<Send>(&step)) return send(s->channel);
    if (const auto* s = std::get_if<Recv>(&step)) return recv(s->channel);
    if (const auto* s = std::get_if<Release>(&step)) return release(s->channel);
    if (const auto* s = std::get_if<If>(&step)) return run_if(*s);
    if (const auto* s = std::get_if<Loop>(&step)) return run_loop(*s);
  }

  void run_block(BlockId block) {
    for (const Step& step : plan_.lanes[lane_].blocks[block.index].steps) run_step(step);
  }

  void run_if(const If& step) {
    Written& written = lanes_[lane_].written;
    const Written before = written;
    run_block(step.then_block);
    Written after_then = std::exchange(written, before);
    if (step.else_block) run_block(step.else_block);
    for (auto& [key, ranges] : written) ranges = ranges.intersection(after_then[key]);
  }

  void run_loop(const Loop& step) {
    Written& written = lanes_[lane_].written;
    Written before = written;
    run_block(step.body);
    written = std::move(before);
  }

  void acquire(ChannelId channel) {
    LaneState& state = lanes_[lane_];
    if (plan_.channels[channel.index].producer.index != lane_) {
      return error("the lane is not the channel's producer");
    }
    if (!state.produced.emplace(channel.index, SlotUse::open).second) {
      return error("the channel is acquired twice");
    }
    state.written[{Space::channel, channel.index}] = channel_init_[channel.index];
  }

  void send(ChannelId channel) {
    LaneState& state = lanes_[lane_];
    const auto it = state.produced.find(channel.index);
    if (it == state.produced.end() || it->second != SlotUse::open) {
      return error("the channel has not been acquired");
    }
    it->second = SlotUse::done;
    is_sent_[channel.index] = true;
    sent_[channel.index] = state.written[{Space::channel, channel.index}];
  }

  void recv(ChannelId channel) {
    LaneState& state = lanes_[lane_];
    const std::vector<LaneId>& consumers = plan_.channels[channel.index].consumers;
    if (std::find(consumers.begin(), consumers.end(), LaneId(lane_)) == consumers.end()) {
      return error("the lane is not a consumer of the channel");
    }
    if (!state.consumed.emplace(channel.index, SlotUse::open).second) {
      return error("the channel is received twice");
    }
    state.written[{Space::channel, channel.index}] = sent_[channel.index];
  }

  void release(ChannelId channel) {
    LaneState& state = lanes_[lane_];
    const auto it = state.consumed.find(channel.index);
    if (it == state.consumed.end() || it->second != SlotUse::open) {
      return error("the channel has not been received");
    }
    it->second = SlotUse::done;
  }

  // --- References ----------------------------------------------------------------------------

  void check_refs(const Step& step) {
    for_each_ref(step, [this](const BufferRef& ref) {
      check_is_open(ref);
      if (reads(ref)) check_read(ref);
    });
    for_each_ref(step, [this](const BufferRef& ref) {
      if (writes(ref)) note_write(ref);
    });
  }

  // The bytes a reference stands for; things sized at run time count as one byte.
  std::pair<uint64_t, uint64_t> range(const BufferRef& ref) const {
    const bool is_sized_later =
        ref.space == Space::host_slot ||
        (ref.space == Space::output && !is_static(plan_.outputs[ref.index]));
    if (is_sized_later) return {0, 1};
    return {ref.offset_bytes, ref.offset_bytes + ref.size_bytes};
  }

  void check_is_open(const BufferRef& ref) {
    const LaneState& state = lanes_[lane_];
    if (ref.space == Space::arena && ref.size_bytes > 0) {
      auto it = state.live.upper_bound(ref.offset_bytes);
      const Allocation* allocation = it == state.live.begin() ? nullptr : std::prev(it)->second;
      const bool is_inside =
          allocation != nullptr &&
          ref.offset_bytes + ref.size_bytes <= allocation->offset_bytes + allocation->size_bytes;
      if (!is_inside) error(fmt::format("`{}` lies in no live allocation", to_text(ref)));
    }
    if (ref.space != Space::channel) return;
    const auto is_open = [&](const std::map<uint32_t, SlotUse>& uses) {
      const auto it = uses.find(ref.index);
      return it != uses.end() && it->second == SlotUse::open;
    };
    if (is_open(state.produced) || (is_open(state.consumed) && !writes(ref))) return;
    error(fmt::format("`{}` is touched outside its acquire and send, or recv and release",
                      to_text(ref)));
  }

  void check_read(const BufferRef& ref) {
    LaneState& state = lanes_[lane_];
    if (ref.space == Space::constant || ref.space == Space::input) return;
    const auto [begin, end] = range(ref);
    if (ref.space == Space::shared) state.shared_reads.add(begin, end);
    if (!state.written[{ref.space, ref.index}].contains(begin, end)) {
      error(fmt::format("`{}` is read before it is written", to_text(ref)));
    }
  }

  void note_write(const BufferRef& ref) {
    LaneState& state = lanes_[lane_];
    const auto [begin, end] = range(ref);
    state.written[{ref.space, ref.index}].add(begin, end);
    if (ref.space == Space::shared) state.shared_writes.add(begin, end);
  }

  // --- The end of the request ------------------------------------------------------------------

  void check_end() {
    for (lane_ = 0; lane_ < lanes_.size(); ++lane_) {
      const LaneState& state = lanes_[lane_];
      if (!is_done(lane_)) {
        step_index_ = state.next_step;
        step_ = &entry(lane_)[step_index_];
        error("waits for ever");
      } else if (!state.shared_reads.intersects(everything()) &&
                 !state.shared_writes.intersects(everything())) {
        check_channels_closed(state);
      } else {
        errors_.add(
            fmt::format("lane {} uses shared memory but does not end with a barrier", lane_));
      }
    }
    if (errors_.is_empty()) check_outputs();
  }

  static ByteRanges everything() {
    ByteRanges all;
    all.add(0, UINT64_MAX);
    return all;
  }

  void check_channels_closed(const LaneState& state) {
    for (uint32_t i = 0; i < plan_.channels.size(); ++i) {
      const Channel& channel = plan_.channels[i];
      const auto is_closed = [i](const std::map<uint32_t, SlotUse>& uses) {
        const auto it = uses.find(i);
        return it != uses.end() && it->second == SlotUse::done;
      };
      if (channel.producer.index == lane_ && !is_closed(state.produced)) {
        errors_.add(fmt::format("lane {} does not acquire and send channel {}", lane_, i));
      }
      for (LaneId consumer : channel.consumers) {
        if (consumer.index == lane_ && !is_closed(state.consumed)) {
          errors_.add(fmt::format("lane {} does not receive and release channel {}", lane_, i));
        }
      }
    }
  }

  void check_outputs() {
    for (uint32_t i = 0; i < plan_.outputs.size(); ++i) {
      const TensorSpec& output = plan_.outputs[i];
      ByteRanges all;
      bool is_shared = false;
      for (LaneState& state : lanes_) {
        const ByteRanges& ranges = state.written[{Space::output, i}];
        is_shared |= all.intersects(ranges);
        all.add_all(ranges);
      }
      const uint64_t size = is_static(output) ? output.size_bytes : 1;
      if (!all.contains(0, size)) {
        errors_.add(fmt::format("output `{}` is not written as a whole", output.name));
      }
      if (is_shared) {
        errors_.add(
            fmt::format("output `{}` is written by two lanes in the same place", output.name));
      }
    }
  }

  const Plan& plan_;
  Errors& errors_;
  std::vector<LaneState> lanes_;
  std::vector<ByteRanges> sent_;  // what the sent slot of each channel holds
  std::vector<bool> is_sent_;
  std::vector<ByteRanges> channel_init_;
  std::map<std::pair<size_t, size_t>, std::vector<const Allocation*>> begins_, ends_;
  // What error() names.
  size_t lane_ = 0;
  size_t step_index_ = 0;
  const Step* step_ = nullptr;
  std::string_view list_;
};

}  // namespace

void verify_flow(const Plan& plan, Errors& errors) { FlowVerifier(plan, errors).run(); }

}  // namespace neuronc::plan
