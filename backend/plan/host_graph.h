// The part of a module that the runtime evaluates: `host.nir`.
//
// Host nodes keep their order; what they read from NeuronCores, and numeric constants, become
// inputs of the graph, because the plan hands those over. Constants of strings are host nodes too.
#pragma once

#include <string>

#include "ir/graph.h"

namespace neuronc {

// Whether the plan runs `node` as a host node. The i-th such node of a graph is node i of host.nir.
bool is_host_item(const Module& module, const Graph& graph, NodeId node);

struct HostGraph {
  std::string nir;   // empty without host nodes
  std::string nirc;  // constants too large for the text; empty if there are none
};

// `module` as prepare_host leaves it.
HostGraph extract_host_graph(const Module& module);

}  // namespace neuronc
