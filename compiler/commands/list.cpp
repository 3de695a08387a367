// Implements list.h.
#include "compiler/commands/list.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <optional>

#include "compiler/include/neuronc/compiler.h"
#include "ir/base/diagnostics.h"
#include "passes/pipeline.h"

namespace neuronc {
namespace {

void print(const std::string& text) { std::fputs(text.c_str(), stdout); }

int usage(const std::string& text) {
  Diagnostics diagnostics;
  diagnostics.report(diag::usage_error, {}, text);
  std::fputs(diagnostics.to_text().c_str(), stderr);
  return exit_code(diagnostics.worst());
}

bool is_help(std::span<const std::string> args) {
  return args.size() == 1 && (args[0] == "--help" || args[0] == "-h");
}

// No value: the command goes on.
std::optional<int> refuse_arguments(std::string_view command, std::span<const std::string> args) {
  if (args.empty()) return std::nullopt;
  if (is_help(args)) {
    print(fmt::format("usage: neuronc {}\n", command));
    return 0;
  }
  return usage(fmt::format("`{}` takes no arguments, not `{}`", command, args[0]));
}

std::string severity_name(Severity severity) {
  return severity == Severity::error ? "error" : severity == Severity::warning ? "warning" : "note";
}

// docs/errors.md.
void print_errors_markdown() {
  print(
      "# Messages\n\n"
      "Written by `neuronc list-errors --markdown` from the registry of messages; a test keeps it "
      "as it "
      "is printed.\n`neuronc explain CODE` shows one. `{0}`, `{1}` stand for what a message "
      "names.\n");
  for (const DiagnosticInfo& info : all_diagnostics()) {
    print(fmt::format("\n## {}\n\n    {}\n\n{}, exit code {}. {}\n", info.code, info.format,
                      info.severity == Severity::error     ? "Error"
                      : info.severity == Severity::warning ? "Warning"
                                                           : "Note",
                      exit_code(info.error_class), info.explain));
  }
}

}  // namespace

int run_list_passes(std::span<const std::string> args) {
  if (const auto code = refuse_arguments("list-passes", args)) return *code;
  for (const PassInfo& info : all_passes()) {
    const std::string effect =
        info.establishes ? fmt::format(", establishes {}", name(*info.establishes)) : "";
    print(fmt::format("{}: {}\n  stages: {} to {}{}\n", info.name, info.summary,
                      name(info.earliest), name(info.latest), effect));
    for (const PassOption& option : info.create()->options()) {
      print(fmt::format(
          "  {{{}}}: {}{}\n", option.name, option.summary,
          option.choices.empty() ? "" : fmt::format(" ({})", fmt::join(option.choices, ", "))));
    }
  }
  for (const OptimizationLevel& level : optimization_levels()) {
    print(fmt::format("-{}: {}\n  {}\n", level.name, level.summary, level.pipeline));
  }
  return 0;
}

int run_list_errors(std::span<const std::string> args) {
  if (is_help(args)) {
    print("usage: neuronc list-errors [--markdown]\n");
    return 0;
  }
  if (args.size() == 1 && args[0] == "--markdown") {
    print_errors_markdown();
    return 0;
  }
  if (!args.empty()) {
    return usage(fmt::format("`list-errors` takes `--markdown`, not `{}`", args[0]));
  }
  for (const DiagnosticInfo& info : all_diagnostics()) {
    print(fmt::format("{} {:<7} {:>2} {}\n", info.code, severity_name(info.severity),
                      exit_code(info.error_class), info.format));
  }
  return 0;
}

int run_explain(std::span<const std::string> args) {
  if (is_help(args)) {
    print("usage: neuronc explain CODE        (neuronc list-errors lists the codes)\n");
    return 0;
  }
  if (args.size() != 1) return usage("`explain` takes one code, for example NEU0204");
  if (const std::string page = explain(args[0]); !page.empty()) {
    print(page);
    return 0;
  }
  return usage(fmt::format("there is no code `{}`; `neuronc list-errors` lists all", args[0]));
}

}  // namespace neuronc
