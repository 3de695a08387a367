// Implements output_format.h.
#include "compiler/commands/output_format.h"

#include <fmt/format.h>

#include <cstdio>
#include <optional>
#include <string_view>
#include <utility>

#include "compiler/public_api.h"
#include "ir/module_file.h"

namespace neuronc {
namespace {

std::optional<OutputFormat> format_named(std::string_view name) {
  constexpr std::pair<std::string_view, OutputFormat> kNames[] = {{"text", OutputFormat::text},
                                                                  {"json", OutputFormat::json},
                                                                  {"sarif", OutputFormat::sarif},
                                                                  {"junit", OutputFormat::junit},
                                                                  {"github", OutputFormat::github}};
  for (const auto& [known, format] : kNames) {
    if (known == name) return format;
  }
  return std::nullopt;
}

}  // namespace

void declare_formats(CLI::App& app, FormatWords& words) {
  app.add_option("--format", words,
                 "what stdout gets, or FORMAT=FILE; stderr gets text in any case")
      ->allow_extra_args(false)
      ->type_name("FORMAT:{text,json,sarif,junit,github}")
      ->check([](const std::string& word) {
        return format_named(word.substr(0, word.find('=')))
                   ? ""
                   : "the formats are text, json, sarif, junit and github, not `" + word + "`";
      })
      ->group("Common options");
}

Expected<void> check_formats(const FormatWords& words, Diagnostics& diagnostics) {
  const auto usage = [&](std::string_view text) {
    diagnostics.report(diag::usage_error, {}, text);
    return reported();
  };
  int num_on_stdout = 0;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    num_on_stdout += equals == std::string::npos ? 1 : 0;
    if (num_on_stdout > 1) {
      return usage("standard output takes one format; write others as --format FORMAT=FILE");
    }
    if (equals == std::string::npos) continue;
    if (equals + 1 == word.size()) return usage(fmt::format("no file follows --format {}", word));
    if (word.starts_with("text=")) return usage("text goes to the standard streams, not to a file");
  }
  return {};
}

OutputFormat format_on_stdout(const FormatWords& words) {
  OutputFormat format = OutputFormat::text;
  for (const std::string& word : words) {
    if (word.find('=') == std::string::npos) format = *format_named(word);
  }
  return format;
}

void write_documents(BatchOutcome& batch, const FormatWords& words, const MakeDocument& make) {
  Diagnostics diagnostics;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) continue;
    const OutputFormat format = *format_named(word.substr(0, equals));
    static_cast<void>(write_file(word.substr(equals + 1), make(batch, format), diagnostics));
  }
  std::fputs(diagnostics.to_text().c_str(), stderr);
  for (const Diagnostic& d : diagnostics.all()) batch.messages.push_back(to_message(d));
  batch.exit_code = worst_exit_code(batch.exit_code, exit_code(diagnostics.worst()));
  const std::string document = make(batch, format_on_stdout(words));
  std::fwrite(document.data(), 1, document.size(), stdout);
}

}  // namespace neuronc
