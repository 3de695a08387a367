// Implements report.h.
#include "compiler/onnx/report.h"

#include <fmt/format.h>

namespace neuronc::onnx {
namespace {
constexpr size_t kMostLocations = 4;
}

void NodeReports::add(const void* node, const Location& location, const std::string& reason,
                      bool is_unknown) {
  ++num_problems_;
  if (!seen_.emplace(node, reason).second) return;
  Group& group = groups_[{location.op, location.opset, reason}];
  group.is_unknown_operator = is_unknown;
  ++group.count;
  if (group.locations.size() < kMostLocations) group.locations.push_back(location);
}

void NodeReports::unknown_operator(const void* node, const Location& location,
                                   const std::string& reason) {
  add(node, location, reason, true);
}

void NodeReports::unsupported_use(const void* node, const Location& location,
                                  const std::string& reason) {
  add(node, location, reason, false);
}

void NodeReports::invalid(const void* node, const Location& location, const std::string& reason) {
  ++num_problems_;
  if (!seen_.emplace(node, reason).second) return;
  diagnostics_.report(diag::invalid_node, location, location.op, reason);
}

void NodeReports::finish(int64_t num_nodes, const std::string& file) {
  int64_t num_unsupported = 0;
  for (const auto& [key, group] : groups_) {
    const auto& [op, opset, reason] = key;
    num_unsupported += group.count;
    const std::string nodes =
        group.count == 1 ? std::string("one node") : fmt::format("{} nodes", group.count);
    Diagnostic& diagnostic =
        group.is_unknown_operator
            ? diagnostics_.report(diag::unsupported_operator, group.locations[0], op, nodes, reason)
            : diagnostics_.report(diag::unsupported_use, group.locations[0], op, nodes, reason);
    std::string others;
    for (size_t i = 1; i < group.locations.size(); ++i) {
      others += fmt::format("{}\"{}\"", i > 1 ? ", " : "", group.locations[i].node);
    }
    if (others.empty()) continue;
    const auto num_named = static_cast<int64_t>(group.locations.size());
    if (group.count > num_named) others += fmt::format(" and {} more", group.count - num_named);
    diagnostic.notes.push_back("also at " + others);
  }
  if (num_unsupported > 0) {
    diagnostics_.report(diag::unsupported_summary, Location{file}, num_unsupported, num_nodes);
  }
}

}  // namespace neuronc::onnx
