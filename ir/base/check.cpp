// Implements check.h and the signal handlers of command.h: the one way out for a broken invariant.
#include "ir/base/check.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "ir/base/command.h"

namespace neuronc {
namespace {
thread_local CrashHook crash_hook = nullptr;
thread_local void* crash_context = nullptr;

// Best effort: the hook may allocate, which a handler should not, but the process is lost anyway.
// A second signal, from the hook itself, finds the default action and ends the process.
[[noreturn]] void end_process() {
  if (CrashHook hook = crash_hook) {
    crash_hook = nullptr;
    hook(crash_context);
  }
  std::_Exit(70);
}

void on_fatal_signal(int signal) {
  std::fprintf(stderr, "internal error: the process received signal %d\n", signal);
  end_process();
}
}  // namespace

void set_crash_hook(CrashHook hook, void* context) {
  crash_hook = hook;
  crash_context = context;
}

void check_failed(const char* file, int line, std::string_view text) {
  std::fprintf(stderr, "internal error: %s:%d: check failed: %.*s\n", file, line,
               static_cast<int>(text.size()), text.data());
  std::fflush(stderr);
  end_process();
}

void install_fatal_signal_handlers() {
  // On a stack of its own: the fault may be that the stack ran over.
  alignas(16) static char stack[1 << 18];
  stack_t alternative{};
  alternative.ss_sp = stack;
  alternative.ss_size = sizeof stack;
  sigaltstack(&alternative, nullptr);
  struct sigaction action{};
  action.sa_handler = on_fatal_signal;
  action.sa_flags = SA_ONSTACK | SA_RESETHAND | SA_NODEFER;
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
    sigaction(signal, &action, nullptr);
  }
}

}  // namespace neuronc
