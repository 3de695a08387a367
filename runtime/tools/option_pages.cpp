// Implements option_pages.h.
#include "runtime/tools/option_pages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>

namespace neuronc {
namespace {

// An option as the pages want it.
struct OptionRow {
  std::string short_name;  // "-o"; empty: none
  std::vector<std::string> long_names;
  std::string help;
  std::string group;
  std::string value;  // "TEXT", "INT"; empty: a flag
  std::vector<std::string> choices;
  bool is_repeatable = false;
  bool is_path = false;

  std::vector<std::string> names() const {
    std::vector<std::string> all = long_names;
    if (!short_name.empty()) all.insert(all.begin(), short_name);
    return all;
  }
};

// "TEXT:{a,b}" has the choices a and b.
std::vector<std::string> choices_in(const std::string& type) {
  std::vector<std::string> choices;
  const size_t begin = type.find('{');
  const size_t end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos) return choices;
  std::string word;
  for (const char c : type.substr(begin + 1, end - begin - 1) + ",") {
    if (c != ',') {
      word += c;
    } else if (!word.empty()) {
      choices.push_back(std::exchange(word, {}));
    }
  }
  return choices;
}

OptionRow row_of(const CLI::Option& option) {
  OptionRow row;
  if (!option.get_snames().empty()) row.short_name = "-" + option.get_snames()[0];
  for (const std::string& name : option.get_lnames()) row.long_names.push_back("--" + name);
  row.help = option.get_description();
  row.group = option.get_group();
  if (option.get_items_expected_max() > 0) {
    const std::string type = option.get_type_name();
    row.value = type.substr(0, type.find_first_of(":{ "));
    row.choices = choices_in(type);
    row.is_path = row.value == "TEXT" && row.choices.empty();
    row.is_repeatable = option.get_items_expected_max() > 1;
  }
  return row;
}

// Hidden options have no group.
std::vector<OptionRow> rows_of(const CLI::App& app) {
  std::vector<OptionRow> rows;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional() || option->get_group().empty()) continue;
    rows.push_back(row_of(*option));
  }
  return rows;
}

std::vector<std::string> groups_of(const std::vector<OptionRow>& rows) {
  std::vector<std::string> groups;
  for (const OptionRow& row : rows) {
    if (std::find(groups.begin(), groups.end(), row.group) == groups.end()) {
      groups.push_back(row.group);
    }
  }
  return groups;
}

std::string replaced(std::string_view text, std::string_view what, std::string_view by) {
  std::string result(text);
  for (size_t at = 0; (at = result.find(what, at)) != std::string::npos; at += by.size()) {
    result.replace(at, what.size(), by);
  }
  return result;
}

// Text for troff: hyphens that are typed, backslashes, no line that begins a request.
std::string roff(std::string_view text) {
  std::string escaped = replaced(replaced(text, "\\", "\\e"), "-", "\\-");
  if (escaped.starts_with(".") || escaped.starts_with("'")) escaped = "\\&" + escaped;
  return replaced(replaced(escaped, "\n.", "\n\\&."), "\n'", "\n\\&'");
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string man_head(std::string_view page, std::string_view summary) {
  return fmt::format(".TH {} 1 \"\" \"neuronc\" \"User Commands\"\n.SH NAME\n{} \\- {}\n",
                     roff(upper(std::string(page))), roff(page), roff(summary));
}

constexpr std::string_view kExitStatus =
    ".SH EXIT STATUS\n"
    ".TP\n0\ndone\n.TP\n1\nwrong model, data or file, or too little memory\n"
    ".TP\n2\nwrong usage\n.TP\n3\nunsupported\n.TP\n5\na verification or a gate failed\n"
    ".TP\n70\nan internal error\n.PP\nWhen several apply: 70, 2, 1, 3, 5.\n";

std::string man_option(const OptionRow& row) {
  std::string names;
  for (const std::string& name : row.names()) {
    names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", roff(name));
  }
  std::string value = row.value;
  if (!row.choices.empty()) value = fmt::format("{}", fmt::join(row.choices, "|"));
  if (!value.empty()) names += fmt::format(" \\fI{}\\fR", roff(value));
  return fmt::format(".TP\n{}\n{}{}\n", names, roff(row.help),
                     row.is_repeatable ? "; may be given several times" : "");
}

std::string positionals_of(const CLI::App& app) {
  std::string text;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) continue;
    const bool is_several = option->get_items_expected_max() > 1;
    text +=
        fmt::format(" \\fI{}\\fR{}", roff(upper(option->get_name(true))), is_several ? " ..." : "");
  }
  return text;
}

