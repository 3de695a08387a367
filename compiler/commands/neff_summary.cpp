// Implements neff_summary.h.
#include "compiler/commands/neff_summary.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace neuronc {
namespace {

using Json = nlohmann::json;

// Reads that never fail: the file may have been made by anyone.
const Json& at(const Json& json, const char* key) {
  static const Json* const kNull = new Json;
  if (!json.is_object()) return *kNull;
  const auto it = json.find(key);
  return it == json.end() ? *kNull : *it;
}

std::string text_at(const Json& json, const char* key) {
  const Json& value = at(json, key);
  return value.is_string() ? value.get<std::string>() : "";
}

double number_at(const Json& json, const char* key) {
  const Json& value = at(json, key);
  return value.is_number() ? value.get<double>() : 0;
}

double sum_of(const Json& numbers) {
  double sum = 0;
  if (numbers.is_array()) {
    for (const Json& number : numbers) sum += number.is_number() ? number.get<double>() : 0;
  }
  return sum;
}

std::vector<NeffSummary::Tensor> tensors_of(const Json& list) {
  std::vector<NeffSummary::Tensor> tensors;
  if (!list.is_array()) return tensors;
  for (const Json& tensor : list) {
    std::vector<std::string> dims;
    if (const Json& shape = at(tensor, "shape"); shape.is_array()) {
      for (const Json& dim : shape) dims.push_back(dim.is_number() ? dim.dump() : "?");
    }
    tensors.push_back({text_at(tensor, "name"),
                       fmt::format("{}[{}]", text_at(tensor, "dtype"), fmt::join(dims, ","))});
  }
  return tensors;
}

std::vector<std::string> nodes_of(const Json& list) {
  std::vector<std::string> nodes;
  if (!list.is_array()) return nodes;
  for (const Json& node : list) nodes.push_back(text_at(node, "name"));
  return nodes;
}

void read_targets(NeffSummary& summary, const Json& list, const InspectResult& inspected) {
  for (const InspectResult::Target& target : inspected.targets) {
    summary.targets.push_back({target.name, target.runs_here});
    if (!list.is_array()) continue;
    for (const Json& entry : list) {
      if (text_at(entry, "isa") != target.name) continue;
      summary.targets.back().code_bytes = number_at(entry, "code_bytes");
      summary.targets.back().arena_bytes = sum_of(at(entry, "arena_bytes"));
      summary.targets.back().channel_bytes = number_at(entry, "channel_bytes");
    }
  }
}

void read_kernels(NeffSummary& summary, const Json& list) {
  if (!list.is_array() || summary.targets.empty()) return;
  for (const Json& kernel : list) {
    if (text_at(kernel, "isa") != summary.targets.back().isa) continue;
    summary.kernels.push_back({text_at(kernel, "symbol"), text_at(kernel, "variant"),
                               nodes_of(at(kernel, "nodes")),
                               static_cast<int64_t>(number_at(kernel, "core")),
                               number_at(at(kernel, "predicted"), "time_ns")});
  }
}

}  // namespace

NeffSummary summarize(const InspectResult& inspected) {
  NeffSummary summary;
  const Json json = Json::parse(inspected.json, nullptr, /*allow_exceptions=*/false);
  summary.name = inspected.name;
  summary.uuid = inspected.uuid;
  summary.compiler = inspected.compiler_version;
  summary.num_neuroncores = inspected.num_neuroncores;
  summary.target_here = inspected.target_here;
  for (const InspectResult::Member& member : inspected.members) {
    summary.neff_bytes =
        std::max(summary.neff_bytes, static_cast<double>(member.offset_bytes + member.size_bytes));
    if (member.name == "weights.bin") summary.weight_bytes = static_cast<double>(member.size_bytes);
  }
  const Json& operations = at(at(json, "model"), "operations");
  summary.num_operations = number_at(operations, "after_optimizations");
  summary.num_host_operations = number_at(operations, "on_host");
  const Json& partition = at(json, "partition");
  summary.latency_us = number_at(partition, "latency_ns") / 1000;
  summary.period_us = number_at(partition, "period_ns") / 1000;
  summary.hardware = text_at(partition, "hardware");
  summary.strategy = text_at(partition, "strategy");
  summary.num_groups = std::max<int64_t>(1, static_cast<int64_t>(number_at(partition, "groups")));
  if (const Json& options = at(at(json, "compiler"), "options"); options.is_object()) {
    for (const auto& [name, value] : options.items()) {
      summary.options[name] = value.is_string() ? value.get<std::string>() : value.dump();
    }
  }
  summary.inputs = tensors_of(at(json, "inputs"));
  summary.outputs = tensors_of(at(json, "outputs"));
  read_targets(summary, at(json, "targets"), inspected);
  read_kernels(summary, at(json, "kernels"));
  if (const Json& nodes = at(json, "host_nodes"); nodes.is_array()) {
    for (const Json& node : nodes) {
      summary.host_nodes[text_at(node, "node")] =
          fmt::format("{}: {}", text_at(node, "op"), text_at(node, "reason"));
    }
  }
  return summary;
}

}  // namespace neuronc
