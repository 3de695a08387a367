// Follows one request through all lanes of a plan, which proves the rules on data flow and order.
//
// Lanes run in turns until each waits or is done, as a machine with one processor would run them.
// What a lane may rely on is kept per lane: its own writes, and other lanes' only where the plan
// orders them (recv, barrier). A race is therefore seen as a read of something unwritten whatever
// the order of the turns.
#include <fmt/format.h>

#include <algorithm>
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

// What only one lane can see is `written`. What its team can see too (shared memory, outputs, slots
// that it produces) is `fresh` until the team's next barrier; without a team it stays that.
// What moves from trip to trip of the innermost loop is `by_trip`, where it lies in the first one.
// `maybe` is what is written since the last barrier by steps that need not run.
struct LaneState {
  size_t next_step = 0;
  bool waits_at_barrier = false;
  Written written;
  Written fresh, seen;  // written and read since the last barrier
  Written maybe;
  std::map<std::pair<SpaceKey, int64_t>, ByteRanges> by_trip;  // by stride
  int64_t max_trips = 0;                                       // of the innermost loop
  uint32_t loop_step = 0;                                      // its number
  std::map<uint64_t, const Allocation*> live;                  // by offset
  std::map<uint32_t, SlotUse> produced, consumed;              // by channel
};

struct TeamState {
  uint32_t epoch = 0;
  Written written;                             // before the last barrier
  std::map<uint64_t, const Allocation*> live;  // by offset
};

bool is_team_space(Space space) {
  return space == Space::shared || space == Space::output || space == Space::channel;
}

class FlowVerifier {
 public:
  FlowVerifier(const Plan& plan, Errors& errors)
      : plan_(plan),
        errors_(errors),
        lanes_(plan.lanes.size()),
        teams_(plan.teams.size()),
        team_of_lane_(plan.lanes.size(), -1),
        sent_(plan.channels.size()),
        num_sent_(plan.channels.size(), 0) {
    for (const Lane& lane : plan.lanes) step_numbers_.push_back(number_steps(lane));
    for (size_t t = 0; t < plan.teams.size(); ++t) {
      const Team& team = plan.teams[t];
      for (uint32_t i = 0; i < team.num_lanes; ++i) {
        team_of_lane_[team.first_lane.index + i] = static_cast<int64_t>(t);
      }
      for (const Allocation& allocation : team.allocations) {
        begins_of_epoch_[{t, allocation.first_step}].push_back(&allocation);
        ends_of_epoch_[{t, allocation.last_step}].push_back(&allocation);
      }
      begin_epoch(t);
    }
  }

  void run() {
    while (errors_.is_empty() && (advance_all() || pass_barriers())) {
    }
    if (errors_.is_empty()) check_end();
  }

 private:
  const std::vector<Step>& entry(size_t lane) const { return plan_.lanes[lane].blocks[0].steps; }
  bool is_done(size_t lane) const { return lanes_[lane].next_step == entry(lane).size(); }

  void error(std::string_view text) {
    errors_.add(fmt::format("{}: {}", place(plan_, lane_, list_, step_index_, *step_), text));
  }

  // --- Turns ---------------------------------------------------------------------------------

  bool advance_all() {
    bool has_advanced = false;
    for (lane_ = 0; lane_ < lanes_.size(); ++lane_) {
      while (!is_done(lane_) && errors_.is_empty() && advance()) has_advanced = true;
    }
    return has_advanced;
  }

  bool is_sent(ChannelId channel) const {
    return num_sent_[channel.index] == plan_.channels[channel.index].producers.size();
  }

  // Runs the next step of the current lane; false if it has to wait.
  bool advance() {
    LaneState& state = lanes_[lane_];
    step_index_ = state.next_step;
    step_ = &entry(lane_)[step_index_];
    if (const Recv* recv = std::get_if<Recv>(step_); recv && !is_sent(recv->channel)) return false;
    if (std::holds_alternative<Barrier>(*step_)) {
      state.waits_at_barrier = true;
      return false;
    }
    run_numbered(*step_, number());
    ++state.next_step;
    return true;
  }

  // Of the current step of the entry block.
  uint32_t number() const { return step_numbers_[lane_].numbers[0][step_index_]; }

