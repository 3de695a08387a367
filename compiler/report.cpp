// The JSON report: the part of driver.h that sees the JSON library.
#include <map>
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

Json statuses(const std::vector<onnx::NodeStatus>& survey) {
  Json list = Json::array();
  for (const onnx::NodeStatus& status : survey) {
    list.push_back({{"node", status.node},
                    {"operator", status.op},
                    {"status", onnx::name(status.kind)},
                    {"reason", status.reason}});
  }
  return list;
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

Json kernels(const CompiledModel& code) {
  Json list = Json::array();
  for (const KernelReport& kernel : code.kernels) {
    Json nodes = Json::array();
    for (const Source& source : kernel.nodes) nodes.push_back(source.node);
    list.push_back({{"symbol", kernel.symbol},
                    {"variant", kernel.variant},
                    {"core", kernel.cores.first},
                    {"num_cores", kernel.cores.count},
                    {"nodes", std::move(nodes)},
                    {"predicted_time_ns", kernel.cost.time_ns},
                    {"flops", kernel.cost.flops},
                    {"weight_bytes", kernel.cost.weight_bytes}});
  }
  return list;
}

}  // namespace

std::string partition_json(const PartitionReport& report) {
  Json cores = Json::array();
  for (const CoreReport& core : report.cores) {
    cores.push_back({{"nodes", core.num_nodes},
                     {"time_ns", core.time_ns},
                     {"compute_ns", core.compute_ns},
                     {"weight_bytes", core.weight_bytes},
                     {"resident_bytes", core.resident_bytes},
                     {"left_bytes", core.left_bytes},
                     {"streamed_bytes", core.streamed_bytes},
                     {"received_bytes", core.received_bytes},
                     {"sent_bytes", core.sent_bytes}});
  }
  Json table = Json::array();
  for (const PartitionReport::Row& row : report.table) {
    table.push_back({{"cores", row.num_cores},
                     {"latency_ns", row.latency_ns},
                     {"latency_strategy", row.latency_strategy},
                     {"period_ns", row.period_ns},
                     {"throughput_strategy", row.throughput_strategy},
                     {"data_period_ns", row.data_period_ns},
                     {"balance", row.balance},
                     {"moved_bytes", row.moved_bytes},
                     {"more_cores", row.more_cores}});
  }
  const Json json = {{"strategy", report.strategy},
                     {"stages", report.num_stages},
                     {"groups", report.groups},
                     {"cores_per_stage", report.team},
                     {"hardware", report.hardware},
                     {"launch_ns", report.launch_ns},
                     {"hand_off_ns", report.hand_off_ns},
                     {"barrier_ns", report.barrier_ns},
                     {"on_chip_bytes_per_s", report.on_chip_bytes_per_s},
                     {"dram_bytes_per_s_per_core", report.dram_bytes_per_s_per_core},
                     {"cores", std::move(cores)},
                     {"period_ns", report.period_ns},
                     {"latency_ns", report.latency_ns},
                     {"table", std::move(table)},
                     {"more_cores", report.more_cores}};
  return json.dump();
}

std::string timeline_json(const PartitionReport& report) {
  Json events = Json::array();
  for (const PartitionReport::Event& event : report.timeline) {
    events.push_back({{"core", event.core},
                      {"name", event.name},
                      {"start_ns", event.start_ns},
                      {"time_ns", event.time_ns}});
  }
  return events.dump(-1, ' ', false, Json::error_handler_t::replace);
}

namespace {

Json code_json(const CompiledModel& code) {
  return {{"isa", code.isa},
          {"code_bytes", code.code.size()},
          {"peak_arena_bytes", code.peak_arena_bytes},
          {"total_arena_bytes", code.total_arena_bytes},
          {"channel_bytes", code.channel_bytes}};
}

// Of code generation, all targets together.
std::map<std::string, double> phase_times(const Compilation& compilation) {
  std::map<std::string, double> times;
  for (const CompiledModel& code : compilation.codes) {
    for (const PhaseTime& time : code.phases) {
      times[std::string(time.phase)] += static_cast<double>(time.time_ns) * 1e-6;
    }
  }
  return times;
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
  Json given = Json::object();
  for (const auto& [option, value] : option_list(options)) given[option] = value;
  report["options"] = std::move(given);
  report["pipeline"] = compilation.pipeline;
  report["operations"] = operations(compilation.placement);
  if (!compilation.survey.empty()) report["nodes"] = statuses(compilation.survey);
  if (!compilation.partition_json.empty()) {
    report["partition"] = Json::parse(compilation.partition_json, nullptr, false);
    report["timeline"] = Json::parse(compilation.timeline_json, nullptr, false);
  }
  if (!compilation.codes.empty()) {
    // The best target's kernels; the table of targets has all.
    report["kernels"] = kernels(compilation.codes.back());
    report["code"] = code_json(compilation.codes.back());
    report["targets"] = Json::array();
    for (const CompiledModel& code : compilation.codes) {
      report["targets"].push_back(code_json(code));
    }
  }
  Json phases = Json::object();
  for (const Compilation::Phase& phase : compilation.phases) phases[phase.name] = phase.time_ms;
  report["time_ms"] = std::move(phases);
  Json passes = Json::object();
  for (const auto& [phase, time_ms] : phase_times(compilation)) passes[phase] = time_ms;
  for (const PassTime& time : compilation.pass_times) {
    Json& sum = passes[std::string(time.pass)];
    sum = (sum.is_number() ? sum.get<double>() : 0.0) + static_cast<double>(time.time_ns) * 1e-6;
  }
  report["pass_time_ms"] = std::move(passes);
  report["remarks"] = remarks(compilation.remarks);
  // Names may hold any bytes; what is no UTF-8 is replaced.
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace neuronc
