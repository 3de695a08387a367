// Internal invariants. A failed check is a bug of the compiler, unreachable from any input.
#pragma once

#include <string_view>

namespace neuronc {

// Writes "internal error: FILE:LINE: check failed: TEXT" to stderr, runs the crash hook (which
// writes the reproduction of a failing pass), and ends the process with status 70.
[[noreturn]] void check_failed(const char* file, int line, std::string_view text);

// A hook that check_failed and the fatal-signal handlers run once; nullptr for none. Per thread,
// because compiles may run concurrently in one process.
using CrashHook = void (*)(void* context);
void set_crash_hook(CrashHook hook, void* context);

}  // namespace neuronc

#define NEURONC_CHECK(condition)                                               \
  do {                                                                         \
    if (!(condition)) ::neuronc::check_failed(__FILE__, __LINE__, #condition); \
  } while (false)

#define NEURONC_UNREACHABLE(text) ::neuronc::check_failed(__FILE__, __LINE__, text)
