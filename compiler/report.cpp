// The JSON report: the part of driver.h that sees the JSON library.
#include <nlohmann/json.hpp>

#include "compiler/driver.h"

namespace neuronc {
namespace {

using Json = nlohmann::ordered_json;

Json operations(const PlacementSummary& placement) {
  Json host = Json::array();
  for (const PlacementSummary::HostNode& node : placement.host_nodes) {
    host.push_back({{"node", node.label}, {"operator", node.op}, {"reason", node.reason}});
  }
  return {{"in_model", placement.num_in_model},
          {"after_optimizations", placement.num_after_optimizations},
          {"on_neuroncores", placement.num_on_cores},
          {"on_host", placement.num_on_host},
          {"host_nodes", std::move(host)}};
}

Json remarks(const Remarks& remarks) {
  Json list = Json::array();
  for (const Remark& remark : remarks.all()) {
    list.push_back({{"pass", remark.pass},
                    {"kind", remark.kind == RemarkKind::done ? "done" : "missed"},
                    {"where", remark.where},
                    {"text", remark.text}});
  }
  return list;
}

}  // namespace

std::string report_json(const Compilation& compilation, const CompileOptions& options) {
  Json report;
  report["compiler"] = compiler_version();
  report["model"] = {{"file", compilation.model_name},
                     {"hash", to_hex(compilation.model.hash)},
                     {"size_bytes", compilation.model.size_bytes},
                     {"opset", compilation.model.opset},
                     {"ir_version", compilation.model.ir_version},
                     {"producer", compilation.model.producer}};
  report["options"] = {{"num_neuroncores", options.num_neuroncores},
                       {"target_cpu", options.target_cpu},
                       {"hardware_model", options.hardware_model},
                       {"pipeline", compilation.pipeline}};
  report["operations"] = operations(compilation.placement);
  Json phases = Json::object();
  for (const Compilation::Phase& phase : compilation.phases) phases[phase.name] = phase.time_ms;
  report["time_ms"] = std::move(phases);
  Json passes = Json::object();
  for (const PassTime& time : compilation.pass_times) {
    passes[std::string(time.pass)] = static_cast<double>(time.time_ns) * 1e-6;
  }
  report["pass_time_ms"] = std::move(passes);
  report["remarks"] = remarks(compilation.remarks);
  // Names may hold any bytes; what is no UTF-8 is replaced.
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace neuronc
