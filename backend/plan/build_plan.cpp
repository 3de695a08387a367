// Implements build_plan.h: one walk over the work in execution order, which gives each lane its
// share. Since all lanes follow that one order, no two of them can wait for each other. The lanes of a
// team run each its part of a kernel, with a barrier where one would touch what another has written.
#include "backend/plan/build_plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "backend/plan/block_builder.h"
#include "backend/plan/lane_builder.h"
#include "backend/plan/team_builder.h"
#include "backend/plan/value_flow.h"
#include "ir/control_flow.h"
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
  void meet_before(const Work& work);
  BufferRef scratch_ref(const Work& work, size_t buffer, uint32_t lane);
  void add_to_group(uint32_t group, const plan::Step& step);
  TeamBuilder* team_of(uint32_t group);
  void clear(const Base& base);
  void pass_barrier(uint32_t group);
  void run_part(const Work& work, uint32_t index_in_team);
  std::vector<LaneAccess> accesses_of(const Work& work);
  void note_whole(const Base& base, uint32_t group, Access access);
  Place place_of(const Base& base);
  uint32_t allocation_of(const Base& base, uint32_t lane);
  bool is_shared(const Base& base) const {
    return base.home == Home::arena && flow_.is_team(base.group);
  }
  void run_host_node(const Work& work);
  void run_blocks(const Work& work);
  void take_in_place(const Work& work, uint32_t index);
  bool can_take_in_place(const Work& work, uint32_t index, const Base& result,
                         uint32_t operand) const;
  plan::HostOperand host_operand(const Touch& touch);

  Base& base_of(const Touch& touch) { return flow_.bases.at(touch.base); }
  const Base& base_of(const Touch& touch) const { return flow_.bases.at(touch.base); }
  BufferRef ref_to(const Base& base, uint32_t group, uint32_t lane, Access access,
                   uint64_t offset_bytes, uint64_t size_bytes);
  BufferRef ref_to(const Touch& touch, uint32_t group, uint32_t lane) {
    return ref_to(base_of(touch), group, lane, touch.access, touch.offset_bytes, touch.size_bytes);
  }
  bool is_received(uint32_t group, const Base& base) const {
    return received_.contains({group, base.channel});
  }

  const Module& module_;
  const Graph& graph_;
  LoweredModule& lowered_;
  Diagnostics& diagnostics_;
  plan::Plan plan_;
  ValueFlow flow_;
  std::vector<LaneBuilder> lanes_;
  std::map<uint32_t, TeamBuilder> teams_;                    // by group
  std::map<ValueId, uint32_t> allocation_of_;                // of bases at home in an arena
  std::set<std::pair<uint32_t, plan::ChannelId>> received_;  // by group
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
  for (uint32_t g = 0; g < flow_.groups.size(); ++g) {
    if (!flow_.is_team(g)) continue;
    const LaneGroup& group = flow_.groups[g];
    teams_.try_emplace(g, plan::TeamId(teams_.size()), plan::LaneId(group.first), group.count);
  }
  add_channels();
  for (uint32_t i = 0; i < flow_.works.size(); ++i) emit(flow_.works[i], i);
  for (auto& [group, team] : teams_) {
    if (team.has_open_epoch()) pass_barrier(group);
  }
  for (LaneBuilder& lane : lanes_) plan_.lanes.push_back(lane.finish());
  for (auto& [group, team] : teams_) plan_.teams.push_back(team.finish(plan_.lanes));
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
    const auto add_lanes = [this](uint32_t group, std::vector<plan::LaneId>& lanes) {
      const LaneGroup& range = flow_.groups[group];
      for (uint32_t lane = range.first; lane < range.end(); ++lane) lanes.emplace_back(lane);
    };
    add_lanes(base->group, channel.producers);
    for (const auto& [group, span] : base->reads) {
      const bool is_own = group == base->group;
      if (!is_own || (base->home == Home::channel && base->is_read_back())) {
        add_lanes(group, channel.consumers);
      }
    }
    std::sort(channel.consumers.begin(), channel.consumers.end());
    channel.depth = depth_of(channel);
    base->channel = plan::ChannelId(plan_.channels.size());
    plan_.channels.push_back(std::move(channel));
  }
}

