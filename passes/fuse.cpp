// Implements fuse.h: clusters are formed in one walk in execution order, then each becomes a group.
//
// Why no cycle can arise: a cluster executes at the place of its first node (`position`), and a
// node joins it only if all that the node needs besides is available before that place. So along
// every path from cluster to cluster the position grows.
#include "passes/fuse.h"

#include <algorithm>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <unordered_map>

#include "ir/base/check.h"
#include "ir/control_flow.h"
#include "ir/edit.h"
#include "ir/remarks.h"
#include "ir/target.h"
#include "ir/view.h"

namespace neuronc {

bool is_view_candidate(const Module& module, const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  switch (node.op) {
    case Op::reshape:
    case Op::transpose:
    case Op::squeeze:
    case Op::unsqueeze:
    case Op::split:
    case Op::concat:
    case Op::identity:
      return true;
    case Op::expand:
      return graph.type(node.operands[0]).rank() <= graph.type(node.results[0]).rank();
    case Op::slice: {
      const auto dims = slice_dims(module, graph, id);
      return dims && std::all_of(dims->begin(), dims->end(),
                                 [](const SliceDim& dim) { return dim.step > 0; });
    }
    default:
      return false;
  }
}

namespace {

constexpr int64_t kBeforeAll = -1;

struct Cluster {
  std::vector<NodeId> nodes;  // in execution order
  int64_t position = 0;
  std::vector<int64_t> domain;  // shape of what it computes, elementwise consumers included
  NodeId anchor;                // none: elementwise only
  bool is_open = true;          // consumers may join
  bool is_absorbed = false;     // moved into its consumer
};

class Fuser {
 public:
  Fuser(Module& module, const FuseOptions& options, PassContext& context)
      : module_(module), graph_(module.graph()), options_(options), context_(context) {}

  Changed run() {
    form_clusters();
    sink_dequantizations();
    absorb_producers();
    return build_groups();
  }

 private:
  bool is_clustered(NodeId id) const {
    const Node& node = graph_.node(id);
    return node.placement == Placement::core && node.op != Op::constant && node.op != Op::group &&
           !runs_blocks(node) && !is_view_candidate(module_, graph_, id);
  }
  bool is_element(NodeId id) const {
    return graph_.node(id).has(Trait::elementwise) &&
           context_.target.can_inline(module_, graph_, id).has_value();
  }
  int64_t available(ValueId value) const {
    const auto it = available_.find(value);
    return it == available_.end() ? kBeforeAll : it->second;
  }

  void form_clusters();
  std::optional<size_t> cluster_index(ValueId value) const;
  bool is_made_for(const Cluster& cluster, NodeId id) const;
  bool can_move(size_t moved, size_t cluster) const;
  std::string join(NodeId id, size_t target);
  bool try_join(NodeId id);
  void sink_dequantizations();
  bool takes(const Use& use) const;
  void absorb_producers();
  int64_t only_consumer(const Cluster& cluster, size_t self) const;
  bool accepts(const Cluster& consumer, const Cluster& producer) const;
  Changed build_groups();
  std::vector<std::pair<int64_t, NodeId>> order_items();
  void build_group(const Cluster& cluster);
  std::vector<ValueId> escaping_results(const Cluster& cluster, size_t self) const;
  ValueId import_operand(Graph& body, GraphEditor& body_edit, ValueId outer,
                         std::unordered_map<ValueId, ValueId>& inside,
                         std::vector<ValueId>& operands);

