// Implements check.h: the one way out for a broken invariant.
#include "ir/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace neuronc {
namespace {
thread_local CrashHook crash_hook = nullptr;
thread_local void* crash_context = nullptr;
}  // namespace

void set_crash_hook(CrashHook hook, void* context) {
  crash_hook = hook;
  crash_context = context;
}

void check_failed(const char* file, int line, std::string_view text) {
  std::fprintf(stderr, "internal error: %s:%d: check failed: %.*s\n", file, line,
               static_cast<int>(text.size()), text.data());
  std::fflush(stderr);
  if (CrashHook hook = crash_hook) {
    crash_hook = nullptr;
    hook(crash_context);
  }
  std::_Exit(70);
}

}  // namespace neuronc
