// Implements topology.h.
#include "compiler/onnx/topology.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <unordered_map>
#include <unordered_set>

namespace neuronc::onnx {
namespace {

using ::onnx::GraphProto;
using ::onnx::NodeProto;

// The nodes that must run before each node, without duplicates.
std::vector<std::vector<int>> predecessors(const NodeList& nodes) {
  std::unordered_map<std::string, int> producer;
  for (int i = 0; i < nodes.size(); ++i) {
    for (const std::string& output : nodes[i].output()) {
      if (!output.empty()) producer.emplace(output, i);
    }
  }
  std::vector<std::vector<int>> result(static_cast<size_t>(nodes.size()));
  for (int i = 0; i < nodes.size(); ++i) {
    auto& before = result[static_cast<size_t>(i)];
    for (const std::string& name : used_names(nodes[i])) {
      const auto it = producer.find(name);
      if (it != producer.end()) before.push_back(it->second);
    }
    std::sort(before.begin(), before.end());
    before.erase(std::unique(before.begin(), before.end()), before.end());
  }
  return result;
}

// Walks backwards among unfinished nodes until one is met again.
std::vector<int> find_cycle(const std::vector<std::vector<int>>& before,
                            const std::vector<bool>& is_done, int start) {
  std::vector<int> path;
  std::unordered_map<int, size_t> position;
  int node = start;
  while (position.emplace(node, path.size()).second) {
    path.push_back(node);
    for (int candidate : before[static_cast<size_t>(node)]) {
      if (!is_done[static_cast<size_t>(candidate)]) {
        node = candidate;
        break;
      }
    }
  }
  path.erase(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(position[node]));
  std::reverse(path.begin(), path.end());
  return path;
}

// The tensors that a node names by attributes: Gradient differentiates the graph between them.
void add_named_tensors(const NodeProto& node, std::vector<std::string>& names) {
  if (node.op_type() != "Gradient" || node.domain() != "ai.onnx.preview.training") return;
  for (const auto& attribute : node.attribute()) {
    if (!attribute.s().empty()) names.push_back(attribute.s());
    for (const std::string& name : attribute.strings()) names.push_back(name);
  }
}

}  // namespace

std::vector<std::string> used_names(const NodeProto& node) {
  std::vector<std::string> names;
  for (const std::string& input : node.input()) {
    if (!input.empty()) names.push_back(input);
  }
  add_named_tensors(node, names);
  for (const auto& attribute : node.attribute()) {
    if (attribute.has_g()) {
      for (std::string& name : outer_names(attribute.g())) names.push_back(std::move(name));
    }
    for (const GraphProto& graph : attribute.graphs()) {
      for (std::string& name : outer_names(graph)) names.push_back(std::move(name));
    }
  }
  return names;
}

std::vector<std::string> outer_names(const GraphProto& graph) {
  std::unordered_set<std::string> inner;
  for (const auto& input : graph.input()) inner.insert(input.name());
  for (const auto& tensor : graph.initializer()) inner.insert(tensor.name());
  for (const auto& tensor : graph.sparse_initializer()) inner.insert(tensor.values().name());
  for (const NodeProto& node : graph.node()) {
    for (const std::string& output : node.output()) inner.insert(output);
  }
  std::vector<std::string> names;
  std::unordered_set<std::string> seen;
  const auto use = [&](const std::string& name) {
    if (!inner.contains(name) && seen.insert(name).second) names.push_back(name);
  };
  for (const NodeProto& node : graph.node()) {
    for (const std::string& name : used_names(node)) use(name);
  }
  for (const auto& output : graph.output()) use(output.name());
  return names;
}

NodeOrder sort_nodes(const NodeList& nodes) {
  const auto before = predecessors(nodes);
  std::vector<int> num_waiting(before.size());
  std::vector<std::vector<int>> after(before.size());
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (size_t i = 0; i < before.size(); ++i) {
    num_waiting[i] = static_cast<int>(before[i].size());
    for (int b : before[i]) after[static_cast<size_t>(b)].push_back(static_cast<int>(i));
    if (before[i].empty()) ready.push(static_cast<int>(i));
  }
  NodeOrder result;
  std::vector<bool> is_done(before.size());
  while (!ready.empty()) {
    const int node = ready.top();
    ready.pop();
    is_done[static_cast<size_t>(node)] = true;
    result.order.push_back(node);
    for (int next : after[static_cast<size_t>(node)]) {
      if (--num_waiting[static_cast<size_t>(next)] == 0) ready.push(next);
    }
  }
  const auto stuck = std::find(is_done.begin(), is_done.end(), false);
  if (stuck != is_done.end()) {
    result.cycle = find_cycle(before, is_done, static_cast<int>(stuck - is_done.begin()));
  }
  return result;
}

}  // namespace neuronc::onnx
