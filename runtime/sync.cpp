// Implements sync.h on Linux's futexes, which are 32 bits wide: a wider atomic of the standard
// library waits in a table that the whole process shares, and wakes everybody in it.
#include "runtime/sync.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ir/base/thread.h"

namespace neuronc::runtime {
namespace {

constexpr int kSpinsPerLook = 32;

long futex(std::atomic<uint32_t>& word, int operation, uint32_t value, const timespec* timeout) {
  return syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), operation | FUTEX_PRIVATE_FLAG,
                 value, timeout, nullptr, FUTEX_BITSET_MATCH_ANY);
}

// For FUTEX_WAIT_BITSET, which takes a time of the monotonic clock.
timespec to_timespec(Deadline deadline) {
  const int64_t ns = deadline.time_since_epoch() / std::chrono::nanoseconds(1);
  return {static_cast<time_t>(ns / 1000000000), static_cast<long>(ns % 1000000000)};
}

int num_processors() {
  static const int kCount = static_cast<int>(num_usable_processors());
  return kCount;
}

}  // namespace

bool Awake::may_spin() {
  return num_processors() > 1 && num_awake_.load(std::memory_order_relaxed) <= num_processors();
}

void WakeWord::wake() {
  if (is_parked_.exchange(false, std::memory_order_seq_cst)) futex(word_, FUTEX_WAKE, 1, nullptr);
}

bool WakeWord::spin(uint32_t seen) const {
  // On one processor who spins keeps the other from running.
  if (num_processors() == 1) return now() != seen;
  // Between threads that run, the answer is there before it is worth while to be counted.
  for (int i = 0; i < kSpinsPerLook; ++i) {
    if (now() != seen) return true;
    pause_cpu();
  }
  const Awake awake;
  if (!Awake::may_spin()) return now() != seen;
  const Clock::time_point end = Clock::now() + std::chrono::nanoseconds(kSpinNs);
  do {
    for (int i = 0; i < kSpinsPerLook; ++i) {
      if (now() != seen) return true;
      pause_cpu();
    }
  } while (Clock::now() < end && Awake::may_spin());
  return now() != seen;
}

bool WakeWord::wait(uint32_t seen, const Deadline* deadline) {
  if (now() != seen || spin(seen)) return true;
  while (true) {
    is_parked_.store(true, std::memory_order_seq_cst);
    if (word_.load(std::memory_order_seq_cst) != seen) break;
    if (deadline == nullptr) {
      futex(word_, FUTEX_WAIT, seen, nullptr);
    } else {
      if (Clock::now() >= *deadline) {
        is_parked_.store(false, std::memory_order_seq_cst);
        return now() != seen;
      }
      const timespec time = to_timespec(*deadline);
      futex(word_, FUTEX_WAIT_BITSET, seen, &time);
    }
    if (now() != seen) break;
  }
  is_parked_.store(false, std::memory_order_seq_cst);
  return true;
}

bool spin_until(const Counter& counter, uint64_t target, int64_t spin_ns) {
  if (counter.has_reached(target)) return true;
  if (!Awake::may_spin()) return false;
  const Clock::time_point end = Clock::now() + std::chrono::nanoseconds(spin_ns);
  do {
    for (int i = 0; i < kSpinsPerLook; ++i) {
      if (counter.has_reached(target)) return true;
      pause_cpu();
    }
  } while (Clock::now() < end && Awake::may_spin());
  return counter.has_reached(target);
}

void TurnLock::lock() {
  if (may_pass() && mutex_.try_lock()) return;
  if (Awake::may_spin()) {
    const Clock::time_point end = Clock::now() + std::chrono::nanoseconds(kSpinNs);
    do {
      for (int i = 0; i < kSpinsPerLook; ++i) {
        if (may_pass() && mutex_.try_lock()) return;
        pause_cpu();
      }
    } while (Clock::now() < end);
  }
  if (num_parked_.fetch_add(1, std::memory_order_relaxed) == 0) note_time();
  mutex_.lock();
  num_parked_.fetch_sub(1, std::memory_order_relaxed);
  note_time();
}

}  // namespace neuronc::runtime
