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

#include "runtime/status.h"
#include "runtime/sync.h"

namespace neuronc::runtime {

inline constexpr uint32_t kCoresPerChip = 4;

// Of the machine.
uint32_t total_cores();

// Parses NEURON_RT_VISIBLE_CORES ("0-3,5") into logical ids below `total`.
// Errors: NRT_INVALID with the text in question.
Result<std::vector<uint32_t>> parse_visible_cores(std::string_view text, uint32_t total);

class Cores {
 public:
  // Reads NEURON_RT_VISIBLE_CORES or NEURON_RT_NUM_CORES; without them all cores are visible.
  static Result<std::unique_ptr<Cores>> from_environment();
  explicit Cores(std::vector<uint32_t> ids);

  uint32_t num_visible() const { return static_cast<uint32_t>(cores_.size()); }

  // Puts a model on `count` neighbouring cores from `start`, or, for a negative start, where the
  // fewest models are. Errors: NRT_LOAD_NOT_ENOUGH_NC, NRT_INVALID.
  Result<std::vector<TurnLock*>> assign(int32_t start, uint32_t count);
  void release(const std::vector<TurnLock*>& cores);

 private:
  struct Core {
    uint32_t id = 0;
    uint32_t num_models = 0;
    TurnLock turn;
  };
  std::mutex mutex_;
  std::vector<std::unique_ptr<Core>> cores_;
};

}  // namespace neuronc::runtime
