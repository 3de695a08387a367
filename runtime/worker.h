// The thread of a NeuronCore: it runs the tasks of all models on that core in turns.
//
// A task never blocks the worker: where it would have to wait for another lane it returns, and the
// worker looks at its other tasks; so models that share cores in different orders cannot block each
// other. A worker without anything to do waits on its own word, whatever else goes on in the
// process.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "ir/base/thread.h"
#include "runtime/sync.h"
#include "runtime/topology.h"

namespace neuronc::runtime {

// Something that a worker runs until it says that it has nothing left to do.
class WorkerTask {
 public:
  enum class State : uint8_t {
    runnable,  // a request is done and the next one is there: others may go first
    waiting,   // for another lane, whose signal() will come
    idle,      // nothing to do; it was taken off the worker and may be pushed again
  };

  virtual ~WorkerTask() = default;

 private:
  friend class Worker;
  // Called on the worker's thread only. Before it gives `idle` it makes itself ready to be pushed.
  virtual State run() = 0;

  WorkerTask* next_ = nullptr;  // in the inbox
};

class Worker {
 public:
  // Is told how long tasks ran; may be null.
  using BusyCounter = std::function<void(int64_t time_ns)>;

  // Tasks run while they hold `turn`. Throws std::system_error if there is no thread.
  Worker(const std::string& name, TurnLock& turn, BusyCounter count_busy = nullptr);
  // No task may be left.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Keeps the thread on one processor.
  void pin(int processor) { pin_thread(thread_, processor); }
  // Hands over a task that is idle; tasks start in the order of their coming.
  void push(WorkerTask& task);
  // Something that a task of this worker waits for may have happened.
  void signal() { word_.signal(); }
  // Returns when the worker does not know the task any more, which has no more work.
  void forget(WorkerTask& task);

 private:
  void serve();
  void take_in();
  bool run_tasks();

  TurnLock& turn_;
  BusyCounter count_busy_;
  WakeWord word_;
  std::atomic<WorkerTask*> inbox_{nullptr};  // the newest first
  std::atomic<bool> is_stopping_{false};
  std::vector<WorkerTask*> tasks_;  // of the worker's thread

  std::mutex forget_mutex_;
  std::atomic<WorkerTask*> forgotten_{nullptr};
  WakeWord forgot_;

  Thread thread_;
};

}  // namespace neuronc::runtime