  void run_numbered(const Step& step, uint32_t number) {
    begin_allocations(number);
    run_step(step, number);
    end_allocations(number);
  }

  void begin_allocations(uint32_t number) {
    LaneState& state = lanes_[lane_];
    if (number == 0) sort_allocations();
    for (const Allocation* allocation : begins_[{lane_, number}]) {
      if (allocation->size_bytes == 0) continue;
      state.live.emplace(allocation->offset_bytes, allocation);
      state.written[{Space::arena, 0}].remove(allocation->offset_bytes,
                                              allocation->offset_bytes + allocation->size_bytes);
    }
  }

  void sort_allocations() {
    for (const Allocation& allocation : plan_.lanes[lane_].allocations) {
      begins_[{lane_, allocation.first_step}].push_back(&allocation);
      ends_[{lane_, allocation.last_step}].push_back(&allocation);
    }
  }

  // A step ends behind what its blocks hold.
  void end_allocations(uint32_t number) {
    const uint32_t last = step_numbers_[lane_].ranges[number].last;
    const BlockId block = step_numbers_[lane_].ranges[number].block;
    for (const Allocation* allocation : ends_[{lane_, last}]) {
      if (step_numbers_[lane_].ranges[allocation->first_step].block != block) continue;
      lanes_[lane_].live.erase(allocation->offset_bytes);
    }
  }

  // --- Teams ---------------------------------------------------------------------------------

  void begin_epoch(size_t team) {
    TeamState& state = teams_[team];
    if (state.epoch > 0) {
      for (const Allocation* a : ends_of_epoch_[{team, state.epoch - 1}]) {
        state.live.erase(a->offset_bytes);
      }
    }
    const SpaceKey key{Space::shared, static_cast<uint32_t>(team)};
    for (const Allocation* a : begins_of_epoch_[{team, state.epoch}]) {
      if (a->size_bytes == 0) continue;
      state.live.emplace(a->offset_bytes, a);
      state.written[key].remove(a->offset_bytes, a->offset_bytes + a->size_bytes);
    }
  }

  bool pass_barriers() {
    bool has_passed = false;
    for (size_t t = 0; t < teams_.size() && errors_.is_empty(); ++t) has_passed |= pass_barrier(t);
    return has_passed;
  }

  // Lets the lanes of a team over their barrier once each stands at one; false if they do not.
  bool pass_barrier(size_t t) {
    const Team& team = plan_.teams[t];
    const size_t first = team.first_lane.index, end = first + team.num_lanes;
    for (size_t i = first; i < end; ++i) {
      if (!lanes_[i].waits_at_barrier) return false;
    }
    check_races(t);
    ++teams_[t].epoch;
    for (lane_ = first; lane_ < end; ++lane_) {
      LaneState& state = lanes_[lane_];
      for (const auto& [key, ranges] : state.fresh) teams_[t].written[key].add_all(ranges);
      state.fresh.clear();
      state.seen.clear();
      state.maybe.clear();
      state.waits_at_barrier = false;
      // Allocations may begin or end at the barrier's own step.
      step_index_ = state.next_step;
      begin_allocations(number());
      end_allocations(number());
      ++state.next_step;
    }
    begin_epoch(t);
    return true;
  }

  struct OwnedRange {
    uint64_t begin = 0, end = 0;
    size_t lane = 0;
  };

  // The ranges of `key` that the team's lanes have written since the last barrier, ascending.
  std::vector<OwnedRange> fresh_ranges(const Team& team, SpaceKey key) const {
    std::vector<OwnedRange> ranges;
    for (uint32_t i = 0; i < team.num_lanes; ++i) {
      const size_t lane = team.first_lane.index + i;
      ByteRanges written;
      for (const Written* some : {&lanes_[lane].fresh, &lanes_[lane].maybe}) {
        if (const auto it = some->find(key); it != some->end()) written.add_all(it->second);
      }
      written.for_each([&](uint64_t begin, uint64_t end) { ranges.push_back({begin, end, lane}); });
    }
    std::sort(ranges.begin(), ranges.end(),
              [](const OwnedRange& a, const OwnedRange& b) { return a.begin < b.begin; });
    return ranges;
  }

