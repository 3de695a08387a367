// Implements the text, JSON and GitHub formats of format.h.
#include "compiler/commands/format.h"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#include "ir/base/text.h"

namespace neuronc {
namespace {

using Json = nlohmann::ordered_json;

// Of the schema: it grows by new members; anything else is a new number.
constexpr int kSchemaVersion = 1;

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json number_or_null(const std::optional<double>& number) { return number ? Json(*number) : Json(); }

Json to_json(const Message& message) {
  return {{"severity", severity_name(message.severity)},
          {"code", text_or_null(message.code)},
          {"text", message.summary},
          {"file", text_or_null(message.file)},
          {"node", text_or_null(message.node)},
          {"operator", text_or_null(message.op)},
          {"opset", message.opset > 0 ? Json(message.opset) : Json()},
          {"tensor", text_or_null(message.tensor)},
          {"hints", message.hints}};
}

Json to_json(const std::vector<Message>& messages) {
  Json list = Json::array();
  for (const Message& message : messages) list.push_back(to_json(message));
  return list;
}

Json figures_json(const Figures& figures) {
  return {{"host_ops", number_or_null(figures.host_ops)},
          {"neff_bytes", number_or_null(figures.neff_bytes)},
          {"arena_bytes", number_or_null(figures.arena_bytes)},
          {"latency_us", number_or_null(figures.latency_us)},
          {"min_cosine", number_or_null(figures.min_cosine)},
          {"max_error", number_or_null(figures.max_error)},
          {"targets", figures.targets}};
}

Json tables_json(const ModelOutcome& outcome) {
  Json nodes = Json::array();
  for (const OperationStatus& row : outcome.nodes) {
    nodes.push_back({{"node", row.node},
                     {"operator", row.op},
                     {"status", row.status},
                     {"reason", text_or_null(row.reason)}});
  }
  Json outputs = Json::array();
  for (const OutputStatus& row : outcome.outputs) {
    outputs.push_back({{"data", row.data},
                       {"output", row.output},
                       {"passed", row.is_passed},
                       {"elements", row.num_elements},
                       {"mismatches", row.num_mismatches},
                       {"max_abs_diff", row.is_float ? Json(row.max_abs_diff) : Json()},
                       {"cosine", row.is_float ? Json(row.cosine) : Json()}});
  }
  return {{"nodes", std::move(nodes)}, {"outputs", std::move(outputs)}};
}

Json to_json(const ModelOutcome& outcome) {
  Json gates = Json::array();
  for (const Gate& gate : outcome.gates) {
    gates.push_back({{"name", gate.name},
                     {"measured", gate.measured},
                     {"limit", gate.limit},
                     {"passed", gate.is_passed}});
  }
  const OperationCounts& counts = outcome.operations;
  Json json = {{"model", outcome.model},
               {"exit_code", outcome.exit_code},
               {"passed", outcome.exit_code == 0},
               {"output", text_or_null(outcome.output)},
               {"is_from_cache", outcome.is_from_cache},
               {"time_ms", outcome.time_ms},
               {"operations",
                {{"in_model", counts.num_in_model},
                 {"after_optimizations", counts.num_after_optimizations},
                 {"on_neuroncores", counts.num_on_neuroncores},
                 {"on_host", counts.num_on_host}}},
               {"figures", figures_json(outcome.figures)},
               {"gates", std::move(gates)},
               {"messages", to_json(outcome.messages)},
               {"allowed_warnings", outcome.num_allowed}};
  json.update(tables_json(outcome));
  return json;
}

// What GitHub's runner wants escaped in a message, and in a property also `:` and `,`.
std::string github_text(std::string_view text, std::string_view more = "") {
  std::string escaped;
  for (const char c : text) {
    if (c == '%' || c == '\r' || c == '\n' || more.find(c) != std::string_view::npos) {
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string github_line(const Message& message, const std::string& file) {
  const std::string_view command = message.severity == Message::Severity::error     ? "error"
                                   : message.severity == Message::Severity::warning ? "warning"
                                                                                    : "notice";
  std::string title = message.code;
  if (!message.op.empty()) title += " " + message.op;
  const std::string place = file.empty() ? "" : "file=" + github_text(file, ":,") + ",";
  return fmt::format("::{} {}title={}::{}\n", command, place, github_text(title, ":,"),
                     github_text(message.text));
}

std::string figures_text(const OutputStatus& row) {
  return row.is_float
             ? fmt::format("max abs diff {:.3g}, cosine {:.6f}", row.max_abs_diff, row.cosine)
             : fmt::format("{} of {} elements differ", row.num_mismatches, row.num_elements);
}

}  // namespace

std::string_view severity_name(Message::Severity severity) {
  switch (severity) {
    case Message::Severity::note:
      return "note";
    case Message::Severity::warning:
      return "warning";
    case Message::Severity::error:
      return "error";
  }
  return "error";
}

void print_tables(const ModelOutcome& outcome, bool has_title) {
  if (has_title && !outcome.nodes.empty()) fmt::print("{}:\n", printable(outcome.model));
  for (const OperationStatus& row : outcome.nodes) {
    fmt::print("{:<11} {:<22} {}{}\n", row.status, printable(row.op), printable(row.node),
               row.reason.empty() ? "" : ": " + printable(row.reason));
  }
  std::fflush(stdout);
}

std::string to_json_document(const BatchOutcome& batch) {
  int64_t num_passed = 0;
  int64_t num_errors = 0;
  int64_t num_warnings = 0;
  const auto count = [&](const std::vector<Message>& messages) {
    for (const Message& message : messages) {
      num_errors += message.severity == Message::Severity::error ? 1 : 0;
      num_warnings += message.severity == Message::Severity::warning ? 1 : 0;
    }
  };
  Json models = Json::array();
  count(batch.messages);
  for (const ModelOutcome& outcome : batch.models) {
    num_passed += outcome.exit_code == 0 ? 1 : 0;
    count(outcome.messages);
    models.push_back(to_json(outcome));
  }
  const auto num_models = static_cast<int64_t>(batch.models.size());
  const Json json = {{"schema", "neuronc-result"},
                     {"version", kSchemaVersion},
                     {"compiler", compiler_version()},
                     {"command", batch.command},
                     {"exit_code", batch.exit_code},
                     {"summary",
                      {{"models", num_models},
                       {"passed", num_passed},
                       {"failed", num_models - num_passed},
                       {"errors", num_errors},
                       {"warnings", num_warnings}}},
                     {"messages", to_json(batch.messages)},
                     {"models", std::move(models)}};
  // Names may hold any bytes; what is no UTF-8 is replaced.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_github(const BatchOutcome& batch) {
  std::string text;
  for (const Message& message : batch.messages) text += github_line(message, message.file);
  for (const ModelOutcome& outcome : batch.models) {
    for (const Message& message : outcome.messages) text += github_line(message, outcome.model);
    for (const OutputStatus& row : outcome.outputs) {
      if (row.is_passed) continue;
      text += fmt::format("::notice file={},title={}::{}\n", github_text(outcome.model, ":,"),
                          github_text(row.output, ":,"), github_text(figures_text(row)));
    }
  }
  return text;
}

std::string to_document(const BatchOutcome& batch, OutputFormat format) {
  switch (format) {
    case OutputFormat::text:
      return {};
    case OutputFormat::json:
      return to_json_document(batch);
    case OutputFormat::sarif:
      return to_sarif(batch);
    case OutputFormat::junit:
      return to_junit(batch);
    case OutputFormat::github:
      return to_github(batch);
  }
  return {};
}

}  // namespace neuronc
