// Implements entry.h.
#include "ir/base/entry.h"

#include <pthread.h>

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>

#include "ir/base/thread.h"

namespace neuronc {
namespace {

struct StackBounds {
  uintptr_t low = 0;
  uintptr_t high = 0;  // 0: unknown
};

StackBounds bounds_of_this_stack() {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return {};
  void* low = nullptr;
  size_t size_bytes = 0;
  const int error = pthread_attr_getstack(&attributes, &low, &size_bytes);
  pthread_attr_destroy(&attributes);
  if (error != 0) return {};
  const auto begin = reinterpret_cast<uintptr_t>(low);
  return {begin, begin + size_bytes};
}

// The thread that waits for `run_elsewhere`, and calls what it is asked to.
class Caller {
 public:
  void serve() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return is_done_ || callback_ != nullptr; });
      if (callback_ == nullptr) return;
      lock.unlock();
      std::exception_ptr thrown;
      try {
        (*callback_)();
      } catch (...) {
        thrown = std::current_exception();
      }
      lock.lock();
      thrown_ = std::move(thrown);
      callback_ = nullptr;
      changed_.notify_all();
    }
  }

  void call(const std::function<void()>& callback) {
    std::unique_lock lock(mutex_);
    callback_ = &callback;
    changed_.notify_all();
    changed_.wait(lock, [&] { return callback_ == nullptr; });
    if (const std::exception_ptr thrown = std::exchange(thrown_, nullptr)) {
      std::rethrow_exception(thrown);
    }
  }

  void finish() {
    const std::lock_guard lock(mutex_);
    is_done_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* callback_ = nullptr;
  std::exception_ptr thrown_;
  bool is_done_ = false;
};

thread_local Caller* caller_of_this_thread = nullptr;

}  // namespace

NoCancellation::NoCancellation() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &saved_); }

NoCancellation::~NoCancellation() { pthread_setcancelstate(saved_, nullptr); }

// The frame's own address: a sanitizer keeps variables elsewhere.
bool has_room(size_t stack_bytes) {
  thread_local const StackBounds bounds = bounds_of_this_stack();
  if (bounds.high == 0) return true;
  const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  return here >= bounds.low && here < bounds.high && here - bounds.low >= stack_bytes;
}

void run_elsewhere(const std::function<void()>& body) {
  Caller caller;
  std::exception_ptr thrown;
  Thread thread;
  try {
    thread = start_thread("neuronc call", [&] {
      caller_of_this_thread = &caller;
      try {
        body();
      } catch (...) {
        thrown = std::current_exception();
      }
      caller.finish();
    });
  } catch (const std::system_error&) {
    throw std::bad_alloc();
  }
  caller.serve();
  thread.join();
  if (thrown) std::rethrow_exception(thrown);
}

void on_calling_thread(const std::function<void()>& callback) {
  if (caller_of_this_thread == nullptr) return callback();
  caller_of_this_thread->call(callback);
}

}  // namespace neuronc
