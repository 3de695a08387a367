// Names and order inside an ONNX graph: what its bodies use of the outside, and an execution order
// for nodes that need not be sorted in the file.
#pragma once

#include <string>
#include <vector>

#include "compiler/onnx/proto.h"

namespace neuronc::onnx {

using NodeList = google::protobuf::RepeatedPtrField<::onnx::NodeProto>;

// Names that `graph` uses but does not define, bodies inside included; in order of first use.
std::vector<std::string> outer_names(const ::onnx::GraphProto& graph);

// Names a node uses: its inputs, then what its bodies use of the outside.
std::vector<std::string> used_names(const ::onnx::NodeProto& node);

struct NodeOrder {
  std::vector<int> order;  // indices of nodes; as in the file wherever that is possible
  std::vector<int> cycle;  // the nodes of one cycle, in order; empty: there is none
};
NodeOrder sort_nodes(const NodeList& nodes);

}  // namespace neuronc::onnx