std::string man_page(const CLI::App& app) {
  const std::string name = app.get_name();
  const std::string page = replaced(name, " ", "-");
  const std::vector<OptionRow> rows = rows_of(app);
  std::string summary = app.get_description();
  if (summary.ends_with(".")) summary.pop_back();
  std::string text = man_head(page, summary);
  text += fmt::format(".SH SYNOPSIS\n\\fB{}\\fR [\\fIOPTIONS\\fR]{}\n", roff(name),
                      positionals_of(app));
  text += ".SH ARGUMENTS\n";
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) continue;
    text += fmt::format(".TP\n\\fI{}\\fR\n{}\n", roff(upper(option->get_name(true))),
                        roff(option->get_description()));
  }
  text += ".SH OPTIONS\n";
  for (const std::string& group : groups_of(rows)) {
    text += fmt::format(".SS {}\n", roff(group));
    for (const OptionRow& row : rows) {
      if (row.group == group) text += man_option(row);
    }
  }
  text += kExitStatus;
  if (page != name) text += ".SH SEE ALSO\n.BR neuronc (1)\n";
  return text;
}

// `_neuronc_check` of "neuronc check".
std::string function_name(std::string_view program) {
  return "_" + replaced(replaced(program, " ", "_"), "-", "_");
}

std::string bash_part(const CLI::App& app) {
  std::string cases;
  std::vector<std::string> all;
  for (const OptionRow& row : rows_of(app)) {
    const std::vector<std::string> names = row.names();
    all.insert(all.end(), names.begin(), names.end());
    if (row.value.empty()) continue;
    const std::string action =
        !row.choices.empty()
            ? fmt::format("COMPREPLY=($(compgen -W '{}' -- \"$cur\"))", fmt::join(row.choices, " "))
        : row.is_path ? "COMPREPLY=($(compgen -f -- \"$cur\"))"
                      : "COMPREPLY=()";
    cases += fmt::format("    {}) {}; return ;;\n", fmt::join(names, "|"), action);
  }
  return fmt::format(
      "{}() {{\n"
      "  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}\n"
      "  case $prev in\n{}  esac\n"
      "  if [[ $cur == -* ]]; then\n"
      "    COMPREPLY=($(compgen -W '{}' -- \"$cur\"))\n"
      "  else\n"
      "    COMPREPLY=($(compgen -f -- \"$cur\"))\n"
      "  fi\n"
      "}}\n",
      function_name(app.get_name()), cases, fmt::join(all, " "));
}

// A description inside of '...[...]' of zsh's _arguments.
std::string zsh_text(std::string_view text) {
  std::string escaped = replaced(text, "\\", "\\\\");
  for (const std::string_view c : {"[", "]", ":", "`", "$", "\""}) {
    escaped = replaced(escaped, c, c == "`" ? "" : "\\" + std::string(c));
  }
  return replaced(escaped, "'", "'\\''");
}

std::string zsh_part(const CLI::App& app) {
  std::string text = fmt::format("{}() {{\n  _arguments -s -S", function_name(app.get_name()));
  for (const OptionRow& row : rows_of(app)) {
    for (const std::string& name : row.names()) {
      std::string value;
      if (!row.value.empty()) {
        const std::string action = !row.choices.empty()
                                       ? fmt::format("({})", fmt::join(row.choices, " "))
                                   : row.is_path ? "_files"
                                                 : "";
        value = fmt::format(":{}:{}", row.value, action);
      }
      text += fmt::format(" \\\n    '{}{}[{}]{}'", row.is_repeatable ? "*" : "", name,
                          zsh_text(row.help), value);
    }
  }
  return text + " \\\n    '*:file:_files'\n}\n";
}

// Loaded by name, the file is the function's first call; read by hand, it declares the function.
std::string zsh_end(std::string_view program) {
  return fmt::format(
      "if [ \"${{funcstack[1]}}\" = \"{0}\" ]; then\n  {0} \"$@\"\nelse\n  compdef {0} {1}\nfi\n",
      function_name(program), program);
}

std::string fish_text(std::string_view text) {
  return replaced(replaced(text, "\\", "\\\\"), "'", "\\'");
}

// The options of "neuronc check" are offered behind that word alone; those of the program itself
// always.
std::string fish_part(const CLI::App& app) {
  const std::string name = app.get_name();
  const size_t blank = name.find(' ');
  const std::string program = name.substr(0, blank);
  const std::string condition =
      blank == std::string::npos
          ? ""
          : fmt::format(" -n '__{}_command_is {}'", program, name.substr(blank + 1));
  std::string text;
  for (const OptionRow& row : rows_of(app)) {
    std::string line = fmt::format("complete -c {}{}", program, condition);
    if (!row.short_name.empty()) line += " -s " + row.short_name.substr(1);
    for (const std::string& one : row.long_names) line += " -l " + one.substr(2);
    if (!row.choices.empty()) {
      line += fmt::format(" -x -a '{}'", fmt::join(row.choices, " "));
    } else if (!row.value.empty()) {
      line += row.is_path ? " -r" : " -x";
    }
    text += fmt::format("{} -d '{}'\n", line, fish_text(row.help));
  }
  return text;
}

