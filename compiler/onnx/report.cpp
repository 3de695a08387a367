// Implements report.h.
#include "compiler/onnx/report.h"

#include <fmt/format.h>

namespace neuronc::onnx {
namespace {
constexpr size_t kMostLocations = 4;
}

bool NodeReports::note(const void* node, const std::string& reason, bool is_unsupported) {
  ++num_problems_;
  if (!seen_.emplace(node, reason).second) return false;
  problems_.emplace(node, NodeProblem{is_unsupported, reason});
  return true;
}

void NodeReports::add(const void* node, const Location& location, const std::string& reason,
                      bool is_unknown) {
  if (!note(node, reason, true)) return;
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
  if (!note(node, reason, false)) return;
  diagnostics_->report(diag::invalid_node, location, location.op, reason);
}

void NodeReports::bad_call(const void* node, const Location& location, const std::string& reason) {
  if (!note(node, reason, false)) return;
  diagnostics_->report(diag::invalid_function, location, location.op, reason);
}

void NodeReports::too_large(const void* node, const Location& location, const std::string& type) {
  if (!note(node, type + " is too large", false)) return;
  diagnostics_->report(diag::tensor_too_large, location,
                       location.tensor.empty() ? std::string("a result") : location.tensor, type);
}

void NodeReports::over_limit(const void* node, const Location& location, const std::string& what,
                             int64_t limit) {
  if (!note(node, what + " is over a limit", false)) return;
  diagnostics_->report(diag::model_limit, location, what, limit);
}

int64_t NodeReports::num_unsupported() const {
  int64_t count = 0;
  for (const auto& [key, group] : groups_) count += group.count;
  return count;
}

const NodeProblem* NodeReports::problem_of(const void* node) const {
  const auto it = problems_.find(node);
  return it == problems_.end() ? nullptr : &it->second;
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
            ? diagnostics_->report(diag::unsupported_operator, group.locations[0], op, nodes,
                                   reason)
            : diagnostics_->report(diag::unsupported_use, group.locations[0], op, nodes, reason);
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
    diagnostics_->report(diag::unsupported_summary, Location{file}, num_unsupported, num_nodes);
  }
}

}  // namespace neuronc::onnx
