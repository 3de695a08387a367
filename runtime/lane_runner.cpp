// A failed request keeps its channel steps and barriers and skips the rest, so that the requests
// behind it find every slot as they expect it.
#include "runtime/lane_runner.h"

#include <algorithm>
#include <cstring>
#include <exception>

namespace neuronc::runtime {
namespace {

bool lies_within(const Tensor& inner, const HostValue& outer) {
  const std::byte* data = inner.data();
  return data != nullptr &&
         std::any_of(outer.elements.begin(), outer.elements.end(), [data](const Tensor& tensor) {
           const std::span<const std::byte> bytes = tensor.bytes();
           return data >= bytes.data() && data <= bytes.data() + bytes.size();
         });
}

Tensor deep_copy(const Tensor& tensor) {
  if (tensor.dtype() == DType::string) return tensor;
  Tensor copy = unfilled_tensor(tensor.dtype(), tensor.shape());
  const std::span<const std::byte> bytes = tensor.bytes();
  if (!bytes.empty()) std::memcpy(copy.mutable_data(), bytes.data(), bytes.size());
  return copy;
}

}  // namespace

void Request::fail(NRT_STATUS code, std::string message) {
  const std::lock_guard lock(mutex_);
  if (has_failed()) return;
  status = {code, std::move(message)};
  failed_.store(true, std::memory_order_release);
}

void Request::note_non_finite(const std::string& where) {
  const std::lock_guard lock(mutex_);
  if (io.first_non_finite != nullptr && io.first_non_finite->empty()) *io.first_non_finite = where;
}

void Request::reset(const RequestIo& new_io, uint64_t new_sequence) {
  io = new_io;
  sequence = new_sequence;
  status = {};
  failed_.store(false, std::memory_order_relaxed);
}

LaneRunner::LaneRunner(ModelState& model, size_t lane, LaneProgram program)
    : model_(model), lane_(lane), program_(std::move(program)) {
  if (model.plan->lanes[lane].kind == plan::LaneKind::host) {
    slots_.resize(model.plan->num_host_slots);
  }
}

void LaneRunner::apply(const Patch& patch, uint64_t sequence) {
  std::byte* base = nullptr;
  if (patch.space == plan::Space::input) {
    // Kernels only read inputs; their parameters are not typed as const.
    base = const_cast<std::byte*>(request_->io.inputs[patch.index]);
  } else if (patch.space == plan::Space::output) {
    base = request_->io.outputs[patch.index];
  } else {
    const ChannelState& channel = *model_.channels[patch.index];
    base = channel.slots + (sequence % channel.depth) * channel.stride_bytes;
  }
  program_.buffers[patch.buffer].data = base == nullptr ? nullptr : base + patch.offset_bytes;
}

void LaneRunner::begin(Request& request) {
  request_ = &request;
  next_step_.store(0, std::memory_order_relaxed);
  for (const Patch& patch : program_.patches) apply(patch, request.sequence);
  if (request.profile != nullptr) {
    records_.clear();
    step_begin_ns_ = now_ns();
  }
}

bool LaneRunner::run() {
  if (request_->profile != nullptr) return run_profiled();
  const std::vector<ProgramStep>& steps = program_.blocks[0];
  for (uint32_t i = next_step_.load(std::memory_order_relaxed); i < steps.size(); ++i) {
    next_step_.store(i, std::memory_order_relaxed);
    if (!run_entry_step(steps[i])) return false;
  }
  for (HostValue& slot : slots_) slot = HostValue();
  return true;
}

// One look at the clock a step: the end of one is the beginning of the next.
bool LaneRunner::run_profiled() {
  const std::vector<ProgramStep>& steps = program_.blocks[0];
  for (uint32_t i = next_step_.load(std::memory_order_relaxed); i < steps.size(); ++i) {
    next_step_.store(i, std::memory_order_relaxed);
    if (!run_entry_step(steps[i])) return false;
    const int64_t end_ns = now_ns();
    records_.push_back({i, step_begin_ns_, end_ns});
    step_begin_ns_ = end_ns;
  }
  request_->profile->add(request_->profile_number, static_cast<uint32_t>(lane_), records_);
  for (HostValue& slot : slots_) slot = HostValue();
  return true;
}

std::string LaneRunner::describe_position() const {
  const plan::Lane& lane = model_.plan->lanes[lane_];
  const std::vector<ProgramStep>& steps = program_.blocks[0];
  const uint32_t position = next_step_.load(std::memory_order_relaxed);
  std::string text = lane.kind == plan::LaneKind::core ? fmt::format("core {}", lane.core) : "host";
  if (position >= steps.size()) return text;
  text += fmt::format(", step {} of {}", position + 1, steps.size());
  const ProgramStep& step = steps[position];
  if (step.kind == StepKind::run_kernel) {
    text += fmt::format(", kernel `{}`", model_.plan->kernels[step.index].symbol);
  } else if (step.kind == StepKind::host_node) {
    text += fmt::format(", host node {}", program_.host_nodes[step.index]->host_node);
  } else if (step.kind == StepKind::recv || step.kind == StepKind::acquire) {
    text += fmt::format(", waiting for channel `{}`", model_.plan->channels[step.index].name);
  } else if (step.kind == StepKind::barrier) {
    text += ", waiting at a barrier";
  }
  return text;
}

bool LaneRunner::run_entry_step(const ProgramStep& step) {
  switch (step.kind) {
    case StepKind::acquire:
      return is_slot_free(*model_.channels[step.index]);
    case StepKind::send:
      send(step.index);
      return true;
    case StepKind::recv:
      return is_sent(*model_.channels[step.index]);
    case StepKind::release:
      release(step.index);
      return true;
    case StepKind::barrier:
      return pass_barrier(step.index);
    default:
      run_plain_step(step);
      return true;
  }
}

size_t LaneRunner::position(const std::vector<plan::LaneId>& lanes, size_t lane) {
  return static_cast<size_t>(std::find(lanes.begin(), lanes.end(), plan::LaneId(lane)) -
                             lanes.begin());
}

void LaneRunner::send(uint32_t channel) {
  const plan::Channel& description = model_.plan->channels[channel];
  model_.channels[channel]->sent[position(description.producers, lane_)]->advance();
  for (plan::LaneId consumer : description.consumers) model_.signal(consumer.index);
}

void LaneRunner::release(uint32_t channel) {
  const plan::Channel& description = model_.plan->channels[channel];
  model_.channels[channel]->released[position(description.consumers, lane_)]->advance();
  for (plan::LaneId producer : description.producers) model_.signal(producer.index);
}

bool LaneRunner::is_sent(const ChannelState& channel) const {
  const uint64_t target = request_->sequence + 1;
  return std::all_of(
      channel.sent.begin(), channel.sent.end(),
      [target](const std::unique_ptr<Counter>& sent) { return sent->has_reached(target); });
}

bool LaneRunner::is_slot_free(const ChannelState& channel) const {
  if (request_->sequence < channel.depth) return true;
  const uint64_t target = request_->sequence - channel.depth + 1;
  return std::all_of(
      channel.released.begin(), channel.released.end(),
      [target](const std::unique_ptr<Counter>& released) { return released->has_reached(target); });
}

// The lanes of a team reach their barriers within the imbalance of their shares, so waiting begins
// here; a lane that waits longer, or whose worker has others to run, gives way like at a channel.
bool LaneRunner::pass_barrier(uint32_t index) {
  const plan::Team& team = model_.plan->teams[index];
  TeamState& state = *model_.teams[index];
  if (!has_arrived_) {
    has_arrived_ = true;
    ++num_barriers_;
    const uint64_t arrivals = state.arrivals.advance();
    if (arrivals == num_barriers_ * team.num_lanes &&
        state.num_sleepers.load(std::memory_order_seq_cst) > 0) {
      for (uint32_t i = 0; i < team.num_lanes; ++i) model_.signal(team.first_lane.index + i);
    }
  }
  const uint64_t target = num_barriers_ * team.num_lanes;
  if (is_sleeper_) {
    if (!state.arrivals.has_reached(target)) return false;
    state.num_sleepers.fetch_sub(1, std::memory_order_relaxed);
    is_sleeper_ = false;
  } else if (model_.lanes_share_workers ? !state.arrivals.has_reached(target)
                                        : !spin_until(state.arrivals, target, kTeamSpinNs)) {
    // Whoever arrives last sees the sleeper, or the sleeper sees that it has arrived.
    state.num_sleepers.fetch_add(1, std::memory_order_seq_cst);
    is_sleeper_ = true;
    return pass_barrier(index);
  }
  has_arrived_ = false;
  return true;
}

void LaneRunner::run_plain_step(const ProgramStep& step) {
  if (request_->has_failed()) return;
  plan::KernelBuffer* buffers = program_.buffers.data() + step.first_buffer;
  switch (step.kind) {
    case StepKind::run_kernel:
      return run_kernel(step);
    case StepKind::fill:
      return fill_bytes(buffers[0].data, step.size_bytes, static_cast<uint64_t>(step.begin),
                        static_cast<uint32_t>(step.end));
    case StepKind::copy:
      if (step.size_bytes > 0) std::memcpy(buffers[1].data, buffers[0].data, step.size_bytes);
      return;
    case StepKind::host_node:
      return run_host_node(step);
    case StepKind::if_: {
      const uint32_t block = holds(step.first_buffer) ? step.index : step.else_block;
      if (block != 0) run_block(block);
      return;
    }
    case StepKind::loop:
      return run_loop(step);
    default:
      return;
  }
}

void LaneRunner::run_block(uint32_t block) {
  for (const ProgramStep& step : program_.blocks[block]) run_plain_step(step);
}

bool LaneRunner::holds(uint32_t buffer) const {
  return *static_cast<const uint8_t*>(program_.buffers[buffer].data) != 0;
}

// A request that fails, because its deadline passes for one, leaves its loops.
void LaneRunner::run_loop(const ProgramStep& step) {
  int64_t count = step.end;
  if (step.count_buffer != ProgramStep::kNone) {
    int64_t wanted = 0;
    std::memcpy(&wanted, program_.buffers[step.count_buffer].data, sizeof(wanted));
    count = std::min(count, wanted);
  }
  int64_t trip = 0;
  for (; trip < count && !request_->has_failed(); ++trip) {
    if (step.condition_buffer != ProgramStep::kNone && !holds(step.condition_buffer)) break;
    std::memcpy(program_.buffers[step.first_buffer].data, &trip, sizeof(trip));
    run_block(step.index);
    move_buffers(step, 1);
  }
  move_buffers(step, -trip);
}

void LaneRunner::move_buffers(const ProgramStep& step, int64_t trips) {
  for (uint32_t i = 0; i < step.num_moving; ++i) {
    const MovingBuffer& moving = program_.moving[step.first_moving + i];
    plan::KernelBuffer& buffer = program_.buffers[moving.buffer];
    buffer.data = static_cast<std::byte*>(buffer.data) + moving.stride_bytes * trips;
  }
}

void LaneRunner::run_kernel(const ProgramStep& step) {
  const int32_t result =
      model_.checker == nullptr
          ? step.function(program_.buffers.data() + step.first_buffer, step.begin, step.end)
          : run_checked_kernel(step);
  if (result == plan::kKernelOk) return;
  const std::string& symbol = model_.plan->kernels[step.index].symbol;
  if (result == plan::kKernelIndexOutOfRange) {
    request_->fail(
        NRT_EXEC_OOB,
        fmt::format("kernel `{}`: an index taken from the data is out of range", symbol));
  } else {
    request_->fail(NRT_EXEC_COMPLETED_WITH_ERR,
                   fmt::format("kernel `{}` ended with status {}", symbol, result));
  }
}

int32_t LaneRunner::run_checked_kernel(const ProgramStep& step) {
  const std::span<const int64_t> sizes(program_.sizes_bytes.data() + step.first_buffer,
                                       step.num_buffers);
  std::string non_finite;
  const auto result =
      model_.checker->run(plan::KernelId(step.index), program_.buffers.data() + step.first_buffer,
                          sizes, step.begin, step.end, non_finite);
  if (!non_finite.empty()) request_->note_non_finite(non_finite);
  if (result) return *result;
  request_->fail(NRT_EXEC_OOB,
                 fmt::format("kernel `{}`: {}", model_.plan->kernels[step.index].symbol,
                             result.error().reason));
  return plan::kKernelOk;
}

void LaneRunner::run_host_node(const ProgramStep& step) {
  const plan::RunHostNode& node = *program_.host_nodes[step.index];
  const plan::KernelBuffer* buffers = program_.buffers.data() + step.first_buffer;
  auto results = evaluate(step);
  if (!results) return request_->fail(results.error().code, results.error().message);
  for (size_t i = 0; i < node.results.size(); ++i) {
    store_result(node.results[i], buffers[node.operands.size() + i], std::move((*results)[i]));
  }
  for (uint32_t i = 0; i < step.num_dead_slots; ++i) {
    slots_[program_.dead_slots[step.first_dead_slot + i]] = HostValue();
  }
}

Result<std::vector<HostValue>> LaneRunner::evaluate(const ProgramStep& step) {
  const plan::RunHostNode& node = *program_.host_nodes[step.index];
  const plan::KernelBuffer* buffers = program_.buffers.data() + step.first_buffer;
  if (model_.evaluator == nullptr) {
    return fail(NRT_FAILURE, "the model has host operators, and there is no evaluator for them");
  }
  try {
    const TensorPool::Scope scope(*model_.pool);
    std::vector<HostValue> operands;
    for (size_t i = 0; i < node.operands.size(); ++i) {
      operands.push_back(load_operand(node.operands[i], buffers[i]));
    }
    auto results = model_.evaluator->evaluate(node.host_node, operands);
    if (!results) {
      return fail(NRT_EXEC_COMPLETED_WITH_ERR, "host node {}: {}", node.host_node,
                  results.error().reason);
    }
    if (results->size() != node.results.size()) {
      return fail(NRT_EXEC_COMPLETED_WITH_ERR, "host node {} gave {} results, not {}",
                  node.host_node, results->size(), node.results.size());
    }
    own_results(node, operands, *results);
    return std::move(*results);
  } catch (const std::exception& exception) {
    return fail(NRT_EXEC_COMPLETED_WITH_ERR, "host node {}: {}", node.host_node, exception.what());
  }
}

// Slots hold their memory, and what a result shares with them stays; all else is someone else's.
// What the caller gets shares memory with nothing.
void LaneRunner::own_results(const plan::RunHostNode& node, std::span<const HostValue> operands,
                             std::vector<HostValue>& results) const {
  for (size_t r = 0; r < results.size(); ++r) {
    const bool is_kept = node.results[r].ref.space == plan::Space::host_slot;
    for (Tensor& tensor : results[r].elements) {
      for (size_t i = 0; i < operands.size(); ++i) {
        const bool is_slot = node.operands[i].ref.space == plan::Space::host_slot;
        if ((is_kept && is_slot) || !lies_within(tensor, operands[i])) continue;
        tensor = deep_copy(tensor);
        break;
      }
    }
  }
}

bool LaneRunner::is_sized_at_run_time(const plan::BufferRef& ref) const {
  return ref.space == plan::Space::output && !plan::is_static(model_.plan->outputs[ref.index]);
}

HostValue LaneRunner::load_operand(const plan::HostOperand& operand,
                                   const plan::KernelBuffer& buffer) const {
  const plan::BufferRef& ref = operand.ref;
  if (ref.space == plan::Space::host_slot) return slots_[ref.index];
  if (ref.space == plan::Space::input && buffer.data == nullptr &&
      ref.index < request_->io.host_inputs.size()) {
    return request_->io.host_inputs[ref.index];
  }
  if (is_sized_at_run_time(ref)) return request_->io.host_outputs[ref.index];
  const std::span bytes(static_cast<const std::byte*>(buffer.data), ref.size_bytes);
  return HostValue(Tensor::borrow(operand.dtype, operand.dims, bytes, nullptr));
}

void LaneRunner::store_result(const plan::HostOperand& target, const plan::KernelBuffer& buffer,
                              HostValue value) {
  const plan::BufferRef& ref = target.ref;
  if (ref.space == plan::Space::host_slot) {
    slots_[ref.index] = std::move(value);
    return;
  }
  if (is_sized_at_run_time(ref)) {
    request_->io.host_outputs[ref.index] = std::move(value);
    return;
  }
  const bool fits = value.elements.size() == 1 && value.tensor().dtype() == target.dtype &&
                    value.tensor().bytes().size() == ref.size_bytes;
  if (!fits) {
    return request_->fail(NRT_EXEC_COMPLETED_WITH_ERR,
                          "a host node's result has another type than the plan states");
  }
  const std::span<const std::byte> bytes = value.tensor().bytes();
  if (!bytes.empty()) std::memcpy(buffer.data, bytes.data(), bytes.size());
}

}  // namespace neuronc::runtime
