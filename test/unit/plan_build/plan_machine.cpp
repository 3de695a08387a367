// Implements plan_machine.h.
#include "plan_machine.h"

#include <algorithm>
#include <cstring>

namespace neuronc::test {

using plan::BufferRef;
using plan::Space;

PlanMachine::PlanMachine(const plan::Plan& plan, std::vector<Bytes> constants, Handlers handlers,
                         uint32_t seed)
    : plan_(plan),
      constants_(std::move(constants)),
      handlers_(std::move(handlers)),
      lanes_(plan.lanes.size()),
      channels_(plan.channels.size()),
      random_(seed) {
  // Memory starts as noise, so that a missing write is seen.
  for (size_t i = 0; i < lanes_.size(); ++i) {
    lanes_[i].arena.assign(plan.lanes[i].arena_bytes, std::byte{0xa5});
  }
  for (size_t i = 0; i < channels_.size(); ++i) {
    const plan::Channel& channel = plan.channels[i];
    channels_[i].slots.assign(channel.depth, Bytes(channel.slot_bytes, std::byte{0x5a}));
    for (plan::LaneId producer : channel.producers) channels_[i].num_sent[producer.index] = 0;
    for (plan::LaneId consumer : channel.consumers) channels_[i].num_released[consumer.index] = 0;
  }
  for (const plan::Team& team : plan.teams) {
    shared_.emplace_back(team.shared_bytes, std::byte{0x3c});
    num_arrivals_.push_back(0);
  }
}

bool PlanMachine::run(std::vector<Request>& requests) {
  std::vector<size_t> order(lanes_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  while (true) {
    bool is_done = true;
    for (const LaneState& lane : lanes_) is_done &= lane.request == requests.size();
    if (is_done) return true;
    std::shuffle(order.begin(), order.end(), random_);
    bool has_advanced = false;
    for (size_t lane : order) {
      const size_t num_steps = random_() % 4 + 1;
      for (size_t i = 0; i < num_steps && try_step(lane, requests); ++i) has_advanced = true;
    }
    if (!has_advanced) {
      // Steps were offered to every lane, and none could take one.
      return false;
    }
  }
}

std::byte* PlanMachine::address(const BufferRef& ref, LaneState& lane, Request& request) {
  switch (ref.space) {
    case Space::arena:
      return lane.arena.data() + ref.offset_bytes;
    case Space::shared:
      return shared_[ref.index].data() + ref.offset_bytes;
    case Space::constant:
      return constants_[ref.index].data() + ref.offset_bytes;
    case Space::input:
      return request.inputs[ref.index].data() + ref.offset_bytes;
    case Space::output:
      return request.outputs[ref.index].data() + ref.offset_bytes;
    case Space::channel: {
      ChannelState& channel = channels_[ref.index];
      return channel.slots[lane.request % channel.slots.size()].data() + ref.offset_bytes;
    }
    default:
      return nullptr;
  }
}

bool PlanMachine::pass_barrier(size_t index, size_t team) {
  LaneState& lane = lanes_[index];
  if (!lane.has_arrived) {
    lane.has_arrived = true;
    ++lane.num_barriers;
    ++num_arrivals_[team];
  }
  if (num_arrivals_[team] < lane.num_barriers * plan_.teams[team].num_lanes) return false;
  lane.has_arrived = false;
  return true;
}

bool PlanMachine::try_step(size_t index, std::vector<Request>& requests) {
  LaneState& lane = lanes_[index];
  if (lane.request == requests.size()) return false;
  const std::vector<plan::Step>& steps = plan_.lanes[index].blocks[0].steps;
  if (lane.step == steps.size()) {
    lane.step = 0;
    ++lane.request;
    return true;
  }
  Request& request = requests[lane.request];
  const plan::Step& step = steps[lane.step];
  if (const auto* acquire = std::get_if<plan::Acquire>(&step)) {
    const ChannelState& channel = channels_[acquire->channel.index];
    for (const auto& [consumer, num_released] : channel.num_released) {
      if (lane.request >= num_released + channel.slots.size()) return false;
    }
  } else if (const auto* send = std::get_if<plan::Send>(&step)) {
    ++channels_[send->channel.index].num_sent[static_cast<uint32_t>(index)];
  } else if (const auto* recv = std::get_if<plan::Recv>(&step)) {
    for (const auto& [producer, num_sent] : channels_[recv->channel.index].num_sent) {
      if (num_sent <= lane.request) return false;
    }
  } else if (const auto* barrier = std::get_if<plan::Barrier>(&step)) {
    if (!pass_barrier(index, barrier->team.index)) return false;
  } else if (const auto* release = std::get_if<plan::Release>(&step)) {
    ++channels_[release->channel.index].num_released[static_cast<uint32_t>(index)];
  } else if (const auto* run = std::get_if<plan::RunKernel>(&step)) {
    std::vector<std::byte*> buffers;
    for (const BufferRef& ref : run->buffers) buffers.push_back(address(ref, lane, request));
    handlers_.kernel(*run, buffers);
  } else if (const auto* fill = std::get_if<plan::Fill>(&step)) {
    std::memset(address(fill->target, lane, request), static_cast<int>(fill->pattern),
                fill->target.size_bytes);
  } else if (const auto* copy = std::get_if<plan::Copy>(&step)) {
    std::memcpy(address(copy->target, lane, request), address(copy->source, lane, request),
                copy->source.size_bytes);
  } else if (const auto* host = std::get_if<plan::RunHostNode>(&step)) {
    run_host_node(*host, lane, request);
  }
  ++lane.step;
  return true;
}

void PlanMachine::run_host_node(const plan::RunHostNode& step, LaneState& lane, Request& request) {
  std::vector<std::span<const std::byte>> operands;
  for (const plan::HostOperand& operand : step.operands) {
    const BufferRef& ref = operand.ref;
    if (ref.space == Space::host_slot) {
      operands.emplace_back(lane.host_slots[ref.index]);
    } else {
      operands.emplace_back(address(ref, lane, request), ref.size_bytes);
    }
  }
  std::vector<Bytes> results(step.results.size());
  handlers_.host_node(step, operands, results);
  for (size_t i = 0; i < results.size(); ++i) {
    const BufferRef& ref = step.results[i].ref;
    if (ref.space == Space::host_slot) {
      lane.host_slots[ref.index] = std::move(results[i]);
    } else {
      std::memcpy(address(ref, lane, request), results[i].data(), ref.size_bytes);
    }
  }
}

}  // namespace neuronc::test
