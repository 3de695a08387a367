// Implements eliminate_dead.h.
#include "passes/eliminate_dead.h"

#include <algorithm>

#include "ir/edit.h"

namespace neuronc {
namespace {

Changed erase_unused_nodes(Graph& graph) {
  // Users stand behind producers, so one walk from the end sees each node after its users.
  GraphEditor edit(graph);
  Changed changed = Changed::no;
  for (NodeId node = graph.last_node(); node;) {
    const NodeId previous = graph.node(node).previous;
    const auto& results = graph.node(node).results;
    const bool is_unused = std::all_of(results.begin(), results.end(), [&](ValueId value) {
      return graph.value(value).is_unused();
    });
    if (is_unused) {
      edit.erase(node);
      changed = Changed::yes;
    }
    node = previous;
  }
  return changed;
}

}  // namespace

Expected<Changed> eliminate_dead(Module& module, const NoOptions&, PassContext&) {
  // A graph is cleaned before its bodies are listed: erasing a node ends its bodies too.
  Changed changed = Changed::no;
  std::vector<Graph*> work{&module.graph()};
  while (!work.empty()) {
    Graph& graph = *work.back();
    work.pop_back();
    changed |= erase_unused_nodes(graph);
    for (NodeId node : graph.nodes()) {
      for (const auto& body : graph.node(node).bodies) work.push_back(body.get());
    }
  }
  return changed;
}

}  // namespace neuronc
