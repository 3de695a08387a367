// The `neuronc` command: finds the subcommand and hands over. Without one it compiles.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "backend/llvm/codegen.h"
#include "backend/llvm/host_features.h"
#include "compiler/commands/check.h"
#include "compiler/commands/compat.h"
#include "compiler/commands/compile.h"
#include "compiler/commands/diff.h"
#include "compiler/commands/inspect.h"
#include "compiler/commands/list.h"
#include "compiler/commands/opt.h"
#include "compiler/commands/verify.h"
#include "compiler/include/neuronc/compiler.h"
#include "ir/base/command.h"
#include "ir/base/diagnostics.h"
#include "ir/base/nearest.h"
#include "runtime/tools/option_pages.h"

namespace {

using Arguments = std::span<const std::string>;

struct Command {
  std::string_view name;
  int (*run)(Arguments args);
  std::string_view summary;
  bool has_options = true;
};

constexpr Command kCommands[] = {
    {"check", neuronc::run_check, "say which operations can be compiled, and where each would run"},
    {"compat", neuronc::run_compat, "say whether a NEFF runs on this machine or another"},
    {"compile", neuronc::run_compile, "compile models to NEFFs (the default command)"},
    {"diff", neuronc::run_diff, "say what changed between two NEFFs or models"},
    {"explain", neuronc::run_explain, "explain the code of a message", false},
    {"inspect", neuronc::run_inspect, "print what a NEFF holds"},
    {"list-errors", neuronc::run_list_errors, "list the codes of messages", false},
    {"list-operators", neuronc::run_list_operators, "list the operators of the graph IR", false},
    {"list-passes", neuronc::run_list_passes, "list the passes and the optimization levels", false},
    {"opt", neuronc::run_opt, "run passes over a model or a module in text form"},
    {"verify", neuronc::run_verify, "compile models, run them, and compare with references"},
};

std::string help() {
  std::string text =
      "usage: neuronc [compile] MODEL.onnx [-o OUT.neff] [options]\n"
      "       neuronc COMMAND ...          (neuronc COMMAND --help shows its options)\n\n";
  for (const Command& command : kCommands) {
    text += fmt::format("  {:<16} {}\n", command.name, command.summary);
  }
  return text;
}

// The manual page or the completions of the whole program: of its commands, one after the other,
// and what holds them together. A command's own manual page is `neuronc COMMAND --generate man`.
int generate(const std::string& kind) {
  std::vector<neuronc::CommandSummary> commands;
  for (const Command& command : kCommands) {
    commands.push_back({command.name, command.summary, command.has_options});
  }
  const neuronc::ProgramSummary program{"neuronc", "compile ONNX models for NeuronCores", "compile",
                                        commands};
  const std::string page = neuronc::program_page(program, kind);
  if (page.empty()) {
    std::fputs("neuronc: --generate takes man, bash, zsh or fish\n", stderr);
    return neuronc::exit_code(neuronc::ErrorClass::usage);
  }
  if (kind == "zsh") fmt::print("#compdef neuronc\n");
  const std::vector<std::string> words{"--generate", kind};
  // fish wants the function before its use.
  if (kind == "fish") fmt::print("{}", page);
  for (const Command& command : kCommands) {
    if (command.has_options && kind != "man") static_cast<void>(command.run(words));
  }
  if (kind != "fish") fmt::print("{}", page);
  return 0;
}

// Whether `word` is a misspelt command and no file; says so.
bool is_misspelt_command(const std::string& word) {
  if (word.starts_with("-") || word.find_first_of("./") != std::string::npos) return false;
  if (access(word.c_str(), F_OK) == 0) return false;
  std::vector<std::string_view> names;
  for (const Command& command : kCommands) names.push_back(command.name);
  const std::string_view near = neuronc::nearest(word, names);
  if (near.empty()) return false;
  neuronc::Diagnostics diagnostics;
  diagnostics
      .report(neuronc::diag::usage_error, {},
              fmt::format("there is no command and no file `{}`", word))
      .notes.push_back(fmt::format("did you mean `{}`?", near));
  std::fputs(diagnostics.to_text().c_str(), stderr);
  return true;
}

int run(const std::vector<std::string>& args) {
  if (args.empty()) {
    std::fputs(help().c_str(), stderr);
    return neuronc::exit_code(neuronc::ErrorClass::usage);
  }
  if (args[0] == "--help" || args[0] == "-h") {
    std::fputs(help().c_str(), stdout);
    return 0;
  }
  if (args[0] == "--generate") return generate(args.size() == 2 ? args[1] : "");
  if (args[0] == "--version" || args[0] == "-V") {
    fmt::print("{} (LLVM {})\n", neuronc::compiler_version(), neuronc::llvm_version());
    return 0;
  }
  for (const Command& command : kCommands) {
    if (command.name == args[0]) return command.run(Arguments(args).subspan(1));
  }
  if (is_misspelt_command(args[0])) return neuronc::exit_code(neuronc::ErrorClass::usage);
  return neuronc::run_compile(args);
}

}  // namespace

int main(int argc, char** argv) {
  neuronc::begin_command();
  neuronc::throw_llvm_errors();
  try {
    return neuronc::end_command("neuronc", run(std::vector<std::string>(argv + 1, argv + argc)));
  } catch (const std::exception& error) {
    return neuronc::exit_code_of("neuronc", error);
  }
}