  void check_races(size_t t) {
    const Team& team = plan_.teams[t];
    std::set<SpaceKey> keys;
    for (uint32_t i = 0; i < team.num_lanes; ++i) {
      const LaneState& state = lanes_[team.first_lane.index + i];
      for (const auto& [key, ranges] : state.fresh) keys.insert(key);
      for (const auto& [key, ranges] : state.maybe) keys.insert(key);
    }
    for (const SpaceKey& key : keys) {
      const std::vector<OwnedRange> writes = fresh_ranges(team, key);
      for (size_t i = 1; i < writes.size(); ++i) {
        if (writes[i].begin < writes[i - 1].end) return report_race(writes[i - 1].lane, writes[i]);
      }
      for (uint32_t i = 0; i < team.num_lanes; ++i) {
        const size_t lane = team.first_lane.index + i;
        const auto it = lanes_[lane].seen.find(key);
        if (it != lanes_[lane].seen.end()) check_reads(it->second, lane, writes);
      }
    }
  }

  void check_reads(const ByteRanges& reads, size_t lane, const std::vector<OwnedRange>& writes) {
    reads.for_each([&](uint64_t begin, uint64_t end) {
      auto it = std::lower_bound(writes.begin(), writes.end(), begin,
                                 [](const OwnedRange& w, uint64_t at) { return w.end <= at; });
      for (; it != writes.end() && it->begin < end; ++it) {
        if (it->lane != lane) return report_race(lane, *it);
      }
    });
  }

  void report_race(size_t lane, const OwnedRange& other) {
    errors_.add(
        fmt::format("lanes {} and {} touch the same memory between barriers", lane, other.lane));
  }

  // --- Steps ---------------------------------------------------------------------------------

  void run_step(const Step& step, uint32_t number) {
    check_refs(step);
    if (const auto* s = std::get_if<Acquire>(&step)) return acquire(s->channel);
    if (const auto* s = std::get_if<Send>(&step)) return send(s->channel);
    if (const auto* s = std::get_if<Recv>(&step)) return recv(s->channel);
    if (const auto* s = std::get_if<Release>(&step)) return release(s->channel);
    if (const auto* s = std::get_if<If>(&step)) return run_if(*s);
    if (const auto* s = std::get_if<Loop>(&step)) return run_loop(*s, number);
  }

  void run_block(BlockId block) {
    const std::vector<Step>& steps = plan_.lanes[lane_].blocks[block.index].steps;
    const std::vector<uint32_t>& numbers = step_numbers_[lane_].numbers[block.index];
    const Step* const outer_step = step_;
    const size_t outer_index = step_index_;
    const std::string outer_list = std::exchange(list_, fmt::format("block {} ", block.index));
    for (size_t i = 0; i < steps.size() && errors_.is_empty(); ++i) {
      step_ = &steps[i];
      step_index_ = i;
      run_numbered(steps[i], numbers[i]);
    }
    step_ = outer_step;
    step_index_ = outer_index;
    list_ = outer_list;
  }

  void run_if(const If& step) {
    LaneState& state = lanes_[lane_];
    const auto written = state.written, fresh = state.fresh;
    const auto by_trip = state.by_trip;
    run_block(step.then_block);
    const auto written_then = std::exchange(state.written, written);
    const auto fresh_then = std::exchange(state.fresh, fresh);
    const auto by_trip_then = std::exchange(state.by_trip, by_trip);
    if (step.else_block) run_block(step.else_block);
    // What one branch writes may be unwritten, and may be in another lane's way.
    note_maybe(fresh_then);
    note_maybe(state.fresh);
    keep_common(state.written, written_then);
    keep_common(state.fresh, fresh_then);
    keep_common(state.by_trip, by_trip_then);
  }

  void note_maybe(const Written& some) {
    for (const auto& [key, ranges] : some) lanes_[lane_].maybe[key].add_all(ranges);
  }

  // What is written in one branch only may be unwritten afterwards.
  template <class Ranges>
  static void keep_common(Ranges& here, const Ranges& there) {
    for (auto& [key, ranges] : here) {
      const auto it = there.find(key);
      ranges = it == there.end() ? ByteRanges() : ranges.intersection(it->second);
    }
  }

