// Implements diff_report.h.
#include "compiler/commands/diff_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "ir/base/text.h"

namespace neuronc {
namespace {

using Json = nlohmann::ordered_json;

double best_code_bytes(const NeffSummary& s) {
  return s.targets.empty() ? 0 : s.targets.back().code_bytes;
}
double largest_arena_bytes(const NeffSummary& s) {
  double bytes = 0;
  for (const NeffSummary::Target& target : s.targets) bytes = std::max(bytes, target.arena_bytes);
  return bytes;
}

struct Figure {
  std::string_view name;
  std::string_view unit;
  double (*get)(const NeffSummary& summary);
};
constexpr Figure kFigures[] = {
    {"size", "bytes", [](const NeffSummary& s) { return s.neff_bytes; }},
    {"weights", "bytes", [](const NeffSummary& s) { return s.weight_bytes; }},
    {"code", "bytes", best_code_bytes},
    {"arena", "bytes", largest_arena_bytes},
    {"latency", "us", [](const NeffSummary& s) { return s.latency_us; }},
    {"period", "us", [](const NeffSummary& s) { return s.period_us; }},
    {"operations", "", [](const NeffSummary& s) { return s.num_operations; }},
    {"host-ops", "", [](const NeffSummary& s) { return s.num_host_operations; }},
    {"kernels", "", [](const NeffSummary& s) { return static_cast<double>(s.kernels.size()); }},
    {"cores", "", [](const NeffSummary& s) { return static_cast<double>(s.num_neuroncores); }},
};

using TextMap = std::map<std::string, std::string>;

std::vector<DiffEntry> compare_maps(const TextMap& old_map, const TextMap& new_map) {
  std::vector<DiffEntry> entries;
  for (const auto& [name, text] : old_map) {
    const auto it = new_map.find(name);
    if (it == new_map.end()) {
      entries.push_back({name, text, ""});
    } else if (it->second != text) {
      entries.push_back({name, text, it->second});
    }
  }
  for (const auto& [name, text] : new_map) {
    if (!old_map.contains(name)) entries.push_back({name, "", text});
  }
  return entries;
}

TextMap tensor_map(const std::vector<NeffSummary::Tensor>& tensors) {
  TextMap map;
  for (const NeffSummary::Tensor& tensor : tensors) map[tensor.name] = tensor.type;
  return map;
}

TextMap target_map(const std::vector<NeffSummary::Target>& targets) {
  TextMap map;
  for (const NeffSummary::Target& target : targets) {
    map[target.isa] = fmt::format("{:.0f} bytes of code", target.code_bytes);
  }
  return map;
}

// Kernels by the nodes that they compute: symbols number what is alike.
TextMap kernel_map(const std::vector<NeffSummary::Kernel>& kernels) {
  TextMap map;
  for (const NeffSummary::Kernel& kernel : kernels) {
    const std::string base =
        kernel.nodes.empty() ? kernel.symbol : fmt::format("{}", fmt::join(kernel.nodes, " "));
    std::string name = base;
    for (int i = 2; map.contains(name); ++i) name = fmt::format("{} #{}", base, i);
    map[name] =
        fmt::format("{}, core {}, {:.2f} us", kernel.variant.empty() ? "default" : kernel.variant,
                    kernel.core, kernel.time_ns / 1000);
  }
  return map;
}

std::string number_text(double value, const std::string& unit) {
  return unit == "us" ? fmt::format("{:.2f}", value) : fmt::format("{:.0f}", value);
}

std::string change_text(const DiffFigure& figure) {
  const double change = figure.new_value - figure.old_value;
  if (change == 0) return "same";
  const std::string sign = change > 0 ? "+" : "-";
  const std::string text = sign + number_text(std::abs(change), figure.unit);
  if (figure.old_value == 0) return text;
  return fmt::format("{} ({:+.2f} %)", text, 100 * change / figure.old_value);
}

void add_section(std::string& text, std::string_view title, const std::vector<DiffEntry>& entries) {
  if (entries.empty()) return;
  text += fmt::format("{}:\n", title);
  for (const DiffEntry& entry : entries) {
    const std::string name = printable(entry.name);
    if (entry.new_text.empty() && !entry.old_text.empty()) {
      text += fmt::format("  - {}: {}\n", name, printable(entry.old_text));
    } else if (entry.old_text.empty() && !entry.new_text.empty()) {
      text += fmt::format("  + {}: {}\n", name, printable(entry.new_text));
    } else {
      text += fmt::format("  ~ {}: {} -> {}\n", name, printable(entry.old_text),
                          printable(entry.new_text));
    }
  }
}

Json entries_json(const std::vector<DiffEntry>& entries) {
  const auto side = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  Json list = Json::array();
  for (const DiffEntry& entry : entries) {
    list.push_back(
        {{"name", entry.name}, {"old", side(entry.old_text)}, {"new", side(entry.new_text)}});
  }
  return list;
}

}  // namespace

bool is_figure(std::string_view name) {
  for (const Figure& figure : kFigures) {
    if (figure.name == name) return true;
  }
  return false;
}

std::string figure_names() {
  std::vector<std::string_view> names;
  for (const Figure& figure : kFigures) names.push_back(figure.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

DiffReport compare_summaries(const NeffSummary& old_summary, const NeffSummary& new_summary) {
  DiffReport report;
  for (const Figure& figure : kFigures) {
    report.figures.push_back({std::string(figure.name), std::string(figure.unit),
                              figure.get(old_summary), figure.get(new_summary)});
  }
  report.inputs = compare_maps(tensor_map(old_summary.inputs), tensor_map(new_summary.inputs));
  report.outputs = compare_maps(tensor_map(old_summary.outputs), tensor_map(new_summary.outputs));
  TextMap old_options = old_summary.options;
  TextMap new_options = new_summary.options;
  old_options["compiler"] = old_summary.compiler;
  new_options["compiler"] = new_summary.compiler;
  report.options = compare_maps(old_options, new_options);
  report.targets = compare_maps(target_map(old_summary.targets), target_map(new_summary.targets));
  report.host_nodes = compare_maps(old_summary.host_nodes, new_summary.host_nodes);
  const TextMap old_kernels = kernel_map(old_summary.kernels);
  report.kernels = compare_maps(old_kernels, kernel_map(new_summary.kernels));
  size_t num_other = 0;
  for (const DiffEntry& entry : report.kernels) num_other += entry.old_text.empty() ? 0 : 1;
  report.num_same_kernels = old_kernels.size() - num_other;
  return report;
}

DiffGate judge(const DiffReport& report, const DiffLimit& limit) {
  for (const DiffFigure& figure : report.figures) {
    if (figure.name != limit.figure) continue;
    const double most = limit.is_percent ? figure.old_value * (1 + limit.increase / 100)
                                         : figure.old_value + limit.increase;
    // Predicted times are sums of floats; a part in 10^9 is no change.
    const bool is_passed = figure.new_value <= most + std::abs(most) * 1e-9;
    return {limit.text, number_text(figure.new_value, figure.unit), number_text(most, figure.unit),
            is_passed};
  }
  return {limit.text, "", "", false};
}

std::string to_text(const DiffReport& report) {
  std::string text = fmt::format("old: {}\nnew: {}\n\n", report.old_file, report.new_file);
  text += fmt::format("{:<18} {:>14} {:>14}  change\n", "", "old", "new");
  for (const DiffFigure& figure : report.figures) {
    const std::string label =
        figure.unit.empty() ? figure.name : fmt::format("{} [{}]", figure.name, figure.unit);
    text +=
        fmt::format("{:<18} {:>14} {:>14}  {}\n", label, number_text(figure.old_value, figure.unit),
                    number_text(figure.new_value, figure.unit), change_text(figure));
  }
  add_section(text, "\ninputs", report.inputs);
  add_section(text, "\noutputs", report.outputs);
  add_section(text, "\noptions", report.options);
  add_section(text, "\ntargets", report.targets);
  add_section(text, "\noperations on the host", report.host_nodes);
  add_section(text, "\nkernels", report.kernels);
  text += fmt::format("\n{} kernels are the same\n", report.num_same_kernels);
  for (const DiffGate& gate : report.gates) {
    text += fmt::format("gate {}: {}, limit {}: {}\n", gate.name, gate.measured, gate.limit,
                        gate.is_passed ? "passed" : "FAILED");
  }
  return text;
}

std::string to_json(const DiffReport& report, int exit_code) {
  Json figures = Json::object();
  for (const DiffFigure& figure : report.figures) {
    figures[figure.name] = {{"old", figure.old_value},
                            {"new", figure.new_value},
                            {"unit", figure.unit.empty() ? Json() : Json(figure.unit)}};
  }
  Json gates = Json::array();
  for (const DiffGate& gate : report.gates) {
    gates.push_back({{"name", gate.name},
                     {"measured", gate.measured},
                     {"limit", gate.limit},
                     {"passed", gate.is_passed}});
  }
  const Json json = {{"schema", "neuronc-diff"},
                     {"version", 1},
                     {"old", report.old_file},
                     {"new", report.new_file},
                     {"exit_code", exit_code},
                     {"figures", std::move(figures)},
                     {"inputs", entries_json(report.inputs)},
                     {"outputs", entries_json(report.outputs)},
                     {"options", entries_json(report.options)},
                     {"targets", entries_json(report.targets)},
                     {"host_nodes", entries_json(report.host_nodes)},
                     {"kernels", entries_json(report.kernels)},
                     {"same_kernels", report.num_same_kernels},
                     {"gates", std::move(gates)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace neuronc
