// The table of passes.def, and the helpers every pass uses.
#include <fmt/format.h>

#include "ir/control_flow.h"
#include "ir/edit.h"
#include "passes/bound_rows.h"
#include "passes/canonicalize.h"
#include "passes/cast.h"
#include "passes/eliminate_dead.h"
#include "passes/expand_attention.h"
#include "passes/expand_transforms.h"
#include "passes/fold_constants.h"
#include "passes/fuse.h"
#include "passes/inline_branches.h"
#include "passes/join_attention.h"
#include "passes/join_quantized.h"
#include "passes/lay_out.h"
#include "passes/merge_common.h"
#include "passes/narrow_edges.h"
#include "passes/partition.h"
#include "passes/pass.h"
#include "passes/place.h"
#include "passes/prepare_blocks.h"
#include "passes/recognise.h"
#include "passes/simplify.h"
#include "passes/unroll_loops.h"

namespace neuronc {
namespace {

enum PassIndex : size_t {
#define PASS(text, function, Options, earliest, latest, effect, summary) kPass_##function,
#include "passes/passes.def"
#undef PASS
};

template <class Options, Expected<Changed> (*function)(Module&, const Options&, PassContext&),
          size_t index>
class BoundPass final : public Pass {
 public:
  const PassInfo& info() const override { return all_passes()[index]; }
  std::vector<PassOption> options() override { return options_.options(); }
  Expected<Changed> run(Module& module, PassContext& context) const override {
    return function(module, options_, context);
  }
  static std::unique_ptr<Pass> create() { return std::make_unique<BoundPass>(); }

 private:
  Options options_;
};

constexpr std::optional<Stage> establishes(Stage stage) { return stage; }

}  // namespace

const std::vector<PassInfo>& all_passes() {
  using enum Stage;
  constexpr std::optional<Stage> keeps;
  static const std::vector<PassInfo> kPasses = {
#define PASS(text, function, Options, earliest, latest, effect, summary) \
  {text,   Stage::earliest, Stage::latest,                               \
   effect, summary,         &BoundPass<Options, &neuronc::function, kPass_##function>::create},
#include "passes/passes.def"
#undef PASS
  };
  return kPasses;
}

const PassInfo* find_pass(std::string_view name) {
  for (const PassInfo& info : all_passes()) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

std::string node_label(const Module& module, const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.source && !module.source(node.source).node.empty()) {
    return module.source(node.source).node;
  }
  for (ValueId result : node.results) {
    if (!graph.value(result).name.empty()) return graph.value(result).name;
  }
  return std::string(node.def().name);
}

Location node_location(const Module& module, const Graph& graph, NodeId id) {
  Location location;
  location.file = module.message_name();
  const Node& node = graph.node(id);
  location.node = node_label(module, graph, id);
  location.op = node.def().name;
  if (node.source) {
    const Source& source = module.source(node.source);
    if (!source.op.empty()) location.op = source.op;
    location.opset = source.opset;
  }
  if (!node.results.empty()) {
    const Value& value = graph.value(node.results[0]);
    location.tensor = fmt::format("output \"{}\": {}", value.name, to_text(value.type, &module));
  }
  return location;
}

void for_each_graph(Module& module, const std::function<void(Graph&)>& visit) {
  std::vector<Graph*> work{&module.graph()};
  while (!work.empty()) {
    Graph& graph = *work.back();
    work.pop_back();
    visit(graph);
    for (NodeId node : graph.nodes()) {
      for (const auto& body : graph.node(node).bodies) work.push_back(body.get());
    }
  }
}

namespace {

// A body of `node`, at work as the main graph until the end of a scope.
class AsMainGraph {
 public:
  AsMainGraph(Graph& main, Graph& body) : main_(main), body_(body) {
    GraphEditor::swap(main_, body_);
  }
  ~AsMainGraph() { GraphEditor::swap(main_, body_); }
  AsMainGraph(const AsMainGraph&) = delete;
  AsMainGraph& operator=(const AsMainGraph&) = delete;

 private:
  Graph& main_;
  Graph& body_;
};

}  // namespace

// It recurses as deep as bodies nest.
Expected<Changed> on_core_graphs(Module& module, const std::function<Expected<Changed>()>& pass) {
  NEURONC_ASSIGN(Changed changed, pass());
  std::vector<Graph*> bodies;
  for (NodeId id : module.graph().nodes()) {
    const Node& node = module.graph().node(id);
    if (!runs_blocks(node)) continue;
    for (const auto& body : node.bodies) bodies.push_back(body.get());
  }
  for (Graph* body : bodies) {
    const AsMainGraph scope(module.graph(), *body);
    NEURONC_ASSIGN(const Changed inner, on_core_graphs(module, pass));
    changed |= inner;
  }
  return changed;
}

}  // namespace neuronc