// As many slots as requests can be between two lanes, so that neither waits for the other in a
// steady stream. The host lane may stand anywhere on the way.
uint32_t PlanBuilder::depth_of(const plan::Channel& channel) const {
  uint32_t distance = 1;
  const uint32_t producer = channel.producers.back().index;
  for (plan::LaneId consumer : channel.consumers) {
    if (consumer.index > producer) distance = std::max(distance, consumer.index - producer);
  }
  return distance + 1;
}

// --- Teams ---------------------------------------------------------------------------------------

TeamBuilder* PlanBuilder::team_of(uint32_t group) {
  const auto it = teams_.find(group);
  return it == teams_.end() ? nullptr : &it->second;
}

void PlanBuilder::add_to_group(uint32_t group, const plan::Step& step) {
  const LaneGroup& range = flow_.groups[group];
  for (uint32_t lane = range.first; lane < range.end(); ++lane) lanes_[lane].add(step);
}

void PlanBuilder::pass_barrier(uint32_t group) {
  TeamBuilder& team = *team_of(group);
  add_to_group(group, plan::Barrier{team.id()});
  team.pass_barrier();
}

Place PlanBuilder::place_of(const Base& base) {
  switch (base.home) {
    case Home::output:
      return {Space::output, base.index};
    case Home::channel:
      return {Space::channel, base.channel.index};
    default:
      return {Space::shared, allocation_of(base, flow_.groups[base.group].first)};
  }
}

// What the lanes of a team do to memory that the team writes. What others have sent is only read.
std::vector<LaneAccess> PlanBuilder::accesses_of(const Work& work) {
  std::vector<LaneAccess> accesses;
  for (size_t i = 0; i < work.touches.size(); ++i) {
    const Touch& touch = work.touches[i];
    if (!touch.base) continue;
    const Base& base = base_of(touch);
    const bool is_own = base.is_written && base.group == work.group;
    if (!is_own || is_received(work.group, base)) continue;
    const Place place = place_of(base);
    for (uint32_t lane = 0; lane < work.parts.size(); ++lane) {
      LaneAccess access{place, lane, touch.access, {}};
      for (const plan::Run& run : work.parts[lane].touched[i]) {
        for (uint64_t k = 0; k < run.count; ++k) {
          const uint64_t begin = touch.offset_bytes + run.offset_bytes + k * run.stride_bytes;
          access.ranges.add(begin, begin + run.size_bytes);
        }
      }
      if (!access.ranges.is_empty()) accesses.push_back(std::move(access));
    }
  }
  return accesses;
}

// The first lane of the team touches all of `base`.
void PlanBuilder::note_whole(const Base& base, uint32_t group, Access access) {
  LaneAccess whole{place_of(base), 0, access, {}};
  whole.ranges.add(0, base.size_bytes);
  team_of(group)->note({whole});
}

// --- Channels of a step --------------------------------------------------------------------------

// The first lane of the group clears a base that nobody has touched.
void PlanBuilder::clear(const Base& base) {
  const uint32_t lane = flow_.groups[base.group].first;
  lanes_[lane].add(plan::Fill{ref_to(base, base.group, lane, Access::write, 0, base.size_bytes)});
  if (flow_.is_team(base.group)) note_whole(base, base.group, Access::write);
}

