// Manual pages and shell completions made from a program's option table, so that they cannot drift
// from what it accepts. Every program prints its own: `neuron-run --generate man|bash|zsh|fish`; a
// command of `neuronc` prints its part, and `neuronc` adds what holds them together.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace neuronc {

// Prints what `args` ask for, if they are `--generate KIND`; a value: that was all, the exit code.
std::optional<int> print_page(const CLI::App& app, std::span<const std::string> args);

// The same of a program whose own options are those of `commands`, which have printed theirs.
struct CommandSummary {
  std::string_view name;
  std::string_view summary;
  bool has_options = false;  // it is a CLI::App and has a page of its own
};
struct ProgramSummary {
  std::string_view name;
  std::string_view summary;
  std::string_view default_command;
  std::span<const CommandSummary> commands;
};
std::string program_page(const ProgramSummary& program, std::string_view kind);

}  // namespace neuronc
