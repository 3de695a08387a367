// Implements completions.h.
#include "runtime/completions.h"

#include <utility>

#include "ir/base/thread.h"

namespace neuronc::runtime {

Completions::Completions()
    : state_(std::make_shared<State>()),
      thread_(start_thread("nrt completion", [state = state_] { state->serve(); })) {}

Completions::~Completions() {
  state_->is_stopping.store(true, std::memory_order_release);
  state_->word.signal();
  if (thread_.is_current()) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

void Completions::push(std::function<void()> action) {
  {
    const std::lock_guard lock(state_->mutex);
    state_->actions.push_back(std::move(action));
  }
  state_->word.signal();
}

namespace {
thread_local bool is_completion_thread = false;
}

bool Completions::is_current_thread() { return is_completion_thread; }

void Completions::State::serve() {
  is_completion_thread = true;
  while (true) {
    const uint32_t seen = word.now();
    std::deque<std::function<void()>> taken;
    {
      const std::lock_guard lock(mutex);
      taken.swap(actions);
    }
    for (const std::function<void()>& action : taken) action();
    if (!taken.empty()) continue;
    if (is_stopping.load(std::memory_order_acquire)) return;
    word.wait(seen);
  }
}

}  // namespace neuronc::runtime
