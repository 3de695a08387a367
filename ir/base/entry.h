// How a thread of the host enters the libraries. It may have little stack left, and the host may want to
// cancel it at a place where nothing could be cleaned up.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <utility>

namespace neuronc {

// While it lives, pthread_cancel of this thread waits.
class NoCancellation {
 public:
  NoCancellation();
  ~NoCancellation();
  NoCancellation(const NoCancellation&) = delete;
  NoCancellation& operator=(const NoCancellation&) = delete;

 private:
  int saved_ = 0;
};

// Whether this thread has as much stack left. Of a stack that is not the thread's own, as fibers have
// them, nothing is known: it has not.
bool has_room(size_t stack_bytes);

// Runs `body` on a thread that has room, and callbacks of `on_calling_thread` on this one meanwhile. What
// they throw comes out. Throws std::bad_alloc where there is no thread to be had.
void run_elsewhere(const std::function<void()>& body);

// Calls `callback` on the thread that called `run_elsewhere`, or on this one where none did.
void on_calling_thread(const std::function<void()>& callback);

// What `body` returns, run here where there is room for it and elsewhere otherwise.
template <class Body>
auto with_room(size_t stack_bytes, const Body& body) -> decltype(body()) {
  if (has_room(stack_bytes)) return body();
  std::optional<decltype(body())> result;
  run_elsewhere([&] { result.emplace(body()); });
  return *std::move(result);
}

}  // namespace neuronc
