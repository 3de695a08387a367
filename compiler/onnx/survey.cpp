// The survey of graph_importer.h: one status for each node of a model that cannot be imported, so
// that `neuronc check` can say what would compile besides what cannot.
#include <fmt/format.h>

#include "compiler/onnx/graph_importer.h"

namespace neuronc::onnx {

NodeStatus GraphImporter::status_of(const NodeProto& node, const Scope& scope) const {
  const Location location = location_of(node, scope);
  NodeStatus status{location.node, location.op, NodeStatus::Kind::supported, ""};
  if (const NodeProblem* problem = reports_.problem_of(&node)) {
    status.kind =
        problem->is_unsupported ? NodeStatus::Kind::unsupported : NodeStatus::Kind::invalid;
    status.reason = problem->reason;
  } else if (unjudged_.contains(&node)) {
    status.kind = NodeStatus::Kind::unknown;
    status.reason = "what it works on is not known";
  }
  return status;
}

void GraphImporter::survey_nodes(const NodeList& nodes, const Scope& scope, ShowNodes show,
                                 std::vector<NodeStatus>& statuses) const {
  for (const NodeProto& node : nodes) {
    NodeStatus status = status_of(node, scope);
    const bool is_problem = reports_.problem_of(&node) != nullptr;
    const bool is_operation = node.op_type() != "Constant";
    if (is_problem || (show == ShowNodes::all && is_operation)) {
      statuses.push_back(std::move(status));
    }
    for (const AttributeProto& attribute : node.attribute()) {
      if (attribute.has_g()) {
        survey_nodes(attribute.g().node(), scope, ShowNodes::problems, statuses);
      }
    }
  }
}

std::vector<NodeStatus> GraphImporter::survey() const {
  std::vector<NodeStatus> statuses;
  if (!reports_.has_node_problems()) return statuses;
  Scope scope;
  scope.opsets = &opsets_;
  survey_nodes(model_->graph().node(), scope, ShowNodes::all, statuses);
  for (const auto& [key, function] : functions_) {
    scope.opsets = &function_opsets_.at(function);
    scope.prefix = display_name(key.first, key.second) + "/";
    survey_nodes(function->node(), scope, ShowNodes::problems, statuses);
  }
  return statuses;
}

}  // namespace neuronc::onnx