void PlanBuilder::open_channels(const Work& work, uint32_t index) {
  for (const Touch& touch : work.touches) {
    if (!touch.base) continue;
    const Base& base = base_of(touch);
    const bool is_own = base.group == work.group;
    if (touch.access == Access::read && base.channel) {
      const bool is_sent = !is_own || (base.home == Home::channel && index > base.writes.last);
      if (is_sent && received_.insert({work.group, base.channel}).second) {
        add_to_group(work.group, plan::Recv{base.channel});
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
      if (base.home == Home::channel) add_to_group(work.group, plan::Acquire{base.channel});
      if (base.needs_clearing) clear(base);
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
        add_to_group(work.group, plan::Send{base.channel});
        if (TeamBuilder* team = team_of(work.group)) team->forget(place_of(base));
      }
    }
    if (touch.access == Access::read && is_received(work.group, base) &&
        index == base.reads.at(work.group).last && released.insert(base.value).second) {
      add_to_group(work.group, plan::Release{base.channel});
    }
  }
}

// The caller's memory is nobody else's to read: other lanes get a copy of an output.
void PlanBuilder::send_output(const Base& base) {
  const uint32_t lane = flow_.groups[base.group].first;
  if (flow_.is_team(base.group)) pass_barrier(base.group);
  add_to_group(base.group, plan::Acquire{base.channel});
  lanes_[lane].add(
      plan::Copy{ref_to(base, base.group, lane, Access::read, 0, base.size_bytes),
                 {Space::channel, Access::write, base.channel.index, 0, base.size_bytes}});
  if (flow_.is_team(base.group)) note_whole(base, base.group, Access::read);
  add_to_group(base.group, plan::Send{base.channel});
}

// --- Steps ---------------------------------------------------------------------------------------

