// Implements lower_module.h.
#include "backend/plan/lower_module.h"

#include <algorithm>

#include "backend/plan/share_kernels.h"
#include "ir/base/hash.h"
#include "ir/control_flow.h"
#include "ir/kernel/verify.h"

namespace neuronc {
namespace {

bool is_symbol_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.';
}

bool is_lowered(const Node& node) { return node.op == Op::group || node.op == Op::reorder; }

Location location_of(const Module& module, const Node& node) {
  Location location;
  location.file = module.message_name();
  location.op = std::string(name(node.op));
  if (!node.source) return location;
  const Source& source = module.source(node.source);
  location.node = source.node;
  location.op = source.op;
  location.opset = source.opset;
  return location;
}

}  // namespace

uint32_t ConstantTable::add(const Tensor& tensor, std::string name) {
  const Hash128 hash = hash_bytes(tensor.bytes());
  const auto [it, is_new] = index_of_.emplace(hash, static_cast<uint32_t>(entries_.size()));
  if (is_new) {
    plan::Constant entry;
    entry.hash = hash;
    entry.size_bytes = static_cast<uint64_t>(tensor.size_bytes());
    entry.name = std::move(name);
    entries_.push_back(std::move(entry));
    tensors_.push_back(tensor);
  }
  return it->second;
}

std::string to_symbol(std::string_view text) {
  std::string symbol(text);
  std::replace_if(symbol.begin(), symbol.end(), [](char c) { return !is_symbol_char(c); }, '_');
  return symbol;
}

plan::KernelId KernelTable::add(kernel::Kernel kernel, uint32_t num_buffers) {
  const Hash128 hash = structural_hash(kernel);
  const plan::KernelId id(entries_.size());
  const auto [it, is_new] = id_of_.emplace(hash, id);
  if (!is_new) return it->second;
  Entry entry;
  std::string base = to_symbol(kernel.name);
  if (base.empty() || (base[0] >= '0' && base[0] <= '9')) base.insert(0, "k_");
  entry.symbol = base;
  for (int suffix = 2; !symbols_.emplace(entry.symbol, id).second; ++suffix) {
    entry.symbol = base + "." + std::to_string(suffix);
  }
  kernel.name = entry.symbol;
  entry.kernel = std::move(kernel);
  entry.num_buffers = num_buffers;
  entries_.push_back(std::move(entry));
  return id;
}

bool KernelTable::holds(const kernel::Kernel& kernel) const {
  return id_of_.count(structural_hash(kernel)) > 0;
}

void KernelTable::add_alias(plan::KernelId kernel, std::string_view model_node) {
  if (model_node.empty()) return;
  keep_alias(kernel, "node." + to_symbol(model_node));
}

void KernelTable::keep_alias(plan::KernelId kernel, std::string alias) {
  if (symbols_.emplace(alias, kernel).second) {
    entries_[kernel.index].aliases.push_back(std::move(alias));
  }
}

namespace {

// The node's kernel: that of the first variant whose kernel verifies.
OrRefusal<LoweredKernel> lower_provably(const Module& module, const Graph& graph, NodeId node,
                                        const LowerFunction& lower, const KernelTable& kernels,
                                        Diagnostics& diagnostics) {
  std::string problem;
  for (size_t pass = 0;; ++pass) {
    OrRefusal<LoweredKernel> lowered = lower(module, graph, node, pass);
    if (!lowered) return pass == 0 ? std::move(lowered) : refuse(problem);
    if (kernels.holds(lowered->kernel)) return lowered;
    const std::vector<std::string> errors = kernel::verify(lowered->kernel, 1);
    if (errors.empty()) return lowered;
    const std::string kernel = lowered->kernel.name;
    if (!problem.empty()) continue;
    problem = "kernel `" + kernel + "` is not valid: " + errors[0];
    const Node& at = graph.node(node);
    diagnostics.report(diag::variant_not_proven, location_of(module, at), kernel, errors[0]);
  }
}

class ModuleLowerer {
 public:
  ModuleLowerer(const Module& module, const LowerFunction& lower, Diagnostics& diagnostics)
      : module_(module), lower_(lower), diagnostics_(diagnostics) {}

  // It recurses as deep as bodies nest.
  void run(const Graph& graph, NodeId unwanted = NodeId()) {
    for (NodeId id : graph.nodes()) {
      const Node& node = graph.node(id);
      if (id == unwanted) continue;
      if (runs_blocks(node)) {
        for (const auto& body : node.bodies) run(*body, copy_of_condition(graph, id));
      } else if (node.placement == Placement::core && is_lowered(node)) {
        lower_node(graph, id);
      }
    }
  }

  Expected<LoweredModule> finish() && {
    if (!is_good_) return reported();
    share_kernels(result_);
    return std::move(result_);
  }

 private:
  // Of a loop's body that never says stop, the copy that says so.
  NodeId copy_of_condition(const Graph& graph, NodeId loop) const {
    const Node& node = graph.node(loop);
    if (node.op != Op::loop || !trip_form(module_, graph, loop).is_endless) return {};
    const Graph& body = *node.bodies[0];
    const NodeId copy = body.producer(body.outputs()[0]);
    const bool is_copy =
        copy && body.node(copy).op == Op::reorder && body.value(body.outputs()[0]).num_uses() == 1;
    return is_copy ? copy : NodeId();
  }
  void lower_node(const Graph& graph, NodeId id);

  const Module& module_;
  const LowerFunction& lower_;
  Diagnostics& diagnostics_;
  LoweredModule result_;
  bool is_good_ = true;
};

void ModuleLowerer::lower_node(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  OrRefusal<LoweredKernel> lowered =
      lower_provably(module_, graph, id, lower_, result_.kernels, diagnostics_);
  if (!lowered) {
    diagnostics_.report(diag::cannot_lower, location_of(module_, node), lowered.error().reason);
    is_good_ = false;
    return;
  }
  LoweredNode entry;
  entry.graph = &graph;
  entry.node = id;
  entry.num_tiles = lowered->kernel.num_tiles;
  for (KernelBuffer& buffer : lowered->buffers) {
    const bool is_packed = buffer.kind == KernelBuffer::Kind::packed;
    const std::string label = node.source ? module_.source(node.source).node : std::string();
    entry.packed_constants.push_back(is_packed ? result_.constants.add(buffer.packed, label) : 0);
    buffer.packed = Tensor();
    entry.buffers.push_back(std::move(buffer));
  }
  const auto num_buffers = static_cast<uint32_t>(entry.buffers.size());
  entry.kernel = result_.kernels.add(std::move(lowered->kernel), num_buffers);
  if (node.source) result_.kernels.add_alias(entry.kernel, module_.source(node.source).node);
  result_.nodes.push_back(std::move(entry));
}

}  // namespace

Expected<LoweredModule> lower_module(const Module& module, const LowerFunction& lower,
                                     Diagnostics& diagnostics) {
  ModuleLowerer lowerer(module, lower, diagnostics);
  lowerer.run(module.graph());
  return std::move(lowerer).finish();
}

}  // namespace neuronc
