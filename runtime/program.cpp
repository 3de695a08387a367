// Turns plan steps into program steps.
#include "runtime/program.h"

#include <cstring>
#include <limits>

namespace neuronc::runtime {
namespace {

using plan::BufferRef;
using plan::Space;

class ProgramBuilder {
 public:
  ProgramBuilder(const plan::Plan& plan, size_t lane, const StaticMemory& memory,
                 const KernelResolver& resolver)
      : plan_(plan), lane_(plan.lanes[lane]), memory_(memory), resolver_(resolver) {}

  Result<LaneProgram> build() {
    moving_.resize(lane_.blocks.size());
    for (size_t i = 0; i < lane_.blocks.size(); ++i) {
      block_ = i;
      NEURONC_ASSIGN(std::vector<ProgramStep> steps, build_list(lane_.blocks[i].steps));
      program_.blocks.push_back(std::move(steps));
    }
    // A block's steps know what they name, so that the last blocks are done first.
    for (size_t i = lane_.blocks.size(); i-- > 0;) gather_moving(i);
    find_dead_slots();
    return std::move(program_);
  }

 private:
  Result<std::vector<ProgramStep>> build_list(const std::vector<plan::Step>& steps) {
    std::vector<ProgramStep> result;
    for (const plan::Step& step : steps) {
      result.push_back(std::visit([this](const auto& s) { return build_step(s); }, step));
    }
    if (!missing_kernel_.empty()) {
      return fail(NRT_INVALID, "the NEFF's code has no kernel `{}`", missing_kernel_);
    }
    return result;
  }

  template <class Use>
  void for_each_slot(const ProgramStep& step, const Use& use) const {
    if (step.kind != StepKind::host_node) return;
    const plan::RunHostNode& node = *program_.host_nodes[step.index];
    for (const auto* places : {&node.operands, &node.results}) {
      for (const plan::HostOperand& place : *places) {
        if (place.ref.space == Space::host_slot) use(place.ref.index);
      }
    }
  }

  // What moves in a loop stands in its body, or in the branches there.
  void gather_moving(size_t block) {
    for (ProgramStep& step : program_.blocks[block]) {
      if (step.kind == StepKind::if_) {
        for (const uint32_t branch : {step.index, step.else_block}) {
          if (branch == 0) continue;
          const std::vector<MovingBuffer>& inner = moving_[branch];
          moving_[block].insert(moving_[block].end(), inner.begin(), inner.end());
        }
      } else if (step.kind == StepKind::loop) {
        const std::vector<MovingBuffer>& inner = moving_[step.index];
        step.first_moving = static_cast<uint32_t>(program_.moving.size());
        step.num_moving = static_cast<uint32_t>(inner.size());
        program_.moving.insert(program_.moving.end(), inner.begin(), inner.end());
      }
    }
  }

  // Slots of the entry block alone: other blocks may run more than once.
  void find_dead_slots() {
    if (program_.host_nodes.empty()) return;
    std::vector<bool> is_met(plan_.num_host_slots);
    for (size_t block = 1; block < program_.blocks.size(); ++block) {
      for (const ProgramStep& step : program_.blocks[block]) {
        for_each_slot(step, [&](uint32_t slot) { is_met[slot] = true; });
      }
    }
    std::vector<ProgramStep>& steps = program_.blocks[0];
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
      step->first_dead_slot = static_cast<uint32_t>(program_.dead_slots.size());
      for_each_slot(*step, [&](uint32_t slot) {
        if (!is_met[slot]) program_.dead_slots.push_back(slot);
        is_met[slot] = true;
      });
      step->num_dead_slots =
          static_cast<uint32_t>(program_.dead_slots.size()) - step->first_dead_slot;
    }
  }

  uint32_t add_ref(const BufferRef& ref) {
    const auto index = static_cast<uint32_t>(program_.buffers.size());
    if (ref.trip_stride_bytes != 0) moving_[block_].push_back({index, ref.trip_stride_bytes});
    std::byte* base = nullptr;
    switch (ref.space) {
      case Space::arena:
        base = memory_.arena;
        break;
      case Space::shared:
        base = memory_.shared;
        break;
      case Space::constant:
        // Kernels only read constants; their parameters are not typed as const.
        base = const_cast<std::byte*>(memory_.weights) + plan_.constants[ref.index].offset_bytes;
        break;
      case Space::input:
      case Space::output:
      case Space::channel:
        program_.patches.push_back({index, ref.space, ref.index, ref.offset_bytes});
        break;
      case Space::host_slot:
        break;
    }
    program_.buffers.push_back({base == nullptr ? nullptr : base + ref.offset_bytes});
    program_.sizes_bytes.push_back(static_cast<int64_t>(ref.size_bytes));
    return index;
  }

