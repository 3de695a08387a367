// What every command does before and after its work. For commands alone: a library leaves signals,
// descriptors and streams as its host has them.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <string_view>
#include <utility>

#include "ir/base/text.h"

namespace neuronc {

// SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT end the command as a failed check does (check.h):
// with the crash hook, and status 70.
void install_fatal_signal_handlers();

// The handlers; standard streams that are closed lead to /dev/null, so that no file that is opened
// later takes their place; a file over the size limit is an error and not a signal.
void begin_command();

// What a lost standard output makes of an exit code: 1 with a message in place of 0.
int end_command(std::string_view command, int exit_code);

// The exit code of an exception that nobody took: 1 if standard output or memory is lost, else 70.
int exit_code_of(std::string_view command, const std::exception& error);

// Prints to stderr; that stderr is lost is no reason to stop.
template <class... Args>
void print_error(fmt::format_string<Args...> format, Args&&... args) {
  std::fputs(fmt::format(format, std::forward<Args>(args)...).c_str(), stderr);
}

// Prints to stdout what holds names of a model or a NEFF, which cannot write to the terminal.
template <class... Args>
void print_names(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print("{}", printable_lines(fmt::format(format, std::forward<Args>(args)...)));
}

}  // namespace neuronc