  Module& module_;
  Graph& graph_;
  const FuseOptions& options_;
  PassContext& context_;
  std::vector<Cluster> clusters_;
  std::unordered_map<NodeId, size_t> cluster_of_;
  std::unordered_map<ValueId, int64_t> available_;
};

void Fuser::form_clusters() {
  int64_t position = 0;
  for (NodeId id : graph_.nodes()) {
    ++position;
    const Node& node = graph_.node(id);
    if (!is_clustered(id)) {
      const bool is_whole = node.placement == Placement::host || runs_blocks(node);
      int64_t ready = is_whole ? position : kBeforeAll;
      for (ValueId operand : node.operands) {
        if (operand) ready = std::max(ready, available(operand));
      }
      for (ValueId result : node.results) available_[result] = ready;
      continue;
    }
    const bool element = is_element(id);
    if (!(element && try_join(id))) {
      Cluster cluster;
      cluster.nodes.push_back(id);
      cluster.position = position;
      cluster.domain = graph_.type(node.results[0]).shape();
      if (!element) cluster.anchor = id;
      cluster.is_open = node.results.size() == 1;
      cluster_of_[id] = clusters_.size();
      clusters_.push_back(std::move(cluster));
    }
    for (ValueId result : node.results) {
      available_[result] = clusters_[cluster_of_[id]].position;
    }
  }
}

// The cluster of the node that makes `value`, if there is one.
std::optional<size_t> Fuser::cluster_index(ValueId value) const {
  const NodeId producer = graph_.producer(value);
  const auto it = producer ? cluster_of_.find(producer) : cluster_of_.end();
  return it == cluster_of_.end() ? std::nullopt : std::optional<size_t>(it->second);
}

// Whether `id` is all that uses the results of `cluster`, which is elementwise and of its shape.
bool Fuser::is_made_for(const Cluster& cluster, NodeId id) const {
  if (cluster.anchor || cluster.domain != graph_.type(graph_.node(id).results[0]).shape()) {
    return false;
  }
  return std::all_of(cluster.nodes.begin(), cluster.nodes.end(), [&](NodeId node) {
    const Value& value = graph_.value(graph_.node(node).results[0]);
    return value.num_output_uses == 0 &&
           std::all_of(value.uses.begin(), value.uses.end(), [&](const Use& use) {
             return use.node == id || std::find(cluster.nodes.begin(), cluster.nodes.end(),
                                                use.node) != cluster.nodes.end();
           });
  });
}

// Whether all that the nodes of `moved` read from elsewhere is there when `cluster` executes.
bool Fuser::can_move(size_t moved, size_t cluster) const {
  for (NodeId id : clusters_[moved].nodes) {
    for (ValueId operand : graph_.node(id).operands) {
      if (!operand) continue;
      const auto from = cluster_index(operand);
      if (from == moved) continue;
      if (from == cluster ? graph_.type(operand).shape() != clusters_[cluster].domain
                          : available(operand) >= clusters_[cluster].position) {
        return false;
      }
    }
  }
  return true;
}

// Adds `id` to a cluster that makes one of its operands if all else is there before it, or can
// be: elementwise clusters made for `id` alone move in with it. Empty, or why not.
std::string Fuser::join(NodeId id, size_t target) {
  Cluster& cluster = clusters_[target];
  const std::vector<int64_t> domain = graph_.type(graph_.node(id).results[0]).shape();
  if (!cluster.is_open) return "its producer has several results";
  if (cluster.domain != domain) return "its shape differs from its producer's";
  std::vector<size_t> moved;
  size_t size = cluster.nodes.size();
  for (ValueId operand : graph_.node(id).operands) {
    if (!operand) continue;
    const auto from = cluster_index(operand);
    if (from == target) {
      if (graph_.type(operand).shape() != domain) return "it broadcasts its producer's result";
      continue;
    }
    const bool moves = from && clusters_[*from].is_open && is_made_for(clusters_[*from], id) &&
                       can_move(*from, target);
    if (!moves && available(operand) >= cluster.position) {
      return "an operand is computed after its producer";
    }
    if (!moves || std::find(moved.begin(), moved.end(), *from) != moved.end()) continue;
    moved.push_back(*from);
    size += clusters_[*from].nodes.size();
  }
  if (static_cast<int64_t>(size) >= options_.max_group_size) {
    return "the group has reached its largest size";
  }
  for (size_t from : moved) {
    for (NodeId node : clusters_[from].nodes) {
      cluster.nodes.push_back(node);
      cluster_of_[node] = target;
      for (ValueId result : graph_.node(node).results) available_[result] = cluster.position;
    }
    clusters_[from].is_absorbed = true;
  }
  cluster.nodes.push_back(id);
  cluster_of_[id] = target;
  return "";
}

// Clusters that make operands are tried with anchors first, whose results would go through memory
// otherwise, and the latest first.
bool Fuser::try_join(NodeId id) {
  std::vector<size_t> candidates;
  for (ValueId operand : graph_.node(id).operands) {
    const auto from = operand ? cluster_index(operand) : std::nullopt;
    if (from && std::find(candidates.begin(), candidates.end(), *from) == candidates.end()) {
      candidates.push_back(*from);
    }
  }
  std::sort(candidates.begin(), candidates.end(), [&](size_t a, size_t b) {
    const auto rank = [&](size_t i) {
      return std::pair(clusters_[i].anchor ? 1 : 0, clusters_[i].position);
    };
    return rank(a) > rank(b);
  });
  std::string reason;
  for (size_t candidate : candidates) {
    const std::string refusal = join(id, candidate);
    if (refusal.empty()) return true;
    if (reason.empty()) reason = refusal;
  }
  if (!reason.empty()) context_.remarks.missed(node_label(module_, graph_, id), reason);
  return false;
}

// The one cluster that uses all results of `cluster`, or -1.
int64_t Fuser::only_consumer(const Cluster& cluster, size_t self) const {
  int64_t consumer = -1;
  for (NodeId id : cluster.nodes) {
    for (ValueId result : graph_.node(id).results) {
      const Value& value = graph_.value(result);
      if (value.num_output_uses > 0) return -1;
      for (const Use& use : value.uses) {
        const auto it = cluster_of_.find(use.node);
        if (it == cluster_of_.end()) return -1;
        if (it->second == self) continue;
        if (consumer >= 0 && consumer != static_cast<int64_t>(it->second)) return -1;
        consumer = static_cast<int64_t>(it->second);
      }
    }
  }
  return consumer;
}

// Whether every use of `producer`'s results in `consumer` is an operand at which the anchor takes
// elementwise work.
bool Fuser::accepts(const Cluster& consumer, const Cluster& producer) const {
  if (!consumer.anchor) return false;
  for (NodeId id : producer.nodes) {
    for (ValueId result : graph_.node(id).results) {
      for (const Use& use : graph_.value(result).uses) {
        if (std::find(producer.nodes.begin(), producer.nodes.end(), use.node) !=
            producer.nodes.end()) {
          continue;
        }
        if (use.node != consumer.anchor) return false;
        if (!context_.target.accepts_prologue(module_, graph_, use.node, use.operand_index)) {
          return false;
        }
      }
    }
  }
  return true;
}

// Whether the node of `use` computes with single elements of that operand, as its group does.
bool Fuser::takes(const Use& use) const {
  const auto it = cluster_of_.find(use.node);
  if (it == cluster_of_.end()) return false;
  const Cluster& cluster = clusters_[it->second];
  if (static_cast<int64_t>(cluster.nodes.size()) >= options_.max_group_size) return false;
  if (cluster.anchor == use.node) {
    return context_.target.accepts_prologue(module_, graph_, use.node, use.operand_index)
        .has_value();
  }
  const ValueId operand = graph_.node(use.node).operands[use.operand_index];
  return graph_.type(operand).shape() == cluster.domain;
}

// Bytes that a group writes are read as such: their dequantisation goes to those that read it, once
// for each, or the group would write floats too.
void Fuser::sink_dequantizations() {
  GraphEditor edit(graph_);
  for (size_t self = 0; self < clusters_.size(); ++self) {
    if (clusters_[self].is_absorbed || clusters_[self].nodes.size() == 1) continue;
    for (NodeId id : std::vector<NodeId>(clusters_[self].nodes)) {
      if (graph_.node(id).op != Op::dequantize_linear || id == clusters_[self].nodes.front()) {
        continue;
      }
      const Value& value = graph_.value(graph_.node(id).results[0]);
      const std::vector<Use> uses(value.uses.begin(), value.uses.end());
      const bool sinks = value.num_output_uses == 0 && !uses.empty() &&
                         std::all_of(uses.begin(), uses.end(), [&](const Use& use) {
                           return takes(use) && cluster_of_[use.node] != self;
                         });
      if (!sinks) continue;
      std::erase(clusters_[self].nodes, id);
      for (size_t i = 0; i < uses.size(); ++i) {
        NodeId copy = id;
        if (i > 0) {
          const Node& node = graph_.node(id);
          NodeSpec spec{.op = node.op,
                        .operands = node.operands,
                        .result_types = {graph_.type(node.results[0])},
                        .attributes = node.attributes};
          spec.source = node.source;
          spec.placement = node.placement;
          copy = edit.insert_before(id, std::move(spec));
          edit.set_operand(uses[i].node, uses[i].operand_index, graph_.node(copy).results[0]);
        }
        const size_t reader = cluster_of_[uses[i].node];
        std::vector<NodeId>& nodes = clusters_[reader].nodes;
        nodes.insert(nodes.begin(), copy);
        cluster_of_[copy] = reader;
      }
    }
  }
}

void Fuser::absorb_producers() {
  // In reverse, so that a chain of producers moves into the anchor step by step.
  for (size_t i = clusters_.size(); i-- > 0;) {
    Cluster& producer = clusters_[i];
    if (producer.anchor || producer.is_absorbed) continue;
    const int64_t target = only_consumer(producer, i);
    if (target < 0) continue;
    Cluster& consumer = clusters_[static_cast<size_t>(target)];
    const size_t size = consumer.nodes.size() + producer.nodes.size();
    if (size > static_cast<size_t>(options_.max_group_size) || !accepts(consumer, producer)) {
      context_.remarks.missed(node_label(module_, graph_, producer.nodes.front()),
                              "its consumer does not take elementwise work on that operand");
      continue;
    }
    for (NodeId id : producer.nodes) cluster_of_[id] = static_cast<size_t>(target);
    consumer.nodes.insert(consumer.nodes.begin(), producer.nodes.begin(), producer.nodes.end());
    producer.is_absorbed = true;
  }
}

// Clusters and single nodes in an order that respects all dependences: Kahn's algorithm, the
// earliest position first. A cluster is named by its first node.
std::vector<std::pair<int64_t, NodeId>> Fuser::order_items() {
  std::unordered_map<NodeId, NodeId> item_of;  // node -> name of its item
  std::unordered_map<NodeId, int64_t> position;
  std::unordered_map<NodeId, int64_t> num_waiting;
  std::unordered_map<NodeId, std::set<NodeId>> users;
  int64_t index = 0;
  for (NodeId id : graph_.nodes()) {
    ++index;
    const auto it = cluster_of_.find(id);
    const NodeId item = it == cluster_of_.end() ? id : clusters_[it->second].nodes.front();
    item_of[id] = item;
    position[item] = it == cluster_of_.end() ? index : clusters_[it->second].position;
    num_waiting.emplace(item, 0);
  }
  for (NodeId id : graph_.nodes()) {
    for (ValueId operand : graph_.node(id).operands) {
      if (!operand || !graph_.producer(operand)) continue;
      const NodeId from = item_of[graph_.producer(operand)];
      const NodeId to = item_of[id];
      if (from != to && users[from].insert(to).second) ++num_waiting[to];
    }
  }
  using Item = std::pair<int64_t, NodeId>;
  std::priority_queue<Item, std::vector<Item>, std::greater<>> ready;
  for (const auto& [item, waiting] : num_waiting) {
    if (waiting == 0) ready.emplace(position[item], item);
  }
  std::vector<Item> order;
  while (!ready.empty()) {
    const Item item = ready.top();
    ready.pop();
    order.push_back(item);
    for (NodeId user : users[item.second]) {
      if (--num_waiting[user] == 0) ready.emplace(position[user], user);
    }
  }
  NEURONC_CHECK(order.size() == num_waiting.size());
  return order;
}

Changed Fuser::build_groups() {
  const auto order = order_items();
  GraphEditor edit(graph_);
  Changed changed = Changed::no;
  for (const auto& [position, id] : order) {
    const auto it = cluster_of_.find(id);
    if (it == cluster_of_.end()) {
      edit.move_before(id, NodeId());
      continue;
    }
    build_group(clusters_[it->second]);
    changed = Changed::yes;
  }
  return changed;
}

std::vector<ValueId> Fuser::escaping_results(const Cluster& cluster, size_t self) const {
  std::vector<ValueId> results;
  for (NodeId id : cluster.nodes) {
    for (ValueId result : graph_.node(id).results) {
      const Value& value = graph_.value(result);
      const bool escapes = value.num_output_uses > 0 ||
                           std::any_of(value.uses.begin(), value.uses.end(), [&](const Use& use) {
                             const auto it = cluster_of_.find(use.node);
                             return it == cluster_of_.end() || it->second != self;
                           });
      if (escapes) results.push_back(result);
    }
  }
  // A group whose values are all unused still stands for its last node.
  if (results.empty()) results.push_back(graph_.node(cluster.nodes.back()).results[0]);
  return results;
}

// Small constants that parametrise an operator go inside, where a lowering sees their values.
ValueId Fuser::import_operand(Graph& body, GraphEditor& body_edit, ValueId outer,
                              std::unordered_map<ValueId, ValueId>& inside,
                              std::vector<ValueId>& operands) {
  const auto it = inside.find(outer);
  if (it != inside.end()) return it->second;
  const Value& value = graph_.value(outer);
  ValueId inner;
  const Tensor* constant = module_.constant_of(graph_, outer);
  const int64_t limit = constant && is_integer(constant->dtype()) ? 64 : 1;
  if (constant && constant->num_elements() <= limit) {
    NodeSpec spec;
    spec.op = Op::constant;
    spec.attributes = {graph_.constant_id(outer)};
    spec.result_types = {value.type};
    spec.placement = Placement::core;
    inner = body.node(body_edit.append(std::move(spec))).results[0];
  } else {
    inner = body_edit.add_input(value.type, value.name);
    operands.push_back(outer);
  }
  inside[outer] = inner;
  return inner;
}

void Fuser::build_group(const Cluster& cluster) {
  const size_t self = cluster_of_[cluster.nodes.front()];
  const std::vector<ValueId> results = escaping_results(cluster, self);
  auto body = std::make_unique<Graph>();
  GraphEditor body_edit(*body);
  std::unordered_map<ValueId, ValueId> inside;
  NodeSpec group;
  group.op = Op::group;
  group.placement = Placement::core;
  const NodeId head = cluster.anchor ? cluster.anchor : cluster.nodes.front();
  group.source = graph_.node(head).source;
  for (NodeId id : cluster.nodes) {
    const Node& node = graph_.node(id);
    NodeSpec spec;
    spec.op = node.op;
    spec.attributes = node.attributes;
    spec.source = node.source;
    spec.placement = Placement::core;
    for (const auto& nested : node.bodies) spec.bodies.push_back(clone_graph(*nested));
    for (ValueId operand : node.operands) {
      spec.operands.push_back(
          operand ? import_operand(*body, body_edit, operand, inside, group.operands) : ValueId());
    }
    for (ValueId result : node.results) spec.result_types.push_back(graph_.type(result));
    const NodeId inner = body_edit.append(std::move(spec));
    for (size_t i = 0; i < node.results.size(); ++i) {
      const ValueId inner_result = body->node(inner).results[i];
      inside[node.results[i]] = inner_result;
      body_edit.set_name(inner_result, graph_.value(node.results[i]).name);
    }
  }
  for (ValueId result : results) {
    body_edit.add_output(inside[result], graph_.value(result).name);
    group.result_types.push_back(graph_.type(result));
  }
  group.bodies.push_back(std::move(body));

  GraphEditor edit(graph_);
  const NodeId id = edit.append(std::move(group));
  for (size_t i = 0; i < results.size(); ++i) {
    const ValueId fresh = graph_.node(id).results[i];
    edit.set_name(fresh, graph_.value(results[i]).name);
    edit.set_name(results[i], "");
    // Uses inside the cluster are rerouted too; they go away with their nodes.
    edit.replace_all_uses(results[i], fresh);
  }
  for (size_t i = cluster.nodes.size(); i-- > 0;) {
    const NodeId node = cluster.nodes[i];
    edit.erase(node);
  }
  context_.remarks.done(node_label(module_, graph_, id),
                        std::to_string(cluster.nodes.size()) + " operators in one group");
}

}  // namespace

Expected<Changed> fuse(Module& module, const FuseOptions& options, PassContext& context) {
  return on_core_graphs(
      module, [&]() -> Expected<Changed> { return Fuser(module, options, context).run(); });
}

}  // namespace neuronc
