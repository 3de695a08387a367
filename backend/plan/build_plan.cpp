// Implements build_plan.h: one walk over the work in execution order, which gives each lane its
// share. Since all lanes follow that one order, no two of them can wait for each other.
#include "backend/plan/build_plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backend/plan/lane_builder.h"
#include "backend/plan/value_flow.h"
#include "ir/plan/verify.h"

namespace neuronc {
namespace {

using plan::Access;
using plan::BufferRef;
using plan::Space;

class PlanBuilder {
 public:
  PlanBuilder(const Module& module, LoweredModule& lowered, Diagnostics& diagnostics)
      : module_(module), graph_(module.graph()), lowered_(lowered), diagnostics_(diagnostics) {}

  Expected<plan::Plan> run();

 private:
  Expected<void> add_tensors();
  plan::TensorSpec tensor_spec(ValueId value, std::string name) const;
  void add_kernels();
  void add_channels();
  uint32_t depth_of(const plan::Channel& channel) const;
  void count_slot_reads();

  void emit(const Work& work, uint32_t index);
  void open_channels(const Work& work, uint32_t index);
  void close_channels(const Work& work, uint32_t index);
  void send_output(const Base& base);
  void run_kernel(const Work& work);
  void run_host_node(const Work& work);
  void take_in_place(const Work& work, uint32_t index);
  bool can_take_in_place(const Work& work, uint32_t index, const Base& result,
                         uint32_t operand) const;
  plan::HostOperand host_operand(const Touch& touch);

  Base& base_of(const Touch& touch) { return flow_.bases.at(touch.base); }
  const Base& base_of(const Touch& touch) const { return flow_.bases.at(touch.base); }
  BufferRef ref_to(const Base& base, uint32_t lane, Access access, uint64_t offset_bytes,
                   uint64_t size_bytes);
  BufferRef ref_to(const Touch& touch, uint32_t lane) {
    return ref_to(base_of(touch), lane, touch.access, touch.offset_bytes, touch.size_bytes);
  }
  bool is_received(uint32_t lane, const Base& base) const {
    return received_.contains({lane, base.channel});
  }