BufferRef PlanBuilder::ref_to(const Base& base, uint32_t group, uint32_t lane, Access access,
                              uint64_t offset_bytes, uint64_t size_bytes) {
  switch (base.home) {
    case Home::input:
      return {Space::input, access, base.index, offset_bytes, size_bytes};
    case Home::constant:
      return {Space::constant, access, base.index, offset_bytes, size_bytes};
    case Home::output:
      if (group == base.group || !base.channel) {
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
  const uint32_t allocation = allocation_of(base, lane);
  if (is_shared(base))
    return team_of(base.group)->ref(allocation, access, offset_bytes, size_bytes);
  return LaneBuilder::arena_ref(allocation, access, offset_bytes, size_bytes);
}

uint32_t PlanBuilder::allocation_of(const Base& base, uint32_t lane) {
  const auto [it, is_new] = allocation_of_.try_emplace(base.value, 0);
  if (!is_new) return it->second;
  const std::string& name = graph_.value(base.value).name;
  it->second = is_shared(base) ? team_of(base.group)->allocate(name, base.size_bytes)
                               : lanes_[lane].allocate(name, base.size_bytes);
  return it->second;
}

void PlanBuilder::emit(const Work& work, uint32_t index) {
  if (work.lowered != nullptr) take_in_place(work, index);
  open_channels(work, index);
  if (work.lowered != nullptr) {
    run_kernel(work);
  } else if (runs_blocks(graph_.node(work.node))) {
    run_blocks(work);
  } else {
    run_host_node(work);
  }
  close_channels(work, index);
  // A slot whose value nobody reads any more may take another.
  for (const Touch& touch : work.touches) {
    if (!touch.base || base_of(touch).home != Home::host_slot) continue;
    const Base& base = base_of(touch);
    const auto it = base.reads.find(work.group);
    const uint32_t last = it == base.reads.end() ? base.writes.last : it->second.last;
    if (last == index) free_slots_.insert(slot_of_.at(base.value));
  }
}

BufferRef PlanBuilder::scratch_ref(const Work& work, size_t i, uint32_t lane) {
  const KernelBuffer& buffer = work.lowered->buffers[i];
  const auto size = static_cast<uint64_t>(buffer.size_bytes);
  if (buffer.kind == KernelBuffer::Kind::packed) {
    return {Space::constant, Access::read, work.lowered->packed_constants[i], 0, size};
  }
  return LaneBuilder::arena_ref(lanes_[lane].allocate("workspace", size), Access::write, 0, size);
}

void PlanBuilder::run_kernel(const Work& work) {
  const LaneGroup& group = flow_.groups[work.group];
  if (!work.parts.empty()) {
    meet_before(work);
    for (uint32_t i = 0; i < group.count; ++i) run_part(work, i);
    return;
  }
  plan::RunKernel step;
  step.kernel = work.lowered->kernel;
  step.tile_end = work.lowered->num_tiles;
  for (size_t i = 0; i < work.touches.size(); ++i) {
    const bool is_value = static_cast<bool>(work.touches[i].value);
    step.buffers.push_back(is_value ? ref_to(work.touches[i], work.group, group.first)
                                    : scratch_ref(work, i, group.first));
  }
  lanes_[group.first].add(std::move(step));
}

// A barrier, where lanes of the team have to wait for each other first.
void PlanBuilder::meet_before(const Work& work) {
  TeamBuilder& team = *team_of(work.group);
  const std::vector<LaneAccess> accesses = accesses_of(work);
  if (team.needs_barrier(accesses)) pass_barrier(work.group);
  team.note(accesses);
}

void PlanBuilder::run_blocks(const Work& work) {
  if (!work.parts.empty()) meet_before(work);
  const uint32_t lane = flow_.groups[work.group].first;
  const size_t num_operands = graph_.node(work.node).operands.size();
  std::vector<BlockBuilder::Place> operands, results;
  for (size_t i = 0; i < work.touches.size(); ++i) {
    const Touch& touch = work.touches[i];
    auto& list = i < num_operands ? operands : results;
    list.push_back(touch.base ? BlockBuilder::Place(ref_to(touch, work.group, lane))
                              : BlockBuilder::Place());
  }
  BlockBuilder(module_, lowered_, lanes_[lane])
      .add(graph_, work.node, std::move(operands), std::move(results));
}

void PlanBuilder::run_part(const Work& work, uint32_t index_in_team) {
  const TilePart& part = work.parts[index_in_team];
  if (part.is_empty()) return;
  const uint32_t lane = flow_.groups[work.group].first + index_in_team;
  plan::RunKernel step;
  step.kernel = work.lowered->kernel;
  step.tile_begin = part.tile_begin;
  step.tile_end = part.tile_end;
  for (size_t i = 0; i < work.touches.size(); ++i) {
    if (!work.touches[i].value) {
      step.buffers.push_back(scratch_ref(work, i, lane));
      continue;
    }
    BufferRef ref = ref_to(work.touches[i], work.group, lane);
    const std::vector<plan::Run>& touched = part.touched[i];
    const bool is_whole = touched.size() == 1 && touched[0] == plan::Run{0, ref.size_bytes};
    if (touched.empty()) ref.size_bytes = 0;
    if (!is_whole) ref.touched = touched;
    step.buffers.push_back(std::move(ref));
  }
  lanes_[lane].add(std::move(step));
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
    TeamBuilder* team = team_of(work.group);
    if (team == nullptr) continue;
    // Not where another lane reads what this one would write over, or where it costs a barrier.
    const std::vector<LaneAccess> accesses = accesses_of(work);
    if (TeamBuilder::conflict(accesses) || team->needs_barrier(accesses)) {
      allocation_of_.erase(result.value);
    }
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
  const auto reads = base.reads.find(work.group);
  const bool is_dying = base.home == Home::arena && allocation_of_.contains(base_value) &&
                        base.group == work.group && base.writes.last < index &&
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
  operand.ref = ref_to(touch, flow_.host_group(), flow_.host_lane());
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
  lanes_[flow_.host_lane()].add(std::move(step));
}

}  // namespace

Expected<plan::Plan> build_plan(const Module& module, LoweredModule& lowered,
                                Diagnostics& diagnostics) {
  return PlanBuilder(module, lowered, diagnostics).run();
}

}  // namespace neuronc
