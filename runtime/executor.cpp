// Setting up a model's memory and threads, and taking requests through them.
#include "runtime/executor.h"

#include <xmmintrin.h>

#include <algorithm>
#include <system_error>

namespace neuronc::runtime {
namespace {

// Kernels are defined for the default floating-point environment: round to nearest, denormals kept,
// nothing trapped. Whatever the thread had comes back.
class FloatEnvironment {
 public:
  FloatEnvironment() : saved_(_mm_getcsr()) { _mm_setcsr(kDefault); }
  ~FloatEnvironment() { _mm_setcsr(saved_); }
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
  static constexpr unsigned kDefault = 0x1f80;
  unsigned saved_;
};

uint64_t aligned(uint64_t size_bytes) {
  return (size_bytes + plan::kBufferAlignment - 1) / plan::kBufferAlignment *
         plan::kBufferAlignment;
}

}  // namespace

Executor::Executor(const plan::Plan& plan, ExecutorOptions options)
    : plan_(plan), options_(std::move(options)) {
  if (options_.threading == Threading::automatic) {
    options_.threading = num_cores(plan) > 1 ? Threading::per_lane : Threading::caller;
  }
  state_.plan = &plan_;
  state_.num_core_lanes = num_cores(plan);
  state_.evaluator = options_.evaluator;
  state_.checker = options_.checker;
}

Result<std::unique_ptr<Executor>> Executor::create(const plan::Plan& plan, const std::byte* weights,
                                                   const KernelResolver& resolver,
                                                   ExecutorOptions options) {
  std::unique_ptr<Executor> executor(new Executor(plan, std::move(options)));
  NEURONC_TRY(executor->allocate());
  NEURONC_TRY(executor->make_runners(weights, resolver));
  {
    const FloatEnvironment environment;
    for (const auto& runner : executor->runners_) NEURONC_TRY(runner->run_init());
  }
  if (executor->options_.threading == Threading::per_lane) {
    try {
      executor->start_threads();
    } catch (const std::system_error& error) {
      return fail(NRT_RESOURCE, "cannot start a worker thread: {}", error.what());
    }
  }
  return executor;
}

Executor::~Executor() {
  is_stopping_.store(true, std::memory_order_release);
  submitted_.advance();
  for (std::thread& thread : threads_) thread.join();
}

Result<Done> Executor::allocate() {
  NEURONC_ASSIGN(shared_, Memory::allocate(plan_.shared_bytes));
  NEURONC_ASSIGN(expanded_, Memory::allocate(plan_.expanded_bytes));
  for (const plan::Lane& lane : plan_.lanes) {
    NEURONC_ASSIGN(Memory arena, Memory::allocate(lane.arena_bytes));
    arenas_.push_back(std::move(arena));
    arena_bytes_ += lane.arena_bytes;
  }
  for (const plan::Channel& channel : plan_.channels) {
    auto state = std::make_unique<ChannelState>();
    state->depth = channel.depth;
    state->stride_bytes = aligned(channel.slot_bytes);
    NEURONC_ASSIGN(Memory slots, Memory::allocate(state->stride_bytes * channel.depth));
    state->slots = slots.data();
    slots_.push_back(std::move(slots));
    for (size_t i = 0; i < channel.consumers.size(); ++i) {
      state->released.push_back(std::make_unique<Counter>());
    }
    state_.channels.push_back(std::move(state));
  }
  return Done{};
}

Result<Done> Executor::make_runners(const std::byte* weights, const KernelResolver& resolver) {
  for (size_t i = 0; i < plan_.lanes.size(); ++i) {
    const StaticMemory memory{arenas_[i].data(), expanded_.data(), shared_.data(), weights};
    NEURONC_ASSIGN(LaneProgram program, make_program(plan_, i, memory, resolver));
    TurnLock* core = i < options_.cores.size() && plan_.lanes[i].kind == plan::LaneKind::core
                         ? options_.cores[i]
                         : nullptr;
    // On the calling thread the core is taken for the whole request.
    if (options_.threading == Threading::caller) core = nullptr;
    runners_.push_back(std::make_unique<LaneRunner>(state_, i, std::move(program), core));
  }
  is_lane_done_.resize(runners_.size());
  return Done{};
}

uint64_t Executor::memory_bytes() const {
  uint64_t sum = arena_bytes_ + plan_.shared_bytes + plan_.expanded_bytes;
  for (const plan::Channel& channel : plan_.channels) {
    sum += aligned(channel.slot_bytes) * channel.depth;
  }
  return sum;
}

void Executor::start_threads() {
  for (size_t lane = 0; lane < runners_.size(); ++lane) {
    threads_.emplace_back([this, lane] { serve_lane(lane); });
  }
}

void Executor::serve_lane(size_t lane) {
  const FloatEnvironment environment;
  TurnLock* core = plan_.lanes[lane].kind == plan::LaneKind::core && lane < options_.cores.size()
                       ? options_.cores[lane]
                       : nullptr;
  for (uint64_t sequence = 0;; ++sequence) {
    submitted_.wait_until(sequence + 1);
    if (is_stopping_.load(std::memory_order_acquire)) return;
    Place& place = places_[sequence % kMaxInFlight];
    if (core != nullptr) core->lock();
    runners_[lane]->begin(place.request);
    runners_[lane]->run(WaitMode::in_place);
    if (core != nullptr) core->unlock();
    place.finished_lanes.advance();
  }
}

Result<Done> Executor::run(const RequestIo& io) {
  return options_.threading == Threading::caller ? run_here(io) : run_on_threads(io);
}

Result<Done> Executor::run_here(const RequestIo& io) {
  TurnLock& turn = options_.cores.size() == 1 ? *options_.cores[0] : caller_turn_;
  const std::lock_guard lock(turn);
  const FloatEnvironment environment;
  Request& request = places_[0].request;
  request.reset(io, next_sequence_++);
  for (const auto& runner : runners_) runner->begin(request);
  std::fill(is_lane_done_.begin(), is_lane_done_.end(), 0);
  // The plan's verifier has shown that turns like these come to an end.
  for (size_t num_done = 0; num_done < runners_.size();) {
    for (size_t lane = 0; lane < runners_.size(); ++lane) {
      if (is_lane_done_[lane] != 0 || !runners_[lane]->run(WaitMode::give_way)) continue;
      is_lane_done_[lane] = 1;
      ++num_done;
    }
  }
  if (request.has_failed()) return tl::unexpected(request.status);
  return Done{};
}

Result<Done> Executor::run_on_threads(const RequestIo& io) {
  uint64_t sequence = 0;
  {
    // The place's last owner is waited for inside the lock: requests enter in order.
    const std::lock_guard lock(submit_mutex_);
    sequence = next_sequence_;
    Place& place = places_[sequence % kMaxInFlight];
    place.uses.wait_until(sequence / kMaxInFlight);
    place.request.reset(io, sequence);
    ++next_sequence_;
    submitted_.advance();
  }
  Place& place = places_[sequence % kMaxInFlight];
  place.finished_lanes.wait_until((sequence / kMaxInFlight + 1) * runners_.size());
  Result<Done> result = Done{};
  if (place.request.has_failed()) result = tl::unexpected(place.request.status);
  place.uses.advance();
  return result;
}

}  // namespace neuronc::runtime
