// Implements completions.h.
#include "runtime/completions.h"

#include <utility>

#include "ir/base/thread.h"

namespace neuronc::runtime {

Completions::Completions() : thread_(start_thread("nrt completion", [this] { serve(); })) {}

Completions::~Completions() {
  is_stopping_.store(true, std::memory_order_release);
  word_.signal();
  thread_.join();
}

void Completions::push(std::function<void()> action) {
  {
    const std::lock_guard lock(mutex_);
    actions_.push_back(std::move(action));
  }
  word_.signal();
}

namespace {
thread_local bool is_completion_thread = false;
}

bool Completions::is_current_thread() { return is_completion_thread; }

void Completions::serve() {
  is_completion_thread = true;
  while (true) {
    const uint32_t seen = word_.now();
    std::deque<std::function<void()>> actions;
    {
      const std::lock_guard lock(mutex_);
      actions.swap(actions_);
    }
    for (const std::function<void()>& action : actions) action();
    if (!actions.empty()) continue;
    if (is_stopping_.load(std::memory_order_acquire)) return;
    word_.wait(seen);
  }
}

}  // namespace neuronc::runtime
