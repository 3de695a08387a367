// What the command-line tools share: how errors end a program, and the exit codes of the contract.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <string>
#include <tl/expected.hpp>
#include <utility>

#include "ir/base/command.h"
#include "ir/base/text.h"
#include "runtime/include/nrt/nrt.h"
#include "runtime/tools/command_line.h"
#include "runtime/tools/option_pages.h"

namespace neuronc::tools {

enum ExitCode : int {
  kExitDone = 0,
  kExitError = 1,  // wrong in model, data, files or memory
  kExitUsage = 2,
  kExitUnsupported = 3,
  kExitVerificationFailed = 5,
  kExitInternal = 70,
};

struct ToolError {
  ExitCode code = kExitError;
  std::string message;
};

template <class T>
using Outcome = tl::expected<T, ToolError>;

template <class... Args>
tl::unexpected<ToolError> tool_error(ExitCode code, fmt::format_string<Args...> format,
                                     Args&&... args) {
  return tl::unexpected<ToolError>(
      ToolError{code, fmt::format(format, std::forward<Args>(args)...)});
}

// The exit code that a failing runtime call means.
inline ExitCode exit_code(NRT_STATUS status) {
  const bool is_unsupported = status == NRT_UNSUPPORTED_NEFF_VERSION || status == NRT_HW_ERROR;
  return is_unsupported ? kExitUnsupported : kExitError;
}

// "neuron-ls 0.1.0": programs and libnrt are of one release.
inline std::string version_text(const std::string& program) {
  nrt_version_t version{};
  nrt_get_version(&version, sizeof(version));
  return fmt::format("{} {}.{}.{}", program, version.rt_major, version.rt_minor, version.rt_patch);
}

// Runs `run`, which gives an Outcome<int>, after `app` has parsed the command line.
template <class Run>
int run_tool(CLI::App& app, int argc, char** argv, const Run& run) {
  begin_command();
  const std::string name = app.get_name();
  app.set_version_flag("-V,--version", version_text(name));
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (const auto code = print_page(app, words)) return end_command(name, *code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (app.exit(error) == 0) return kExitDone;
    for (const std::string& word : app.remaining()) {
      const std::string near = nearest_option(app, word);
      if (!near.empty()) print_error("did you mean `{}`?\n", near);
    }
    return kExitUsage;
  }
  try {
    const Outcome<int> outcome = run();
    if (outcome) return end_command(name, *outcome);
    print_error("{}: error: {}\n", name, printable_lines(outcome.error().message));
    return outcome.error().code;
  } catch (const std::exception& error) {
    return exit_code_of(name, error);
  }
}

}  // namespace neuronc::tools
