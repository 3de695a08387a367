// How lanes wait for each other: counters that only grow, and a lock for taking turns.
//
// A hand-off to a parked thread costs tens of microseconds, more than many kernels; so waiting
// spins briefly first. Spinning on a machine of one processor would only delay the other side.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <thread>

namespace neuronc::runtime {

inline int spin_limit() {
  static const int limit = std::thread::hardware_concurrency() > 1 ? 2000 : 0;
  return limit;
}

inline void pause_cpu() { __builtin_ia32_pause(); }

// A count of events; waiters wait until it reaches a number.
class Counter {
 public:
  bool has_reached(uint64_t target) const {
    return value_.load(std::memory_order_acquire) >= target;
  }
  void advance() {
    value_.fetch_add(1, std::memory_order_release);
    value_.notify_all();
  }
  // The number of events including this one.
  uint64_t advance_and_get() {
    const uint64_t now = value_.fetch_add(1, std::memory_order_acq_rel) + 1;
    value_.notify_all();
    return now;
  }
  // False if the counter does not get there within the time worth spinning.
  bool spin_until(uint64_t target) const {
    for (int i = spin_limit(); i > 0; --i) {
      if (has_reached(target)) return true;
      pause_cpu();
    }
    return has_reached(target);
  }
  void park_until(uint64_t target) const {
    uint64_t now = value_.load(std::memory_order_acquire);
    while (now < target) {
      value_.wait(now, std::memory_order_acquire);
      now = value_.load(std::memory_order_acquire);
    }
  }
  void wait_until(uint64_t target) const {
    if (!spin_until(target)) park_until(target);
  }

 private:
  std::atomic<uint64_t> value_{0};
};

// The turns of models, and of requests, on a core; it meets BasicLockable.
//
// Handing over to a parked thread each time would cost a small model most of its throughput, so a
// thread that comes by may take a free lock before those that are parked; but once one of them has
// waited for a millisecond, nobody passes it any more.
class TurnLock {
 public:
  void lock() {
    for (int i = spin_limit(); i >= 0; --i) {
      if (may_pass() && mutex_.try_lock()) return;
      pause_cpu();
    }
    if (num_parked_.fetch_add(1, std::memory_order_relaxed) == 0) note_time();
    mutex_.lock();
    num_parked_.fetch_sub(1, std::memory_order_relaxed);
    note_time();
  }
  void unlock() { mutex_.unlock(); }

 private:
  static constexpr int64_t kPatienceNs = 1000000;

  static int64_t now_ns() {
    return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  }
  void note_time() { waiting_since_ns_.store(now_ns(), std::memory_order_relaxed); }
  bool may_pass() const {
    return num_parked_.load(std::memory_order_relaxed) == 0 ||
           now_ns() - waiting_since_ns_.load(std::memory_order_relaxed) < kPatienceNs;
  }

  std::mutex mutex_;
  std::atomic<int> num_parked_{0};
  std::atomic<int64_t> waiting_since_ns_{0};  // of those parked, or the last hand-over
};

}  // namespace neuronc::runtime
