// The NeuronCores that this process sees: logical cores of which each runs one model at a time.
//
// The host stands for chips of four cores. There are as many as it has processors, at least
// sixteen cores, so that models for several cores run, and give the same bits, on any machine.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/completions.h"
#include "runtime/publication.h"
#include "runtime/status.h"
#include "runtime/sync.h"
#include "runtime/topology.h"
#include "runtime/worker.h"

namespace neuronc::runtime {

inline constexpr uint32_t kCoresPerChip = 4;

// Of the machine.
uint32_t total_cores();

// Parses NEURON_RT_VISIBLE_CORES ("0-3,5") into logical ids below `total`.
// Errors: NRT_INVALID with the text in question.
Result<std::vector<uint32_t>> parse_visible_cores(std::string_view text, uint32_t total);

// A logical core: its turn, and the threads of its work, which are started when they are first
// asked for. Models on one core run on the calling thread and need none.
class Core {
 public:
  explicit Core(uint32_t id) : id_(id) {}

  uint32_t id() const { return id_; }
  // The NUMA node that the worker stays on; -1: it may run anywhere.
  int node() const { return node_; }
  TurnLock& turn() { return turn_; }
  // Time in which the core ran, for neuron-top.
  void add_busy_ns(int64_t time_ns) {
    busy_ns_.load(std::memory_order_relaxed)
        ->fetch_add(static_cast<uint64_t>(time_ns), std::memory_order_relaxed);
  }
  // Errors: NRT_RESOURCE.
  Result<Worker*> worker();
  // Runs the host lanes of models that begin on this core.
  Result<Worker*> host_worker();

 private:
  friend class Cores;

  uint32_t id_;
  uint32_t num_models_ = 0;
  int processor_ = -1;  // that the worker stays on
  int node_ = -1;
  std::atomic<uint64_t> own_busy_ns_{0};  // where nothing is published
  std::atomic<std::atomic<uint64_t>*> busy_ns_{&own_busy_ns_};
  TurnLock turn_;
  TurnLock host_turn_;
  std::mutex mutex_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<Worker> host_worker_;
};

class Cores {
 public:
  // Reads NEURON_RT_VISIBLE_CORES or NEURON_RT_NUM_CORES; without them all cores are visible. Workers
  // stay on processors with NEURON_RT_PIN=1, and without it where the visible cores are named: other
  // processes then have others.
  static Result<std::unique_ptr<Cores>> from_environment();
  explicit Cores(std::vector<uint32_t> ids);

  // Keeps the workers, none of which runs yet, on the processors that stand for their cores, as far as
  // there are any.
  void pin(const Topology& topology);
  // The same cores without models, for the child of a fork.
  std::shared_ptr<Cores> remade() const;

  uint32_t num_visible() const { return static_cast<uint32_t>(cores_.size()); }

  // Puts a model on `count` neighbouring cores from `start`, or, for a negative start, where the
  // fewest models are. Errors: NRT_LOAD_NOT_ENOUGH_NC, NRT_INVALID.
  Result<std::vector<Core*>> assign(int32_t start, uint32_t count);
  void release(const std::vector<Core*>& cores);

  // What this process shows of itself, made when it is first asked for; null before.
  std::shared_ptr<Publication> publish();
  std::shared_ptr<Publication> publication() const;
  // In the child, where another thread of the parent may have held the lock.
  std::shared_ptr<Publication> publication_after_fork() const { return publication_; }

  // Tells callers that their requests are done. Errors: NRT_RESOURCE.
  Result<Completions*> completions();
  std::vector<uint32_t> ids() const;

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<Publication> publication_;
  std::unique_ptr<Completions> completions_;
  std::vector<std::unique_ptr<Core>> cores_;
  Topology topology_;  // without processors: nothing is pinned
};

}  // namespace neuronc::runtime
