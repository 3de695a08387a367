// Implements simplify.h: walks all graphs and offers each node to all rules.
#include "passes/simplify.h"

namespace neuronc {
namespace {

Changed apply(Rewriter& rewriter, NodeId id, std::span<const SimplifyRule> rules) {
  for (SimplifyRule rule : rules) {
    if (rewriter.node(id).is_erased) break;
    if (rule(rewriter, id) == Changed::yes) return Changed::yes;
  }
  return Changed::no;
}

}  // namespace

Expected<Changed> simplify(Module& module, const NoOptions&, PassContext& context) {
  Changed changed = Changed::no;
  for_each_graph(module, [&](Graph& graph) {
    Rewriter rewriter{module, graph, context.remarks};
    for (NodeId id : graph.nodes()) {
      for (auto rules : {identity_rules(), shape_rules(), weight_rules()}) {
        if (graph.node(id).is_erased) break;
        changed |= apply(rewriter, id, rules);
      }
    }
  });
  return changed;
}

}  // namespace neuronc
