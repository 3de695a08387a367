// Implements recognise.h: asks each rule at each node that can be its anchor.
#include "passes/recognise.h"

#include <array>
#include <vector>

#include "passes/recognise_rules.h"

namespace neuronc {
namespace {

using RuleTable = std::array<std::vector<const Rule*>, kNumOps>;

RuleTable rules_by_anchor() {
  RuleTable table;
  for (std::span<const Rule> rules : {softmax_rules(), normalization_rules(), activation_rules()}) {
    for (const Rule& rule : rules) table[static_cast<size_t>(rule.anchor)].push_back(&rule);
  }
  return table;
}

bool makes_float(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  return node.results.size() == 1 && kFloats.contains(graph.type(node.results[0]).dtype);
}

Changed recognise_in(Module& module, Graph& graph, const RuleTable& table, PassContext& context) {
  Changed changed = Changed::no;
  for (NodeId id : graph.nodes()) {
    if (graph.node(id).is_erased || !makes_float(graph, id)) continue;
    for (const Rule* rule : table[static_cast<size_t>(graph.node(id).op)]) {
      const std::string where = node_label(module, graph, id);
      const size_t num_slots = graph.num_node_slots();
      const Attempt attempt = rule->apply(module, graph, id);
      // A rewrite that failed half way leaves nodes behind that nobody uses.
      if (graph.num_node_slots() != num_slots) changed = Changed::yes;
      if (attempt.outcome == Attempt::Outcome::missed) context.remarks.missed(where, attempt.text);
      if (attempt.outcome != Attempt::Outcome::done) continue;
      context.remarks.done(node_label(module, graph, attempt.node), attempt.text);
      changed = Changed::yes;
      break;
    }
  }
  return changed;
}

}  // namespace

bool is_reduced_type(const Type& type, const Type& x, std::span<const int64_t> axes) {
  if (!type.is_ranked || !x.is_ranked || type.rank() > x.rank()) return false;
  const size_t lead = x.dims.size() - type.dims.size();
  for (size_t d = 0; d < x.dims.size(); ++d) {
    bool is_reduced = false;
    for (int64_t axis : axes) is_reduced |= static_cast<size_t>(axis) == d;
    const Dim expected = is_reduced ? Dim(1) : x.dims[d];
    const Dim actual = d < lead ? Dim(1) : type.dims[d - lead];
    if (expected != actual || actual.is_unknown()) return false;
  }
  return true;
}

Expected<Changed> recognise(Module& module, const NoOptions&, PassContext& context) {
  const RuleTable table = rules_by_anchor();
  Changed changed = Changed::no;
  for_each_graph(module,
                 [&](Graph& graph) { changed |= recognise_in(module, graph, table, context); });
  return changed;
}

}  // namespace neuronc
