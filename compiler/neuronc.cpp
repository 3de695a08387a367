// The `neuronc` command: finds the subcommand and hands over.
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/commands/check.h"
#include "compiler/commands/list.h"
#include "compiler/commands/opt.h"
#include "compiler/commands/verify.h"
#include "ir/base/diagnostics.h"

namespace {

using Arguments = std::span<const std::string>;

struct Command {
  std::string_view name;
  int (*run)(Arguments args);
};

constexpr Command kCommands[] = {
    {"check", neuronc::run_check},
    {"explain", neuronc::run_explain},
    {"list-errors", neuronc::run_list_errors},
    {"list-operators", neuronc::run_list_operators},
    {"list-passes", neuronc::run_list_passes},
    {"opt", neuronc::run_opt},
    {"verify", neuronc::run_verify},
};

int usage() {
  std::fputs("usage: neuronc COMMAND ...\ncommands:", stderr);
  for (const Command& command : kCommands) {
    std::fprintf(stderr, " %s", std::string(command.name).c_str());
  }
  std::fputs("\n", stderr);
  return neuronc::exit_code(neuronc::ErrorClass::usage);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.empty()) return usage();
  for (const Command& command : kCommands) {
    if (command.name == args[0]) return command.run(Arguments(args).subspan(1));
  }
  return usage();
}