  ProgramStep build_step(const plan::RunKernel& step) {
    ProgramStep result{StepKind::run_kernel, step.kernel.index, 0, next_buffer()};
    const std::string& symbol = plan_.kernels[step.kernel.index].symbol;
    result.function = resolver_(symbol);
    if (result.function == nullptr) missing_kernel_ = symbol;
    result.num_buffers = static_cast<uint32_t>(step.buffers.size());
    result.begin = step.tile_begin;
    result.end = step.tile_end;
    for (const BufferRef& ref : step.buffers) add_ref(ref);
    return result;
  }
  ProgramStep build_step(const plan::Acquire& step) {
    return {StepKind::acquire, step.channel.index};
  }
  ProgramStep build_step(const plan::Send& step) { return {StepKind::send, step.channel.index}; }
  ProgramStep build_step(const plan::Recv& step) { return {StepKind::recv, step.channel.index}; }
  ProgramStep build_step(const plan::Release& step) {
    return {StepKind::release, step.channel.index};
  }
  ProgramStep build_step(const plan::Barrier& step) { return {StepKind::barrier, step.team.index}; }
  ProgramStep build_step(const plan::Fill& step) {
    ProgramStep result{StepKind::fill, 0, 0, add_ref(step.target)};
    result.begin = static_cast<int64_t>(step.pattern);
    result.end = step.pattern_bytes;
    result.size_bytes = step.target.size_bytes;
    return result;
  }
  ProgramStep build_step(const plan::Copy& step) {
    ProgramStep result{StepKind::copy, 0, 0, add_ref(step.source)};
    add_ref(step.target);
    result.size_bytes = step.source.size_bytes;
    return result;
  }
  ProgramStep build_step(const plan::RunHostNode& step) {
    const auto index = static_cast<uint32_t>(program_.host_nodes.size());
    program_.host_nodes.push_back(&step);
    const ProgramStep result{StepKind::host_node, index, 0, next_buffer()};
    for (const plan::HostOperand& operand : step.operands) add_ref(operand.ref);
    for (const plan::HostOperand& operand : step.results) add_ref(operand.ref);
    return result;
  }
  ProgramStep build_step(const plan::If& step) {
    return {StepKind::if_, step.then_block.index, step.else_block ? step.else_block.index : 0,
            add_ref(step.condition)};
  }
  ProgramStep build_step(const plan::Loop& step) {
    ProgramStep result{StepKind::loop, step.body.index, 0, add_ref(step.iteration)};
    result.end = step.max_trips < 0 ? std::numeric_limits<int64_t>::max() : step.max_trips;
    if (step.count) result.count_buffer = add_ref(*step.count);
    if (step.condition) result.condition_buffer = add_ref(*step.condition);
    return result;
  }

  uint32_t next_buffer() const { return static_cast<uint32_t>(program_.buffers.size()); }

  const plan::Plan& plan_;
  const plan::Lane& lane_;
  const StaticMemory& memory_;
  const KernelResolver& resolver_;
  LaneProgram program_;
  size_t block_ = 0;
  std::vector<std::vector<MovingBuffer>> moving_;  // by block
  std::string missing_kernel_;
};

}  // namespace

Result<LaneProgram> make_program(const plan::Plan& plan, size_t lane, const StaticMemory& memory,
                                 const KernelResolver& resolver) {
  return ProgramBuilder(plan, lane, memory, resolver).build();
}

void fill_bytes(void* target, uint64_t size_bytes, uint64_t pattern, uint32_t pattern_bytes) {
  auto* bytes = static_cast<char*>(target);
  if (pattern_bytes == 1 || pattern == 0) {
    std::memset(bytes, static_cast<int>(pattern & 0xff), size_bytes);
    return;
  }
  for (uint64_t at = 0; at < size_bytes; at += pattern_bytes) {
    std::memcpy(bytes + at, &pattern, pattern_bytes);
  }
}

}  // namespace neuronc::runtime
