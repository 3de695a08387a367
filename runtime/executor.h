// Executes a model's plan: the lanes of a model on several cores run on the workers of these cores,
// a model on one core on the calling thread.
//
// Requests get numbers in the order of their coming, and every lane takes them in that order; so
// channels need no more than counters. Up to kMaxInFlight requests are on their way at once.
#pragma once

#include <array>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/cores.h"
#include "runtime/lane_runner.h"
#include "runtime/node_weights.h"

namespace neuronc::runtime {

enum class Threading : uint8_t {
  automatic,  // per lane if there are several cores
  caller,     // all lanes in turns on the calling thread
  per_lane,   // each lane on its core's worker
};

struct ExecutorOptions {
  Threading threading = Threading::automatic;
  HostEvaluator* evaluator = nullptr;  // outlives the executor; may be null without host nodes
  KernelChecker* checker = nullptr;    // outlives the executor; null: native code
  // Where the model's cores are, by their number in the plan; they outlive the executor. Without
  // them it makes some for itself.
  Cores* cores = nullptr;
  std::vector<Core*> assigned;
  // With fewer processors than cores, cores' lanes share workers, which run them in turns: what a lane
  // waits for is then never kept from running. 0: those that the process may use.
  uint32_t num_processors = 0;
  // Counts requests for neuron-top; outlives the executor. Null: nobody does.
  UsageModel* usage = nullptr;
  uint32_t group = 0;  // among the model's groups of cores, for its profile
};

// How an asynchronous request ended; NRT_SUCCESS has no message.
using Completion = std::function<void(const Status& status)>;

class Executor {
 public:
  // Allocates all memory and resolves kernels. `plan` is verified and, like
  // `weights`, outlives the executor.
  // Errors: NRT_FAIL_HOST_MEM_ALLOC, NRT_INVALID (missing kernel), NRT_RESOURCE.
  static Result<std::unique_ptr<Executor>> create(const plan::Plan& plan, const std::byte* weights,
                                                  const KernelResolver& resolver,
                                                  ExecutorOptions options);
  // No request may be running.
  ~Executor();

  // Runs one request to its end; callable from many threads at once.
  Result<Done> run(const RequestIo& io);

  // The same until a deadline. Errors: NRT_TIMEOUT, with the core and the step where the request
  // was (it has left the model then), or without them if it came too late to begin.
  // NRT_EXEC_UNIT_UNRECOVERABLE if it did not even end when it was told to: `io` and what it points
  // to must stay, and the model is of no use until it ends.
  Result<Done> run_until(const RequestIo& io, Deadline deadline);

  // Starts a request; `io` stays until `completion` is called, on the thread of Cores::completions. No
  // lane and no other caller waits for that thread. Errors: NRT_QUEUE_FULL.
  Result<Done> submit(const RequestIo& io, Completion completion);

  // Whether a request does not end.
  bool is_stuck() const {
    const Place* place = stuck_.load(std::memory_order_acquire);
    return place != nullptr && !place->is_done.load(std::memory_order_acquire);
  }

  // On their way here; a request counts from when it is given to when its result is taken.
  uint32_t num_requests() const { return num_requests_.load(std::memory_order_relaxed); }

  // Requests that come from now on are recorded there; null: no longer.
  void set_profile(std::shared_ptr<Profile> profile);

  uint64_t arena_bytes() const { return arena_bytes_; }
  // Of the model's own: arenas, channels, shared memory, and what the pool keeps now.
  uint64_t memory_bytes() const;

 private:
  static constexpr uint64_t kMaxInFlight = 32;

  // A place in the ring of requests on their way.
  struct Place : WorkerTask {
    Executor* executor = nullptr;
    Request request;
    std::atomic<size_t> num_finished_lanes{0};
    std::atomic<bool> is_done{false};
    WakeWord done;  // its waiter is who runs the request
    std::atomic<bool> is_taken{false};
    Completion completion;
    int64_t begin_ns = 0;  // of a request with a completion

    State run() override;  // a request of a one-core model, on the core's worker
  };

  // A lane as the task of its core's worker.
  struct LaneTask : WorkerTask {
    Executor* executor = nullptr;
    size_t lane = 0;
    std::atomic<uint64_t> sequence{0};  // of the next request, or the one that runs
    bool is_running = false;
    std::atomic<bool> is_pushed{false};

    State run() override;
    State rest();
  };

  Executor(const plan::Plan& plan, ExecutorOptions options);
  Result<Done> allocate();
  Result<Done> place_weights(const std::byte* weights);
  Result<Done> make_runners(const KernelResolver& resolver);
  Result<Done> find_cores();
  Result<Done> find_workers();
  Result<Done> run_here(const RequestIo& io);
  void run_lanes(Request& request);
  void begin_profile(Request& request);
  static void end_profile(Request& request);

  bool is_next_place_free() const {
    return !places_[next_sequence_ % kMaxInFlight].is_taken.load(std::memory_order_seq_cst);
  }
  // Under submit_mutex_; false if the deadline came first.
  bool wait_for_place(std::unique_lock<std::mutex>& lock, const Deadline* deadline);
  // The place of the new request; waits for one. Errors: NRT_TIMEOUT.
  Result<Place*> enter(const RequestIo& io, Completion completion,
                       const Deadline* deadline = nullptr);
  void finish(Place& place);
  void leave(Place& place);
  static bool wait_until_done(Place& place, const Deadline* deadline);
  Result<Done> take_result(Place& place);
  Result<Done> give_up(Place& place);
  Result<Done> check_stuck();
  std::string describe_position(const Place& place) const;

  // Counts a request while the caller waits for it.
  class Counted {
   public:
    explicit Counted(Executor& executor) : executor_(executor) { executor_.count_begin(); }
    ~Counted() { executor_.count_end(begin_ns_, has_failed_); }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

    // Passes on how the request ended.
    Result<Done> operator()(Result<Done> result) {
      has_failed_ = !result;
      return result;
    }

   private:
    Executor& executor_;
    int64_t begin_ns_ = now_ns();
    bool has_failed_ = true;
  };
  void count_begin();
  void count_end(int64_t begin_ns, bool has_failed);
  void count_pool();

  const plan::Plan& plan_;
  ExecutorOptions options_;
  std::atomic<uint32_t> num_requests_{0};
  std::unique_ptr<Cores> own_cores_;
  uint64_t arena_bytes_ = 0;
  NodeWeights weights_;
  std::atomic<bool> is_profiled_{false};
  std::mutex profile_mutex_;
  std::shared_ptr<Profile> profile_;
  std::vector<Memory> shared_;  // by team
  std::vector<Memory> arenas_;
  std::vector<Memory> slots_;
  TensorPool pool_;  // of host operators
  std::atomic<uint64_t> counted_pool_bytes_{0};
  ModelState state_;
  std::vector<std::unique_ptr<LaneRunner>> runners_;
  std::vector<std::unique_ptr<LaneTask>> tasks_;  // by lane; none on the calling thread

  // Threading::caller, under the core's turn.
  TurnLock caller_turn_;
  Request caller_request_;
  std::vector<uint8_t> is_lane_done_;
  uint64_t caller_sequence_ = 0;

  std::atomic<uint64_t> num_submitted_{0};  // whose completions were not called yet
  std::mutex submit_mutex_;
  std::atomic<uint32_t> num_waiting_{0};  // for a place
  std::condition_variable place_left_;
  uint64_t next_sequence_ = 0;
  Counter submitted_;
  std::array<Place, kMaxInFlight> places_;
  std::atomic<Place*> stuck_{nullptr};
};

}  // namespace neuronc::runtime
