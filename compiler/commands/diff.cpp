// Implements diff.h.
#include "compiler/commands/diff.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <optional>

#include "compiler/commands/compile_options.h"
#include "compiler/commands/diff_report.h"
#include "compiler/commands/format.h"
#include "compiler/driver.h"
#include "compiler/public_api.h"
#include "runtime/neff_format.h"

namespace neuronc {
namespace {

struct DiffArguments {
  CompileArguments compile;
  std::string old_file, new_file;
  std::vector<std::string> limits;
  FormatWords formats;
  bool is_json = false;
};

bool is_neff(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char magic[sizeof(kNeffMagic)] = {};
  return file.read(magic, sizeof(magic)) && std::memcmp(magic, kNeffMagic, sizeof(magic)) == 0;
}

void add(Diagnostics& diagnostics, const std::vector<Message>& messages) {
  for (const Message& message : messages) {
    for (const DiagnosticInfo& info : all_diagnostics()) {
      if (info.code != message.code) continue;
      diagnostics.append({info.code,
                          info.severity,
                          info.error_class,
                          message.summary,
                          {message.file, message.node, message.op, message.opset, message.tensor},
                          message.hints});
    }
  }
}

// A NEFF as it is; a model as the options compile it.
Expected<NeffSummary> summary_of(const std::string& path, const CompileOptions& options,
                                 Diagnostics& diagnostics) {
  InspectResult inspected;
  double size_bytes = 0;
  if (is_neff(path)) {
    inspected = inspect_file(path);
    std::ifstream file(path, std::ios::binary | std::ios::ate);
    size_bytes = static_cast<double>(file.tellg());
  } else {
    const CompileResult compiled = compile_file(path, options);
    add(diagnostics, compiled.messages);
    if (!compiled.is_ok()) return reported();
    inspected = inspect_bytes(compiled.neff);
    size_bytes = static_cast<double>(compiled.neff.size());
  }
  add(diagnostics, inspected.messages);
  if (!inspected.is_ok()) return reported();
  NeffSummary summary = summarize(inspected);
  summary.neff_bytes = size_bytes;
  return summary;
}

// "size:+5%" or "host-ops:+0".
std::optional<DiffLimit> parse_limit(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return std::nullopt;
  DiffLimit limit{text.substr(0, colon), 0, false, text};
  std::string_view number = std::string_view(text).substr(colon + 1);
  limit.is_percent = number.ends_with('%');
  if (limit.is_percent) number.remove_suffix(1);
  if (number.starts_with('+')) number.remove_prefix(1);
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), limit.increase);
  if (error != std::errc() || end != number.data() + number.size()) return std::nullopt;
  return limit;
}

Expected<std::vector<DiffLimit>> parse_limits(const std::vector<std::string>& texts,
                                              Diagnostics& diagnostics) {
  std::vector<DiffLimit> limits;
  for (const std::string& text : texts) {
    const auto limit = parse_limit(text);
    if (limit && is_figure(limit->figure)) {
      limits.push_back(*limit);
      continue;
    }
    diagnostics
        .report(diag::usage_error, {},
                fmt::format("--fail-on takes FIGURE:+N or FIGURE:+N%, not `{}`", text))
        .notes.push_back("figures are " + figure_names());
  }
  if (diagnostics.has_errors()) return reported();
  return limits;
}

// `report` is empty where the two could not be compared.
Expected<void> diff(DiffArguments& arguments, std::optional<DiffReport>& report,
                    Diagnostics& diagnostics) {
  if (arguments.is_json) arguments.formats.push_back("json");
  NEURONC_TRY(check_formats(arguments.formats, diagnostics));
  NEURONC_TRY(finish(arguments.compile, diagnostics));
  NEURONC_TRY(check_options(arguments.compile.options, diagnostics));
  NEURONC_ASSIGN(const auto limits, parse_limits(arguments.limits, diagnostics));
  const CompileOptions& options = arguments.compile.options;
  NEURONC_ASSIGN(NeffSummary old_summary, summary_of(arguments.old_file, options, diagnostics));
  NEURONC_ASSIGN(NeffSummary new_summary, summary_of(arguments.new_file, options, diagnostics));
  report = compare_summaries(old_summary, new_summary);
  report->old_file = arguments.old_file;
  report->new_file = arguments.new_file;
  for (const DiffLimit& limit : limits) {
    const DiffGate gate = judge(*report, limit);
    report->gates.push_back(gate);
    if (gate.is_passed) continue;
    diagnostics.report(diag::gate_failed, Location{arguments.new_file}, "--fail-on " + limit.text,
                       gate.measured, gate.limit);
  }
  return {};
}

// As other commands judge a model: the new one.
BatchOutcome outcome_of(const DiffArguments& arguments, const std::optional<DiffReport>& report,
                        const Diagnostics& diagnostics, bool is_done) {
  BatchOutcome batch;
  batch.command = "diff";
  ModelOutcome& outcome = batch.models.emplace_back();
  outcome.model = arguments.new_file;
  add_messages(outcome, diagnostics, is_done);
  batch.exit_code = outcome.exit_code;
  if (!report) return batch;
  for (const DiffGate& gate : report->gates) {
    outcome.gates.push_back({gate.name, gate.measured, gate.limit, gate.is_passed});
  }
  return batch;
}

// JSON is what --json gives; what could not be compared has none, as it has no text.
std::string document_of(const std::optional<DiffReport>& report, const BatchOutcome& batch,
                        OutputFormat format) {
  if (format != OutputFormat::text && format != OutputFormat::json) {
    return to_document(batch, format);
  }
  if (!report) return "";
  return format == OutputFormat::json ? to_json(*report, batch.exit_code) : to_text(*report);
}

}  // namespace

int run_diff(std::span<const std::string> args) {
  CLI::App app("Says what changed between two NEFFs, or between models compiled alike.",
               "neuronc diff");
  DiffArguments arguments;
  app.add_option("old", arguments.old_file, "a NEFF or a model")->required();
  app.add_option("new", arguments.new_file, "a NEFF or a model")->required();
  app.add_flag("--json", arguments.is_json,
               "print JSON (docs/schema/diff.v1.schema.json), as --format json does")
      ->group("Common options");
  declare_formats(app, arguments.formats);
  declare_compile_options(app, arguments.compile);
  app.add_option("--fail-on", arguments.limits,
                 "FIGURE:+N or FIGURE:+N%, separated by commas: fail if it grew by more; figures "
                 "are " +
                     figure_names())
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(std::string(kGateGroup));
  if (const auto code = parse_arguments(app, args)) return *code;
  Diagnostics diagnostics;
  std::optional<DiffReport> report;
  const bool is_done = diff(arguments, report, diagnostics).has_value();
  std::fputs(diagnostics.to_text().c_str(), stderr);
  BatchOutcome batch = outcome_of(arguments, report, diagnostics, is_done);
  write_documents(batch, arguments.formats,
                  [&report](const BatchOutcome& judged, OutputFormat format) {
                    return document_of(report, judged, format);
                  });
  return batch.exit_code;
}

}  // namespace neuronc