  void run_loop(const Loop& step, uint32_t number) {
    LaneState& state = lanes_[lane_];
    Written written = state.written, fresh = state.fresh;
    const auto by_trip = std::exchange(state.by_trip, {});
    const int64_t max_trips = std::exchange(state.max_trips, step.max_trips);
    const uint32_t loop_step = std::exchange(state.loop_step, number);
    run_block(step.body);
    // A reference that moves was noted for all trips.
    for (const auto& [key, ranges] : state.by_trip) note_rows(key.first, key.second, ranges);
    note_maybe(state.fresh);
    if (!step.is_counted() || step.max_trips == 0) {
      state.written = std::move(written);
      state.fresh = std::move(fresh);
    }
    state.by_trip = by_trip;
    state.max_trips = max_trips;
    state.loop_step = loop_step;
  }

  // Notes what moves by `stride_bytes` a trip as written in all trips.
  void note_rows(SpaceKey key, int64_t stride_bytes, const ByteRanges& ranges) {
    ByteRanges& all = written_of(key.first)[key];
    for_each_row(stride_bytes, ranges, [&](uint64_t begin, uint64_t end) { all.add(begin, end); });
  }

  template <class Visit>
  void for_each_row(int64_t stride_bytes, const ByteRanges& ranges, const Visit& visit) const {
    for (int64_t trip = 0; trip < lanes_[lane_].max_trips; ++trip) {
      const auto moved = static_cast<uint64_t>(trip * stride_bytes);  // it wraps as it should
      ranges.for_each([&](uint64_t begin, uint64_t end) { visit(begin + moved, end + moved); });
    }
  }

  void acquire(ChannelId channel) {
    const std::vector<LaneId>& producers = plan_.channels[channel.index].producers;
    if (std::find(producers.begin(), producers.end(), LaneId(lane_)) == producers.end()) {
      return error("the lane is not a producer of the channel");
    }
    if (!lanes_[lane_].produced.emplace(channel.index, SlotUse::open).second) {
      return error("the channel is acquired twice");
    }
  }

  void send(ChannelId channel) {
    LaneState& state = lanes_[lane_];
    const auto it = state.produced.find(channel.index);
    if (it == state.produced.end() || it->second != SlotUse::open) {
      return error("the channel has not been acquired");
    }
    it->second = SlotUse::done;
    ++num_sent_[channel.index];
    const SpaceKey key{Space::channel, channel.index};
    sent_[channel.index].add_all(of_team(key));
    sent_[channel.index].add_all(state.fresh[key]);
  }

