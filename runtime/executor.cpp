// Setting up a model's memory and lanes, and taking requests through them.
#include "runtime/executor.h"

#include <xmmintrin.h>

#include <algorithm>

#include "ir/base/thread.h"

namespace neuronc::runtime {
namespace {

// How long a request that is told to end may take for the kernels that it is in.
constexpr std::chrono::seconds kGrace{1};

// Most of what the host operators of a request make in turns; larger tensors are rare, and idle
// models should not hold them.
constexpr uint64_t kMostPooledBytes = uint64_t{64} << 20;

// Kernels are defined for the default floating-point environment: round to nearest, denormals kept,
// nothing trapped. Whatever the calling thread had comes back; kernels use nothing of it but this
// word.
class VectorEnvironment {
 public:
  VectorEnvironment() : saved_(_mm_getcsr()) { _mm_setcsr(kDefault); }
  ~VectorEnvironment() { _mm_setcsr(saved_); }
  VectorEnvironment(const VectorEnvironment&) = delete;
  VectorEnvironment& operator=(const VectorEnvironment&) = delete;

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
    : plan_(plan), options_(std::move(options)), pool_(kMostPooledBytes) {
  if (options_.threading == Threading::automatic) {
    options_.threading = num_cores(plan) > 1 ? Threading::per_lane : Threading::caller;
  }
  state_.plan = &plan_;
  state_.evaluator = options_.evaluator;
  state_.checker = options_.checker;
  state_.pool = &pool_;
  for (Place& place : places_) place.executor = this;
}

Result<std::unique_ptr<Executor>> Executor::create(const plan::Plan& plan, const std::byte* weights,
                                                   const KernelResolver& resolver,
                                                   ExecutorOptions options) {
  std::unique_ptr<Executor> executor(new Executor(plan, std::move(options)));
  NEURONC_TRY(executor->allocate());
  NEURONC_TRY(executor->find_cores());
  NEURONC_TRY(executor->place_weights(weights));
  NEURONC_TRY(executor->make_runners(resolver));
  if (executor->options_.threading == Threading::per_lane) NEURONC_TRY(executor->find_workers());
  return executor;
}

Executor::~Executor() {
  for (const std::unique_ptr<LaneTask>& task : tasks_) state_.workers[task->lane]->forget(*task);
  // A place's task is idle, and its worker may be on its way back from it.
  if (options_.threading == Threading::caller && next_sequence_ > 0) {
    if (auto worker = options_.assigned[0]->worker()) (*worker)->forget(places_[0]);
  }
}

Result<Done> Executor::allocate() {
  for (const plan::Team& team : plan_.teams) {
    NEURONC_ASSIGN(Memory shared, Memory::allocate(team.shared_bytes));
    shared_.push_back(std::move(shared));
    state_.teams.push_back(std::make_unique<TeamState>());
  }
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
    for (size_t i = 0; i < channel.producers.size(); ++i) {
      state->sent.push_back(std::make_unique<Counter>());
    }
    for (size_t i = 0; i < channel.consumers.size(); ++i) {
      state->released.push_back(std::make_unique<Counter>());
    }
    state_.channels.push_back(std::move(state));
  }
  return Done{};
}

// Lanes on the calling thread run anywhere.
Result<Done> Executor::place_weights(const std::byte* weights) {
  std::vector<int> nodes(plan_.lanes.size(), -1);
  for (size_t lane = 0; lane < nodes.size(); ++lane) {
    const plan::Lane& description = plan_.lanes[lane];
    const bool is_on_worker = options_.threading == Threading::per_lane;
    if (!is_on_worker || description.kind != plan::LaneKind::core) continue;
    nodes[lane] = options_.assigned[description.core]->node();
  }
  NEURONC_ASSIGN(weights_, NodeWeights::copy(plan_, weights, nodes));
  return Done{};
}

Result<Done> Executor::make_runners(const KernelResolver& resolver) {
  for (size_t i = 0; i < plan_.lanes.size(); ++i) {
    const plan::Team* team = plan::team_of(plan_, i);
    std::byte* shared = team == nullptr ? nullptr : shared_[team - plan_.teams.data()].data();
    const StaticMemory memory{arenas_[i].data(), shared, weights_.of_lane(i)};
    NEURONC_ASSIGN(LaneProgram program, make_program(plan_, i, memory, resolver));
    runners_.push_back(std::make_unique<LaneRunner>(state_, i, std::move(program)));
  }
  is_lane_done_.resize(runners_.size());
  return Done{};
}

Result<Done> Executor::find_cores() {
  const uint32_t needed = std::max<uint32_t>(num_cores(plan_), 1);
  if (options_.assigned.size() >= needed) return Done{};
  std::vector<uint32_t> ids(needed);
  for (uint32_t i = 0; i < needed; ++i) ids[i] = i;
  own_cores_ = std::make_unique<Cores>(std::move(ids));
  options_.cores = own_cores_.get();
  NEURONC_ASSIGN(options_.assigned, own_cores_->assign(0, needed));
  return Done{};
}

Result<Done> Executor::find_workers() {
  const uint32_t usable =
      options_.num_processors > 0 ? options_.num_processors : num_usable_processors();
  const uint32_t num_cores = plan::num_cores(plan_);
  const uint32_t num_workers = std::min(usable, num_cores);
  state_.lanes_share_workers = num_workers < num_cores;
  for (size_t lane = 0; lane < plan_.lanes.size(); ++lane) {
    const bool is_host = plan_.lanes[lane].kind == plan::LaneKind::host;
    // Neighbours share, which also hand over to each other.
    const uint32_t place = is_host ? 0 : plan_.lanes[lane].core * num_workers / num_cores;
    Core& core = *options_.assigned[place];
    NEURONC_ASSIGN(Worker * worker, is_host ? core.host_worker() : core.worker());
    state_.workers.push_back(worker);
  }
  for (size_t lane = 0; lane < plan_.lanes.size(); ++lane) {
    auto task = std::make_unique<LaneTask>();
    task->executor = this;
    task->lane = lane;
    tasks_.push_back(std::move(task));
  }
  return Done{};
}

uint64_t Executor::memory_bytes() const {
  uint64_t sum = arena_bytes_ + weights_.copied_bytes() + pool_.kept_bytes();
  for (const plan::Team& team : plan_.teams) sum += team.shared_bytes;
  for (const plan::Channel& channel : plan_.channels) {
    sum += aligned(channel.slot_bytes) * channel.depth;
  }
  return sum;
}

// --- Counters ----------------------------------------------------------------------------------

void Executor::count_begin() {
  num_requests_.fetch_add(1, std::memory_order_relaxed);
  if (options_.usage != nullptr) {
    options_.usage->num_in_flight.fetch_add(1, std::memory_order_relaxed);
  }
}

void Executor::count_end(int64_t begin_ns, bool has_failed) {
  num_requests_.fetch_sub(1, std::memory_order_relaxed);
  UsageModel* usage = options_.usage;
  if (usage == nullptr) return;
  if (options_.evaluator != nullptr) count_pool();
  usage->num_in_flight.fetch_sub(1, std::memory_order_relaxed);
  usage->latency_ns.fetch_add(static_cast<uint64_t>(now_ns() - begin_ns),
                              std::memory_order_relaxed);
  if (has_failed) usage->num_failures.fetch_add(1, std::memory_order_relaxed);
  usage->num_requests.fetch_add(1, std::memory_order_relaxed);
}

void Executor::count_pool() {
  const uint64_t now = pool_.kept_bytes();
  const uint64_t before = counted_pool_bytes_.exchange(now, std::memory_order_relaxed);
  options_.usage->memory_bytes.fetch_add(now - before, std::memory_order_relaxed);
}

// --- Profiles ----------------------------------------------------------------------------------

void Executor::set_profile(std::shared_ptr<Profile> profile) {
  const std::lock_guard lock(profile_mutex_);
  is_profiled_.store(profile != nullptr, std::memory_order_relaxed);
  profile_ = std::move(profile);
}

// Before any lane sees the request.
void Executor::begin_profile(Request& request) {
  if (!is_profiled_.load(std::memory_order_relaxed)) return;
  {
    const std::lock_guard lock(profile_mutex_);
    request.profile = profile_;
  }
  if (request.profile == nullptr) return;
  request.profile_number = request.profile->begin_request(options_.group);
  if (request.profile_number == Profile::kNotProfiled) request.profile = nullptr;
}

// When all lanes are done with it.
void Executor::end_profile(Request& request) {
  if (request.profile == nullptr) return;
  request.profile->end_request(request.profile_number);
  request.profile = nullptr;
}

// --- On the calling thread, or whole requests on a worker --------------------------------------

void Executor::run_lanes(Request& request) {
  const VectorEnvironment environment;
  request.sequence = caller_sequence_++;
  for (const auto& runner : runners_) runner->begin(request);
  std::fill(is_lane_done_.begin(), is_lane_done_.end(), 0);
  // The plan's verifier has shown that turns like these come to an end.
  for (size_t num_done = 0; num_done < runners_.size();) {
    for (size_t lane = 0; lane < runners_.size(); ++lane) {
      if (is_lane_done_[lane] != 0 || !runners_[lane]->run()) continue;
      is_lane_done_[lane] = 1;
      ++num_done;
    }
  }
}

Result<Done> Executor::run_here(const RequestIo& io) {
  const bool has_one_core = options_.assigned.size() == 1;
  const std::lock_guard lock(has_one_core ? options_.assigned[0]->turn() : caller_turn_);
  const Awake awake;
  const int64_t begin_ns = now_ns();
  caller_request_.reset(io, 0);
  begin_profile(caller_request_);
  run_lanes(caller_request_);
  end_profile(caller_request_);
  options_.assigned[0]->add_busy_ns(now_ns() - begin_ns);
  if (caller_request_.has_failed()) return tl::unexpected(caller_request_.status);
  return Done{};
}

WorkerTask::State Executor::Place::run() {
  {
    // The worker has the turn of the first core, which is all that run_here() takes on one core.
    std::unique_lock lock(executor->caller_turn_, std::defer_lock);
    if (executor->options_.assigned.size() != 1) lock.lock();
    executor->run_lanes(request);
  }
  executor->finish(*this);
  return State::idle;
}

// --- On the cores' workers ---------------------------------------------------------------------

WorkerTask::State Executor::LaneTask::run() {
  const uint64_t current = sequence.load(std::memory_order_relaxed);
  Place& place = executor->places_[current % kMaxInFlight];
  if (!is_running) {
    if (!executor->submitted_.has_reached(current + 1)) return rest();
    executor->runners_[lane]->begin(place.request);
    is_running = true;
  }
  if (!executor->runners_[lane]->run()) return State::waiting;
  is_running = false;
  sequence.store(current + 1, std::memory_order_relaxed);
  const size_t num_lanes = executor->runners_.size();
  if (place.num_finished_lanes.fetch_add(1, std::memory_order_acq_rel) + 1 == num_lanes) {
    executor->finish(place);
  }
  return executor->submitted_.has_reached(current + 2) ? State::runnable : rest();
}

// A request that comes while the task leaves its worker either sees it gone and pushes it again, or
// has been counted before and is seen here.
WorkerTask::State Executor::LaneTask::rest() {
  is_pushed.exchange(false, std::memory_order_acq_rel);
  if (!executor->submitted_.has_reached(sequence.load(std::memory_order_relaxed) + 1)) {
    return State::idle;
  }
  return is_pushed.exchange(true, std::memory_order_acq_rel) ? State::idle : State::runnable;
}

// Lanes free a place, or who takes the result; never the thread of the completions, which may itself
// want to enter.
bool Executor::wait_for_place(std::unique_lock<std::mutex>& lock, const Deadline* deadline) {
  if (is_next_place_free()) return true;
  num_waiting_.fetch_add(1, std::memory_order_seq_cst);
  const auto is_free = [this] { return is_next_place_free(); };
  bool is_found = true;
  if (deadline == nullptr) {
    place_left_.wait(lock, is_free);
  } else {
    is_found = place_left_.wait_until(lock, *deadline, is_free);
  }
  num_waiting_.fetch_sub(1, std::memory_order_relaxed);
  return is_found;
}

Result<Executor::Place*> Executor::enter(const RequestIo& io, Completion completion,
                                         const Deadline* deadline) {
  std::unique_lock lock(submit_mutex_);
  NEURONC_TRY(check_stuck());
  Worker* worker = nullptr;
  if (options_.threading == Threading::caller) {
    NEURONC_ASSIGN(worker, options_.assigned[0]->worker());
  }
  if (!wait_for_place(lock, deadline)) {
    return fail(NRT_TIMEOUT, "the deadline passed while {} requests before it were on their way",
                kMaxInFlight);
  }
  if (deadline != nullptr && Clock::now() >= *deadline) {
    return fail(NRT_TIMEOUT, "the deadline passed before the request began");
  }
  Place& place = places_[next_sequence_ % kMaxInFlight];
  place.is_taken.store(true, std::memory_order_relaxed);
  place.is_done.store(false, std::memory_order_relaxed);
  place.num_finished_lanes.store(0, std::memory_order_relaxed);
  place.completion = std::move(completion);
  if (place.completion != nullptr) place.begin_ns = now_ns();
  place.request.reset(io, worker != nullptr ? 0 : next_sequence_);
  begin_profile(place.request);
  ++next_sequence_;
  if (num_waiting_.load(std::memory_order_relaxed) > 0 && is_next_place_free()) {
    place_left_.notify_one();
  }
  if (worker != nullptr) {
    worker->push(place);
    return &place;
  }
  submitted_.advance();
  for (const std::unique_ptr<LaneTask>& task : tasks_) {
    if (!task->is_pushed.exchange(true, std::memory_order_acq_rel)) {
      state_.workers[task->lane]->push(*task);
    }
  }
  return &place;
}

void Executor::finish(Place& place) {
  end_profile(place.request);
  if (place.completion == nullptr) {
    place.is_done.store(true, std::memory_order_release);
    place.done.signal();
    return;
  }
  // The place is free for others before the completion is called.
  const Status status = place.request.has_failed() ? place.request.status : Status{};
  const int64_t begin_ns = place.begin_ns;
  const Completion completion = std::move(place.completion);
  leave(place);
  Result<Completions*> completions = options_.cores->completions();
  (*completions)->push([this, begin_ns, completion, status] {
    count_end(begin_ns, status.code != NRT_SUCCESS);
    num_submitted_.fetch_sub(1, std::memory_order_relaxed);
    completion(status);
  });
}

// Who waits has counted itself before it looks at the place, and sees it free or is seen here. Places
// may be left in another order than they were taken: each who enters passes the word on.
void Executor::leave(Place& place) {
  place.completion = nullptr;
  place.is_taken.store(false, std::memory_order_seq_cst);
  if (num_waiting_.load(std::memory_order_seq_cst) == 0) return;
  {
    const std::lock_guard lock(submit_mutex_);
  }
  place_left_.notify_one();
}

bool Executor::wait_until_done(Place& place, const Deadline* deadline) {
  while (true) {
    const uint32_t seen = place.done.now();
    if (place.is_done.load(std::memory_order_acquire)) return true;
    if (!place.done.wait(seen, deadline)) return place.is_done.load(std::memory_order_acquire);
  }
}

Result<Done> Executor::take_result(Place& place) {
  Result<Done> result = Done{};
  if (place.request.has_failed()) result = tl::unexpected(place.request.status);
  leave(place);
  return result;
}

Result<Done> Executor::run(const RequestIo& io) {
  Counted counted(*this);
  if (options_.threading == Threading::caller) {
    if (is_stuck()) {
      const std::lock_guard lock(submit_mutex_);
      NEURONC_TRY(check_stuck());
    }
    return counted(run_here(io));
  }
  NEURONC_ASSIGN(Place * place, enter(io, nullptr));
  wait_until_done(*place, nullptr);
  return counted(take_result(*place));
}

Result<Done> Executor::run_until(const RequestIo& io, Deadline deadline) {
  Counted counted(*this);
  NEURONC_ASSIGN(Place * place, enter(io, nullptr, &deadline));
  if (wait_until_done(*place, &deadline)) return counted(take_result(*place));
  return counted(give_up(*place));
}

Result<Done> Executor::submit(const RequestIo& io, Completion completion) {
  // Started here, where there is somebody to tell if it cannot be.
  NEURONC_TRY(options_.cores->completions());
  if (num_submitted_.fetch_add(1, std::memory_order_relaxed) >= kMaxInFlight) {
    num_submitted_.fetch_sub(1, std::memory_order_relaxed);
    return fail(NRT_QUEUE_FULL, "{} requests are on their way; wait for one to complete",
                kMaxInFlight);
  }
  count_begin();
  const auto entered = enter(io, std::move(completion));
  if (entered) return Done{};
  // It was never on its way.
  num_submitted_.fetch_sub(1, std::memory_order_relaxed);
  num_requests_.fetch_sub(1, std::memory_order_relaxed);
  if (options_.usage != nullptr) {
    options_.usage->num_in_flight.fetch_sub(1, std::memory_order_relaxed);
  }
  return tl::unexpected(entered.error());
}

// Lanes skip the steps of a request that has failed, so that it ends with the kernels that run.
Result<Done> Executor::give_up(Place& place) {
  const std::string position = describe_position(place);
  place.request.fail(NRT_TIMEOUT,
                     fmt::format("the deadline passed; the request was at {}", position));
  const Deadline last = Clock::now() + kGrace;
  if (wait_until_done(place, &last)) return take_result(place);
  stuck_.store(&place, std::memory_order_release);
  return fail(NRT_EXEC_UNIT_UNRECOVERABLE,
              "the request does not end: it is at {}; its tensors must stay, and the model cannot "
              "be used or unloaded until it does",
              describe_position(place));
}

// Under submit_mutex_.
Result<Done> Executor::check_stuck() {
  Place* place = stuck_.load(std::memory_order_acquire);
  if (place == nullptr) return Done{};
  if (!place->is_done.load(std::memory_order_acquire)) {
    return fail(NRT_EXEC_UNIT_UNRECOVERABLE, "an earlier request does not end: it is at {}",
                describe_position(*place));
  }
  if (stuck_.compare_exchange_strong(place, nullptr)) {
    place->is_taken.store(false, std::memory_order_relaxed);
    place_left_.notify_one();
  }
  return Done{};
}

std::string Executor::describe_position(const Place& place) const {
  std::string text;
  for (size_t lane = 0; lane < runners_.size(); ++lane) {
    const bool has_left =
        !tasks_.empty() &&
        tasks_[lane]->sequence.load(std::memory_order_relaxed) > place.request.sequence;
    if (has_left) continue;
    if (!text.empty()) text += "; ";
    text += runners_[lane]->describe_position();
  }
  return text.empty() ? "its end" : text;
}

}  // namespace neuronc::runtime
