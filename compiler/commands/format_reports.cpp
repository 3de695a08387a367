// Implements SARIF and JUnit of format.h.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "compiler/commands/format.h"
#include "ir/base/hash.h"

namespace neuronc {
namespace {

using Json = nlohmann::ordered_json;

// "unsupported_use" as SARIF's examples name rules: "UnsupportedUse".
std::string rule_name(std::string_view name) {
  std::string text;
  bool is_start = true;
  for (const char c : name) {
    if (c != '_') text += is_start ? static_cast<char>(std::toupper(c)) : c;
    is_start = c == '_';
  }
  return text;
}

std::string_view level_name(Severity severity) {
  return severity == Severity::error ? "error" : severity == Severity::warning ? "warning" : "note";
}

// The rules of the codes that occur, in the order of the codes; `index` gets their places.
Json rules_json(const std::set<std::string>& codes, std::map<std::string, size_t>& index) {
  Json rules = Json::array();
  for (const DiagnosticInfo& info : all_diagnostics()) {
    const std::string code(info.code);
    if (!codes.contains(code)) continue;
    index.emplace(code, rules.size());
    rules.push_back({{"id", code},
                     {"name", rule_name(info.name)},
                     {"shortDescription", {{"text", info.format}}},
                     {"fullDescription", {{"text", info.explain}}},
                     {"help", {{"text", explain(code)}}},
                     {"defaultConfiguration", {{"level", level_name(info.severity)}}}});
  }
  return rules;
}

bool is_plain_in_uri(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("-._~/").find(c) != std::string_view::npos;
}

// A file's name as a URI reference: relative names stay relative, to the folder of the call.
std::string uri_of(const std::string& path) {
  std::string uri = path.starts_with("/") ? "file://" : "";
  for (const char c : path) {
    uri += is_plain_in_uri(c) ? std::string(1, c)
                              : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return uri;
}

Json location_json(const Message& message, const std::string& model) {
  Json location = Json::object();
  const std::string& file = message.file.empty() ? model : message.file;
  if (!file.empty()) {
    // A model has no lines, and services that show results want one.
    location["physicalLocation"] = {{"artifactLocation", {{"uri", uri_of(file)}}},
                                    {"region", {{"startLine", 1}}}};
  }
  if (!message.node.empty()) {
    location["logicalLocations"] = {{{"name", message.node},
                                     {"fullyQualifiedName", model + "#" + message.node},
                                     {"kind", message.op.empty() ? "node" : message.op}}};
  }
  return location;
}

Json result_json(const Message& message, const std::string& model,
                 const std::map<std::string, size_t>& rules) {
  std::string text = message.summary;
  if (!message.tensor.empty()) text += "\nat " + message.tensor;
  for (const std::string& hint : message.hints) text += "\n" + hint;
  Json result = {{"ruleId", message.code},
                 {"level", severity_name(message.severity)},
                 {"message", {{"text", text}}}};
  if (const auto it = rules.find(message.code); it != rules.end()) result["ruleIndex"] = it->second;
  const Json location = location_json(message, model);
  if (!location.empty()) result["locations"] = {location};
  // What tells a result from others over the runs: not the figures in its text.
  const std::string identity = message.code + "\n" + model + "\n" + message.node;
  result["partialFingerprints"] = {{"neuronc/v1", to_hex(hash_text(identity))}};
  return result;
}

std::string xml_text(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else if (c == '&') {
      escaped += "&amp;";
    } else if (c == '"') {
      escaped += "&quot;";
    } else if (byte < 0x20 && c != '\n' && c != '\t') {
      escaped += '?';  // no character of XML
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// Names may hold any bytes; a document holds UTF-8 alone. The JSON library knows how.
std::string as_utf8(const std::string& text) {
  const std::string quoted = Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
  return Json::parse(quoted).get<std::string>();
}

std::string test_case(const ModelOutcome& outcome, const std::string& command) {
  std::string text =
      fmt::format("    <testcase classname=\"neuronc.{}\" name=\"{}\" time=\"{:.3f}\"", command,
                  xml_text(outcome.model), outcome.time_ms / 1000);
  std::string errors;
  std::string others;
  std::string type;
  for (const Message& message : outcome.messages) {
    const bool is_error = message.severity == Message::Severity::error;
    (is_error ? errors : others) += message.text + "\n";
    if (is_error && type.empty()) type = message.code;
  }
  for (const Gate& gate : outcome.gates) {
    others += fmt::format("gate {}: {}, limit {}: {}\n", gate.name, gate.measured, gate.limit,
                          gate.is_passed ? "passed" : "FAILED");
  }
  if (outcome.exit_code == 0 && others.empty()) return text + "/>\n";
  text += ">\n";
  if (outcome.exit_code != 0) {
    const std::string_view element = outcome.exit_code == 70 ? "error" : "failure";
    text += fmt::format("      <{0} message=\"exit code {1}\" type=\"{2}\">{3}</{0}>\n", element,
                        outcome.exit_code, xml_text(type), xml_text(errors));
  }
  if (!others.empty()) text += fmt::format("      <system-out>{}</system-out>\n", xml_text(others));
  return text + "    </testcase>\n";
}

}  // namespace

std::string to_sarif(const BatchOutcome& batch) {
  std::set<std::string> codes;
  for (const Message& message : batch.messages) codes.insert(message.code);
  for (const ModelOutcome& outcome : batch.models) {
    for (const Message& message : outcome.messages) codes.insert(message.code);
  }
  std::map<std::string, size_t> index;
  const Json rules = rules_json(codes, index);
  Json results = Json::array();
  for (const Message& message : batch.messages) results.push_back(result_json(message, "", index));
  for (const ModelOutcome& outcome : batch.models) {
    for (const Message& message : outcome.messages) {
      results.push_back(result_json(message, outcome.model, index));
    }
  }
  const std::string version = compiler_version().substr(std::string("neuronc ").size());
  const Json driver = {
      {"name", "neuronc"}, {"version", version}, {"semanticVersion", version}, {"rules", rules}};
  Json run = {{"tool", {{"driver", driver}}},
              {"invocations",
               {{{"executionSuccessful", batch.exit_code != 70}, {"exitCode", batch.exit_code}}}},
              {"columnKind", "utf16CodeUnits"},
              {"results", std::move(results)}};
  const Json json = {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
                     {"version", "2.1.0"},
                     {"runs", {std::move(run)}}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string to_junit(const BatchOutcome& batch) {
  size_t num_failures = 0;
  size_t num_errors = 0;
  double time_s = 0;
  std::string cases;
  for (const ModelOutcome& outcome : batch.models) {
    num_errors += outcome.exit_code == 70 ? 1 : 0;
    num_failures += outcome.exit_code != 0 && outcome.exit_code != 70 ? 1 : 0;
    time_s += outcome.time_ms / 1000;
    cases += test_case(outcome, batch.command);
  }
  if (!batch.messages.empty()) {
    ModelOutcome usage;
    usage.model = "command line";
    usage.exit_code = batch.exit_code;
    usage.messages = batch.messages;
    num_failures += 1;
    cases += test_case(usage, batch.command);
  }
  const std::string counts =
      fmt::format("name=\"neuronc {}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{:.3f}\"",
                  batch.command, batch.models.size() + (batch.messages.empty() ? 0 : 1),
                  num_failures, num_errors, time_s);
  return as_utf8(
      fmt::format("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {0}>\n"
                  "  <testsuite {0}>\n{1}  </testsuite>\n</testsuites>\n",
                  counts, cases));
}

}  // namespace neuronc
