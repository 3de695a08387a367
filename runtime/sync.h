// How threads of the runtime wait: each on a 32-bit word of its own, which others signal.
//
// A hand-off to a parked thread costs tens of microseconds, more than many kernels; so waiting
// spins briefly first, but never when more of our threads are awake than there are processors:
// there spinning would only take the time of those that compute.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace neuronc::runtime {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

inline int64_t now_ns() { return Clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }

inline void pause_cpu() { __builtin_ia32_pause(); }

// While it lives, the thread counts as one that computes or spins.
class Awake {
 public:
  Awake() { num_awake_.fetch_add(1, std::memory_order_relaxed); }
  ~Awake() { num_awake_.fetch_sub(1, std::memory_order_relaxed); }
  Awake(const Awake&) = delete;
  Awake& operator=(const Awake&) = delete;

  // Whether there are processors enough for all that are awake.
  static bool may_spin();
  // The child of a fork has none of its parent's threads.
  static void forget_all() { num_awake_.store(0, std::memory_order_relaxed); }

 private:
  friend class WakeWord;
  static inline std::atomic<int> num_awake_{0};
};

// A word with one waiter at a time and any number of signallers.
//
//   const uint32_t seen = word.now();
//   ... look at what others may have done; if there is nothing ...
//   word.wait(seen);    // returns at once if there was a signal since now()
class WakeWord {
 public:
  uint32_t now() const { return word_.load(std::memory_order_acquire); }
  void signal() {
    word_.fetch_add(1, std::memory_order_seq_cst);
    if (is_parked_.load(std::memory_order_seq_cst)) wake();
  }
  // False if the deadline (null: none) came first. The caller is Awake or not; parking is not.
  bool wait(uint32_t seen, const Deadline* deadline = nullptr);

 private:
  void wake();
  bool spin(uint32_t seen) const;

  // Both in one line of the cache, and nothing else: a signal is one transfer of it.
  alignas(64) std::atomic<uint32_t> word_{0};
  std::atomic<bool> is_parked_{false};
};

// A count of events.
class Counter {
 public:
  bool has_reached(uint64_t target) const {
    return value_.load(std::memory_order_acquire) >= target;
  }
  // The number of events including this one. Ordered before what the caller reads next: who counts
  // and then finds nobody waiting has been seen by those who wait later.
  uint64_t advance() { return value_.fetch_add(1, std::memory_order_seq_cst) + 1; }

 private:
  alignas(64) std::atomic<uint64_t> value_{0};
};

// How long a waiting thread spins. What it waits for is a hand-over between threads that run; or, in a
// team, the end of a share of a kernel, within the imbalance of shares. Parking costs 50 us or more each
// time, and a request meets tens of times; but where other processes want the processors, spinning keeps
// from them, and so from the other lanes, what these wait for: a millisecond was 3 times slower there.
inline constexpr int64_t kSpinNs = 40000;
inline constexpr int64_t kTeamSpinNs = 100000;

// Spins until the counter has reached the target; false if that took longer than `spin_ns`, or if
// there is no processor to spare for spinning. The caller is Awake.
bool spin_until(const Counter& counter, uint64_t target, int64_t spin_ns = kSpinNs);

// The turns of models, and of requests, on a core; it meets BasicLockable.
//
// Handing over to a parked thread each time would cost a small model most of its throughput, so a
// thread that comes by may take a free lock before those that are parked; but once one of them has
// waited for a millisecond, nobody passes it any more.
class TurnLock {
 public:
  void lock();
  void unlock() { mutex_.unlock(); }

 private:
  static constexpr int64_t kPatienceNs = 1000000;

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
