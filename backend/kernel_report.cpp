// Implements kernel_report.h.
#include "backend/kernel_report.h"

#include <set>

#include "backend/cpu_target.h"

namespace neuronc {
namespace {

// Sources of `graph`'s nodes, bodies included, each once.
void add_sources(const Module& module, const Graph& graph, std::set<SourceId>& seen,
                 std::vector<Source>& sources) {
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (node.op == Op::constant) continue;
    if (node.source && seen.insert(node.source).second) {
      sources.push_back(module.source(node.source));
    }
    for (const auto& body : node.bodies) add_sources(module, *body, seen, sources);
  }
}

}  // namespace

KernelReport report_kernel(const Module& module, const Graph& graph, NodeId id,
                           const Machine& machine) {
  const Node& node = graph.node(id);
  KernelReport report;
  report.cores = node.cores;
  if (node.op == Op::group) {
    report.variant = node.view().string("variant");
    // What is too small to share is the first core's alone.
    if (node.view().i64("is_shared") == 0) report.cores = CoreRange::one(node.cores.first);
  }
  std::set<SourceId> seen;
  for (const auto& body : node.bodies) add_sources(module, *body, seen, report.nodes);
  if (report.nodes.empty() && node.source) report.nodes.push_back(module.source(node.source));
  report.cost = CpuTarget(machine).cost(module, graph, id, machine.hardware);
  return report;
}

}  // namespace neuronc
