// Numbers the nodes as plans do (ir/plan/plan.h, RunHostNode).
#include "runtime/host_graph.h"

#include <fmt/format.h>

#include <vector>

#include "ir/evaluate_graph.h"
#include "ir/module_file.h"

namespace neuronc::runtime {
namespace {

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class HostGraph : public HostEvaluator {
 public:
  explicit HostGraph(Module module) : module_(std::move(module)) {
    for (NodeId node : module_.graph().nodes()) nodes_.push_back(node);
  }

  OrRefusal<std::vector<HostValue>> evaluate(uint32_t host_node,
                                             std::span<const HostValue> operands) override {
    const Graph& graph = module_.graph();
    if (host_node >= nodes_.size()) return refuse("host.nir has no such node");
    const Node& node = graph.node(nodes_[host_node]);
    std::vector<const HostValue*> places;
    size_t num_used = 0;
    for (ValueId operand : node.operands) {
      if (operand && num_used == operands.size()) {
        return refuse("the plan gives it too few operands");
      }
      places.push_back(operand ? &operands[num_used++] : nullptr);
    }
    if (num_used != operands.size()) return refuse("the plan gives it too many operands");
    auto results = evaluate_node(module_, graph, nodes_[host_node], places);
    if (!results) {
      return refuse(fmt::format("{} `{}`: {}", node.def().name,
                                node.source ? module_.source(node.source).node : std::string(),
                                results.error().reason));
    }
    return results;
  }

 private:
  Module module_;
  std::vector<NodeId> nodes_;
};

}  // namespace

Result<std::unique_ptr<HostEvaluator>> load_host_graph(const NeffImage& image,
                                                       const NeffMemberView& member) {
  Diagnostics diagnostics;
  const auto error = [&diagnostics] {
    return fail(NRT_INVALID, "the NEFF's host operators cannot be read: {}", diagnostics.to_text());
  };
  ConstantPool constants;
  if (const NeffMemberView* sidecar = image.find("host.nirc")) {
    auto pool = constants_from_bytes(as_text(sidecar->bytes), "host.nirc", diagnostics);
    if (!pool) return error();
    constants = std::move(*pool);
  }
  auto module = parse_module(as_text(member.bytes), "host.nir", constants, diagnostics);
  if (!module) return error();
  return std::make_unique<HostGraph>(std::move(*module));
}

}  // namespace neuronc::runtime
