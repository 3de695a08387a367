// Executes a model's plan: one thread per lane for models on several cores, the calling thread for
// models on one.
//
// Requests get numbers in the order of their coming, and every lane takes them in that order; so
// channels need no more than counters. Up to kMaxInFlight requests are on their way at once.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/lane_runner.h"

namespace neuronc::runtime {

enum class Threading : uint8_t {
  automatic,  // a thread per lane if there are several cores
  caller,     // all lanes in turns on the calling thread
  per_lane,
};

struct ExecutorOptions {
  Threading threading = Threading::automatic;
  HostEvaluator* evaluator = nullptr;  // outlives the executor; may be null without host nodes
  KernelChecker* checker = nullptr;    // outlives the executor; null: native code
  std::vector<TurnLock*> cores;        // one per core lane
};

class Executor {
 public:
  // Allocates all memory, resolves kernels and runs the init lists. `plan` is verified and, like
  // `weights`, outlives the executor.
  // Errors: NRT_FAIL_HOST_MEM_ALLOC, NRT_INVALID (missing kernel), or those of init.
  static Result<std::unique_ptr<Executor>> create(const plan::Plan& plan, const std::byte* weights,
                                                  const KernelResolver& resolver,
                                                  ExecutorOptions options);
  // No request may be running.
  ~Executor();

  // Runs one request to its end; callable from many threads at once.
  Result<Done> run(const RequestIo& io);

  uint64_t arena_bytes() const { return arena_bytes_; }
  // Of the model's own: arenas, channels, shared and expanded memory.
  uint64_t memory_bytes() const;

 private:
  static constexpr uint64_t kMaxInFlight = 32;

  // A place in the ring; places are reused, so that waking a finished request's owner never
  // touches memory that the owner has freed.
  struct Place {
    Request request;
    Counter finished_lanes;  // over the executor's life
    Counter uses;            // requests that have left the place
  };

  Executor(const plan::Plan& plan, ExecutorOptions options);
  Result<Done> allocate();
  Result<Done> make_runners(const std::byte* weights, const KernelResolver& resolver);
  void start_threads();
  void serve_lane(size_t lane);
  Result<Done> run_here(const RequestIo& io);
  Result<Done> run_on_threads(const RequestIo& io);

  const plan::Plan& plan_;
  ExecutorOptions options_;
  uint64_t arena_bytes_ = 0;
  Memory shared_;
  Memory expanded_;
  std::vector<Memory> arenas_;
  std::vector<Memory> slots_;
  ModelState state_;
  std::vector<std::unique_ptr<LaneRunner>> runners_;

  TurnLock caller_turn_;  // Threading::caller: one request at a time
  std::vector<uint8_t> is_lane_done_;
  std::mutex submit_mutex_;
  uint64_t next_sequence_ = 0;
  Counter submitted_;
  std::atomic<bool> is_stopping_{false};
  std::array<Place, kMaxInFlight> places_;
  std::vector<std::thread> threads_;
};

}  // namespace neuronc::runtime
