// Fatal signals end a command as a failed check does (check.h): with the crash hook, and status 70.
#pragma once

namespace neuronc {

// For SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT. For commands alone: a library leaves the
// handlers of its host as they are.
void install_fatal_signal_handlers();

}  // namespace neuronc
