// How lanes wait for each other: counters that only grow, and a lock that serves in order.
//
// A hand-off to a parked thread costs tens of microseconds, more than many kernels; so waiting
// spins briefly first. Spinning on a machine of one processor would only delay the other side.
#pragma once

#include <atomic>
#include <cstdint>
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

// A mutex that is given to its waiters in the order of their coming; it meets BasicLockable.
class TurnLock {
 public:
  void lock() { served_.wait_until(next_ticket_.fetch_add(1, std::memory_order_relaxed)); }
  void unlock() { served_.advance(); }

 private:
  std::atomic<uint64_t> next_ticket_{0};
  Counter served_;
};

}  // namespace neuronc::runtime
