// Implements command.h, but for the handlers (check.cpp).
#include "ir/base/command.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>

#include "ir/base/text.h"

namespace neuronc {
namespace {

constexpr int kExitError = 1;
constexpr int kExitInternal = 70;

}  // namespace

void begin_command() {
  install_fatal_signal_handlers();
  std::signal(SIGXFSZ, SIG_IGN);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // open() takes the lowest number that is free: this one. What is written to an output that the
    // caller closed fails, as it does where nothing stands in for it.
    static_cast<void>(open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR));
  }
}

int end_command(std::string_view command, int exit_code) {
  const bool is_good = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  if (is_good || exit_code != 0) return exit_code;
  print_error("{}: error: cannot write to standard output: {}\n", command, std::strerror(errno));
  return kExitError;
}

int exit_code_of(std::string_view command, const std::exception& error) {
  if (std::ferror(stdout) != 0) return end_command(command, 0);
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    print_error("{}: error: out of memory\n", command);
    return kExitError;
  }
  print_error("internal error: {}\n", printable_lines(error.what()));
  return kExitInternal;
}

}  // namespace neuronc
