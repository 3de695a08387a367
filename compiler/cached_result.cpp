// Implements the results of cache.h: what is kept of one, as JSON.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "compiler/cache.h"
#include "compiler/public_api.h"

namespace neuronc {
namespace {

using Json = nlohmann::ordered_json;

// The entry of a code that this compiler has; null: it has not.
const DiagnosticInfo* find_info(const std::string& code) {
  const auto all = all_diagnostics();
  const auto it =
      std::find_if(all.begin(), all.end(), [&](const auto& info) { return info.code == code; });
  return it == all.end() ? nullptr : &*it;
}

// The model's own name is left out: a hit may come from a file of another name.
Json to_json(const Diagnostic& d, const std::string& model_name) {
  return {{"code", d.code},
          {"message", d.message},
          {"file", d.location.file == model_name ? Json() : Json(d.location.file)},
          {"node", d.location.node},
          {"op", d.location.op},
          {"opset", d.location.opset},
          {"tensor", d.location.tensor},
          {"notes", d.notes}};
}

Diagnostic from_json(const Json& json, const DiagnosticInfo& info, const std::string& model_name) {
  Diagnostic d{info.code, info.severity, info.error_class, json.at("message"), {}, {}};
  const Json& file = json.at("file");
  d.location.file = file.is_null() ? model_name : file.get<std::string>();
  d.location.node = json.at("node");
  d.location.op = json.at("op");
  d.location.opset = json.at("opset");
  d.location.tensor = json.at("tensor");
  d.notes = json.at("notes").get<std::vector<std::string>>();
  return d;
}

// What is kept was written by this very build; the JSON library says by exceptions what is not so.
bool restore(const Json& facts, Compilation& compilation, Diagnostics& diagnostics,
             CompileResult& result) {
  std::vector<Diagnostic> messages;
  for (const Json& message : facts.at("messages")) {
    const DiagnosticInfo* info = find_info(message.at("code"));
    if (info == nullptr) return false;
    messages.push_back(from_json(message, *info, compilation.model_name));
  }
  const Json& operations = facts.at("operations");
  result.operations = {operations.at(0), operations.at(1), operations.at(2), operations.at(3)};
  result.details.partition = facts.at("partition");
  result.details.remarks = facts.at("remarks");
  Json report = facts.at("report");
  report.at("model").at("file") = compilation.model_name;
  report["is_from_cache"] = true;
  result.report_json = report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  diagnostics.clear();
  for (Diagnostic& message : messages) diagnostics.append(std::move(message));
  return true;
}

}  // namespace

bool take_cached(Compilation& compilation, const CompileOptions& options, Diagnostics& diagnostics,
                 CompileResult& result) {
  compilation.cache_key = cache_key(compilation, options);
  if (compilation.cache_key.empty()) return false;
  auto entry = read_cache(options.cache_dir, compilation.cache_key);
  if (!entry) return false;
  try {
    const Json facts = Json::parse(entry->facts_json);
    if (!restore(facts, compilation, diagnostics, result)) return false;
  } catch (const Json::exception&) {
    return false;
  }
  result.neff = std::move(entry->neff);
  result.is_from_cache = true;
  return true;
}

void keep_cached(const Compilation& compilation, const CompileOptions& options,
                 Diagnostics& diagnostics, CompileResult& result) {
  if (compilation.cache_key.empty() || result.is_from_cache || !result.is_ok()) return;
  Json messages = Json::array();
  for (const Diagnostic& d : diagnostics.all()) {
    messages.push_back(to_json(d, compilation.model_name));
  }
  const OperationCounts& counts = result.operations;
  Json facts;
  facts["messages"] = std::move(messages);
  facts["operations"] = {counts.num_in_model, counts.num_after_optimizations,
                         counts.num_on_neuroncores, counts.num_on_host};
  facts["partition"] = result.details.partition;
  facts["remarks"] = result.details.remarks;
  facts["report"] = Json::parse(result.report_json, nullptr, /*allow_exceptions=*/false);
  // Tuning has added to its file, and the result is what the file gives now.
  const std::string key = options.tune ? cache_key(compilation, options) : compilation.cache_key;
  const std::string problem =
      write_cache(options.cache_dir, key,
                  {facts.dump(-1, ' ', false, Json::error_handler_t::replace), result.neff},
                  options.cache_limit_bytes);
  if (problem.empty()) return;
  diagnostics.report(diag::result_not_kept, {}, options.cache_dir, problem);
  result.messages.push_back(to_message(diagnostics.all().back()));
}

}  // namespace neuronc
