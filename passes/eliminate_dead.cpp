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
  Changed changed = Changed::no;
  for_each_graph(module, [&](Graph& graph) { changed |= erase_unused_nodes(graph); });
  return changed;
}

}  // namespace neuronc
