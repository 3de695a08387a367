// What a pass is: a free function over a module, with typed options and a line in passes.def.
//
//   Expected<Changed> fuse(Module& module, const FuseOptions& options, PassContext& context);
//
// Adding a pass: a header and a .cpp of its name here, its include in registry.cpp, its line in
// passes.def, a lit test in test/lit/passes/. Its options are a struct with an `options()` list:
//
//   struct CastOptions {
//     std::string type = "bf16";
//     std::vector<PassOption> options() {
//       return {{"type", &type, "the narrow type", {"bf16", "fp16"}}};
//     }
//   };
//
// Laws for passes: never make a module worse than it was; report `Changed` truly (the runner
// compares it with a structural hash); say in a remark what was not done and why; read no state of
// another pass. A module's stage is set by the runner, from passes.def.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"
#include "ir/graph.h"
#include "ir/remarks.h"

namespace neuronc {

class Target;

struct PassContext {
  const Target& target;
  Diagnostics& diagnostics;
  Remarks& remarks;
};

// One option of a pass, bound to the member that holds it. Text values are restricted to `choices`
// where there are any.
struct PassOption {
  std::string_view name;
  std::variant<int64_t*, double*, bool*, std::string*> target;
  std::string_view summary;
  std::vector<std::string_view> choices = {};
};

// The options of passes that have none.
struct NoOptions {
  std::vector<PassOption> options() { return {}; }
};

struct PassInfo;

// A pass with its options, as it stands in a pipeline.
class Pass {
 public:
  virtual ~Pass() = default;
  virtual const PassInfo& info() const = 0;
  virtual std::vector<PassOption> options() = 0;
  virtual Expected<Changed> run(Module& module, PassContext& context) const = 0;
};

// One line of passes.def.
struct PassInfo {
  std::string_view name;  // in pipeline text: "fold-constants"
  Stage earliest;         // the first and last stage a module may have when the pass starts
  Stage latest;
  std::optional<Stage> establishes;  // the module's stage after it; none: unchanged
  std::string_view summary;
  std::unique_ptr<Pass> (*create)();  // with default options
};

// Every pass, sorted by name.
const std::vector<PassInfo>& all_passes();
const PassInfo* find_pass(std::string_view name);

// The name a remark or a diagnostic gives a node: the model's node, or the value it makes.
std::string node_label(const Module& module, const Graph& graph, NodeId node);
// Where a node came from, for diagnostics.
Location node_location(const Module& module, const Graph& graph, NodeId node);

// Visits the main graph and all bodies in it. A graph is visited before its bodies are listed: a
// visit that erases a node ends the node's bodies too.
void for_each_graph(Module& module, const std::function<void(Graph&)>& visit);

// Runs what works on a module's main graph on it, and then on each body that cores run, put in the
// main graph's place.
Expected<Changed> on_core_graphs(Module& module, const std::function<Expected<Changed>()>& pass);

}  // namespace neuronc
