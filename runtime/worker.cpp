// Implements worker.h.
#include "runtime/worker.h"

#include <algorithm>
#include <utility>

#include "ir/base/thread.h"

namespace neuronc::runtime {

Worker::Worker(const std::string& name, TurnLock& turn, BusyCounter count_busy)
    : turn_(turn),
      count_busy_(std::move(count_busy)),
      thread_(start_thread(name, [this] { serve(); })) {}

Worker::~Worker() {
  is_stopping_.store(true, std::memory_order_release);
  word_.signal();
  thread_.join();
}

void Worker::push(WorkerTask& task) {
  WorkerTask* head = inbox_.load(std::memory_order_relaxed);
  do {
    task.next_ = head;
  } while (!inbox_.compare_exchange_weak(head, &task, std::memory_order_release,
                                         std::memory_order_relaxed));
  word_.signal();
}

void Worker::forget(WorkerTask& task) {
  const std::lock_guard lock(forget_mutex_);
  forgotten_.store(&task, std::memory_order_release);
  word_.signal();
  while (true) {
    const uint32_t seen = forgot_.now();
    if (forgotten_.load(std::memory_order_acquire) == nullptr) return;
    forgot_.wait(seen);
  }
}

void Worker::take_in() {
  const auto first_new = static_cast<std::ptrdiff_t>(tasks_.size());
  if (inbox_.load(std::memory_order_relaxed) != nullptr) {
    WorkerTask* task = inbox_.exchange(nullptr, std::memory_order_acquire);
    for (; task != nullptr; task = task->next_) tasks_.push_back(task);
    std::reverse(tasks_.begin() + first_new, tasks_.end());
  }
  if (WorkerTask* task = forgotten_.load(std::memory_order_acquire)) {
    std::erase(tasks_, task);
    forgotten_.store(nullptr, std::memory_order_release);
    forgot_.signal();
  }
}

// False if all that are left wait for others.
bool Worker::run_tasks() {
  if (tasks_.empty()) return false;
  bool is_runnable = false;
  const std::lock_guard lock(turn_);
  const Awake awake;
  const int64_t begin_ns = now_ns();
  size_t num_kept = 0;
  for (size_t i = 0; i < tasks_.size(); ++i) {
    // An idle task may be gone as soon as it has said so.
    WorkerTask* const task = tasks_[i];
    const WorkerTask::State state = task->run();
    if (state != WorkerTask::State::idle) tasks_[num_kept++] = task;
    is_runnable |= state == WorkerTask::State::runnable;
  }
  tasks_.resize(num_kept);
  if (count_busy_ != nullptr) count_busy_(now_ns() - begin_ns);
  return is_runnable;
}

void Worker::serve() {
  while (true) {
    const uint32_t seen = word_.now();
    take_in();
    if (is_stopping_.load(std::memory_order_acquire)) return;
    if (!run_tasks()) word_.wait(seen);
  }
}

}  // namespace neuronc::runtime
