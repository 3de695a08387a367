// The thread that tells callers of asynchronous requests that they are done, so that no code of a
// caller's runs on a NeuronCore's worker.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

#include "ir/base/thread.h"
#include "runtime/sync.h"

namespace neuronc::runtime {

class Completions {
 public:
  // Throws std::system_error if there is no thread.
  Completions();
  // Runs what is left. On the thread itself, which may be the last to know of the cores, it ends then.
  ~Completions();
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;

  static bool is_current_thread();

  // Calls `action` on the thread, in the order of coming.
  void push(std::function<void()> action);

 private:
  struct State {
    std::mutex mutex;
    std::deque<std::function<void()>> actions;
    WakeWord word;
    std::atomic<bool> is_stopping{false};

    void serve();
  };

  std::shared_ptr<State> state_;
  Thread thread_;
};

}  // namespace neuronc::runtime