std::string program_man(const ProgramSummary& program) {
  std::string text = man_head(program.name, program.summary);
  text += fmt::format(
      ".SH SYNOPSIS\n\\fB{0}\\fR [\\fB{1}\\fR] \\fIMODEL\\fR ... [\\fIOPTIONS\\fR]\n.br\n"
      "\\fB{0}\\fR \\fICOMMAND\\fR ...\n.SH COMMANDS\n",
      roff(program.name), roff(program.default_command));
  std::string see_also;
  for (const CommandSummary& command : program.commands) {
    text += fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(command.name), roff(command.summary));
    if (command.has_options) {
      see_also += fmt::format("{}.BR {}\\-{} (1)", see_also.empty() ? "" : ",\n", program.name,
                              roff(command.name));
    }
  }
  return text + std::string(kExitStatus) + ".SH SEE ALSO\n" + see_also + "\n";
}

std::string command_names(const ProgramSummary& program) {
  std::vector<std::string_view> names;
  for (const CommandSummary& command : program.commands) names.push_back(command.name);
  return fmt::format("{}", fmt::join(names, " "));
}

std::string program_bash(const ProgramSummary& program) {
  std::string cases;
  for (const CommandSummary& command : program.commands) {
    const std::string full = fmt::format("{} {}", program.name, command.name);
    if (command.has_options) {
      cases += fmt::format("    {}) {}; return ;;\n", command.name, function_name(full));
    }
  }
  const std::string fallback =
      function_name(fmt::format("{} {}", program.name, program.default_command));
  return fmt::format(
      "{0}() {{\n"
      "  case ${{COMP_WORDS[1]}} in\n{1}  esac\n"
      "  {2}\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ] && [[ ${{COMP_WORDS[1]}} != -* ]]; then\n"
      "    COMPREPLY+=($(compgen -W '{3}' -- \"${{COMP_WORDS[1]}}\"))\n"
      "  fi\n"
      "}}\n"
      "complete -o filenames -F {0} {4}\n",
      function_name(program.name), cases, fallback, command_names(program), program.name);
}

std::string program_zsh(const ProgramSummary& program) {
  std::string cases;
  std::string list;
  for (const CommandSummary& command : program.commands) {
    const std::string full = fmt::format("{} {}", program.name, command.name);
    list += fmt::format("      '{}:{}'\n", command.name, zsh_text(command.summary));
    if (command.has_options) {
      cases += fmt::format("    {}) shift words; (( CURRENT-- )); {}; return ;;\n", command.name,
                           function_name(full));
    }
  }
  return fmt::format(
      "{0}() {{\n"
      "  case ${{words[2]}} in\n{1}  esac\n"
      "  if (( CURRENT == 2 )); then\n"
      "    local -a commands=(\n{2}    )\n"
      "    _describe command commands\n"
      "  fi\n"
      "  {3}\n"
      "}}\n{4}",
      function_name(program.name), cases, list,
      function_name(fmt::format("{} {}", program.name, program.default_command)),
      zsh_end(program.name));
}

std::string program_fish(const ProgramSummary& program) {
  std::string text = fmt::format(
      "function __{0}_command_is\n"
      "  set -l words (commandline -opc)\n"
      "  set -l commands {1}\n"
      "  if set -q words[2]; and contains -- $words[2] $commands\n"
      "    test $words[2] = $argv[1]\n"
      "  else\n"
      "    test {2} = $argv[1]\n"
      "  end\n"
      "end\n",
      program.name, command_names(program), program.default_command);
  for (const CommandSummary& command : program.commands) {
    text += fmt::format("complete -c {} -n '__fish_is_nth_token 1' -a '{}' -d '{}'\n", program.name,
                        command.name, fish_text(command.summary));
  }
  return text;
}

std::string part_of(const CLI::App& app, std::string_view kind) {
  if (kind == "man") return man_page(app);
  if (kind == "bash") return bash_part(app);
  if (kind == "zsh") return zsh_part(app);
  if (kind == "fish") return fish_part(app);
  return {};
}

}  // namespace

std::string program_page(const ProgramSummary& program, std::string_view kind) {
  if (kind == "man") return program_man(program);
  if (kind == "bash") return program_bash(program);
  if (kind == "zsh") return program_zsh(program);
  if (kind == "fish") return program_fish(program);
  return {};
}

std::optional<int> print_page(const CLI::App& app, std::span<const std::string> args) {
  if (args.size() != 2 || args[0] != "--generate") return std::nullopt;
  std::string text = part_of(app, args[1]);
  if (text.empty()) return std::nullopt;
  const std::string name = app.get_name();
  const bool is_program = name.find(' ') == std::string::npos;
  if (is_program && args[1] == "bash") {
    text += fmt::format("complete -o filenames -F {} {}\n", function_name(name), name);
  }
  if (is_program && args[1] == "zsh") {
    text = fmt::format("#compdef {}\n{}{}", name, text, zsh_end(name));
  }
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

}  // namespace neuronc