  const Module& module_;
  const Graph& graph_;
  LoweredModule& lowered_;
  Diagnostics& diagnostics_;
  plan::Plan plan_;
  ValueFlow flow_;
  std::vector<LaneBuilder> lanes_;
  std::map<ValueId, uint32_t> allocation_of_;                // of bases at home in an arena
  std::set<std::pair<uint32_t, plan::ChannelId>> received_;  // by lane
  std::map<ValueId, uint32_t> slot_of_;                      // of bases at home in a host slot
  std::set<uint32_t> free_slots_;
};

Expected<plan::Plan> PlanBuilder::run() {
  flow_ = trace_values(module_, lowered_);
  plan_.model_name = module_.name;
  NEURONC_TRY(add_tensors());
  add_kernels();
  for (uint32_t i = 0; i < flow_.num_core_lanes; ++i) {
    lanes_.emplace_back(plan::LaneKind::core, i);
  }
  if (flow_.has_host_lane) lanes_.emplace_back(plan::LaneKind::host, 0);
  add_channels();
  for (uint32_t i = 0; i < flow_.works.size(); ++i) emit(flow_.works[i], i);
  for (LaneBuilder& lane : lanes_) plan_.lanes.push_back(lane.finish());
  plan_.constants = lowered_.constants.entries();
  const std::vector<std::string> errors = plan::verify(plan_);
  for (const std::string& error : errors) {
    diagnostics_.report(diag::broken_plan, Location{module_.message_name()}, error);
  }
  if (!errors.empty()) return reported();
  return std::move(plan_);
}

plan::TensorSpec PlanBuilder::tensor_spec(ValueId value, std::string name) const {
  const Type& type = graph_.type(value);
  plan::TensorSpec spec;
  spec.name = std::move(name);
  spec.dtype = type.dtype;
  spec.kind = type.kind;
  spec.is_ranked = type.is_ranked;
  for (const Dim& dim : type.dims) spec.dims.push_back(dim.is_number() ? dim.number() : -1);
  if (type.is_static()) spec.size_bytes = static_cast<uint64_t>(type.size_bytes());
  return spec;
}

// Outputs may be of any kind and rank, which their values tell; a tensor that a caller gives is no
// more than bytes.
Expected<void> PlanBuilder::add_tensors() {
  bool is_good = true;
  for (ValueId input : graph_.inputs()) {
    const Value& value = graph_.value(input);
    std::string name = value.name;
    if (name.empty()) name = "input." + std::to_string(value.result_index);
    const Type& type = graph_.type(input);
    if (type.is_tensor() && !type.is_static()) {
      diagnostics_.report(diag::unsupported_signature, Location{module_.message_name()}, name,
                          to_text(type));
      is_good = false;
    }
    plan_.inputs.push_back(tensor_spec(input, std::move(name)));
  }
  for (size_t i = 0; i < graph_.outputs().size(); ++i) {
    const ValueId output = graph_.outputs()[i];
    std::string name = graph_.output_names()[i];
    if (name.empty()) name = "output." + std::to_string(i);
    plan_.outputs.push_back(tensor_spec(output, name));
  }
  if (!is_good) return reported();
  return {};
}

void PlanBuilder::add_kernels() {
  for (const KernelTable::Entry& entry : lowered_.kernels.entries()) {
    plan_.kernels.push_back({entry.symbol, entry.num_buffers, entry.kernel.num_tiles});
  }
}

// --- Channels ------------------------------------------------------------------------------------

void PlanBuilder::add_channels() {
  // In the order in which they are filled, which people will find in the text form.
  std::vector<Base*> shared;
  for (auto& [value, base] : flow_.bases) {
    const bool is_made = base.home == Home::channel || base.home == Home::output;
    if (is_made && base.is_read_by_others()) shared.push_back(&base);
  }
  std::stable_sort(shared.begin(), shared.end(),
                   [](const Base* a, const Base* b) { return a->writes.first < b->writes.first; });
  for (Base* base : shared) {
    plan::Channel channel;
    channel.name = graph_.value(base->value).name;
    channel.slot_bytes = base->size_bytes;
    channel.producer = plan::LaneId(base->lane);
    for (const auto& [lane, span] : base->reads) {
      const bool is_own = lane == base->lane;
      if (!is_own || (base->home == Home::channel && base->is_read_back())) {
        channel.consumers.emplace_back(lane);
      }
    }
    channel.depth = depth_of(channel);
    base->channel = plan::ChannelId(plan_.channels.size());
    plan_.channels.push_back(std::move(channel));
  }
}

// As many slots as requests can be between the two lanes, so that neither waits for the other in a
// steady stream. The host lane may stand anywhere on the way.
uint32_t PlanBuilder::depth_of(const plan::Channel& channel) const {
  uint32_t distance = 1;
  for (plan::LaneId consumer : channel.consumers) {
    if (consumer.index > channel.producer.index) {
      distance = std::max(distance, consumer.index - channel.producer.index);
    }
  }
  return distance + 1;
}

void PlanBuilder::open_channels(const Work& work, uint32_t index) {
  LaneBuilder& lane = lanes_[work.lane];
  for (const Touch& touch : work.touches) {
    if (!touch.base) continue;
    const Base& base = base_of(touch);
    const bool is_own = base.lane == work.lane;
    if (touch.access == Access::read && base.channel) {
      const bool is_sent = !is_own || (base.home == Home::channel && index > base.writes.last);
      if (is_sent && received_.insert({work.lane, base.channel}).second) {
        lane.add(plan::Recv{base.channel});
      }
    }
    if (touch.access == Access::write && index == base.writes.first) {
      // Several results of one step may lie in one base.
      const Touch* first = nullptr;
      for (const Touch& other : work.touches) {
        if (first == nullptr && other.base == touch.base && other.access == Access::write) {
          first = &other;
        }
      }
      if (first != &touch) continue;
      if (base.home == Home::channel) lane.add(plan::Acquire{base.channel});
      if (base.needs_clearing) {
        lane.add(plan::Fill{ref_to(base, work.lane, Access::write, 0, base.size_bytes)});
      }
    }
  }
}

// What has been written for the last time is sent, what has been read for the last time released.
void PlanBuilder::close_channels(const Work& work, uint32_t index) {
  std::set<ValueId> sent, released;
  for (const Touch& touch : work.touches) {
    if (!touch.base) continue;
    const Base& base = base_of(touch);
    if (!base.channel) continue;
    if (touch.access == Access::write && index == base.writes.last &&
        sent.insert(base.value).second) {
      if (base.home == Home::output) {
        send_output(base);
      } else {
        lanes_[work.lane].add(plan::Send{base.channel});
      }
    }
    if (touch.access == Access::read && is_received(work.lane, base) &&
        index == base.reads.at(work.lane).last && released.insert(base.value).second) {
      lanes_[work.lane].add(plan::Release{base.channel});
    }
  }
}

// The caller's memory is nobody else's to read: other lanes get a copy of an output.
void PlanBuilder::send_output(const Base& base) {
  LaneBuilder& lane = lanes_[base.lane];
  lane.add(plan::Acquire{base.channel});
  lane.add(plan::Copy{ref_to(base, base.lane, Access::read, 0, base.size_bytes),
                      {Space::channel, Access::write, base.channel.index, 0, base.size_bytes}});
  lane.add(plan::Send{base.channel});
}

// --- Steps ---------------------------------------------------------------------------------------

BufferRef PlanBuilder::ref_to(const Base& base, uint32_t lane, Access access, uint64_t offset_bytes,
                              uint64_t size_bytes) {
  switch (base.home) {
    case Home::input:
      return {Space::input, access, base.index, offset_bytes, size_bytes};
    case Home::constant:
      return {Space::constant, access, base.index, offset_bytes, size_bytes};
    case Home::output:
      if (lane == base.lane || !base.channel) {
        return {Space::output, access, base.index, offset_bytes, size_bytes};
      }
      [[fallthrough]];
    case Home::channel:
      return {Space::channel, access, base.channel.index, offset_bytes, size_bytes};
    case Home::host_slot:
      return {Space::host_slot, access, slot_of_.at(base.value), 0, 0};
    case Home::arena:
      break;
  }
  if (base.is_empty()) {
    // It has no lane of its own.
    return LaneBuilder::arena_ref(lanes_[lane].allocate("empty", 0), access, 0, 0);
  }
  const auto [it, is_new] = allocation_of_.try_emplace(base.value, 0);
  if (is_new) it->second = lanes_[lane].allocate(graph_.value(base.value).name, base.size_bytes);
  return LaneBuilder::arena_ref(it->second, access, offset_bytes, size_bytes);
}

void PlanBuilder::emit(const Work& work, uint32_t index) {
  if (work.lowered != nullptr) take_in_place(work, index);
  open_channels(work, index);
  if (work.lowered != nullptr) {
    run_kernel(work);
  } else {
    run_host_node(work);
  }
  close_channels(work, index);
  // A slot whose value nobody reads any more may take another.
  for (const Touch& touch : work.touches) {
    if (!touch.base || base_of(touch).home != Home::host_slot) continue;
    const Base& base = base_of(touch);
    const auto it = base.reads.find(work.lane);
    const uint32_t last = it == base.reads.end() ? base.writes.last : it->second.last;
    if (last == index) free_slots_.insert(slot_of_.at(base.value));
  }
}

void PlanBuilder::run_kernel(const Work& work) {
  LaneBuilder& lane = lanes_[work.lane];
  plan::RunKernel step;
  step.kernel = work.lowered->kernel;
  step.tile_end = work.lowered->num_tiles;
  for (size_t i = 0; i < work.touches.size(); ++i) {
    const KernelBuffer& buffer = work.lowered->buffers[i];
    const auto size = static_cast<uint64_t>(buffer.size_bytes);
    if (buffer.kind == KernelBuffer::Kind::packed) {
      step.buffers.push_back(
          {Space::constant, Access::read, work.lowered->packed_constants[i], 0, size});
    } else if (buffer.kind == KernelBuffer::Kind::workspace) {
      const uint32_t allocation = lane.allocate("workspace", size);
      step.buffers.push_back(LaneBuilder::arena_ref(allocation, Access::write, 0, size));
    } else {
      step.buffers.push_back(ref_to(work.touches[i], work.lane));
    }
  }
  lane.add(std::move(step));
}

// --- Results over operands
// -------------------------------------------------------------------------

void PlanBuilder::take_in_place(const Work& work, uint32_t index) {
  std::set<ValueId> taken;
  for (size_t i = 0; i < work.touches.size(); ++i) {
    const KernelBuffer& buffer = work.lowered->buffers[i];
    const Touch& touch = work.touches[i];
    if (buffer.kind != KernelBuffer::Kind::result || buffer.in_place_of < 0) continue;
    const Base& result = base_of(touch);
    const auto operand = static_cast<uint32_t>(buffer.in_place_of);
    if (touch.value != touch.base || !can_take_in_place(work, index, result, operand)) continue;
    const ValueId value = graph_.node(work.node).operands[operand];
    const Storage& storage = graph_.value(value).storage;
    const ValueId dying = storage.is_view() ? storage.base : value;
    if (!taken.insert(dying).second) continue;
    allocation_of_[result.value] = allocation_of_.at(dying);
  }
}

bool PlanBuilder::can_take_in_place(const Work& work, uint32_t index, const Base& result,
                                    uint32_t operand) const {
  const bool is_fresh = result.home == Home::arena && result.writes.first == index &&
                        !result.needs_clearing && !allocation_of_.contains(result.value);
  if (!is_fresh) return false;
  const std::vector<ValueId>& operands = graph_.node(work.node).operands;
  if (operand >= operands.size() || !operands[operand]) return false;
  const Storage& from = graph_.value(operands[operand]).storage;
  const Storage& to = graph_.value(result.value).storage;
  const ValueId base_value = from.is_view() ? from.base : operands[operand];
  const auto it = flow_.bases.find(base_value);
  if (it == flow_.bases.end()) return false;
  const Base& base = it->second;
  const auto reads = base.reads.find(work.lane);
  const bool is_dying = base.home == Home::arena && allocation_of_.contains(base_value) &&
                        base.lane == work.lane && base.writes.last < index &&
                        reads != base.reads.end() && reads->second.last == index;
  const bool is_same_memory = from.dtype == to.dtype && from.strides == to.strides &&
                              from.offset == 0 && base.size_bytes == result.size_bytes;
  if (!is_dying || !is_same_memory) return false;
  // No other operand may read what is overwritten.
  int64_t num_readers = 0;
  for (ValueId other : operands) {
    if (!other) continue;
    const Storage& storage = graph_.value(other).storage;
    num_readers += (storage.is_view() ? storage.base : other) == base_value;
  }
  return num_readers == 1;
}

// --- Host nodes
// --------------------------------------------------------------------------------------

plan::HostOperand PlanBuilder::host_operand(const Touch& touch) {
  plan::HostOperand operand;
  const Base& base = base_of(touch);
  if (base.home == Home::host_slot && touch.access == Access::write) {
    uint32_t slot = plan_.num_host_slots;
    if (free_slots_.empty()) {
      ++plan_.num_host_slots;
    } else {
      slot = *free_slots_.begin();
      free_slots_.erase(free_slots_.begin());
    }
    slot_of_[base.value] = slot;
  }
  operand.ref = ref_to(touch, static_cast<uint32_t>(flow_.host_lane()));
  if (base.home == Home::host_slot) return operand;
  const Type& type = graph_.type(touch.value);
  operand.dtype = type.dtype;
  for (const Dim& dim : type.dims) operand.dims.push_back(dim.is_number() ? dim.number() : -1);
  return operand;
}

// Absent operands are left out; the runtime knows from host.nir which they are.
void PlanBuilder::run_host_node(const Work& work) {
  plan::RunHostNode step;
  step.host_node = work.host_node;
  const size_t num_operands = graph_.node(work.node).operands.size();
  for (size_t i = 0; i < work.touches.size(); ++i) {
    if (!work.touches[i].base) continue;
    auto& list = i < num_operands ? step.operands : step.results;
    list.push_back(host_operand(work.touches[i]));
  }
  lanes_[work.lane].add(std::move(step));
}

}  // namespace

Expected<plan::Plan> build_plan(const Module& module, LoweredModule& lowered,
                                Diagnostics& diagnostics) {
  return PlanBuilder(module, lowered, diagnostics).run();
}

}  // namespace neuronc
