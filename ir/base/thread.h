// Threads and processor state of libraries that are guests in somebody's process.
#pragma once

#include <fenv.h>
#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

namespace neuronc {

// Computing is defined for the default floating-point environment: round to nearest, denormals
// kept, nothing trapped. Sets it; whatever the thread had comes back.
class FloatEnvironment {
 public:
  FloatEnvironment();
  ~FloatEnvironment();
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
  fenv_t saved_;
};

// A thread with a stack of kThreadStackBytes, whatever the process's limit is; std::thread would take the
// limit. It is joined or detached before it goes.
class Thread {
 public:
  Thread() = default;
  explicit Thread(std::function<void()> body);
  ~Thread();
  Thread(Thread&& other) noexcept;
  Thread& operator=(Thread&& other) noexcept;

  void join();
  void detach();
  bool is_current() const;
  pthread_t native_handle() const { return handle_; }

 private:
  bool is_started_ = false;
  pthread_t handle_{};
};

inline constexpr size_t kThreadStackBytes = size_t{8} << 20;

// Starts a thread of this name (at most 15 characters) in the default floating-point environment.
// It blocks every signal that may be sent to the process, so that the host's threads get them; what
// a fault of the thread itself raises (SIGSEGV and its like) still reaches the host's handlers.
// Throws std::system_error if there is no thread to be had.
Thread start_thread(std::string_view name, std::function<void()> body);

// How many processors this process may keep busy: what its affinity and its control groups' quotas
// allow; at least 1.
uint32_t num_usable_processors();

}  // namespace neuronc
