// Implements neff_json.h.
#include "backend/neff_json.h"

#include <nlohmann/json.hpp>
#include <set>

#include "ir/base/dtype.h"

namespace neuronc {
namespace {

using Json = nlohmann::ordered_json;

Json tensors_json(const std::vector<plan::TensorSpec>& tensors) {
  Json list = Json::array();
  for (const plan::TensorSpec& tensor : tensors) {
    Json shape = Json::array();
    for (int64_t dim : tensor.dims) shape.push_back(dim < 0 ? Json() : Json(dim));
    list.push_back({{"name", tensor.name},
                    {"dtype", name(tensor.dtype)},
                    {"shape", tensor.is_ranked ? shape : Json()}});
    if (tensor.kind != Type::Kind::tensor) list.back()["kind"] = plan::kind_name(tensor.kind);
  }
  return list;
}

Json model_json(const CompiledModel& compiled, const NeffJsonInfo& info) {
  return {{"name", compiled.plan.model_name},
          {"hash", info.model_hash},
          {"operations",
           {{"in_model", info.num_ops_in_model},
            {"after_optimizations", info.num_ops_after_optimizations},
            {"on_neuroncores", info.num_ops_on_cores},
            {"on_host", info.num_ops_on_host}}}};
}

Json compiler_json(const NeffJsonInfo& info) {
  Json options = Json::object();
  for (const auto& [option, value] : info.options) options[option] = value;
  return {{"version", info.compiler_version}, {"llvm", info.llvm_version}, {"options", options}};
}

Json target_json(const CompiledModel& compiled, int64_t num_groups) {
  Json arenas = Json::array();
  for (const plan::Lane& lane : compiled.plan.lanes) arenas.push_back(lane.arena_bytes);
  Json json = {{"isa", compiled.isa},
               {"features", compiled.features},
               {"neuroncores", plan::num_cores(compiled.plan)}};
  if (num_groups > 1) json["groups"] = num_groups;
  json["code_bytes"] = compiled.code.size();
  json["arena_bytes"] = arenas;
  json["channel_bytes"] = compiled.channel_bytes;
  return json;
}

Json kernel_json(const std::string& isa, const KernelReport& kernel) {
  Json nodes = Json::array();
  for (const Source& node : kernel.nodes) {
    nodes.push_back({{"name", node.node}, {"op", node.op}, {"opset", node.opset}});
  }
  Json json = {
      {"isa", isa}, {"symbol", kernel.symbol}, {"core", kernel.cores.first}, {"nodes", nodes}};
  if (kernel.cores.count > 1) json["num_cores"] = kernel.cores.count;
  if (!kernel.variant.empty()) json["variant"] = kernel.variant;
  if (kernel.cost.time_ns > 0) {
    json["predicted"] = {{"time_ns", kernel.cost.time_ns},
                         {"flops", kernel.cost.flops},
                         {"weight_bytes", kernel.cost.weight_bytes},
                         {"bytes_read", kernel.cost.bytes_read},
                         {"bytes_written", kernel.cost.bytes_written}};
  }
  return json;
}

Json constants_json(std::span<const CompiledModel> compiled) {
  Json list = Json::array();
  std::set<std::string> seen;
  for (const CompiledModel& target : compiled) {
    for (const plan::Constant& constant : target.plan.constants) {
      const std::string hash = to_hex(constant.hash);
      if (!seen.insert(hash).second) continue;
      list.push_back({{"name", constant.name}, {"bytes", constant.size_bytes}, {"hash", hash}});
    }
  }
  return list;
}

}  // namespace

std::string neff_json(std::span<const CompiledModel> compiled, const NeffJsonInfo& info) {
  const plan::Plan& plan = compiled[0].plan;
  Json json;
  json["format"] = 1;
  json["model"] = model_json(compiled[0], info);
  json["compiler"] = compiler_json(info);
  json["inputs"] = tensors_json(plan.inputs);
  for (Json& input : json["inputs"]) {
    const auto it = info.index_bounds.find(input["name"].get<std::string>());
    if (it != info.index_bounds.end()) input["index_below"] = it->second;
  }
  json["outputs"] = tensors_json(plan.outputs);
  // The best last; a runtime reads no further than this list.
  json["targets"] = Json::array();
  for (const CompiledModel& target : compiled)
    json["targets"].push_back(target_json(target, info.num_groups));
  if (!info.partition_report.empty()) {
    json["partition"] = Json::parse(info.partition_report, nullptr, /*allow_exceptions=*/false);
  }
  json["kernels"] = Json::array();
  for (const CompiledModel& target : compiled) {
    for (const KernelReport& kernel : target.kernels) {
      json["kernels"].push_back(kernel_json(target.isa, kernel));
    }
  }
  json["host_nodes"] = Json::array();
  for (const NeffJsonInfo::HostNode& node : info.host_nodes) {
    json["host_nodes"].push_back({{"node", node.node}, {"op", node.op}, {"reason", node.reason}});
  }
  json["constants"] = constants_json(compiled);
  // Names come from models and need not be UTF-8.
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace neuronc
