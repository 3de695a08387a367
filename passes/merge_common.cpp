// Implements merge_common.h.
#include "passes/merge_common.h"

#include <map>
#include <vector>

#include "ir/base/hash.h"
#include "ir/edit.h"
#include "ir/printer.h"
#include "passes/rewrite.h"

namespace neuronc {
namespace {

// The start of a sequence of hashes.
class KeyBuilder {
 public:
  void add(std::string_view text) { hash_ = hash_combine(hash_, hash_text(text)); }
  void add(int64_t number) {
    hash_ = hash_combine(hash_, {static_cast<uint64_t>(number), 0x9e3779b97f4a7c15u});
  }
  template <class T>
  void add_bytes(const std::vector<T>& items) {
    add(static_cast<int64_t>(items.size()));
    hash_ = hash_combine(hash_, hash_bytes(std::as_bytes(std::span(items))));
  }
  Hash128 hash() const { return hash_; }

 private:
  Hash128 hash_;
};

void add_attribute(KeyBuilder& key, const AttributeValue& value) {
  key.add(static_cast<int64_t>(value.index()));
  switch (kind_of(value)) {
    case AttributeKind::none:
      break;
    case AttributeKind::i64:
      key.add(std::get<int64_t>(value));
      break;
    case AttributeKind::f64:
      key.add_bytes(std::vector<double>{std::get<double>(value)});
      break;
    case AttributeKind::string:
      key.add(std::get<std::string>(value));
      break;
    case AttributeKind::ints:
      key.add_bytes(std::get<std::vector<int64_t>>(value));
      break;
    case AttributeKind::floats:
      key.add_bytes(std::get<std::vector<double>>(value));
      break;
    case AttributeKind::strings:
      for (const std::string& text : std::get<std::vector<std::string>>(value)) key.add(text);
      break;
    case AttributeKind::dtype:
      key.add(static_cast<int64_t>(std::get<DType>(value)));
      break;
    case AttributeKind::constant:
      key.add(std::get<ConstantId>(value).index);
      break;
  }
}

Hash128 key_of(const Module& module, const Graph& graph, const Node& node) {
  KeyBuilder key;
  key.add(static_cast<int64_t>(node.op));
  key.add(static_cast<int64_t>(node.placement));
  key.add(node.cores.first);
  key.add(node.cores.count);
  std::vector<ValueId> operands = node.operands;
  if (node.has(Trait::commutative) && operands.size() >= 2 && operands[1] < operands[0]) {
    std::swap(operands[0], operands[1]);
  }
  key.add_bytes(operands);
  for (const AttributeValue& attribute : node.attributes) add_attribute(key, attribute);
  for (ValueId result : node.results) key.add(to_text(graph.type(result), &module));
  for (const auto& body : node.bodies) key.add(to_text(module, *body));
  return key.hash();
}

Changed merge_in(Module& module, Graph& graph) {
  GraphEditor edit(graph);
  std::map<Hash128, NodeId> seen;
  Changed changed = Changed::no;
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (has_random(node)) continue;
    const auto [it, is_new] = seen.emplace(key_of(module, graph, node), id);
    if (is_new) continue;
    const Node& first = graph.node(it->second);
    for (size_t i = 0; i < node.results.size(); ++i) {
      edit.replace_all_uses(node.results[i], first.results[i]);
    }
    edit.erase(id);
    changed = Changed::yes;
  }
  return changed;
}

// A list of operands, as the key of the concat that joins them, and the keys of the lists that it
// begins or ends with.
class ConcatKey {
 public:
  explicit ConcatKey(int64_t axis) { key_.add(axis); }
  void add(ValueId operand) { key_.add(static_cast<int64_t>(operand.index)); }
  Hash128 hash() const { return key_.hash(); }

 private:
  KeyBuilder key_;
};

using Concats = std::map<Hash128, NodeId>;

// The concat of as many of the first operands of `node` as there is one of, but not of all.
NodeId find_beginning(const Concats& seen, const Node& node, size_t& num_operands) {
  ConcatKey key(node.view().i64("axis"));
  NodeId found;
  for (size_t i = 0; i + 1 < node.operands.size(); ++i) {
    key.add(node.operands[i]);
    const auto it = i == 0 ? seen.end() : seen.find(key.hash());
    if (it == seen.end()) continue;
    found = it->second;
    num_operands = i + 1;
  }
  return found;
}

// Dense blocks join all that came before in each layer: every concat begins with the one before it.
Changed nest_concats(Graph& graph) {
  GraphEditor edit(graph);
  Concats seen;
  Changed changed = Changed::no;
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    // Of rank 1 are shapes, which inference reads through the operator that makes them.
    if (node.op != Op::concat || graph.type(node.results[0]).dims.size() < 2) continue;
    ConcatKey key(node.view().i64("axis"));
    for (ValueId operand : node.operands) key.add(operand);
    size_t num_operands = 0;
    const NodeId beginning = find_beginning(seen, node, num_operands);
    seen.emplace(key.hash(), id);
    if (!beginning || graph.node(beginning).placement != node.placement) continue;
    for (size_t i = num_operands; --i > 0;) edit.erase_operand(id, i);
    edit.set_operand(id, 0, graph.node(beginning).results[0]);
    changed = Changed::yes;
  }
  return changed;
}

}  // namespace

Expected<Changed> merge_common(Module& module, const NoOptions&, PassContext&) {
  Changed changed = Changed::no;
  for_each_graph(module, [&](Graph& graph) {
    changed |= merge_in(module, graph);
    changed |= nest_concats(graph);
  });
  return changed;
}

}  // namespace neuronc
