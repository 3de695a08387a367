// Threads and processor state of libraries that are guests in somebody's process.
#pragma once

#include <fenv.h>

#include <cstdint>
#include <functional>
#include <string_view>
#include <thread>

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

// Starts a thread of this name (at most 15 characters) in the default floating-point environment.
// It blocks every signal that may be sent to the process, so that the host's threads get them; what
// a fault of the thread itself raises (SIGSEGV and its like) still reaches the host's handlers.
// Throws std::system_error if there is no thread to be had.
std::thread start_thread(std::string_view name, std::function<void()> body);

// How many processors this process may keep busy: what its affinity and its control groups' quotas
// allow; at least 1.
uint32_t num_usable_processors();

}  // namespace neuronc