  void recv(ChannelId channel) {
    const std::vector<LaneId>& consumers = plan_.channels[channel.index].consumers;
    if (std::find(consumers.begin(), consumers.end(), LaneId(lane_)) == consumers.end()) {
      return error("the lane is not a consumer of the channel");
    }
    if (!lanes_[lane_].consumed.emplace(channel.index, SlotUse::open).second) {
      return error("the channel is received twice");
    }
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

  // Calls `visit` for the ranges a reference touches; things sized at run time count as one byte.
  template <class Visit>
  void for_each_touched(const BufferRef& ref, const Visit& visit) const {
    const bool is_sized_later =
        ref.space == Space::host_slot ||
        (ref.space == Space::output && !is_static(plan_.outputs[ref.index]));
    if (is_sized_later) return visit(uint64_t{0}, uint64_t{1});
    for_each_range(ref, visit);
  }

  // In all trips, if it moves.
  bool lies_in(const BufferRef& ref, const std::map<uint64_t, const Allocation*>& live) const {
    const int64_t last_trip = std::max<int64_t>(lanes_[lane_].max_trips - 1, 0);
    const auto moved =
        static_cast<uint64_t>(ref.trip_stride_bytes == 0 ? 0 : last_trip * ref.trip_stride_bytes);
    const uint64_t first = std::min(ref.offset_bytes, ref.offset_bytes + moved);
    const uint64_t last = std::max(ref.offset_bytes, ref.offset_bytes + moved) + ref.size_bytes;
    auto it = live.upper_bound(first);
    const Allocation* allocation = it == live.begin() ? nullptr : std::prev(it)->second;
    if (allocation == nullptr) return false;
    // Rows are those of one allocation.
    const bool is_older =
        ref.space != Space::arena || allocation->first_step <= lanes_[lane_].loop_step;
    return last <= allocation->offset_bytes + allocation->size_bytes &&
           (ref.trip_stride_bytes == 0 || is_older);
  }

  void check_is_open(const BufferRef& ref) {
    const LaneState& state = lanes_[lane_];
    const bool is_dead = (ref.space == Space::arena && !lies_in(ref, state.live)) ||
                         (ref.space == Space::shared && !lies_in(ref, teams_[ref.index].live));
    if (ref.size_bytes > 0 && is_dead) {
      error(fmt::format("`{}` lies in no live allocation", to_text(ref)));
    }
    if (ref.space != Space::channel) return;
    const bool is_good =
        is_open(state.produced, ref.index) || (is_open(state.consumed, ref.index) && !writes(ref));
    if (is_good) return;
    error(fmt::format("`{}` is touched outside its acquire and send, or recv and release",
                      to_text(ref)));
  }

  static bool is_open(const std::map<uint32_t, SlotUse>& uses, uint32_t channel) {
    const auto it = uses.find(channel);
    return it != uses.end() && it->second == SlotUse::open;
  }

  // What the lane's team has written before its last barrier.
  const ByteRanges& of_team(SpaceKey key) {
    static const ByteRanges kNothing;
    const int64_t team = team_of_lane_[lane_];
    return team < 0 ? kNothing : teams_[static_cast<size_t>(team)].written[key];
  }

  void check_read(const BufferRef& ref) {
    LaneState& state = lanes_[lane_];
    if (ref.space == Space::constant || ref.space == Space::input) return;
    const SpaceKey key{ref.space, ref.index};
    if (ref.trip_stride_bytes != 0) return check_moving_read(ref, key);
    const bool is_received = ref.space == Space::channel && is_open(state.consumed, ref.index);
    bool is_good = true;
    if (is_received || !is_team_space(ref.space)) {
      const ByteRanges& written = is_received ? sent_[ref.index] : state.written[key];
      for_each_touched(ref, [&](uint64_t begin, uint64_t end) {
        is_good = is_good && written.contains(begin, end);
      });
    } else {
      const ByteRanges &team = of_team(key), &own = state.fresh[key];
      for_each_touched(ref, [&](uint64_t begin, uint64_t end) {
        is_good = is_good && ByteRanges::hold(own, team, begin, end);
        if (team_of_lane_[lane_] >= 0) state.seen[key].add(begin, end);
      });
    }
    if (!is_good) error(fmt::format("`{}` is read before it is written", to_text(ref)));
  }

  // It reads what a reference that moves alike wrote in the same trip, or what all trips find
  // written.
  void check_moving_read(const BufferRef& ref, SpaceKey key) {
    LaneState& state = lanes_[lane_];
    const uint64_t end = ref.offset_bytes + ref.size_bytes;
    ByteRanges rows;
    rows.add(ref.offset_bytes, end);
    if (is_team_space(ref.space) && team_of_lane_[lane_] >= 0) {
      for_each_row(ref.trip_stride_bytes, rows,
                   [&](uint64_t b, uint64_t e) { state.seen[key].add(b, e); });
    }
    const auto own = state.by_trip.find({key, ref.trip_stride_bytes});
    if (own != state.by_trip.end() && own->second.contains(ref.offset_bytes, end)) return;
    bool is_good = true;
    const bool is_received = ref.space == Space::channel && is_open(state.consumed, ref.index);
    const ByteRanges& known = is_received ? sent_[ref.index] : written_of(ref.space)[key];
    const ByteRanges& team = of_team(key);
    for_each_row(ref.trip_stride_bytes, rows, [&](uint64_t b, uint64_t e) {
      is_good =
          is_good && (is_received ? known.contains(b, e) : ByteRanges::hold(known, team, b, e));
    });
    if (!is_good) error(fmt::format("`{}` is read before it is written", to_text(ref)));
  }

  Written& written_of(Space space) {
    return is_team_space(space) ? lanes_[lane_].fresh : lanes_[lane_].written;
  }

  void note_write(const BufferRef& ref) {
    LaneState& state = lanes_[lane_];
    if (ref.trip_stride_bytes != 0) {
      ByteRanges rows;
      rows.add(ref.offset_bytes, ref.offset_bytes + ref.size_bytes);
      const SpaceKey key{ref.space, ref.index};
      state.by_trip[{key, ref.trip_stride_bytes}].add_all(rows);
      if (!is_team_space(ref.space)) return;
      ByteRanges& maybe = state.maybe[key];
      for_each_row(ref.trip_stride_bytes, rows,
                   [&](uint64_t begin, uint64_t end) { maybe.add(begin, end); });
      return;
    }
    ByteRanges& ranges = written_of(ref.space)[{ref.space, ref.index}];
    for_each_touched(ref, [&](uint64_t begin, uint64_t end) { ranges.add(begin, end); });
  }

  // --- The end of the request ------------------------------------------------------------------

  void check_end() {
    for (lane_ = 0; lane_ < lanes_.size(); ++lane_) {
      if (!is_done(lane_)) {
        step_index_ = lanes_[lane_].next_step;
        step_ = &entry(lane_)[step_index_];
        error("waits for ever");
      } else {
        check_shared_is_left();
        check_channels_closed(lanes_[lane_]);
      }
    }
    for (size_t t = 0; t < teams_.size(); ++t) check_races(t);
    if (errors_.is_empty()) check_outputs();
  }

  // The next request may begin as soon as the lane is done.
  void check_shared_is_left() {
    if (team_of_lane_[lane_] < 0) return;
    const SpaceKey key{Space::shared, static_cast<uint32_t>(team_of_lane_[lane_])};
    if (lanes_[lane_].fresh[key].is_empty() && lanes_[lane_].seen[key].is_empty()) return;
    errors_.add(fmt::format("lane {} uses shared memory but does not end with a barrier", lane_));
  }

  void check_channels_closed(const LaneState& state) {
    for (uint32_t i = 0; i < plan_.channels.size(); ++i) {
      const Channel& channel = plan_.channels[i];
      const auto is_closed = [i](const std::map<uint32_t, SlotUse>& uses) {
        const auto it = uses.find(i);
        return it != uses.end() && it->second == SlotUse::done;
      };
      for (LaneId producer : channel.producers) {
        if (producer.index == lane_ && !is_closed(state.produced)) {
          errors_.add(fmt::format("lane {} does not acquire and send channel {}", lane_, i));
        }
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
      const SpaceKey key{Space::output, i};
      // The lanes of a team may write one place after another, between their barriers.
      std::map<int64_t, ByteRanges> by_team;
      for (size_t lane = 0; lane < lanes_.size(); ++lane) {
        const int64_t team = team_of_lane_[lane];
        const int64_t group = team < 0 ? -1 - static_cast<int64_t>(lane) : team;
        by_team[group].add_all(lanes_[lane].fresh[key]);
        if (team >= 0) by_team[group].add_all(teams_[static_cast<size_t>(team)].written[key]);
      }
      ByteRanges all;
      bool is_shared = false;
      for (const auto& [group, ranges] : by_team) {
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

  using AllocationsAt = std::map<std::pair<size_t, size_t>, std::vector<const Allocation*>>;

  const Plan& plan_;
  Errors& errors_;
  std::vector<LaneState> lanes_;
  std::vector<TeamState> teams_;
  std::vector<StepNumbers> step_numbers_;          // by lane
  std::vector<int64_t> team_of_lane_;              // -1: it works alone
  std::vector<ByteRanges> sent_;                   // what the sent slot of each channel holds
  std::vector<size_t> num_sent_;                   // producers that have sent it
  AllocationsAt begins_, ends_;                    // by lane and step
  AllocationsAt begins_of_epoch_, ends_of_epoch_;  // by team and epoch
  // What error() names.
  size_t lane_ = 0;
  size_t step_index_ = 0;
  const Step* step_ = nullptr;
  std::string list_;
};

}  // namespace

void verify_flow(const Plan& plan, Errors& errors) { FlowVerifier(plan, errors).run(); }

}  // namespace neuronc::plan
