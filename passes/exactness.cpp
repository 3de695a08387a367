// Implements exactness.h.
#include "passes/exactness.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "ir/control_flow.h"

namespace neuronc {
namespace {

bool is_product(const Node& node) { return node.def().precision == Precision::matmul; }

// The integers up to this magnitude are values of the narrow type.
double largest_exact_integer(DType narrow) { return narrow == DType::f16 ? 2048 : 256; }

bool holds_all_integers(DType narrow, DType integers) {
  const bool is_byte = integer_bits(integers) <= 8;
  return integers == DType::boolean || (is_byte && largest_exact_integer(narrow) >= 255);
}

// The operands of `node` that angles, indices and whole numbers are made of.
std::vector<ValueId> exact_operands(const Graph& graph, const Node& node) {
  switch (node.op) {
    case Op::sin:
    case Op::cos:
    case Op::tan:
      return {node.operands[0]};
    case Op::cast:
      if (is_integer(graph.type(node.results[0]).dtype)) return {node.operands[0]};
      return {};
    case Op::one_hot:
      return {node.operands[0]};
    case Op::range:
      return node.operands;
    default:
      return {};
  }
}

// The number of terms of each of a product's sums; 0 where it is not known.
int64_t inner_extent(const Graph& graph, const Node& node) {
  const Type& a = graph.type(node.operands[0]);
  const Type& w = graph.type(node.operands[1]);
  if (!a.is_static() || !w.is_static() || a.dims.empty() || w.dims.empty()) return 0;
  switch (node.op) {
    case Op::matmul:
      return a.dims.back().number();
    case Op::gemm:
      return a.dims[node.view().i64("transA") != 0 ? 0 : a.dims.size() - 1].number();
    case Op::conv:
      return w.dims[0].number() == 0 ? 0 : w.num_elements() / w.dims[0].number();
    default:
      return 0;
  }
}

class Exactness {
 public:
  Exactness(const Module& module, DType narrow) : module_(module), narrow_(narrow) {
    add(module.graph(), 0, NodeId());
    for (size_t scope = 0; scope < scopes_.size(); ++scope) {
      const Graph& graph = *scopes_[scope].graph;
      for (NodeId id : graph.nodes()) {
        for (ValueId operand : exact_operands(graph, graph.node(id))) {
          if (operand) mark_before({scope, operand});
        }
      }
    }
  }

  std::vector<ExactProducts> products() {
    std::vector<ExactProducts> result(scopes_.size());
    for (size_t scope = 0; scope < scopes_.size(); ++scope) {
      const Graph& graph = *scopes_[scope].graph;
      for (NodeId id : graph.nodes()) {
        const Node& node = graph.node(id);
        if (!is_product(node) || !node.has_operand(0) || !node.has_operand(1)) continue;
        std::string reason = reason_against(scope, id);
        if (!reason.empty()) result[scope][id] = std::move(reason);
      }
    }
    return result;
  }

 private:
  // A graph, and the node whose body it is.
  struct Scope {
    const Graph* graph;
    size_t parent;
    NodeId node;  // none: the main graph
    std::unordered_map<ValueId, size_t> inputs;
    std::unordered_map<NodeId, std::vector<size_t>> bodies;
  };
  // A value of the graph `scope`.
  struct Place {
    size_t scope;
    ValueId value;
  };
  struct PlaceHash {
    size_t operator()(const std::pair<size_t, size_t>& place) const {
      return place.first * 0x9e3779b97f4a7c15u ^ place.second;
    }
  };
  using Places = std::unordered_set<std::pair<size_t, size_t>, PlaceHash>;  // scope and index

  // It recurses as deep as bodies nest.
  size_t add(const Graph& graph, size_t parent, NodeId node) {
    const size_t index = scopes_.size();
    scopes_.push_back({&graph, parent, node, {}, {}});
    for (size_t i = 0; i < graph.inputs().size(); ++i) {
      scopes_[index].inputs[graph.inputs()[i]] = i;
    }
    for (NodeId id : graph.nodes()) {
      if (!runs_blocks(graph.node(id))) continue;
      for (const auto& body : graph.node(id).bodies) {
        const size_t inner = add(*body, index, id);
        scopes_[index].bodies[id].push_back(inner);
      }
    }
    return index;
  }

  const Graph& graph(size_t scope) const { return *scopes_[scope].graph; }
  bool is_float_at(Place place) const {
    return is_float(graph(place.scope).type(place.value).dtype);
  }

  // Appends what a value that crosses the border of a body is; false for all others.
  bool cross_border(Place place, std::vector<Place>& sources) const {
    const Scope& scope = scopes_[place.scope];
    const NodeId producer = scope.graph->producer(place.value);
    if (!producer) return enter_from_outside(place, sources);
    const Node& node = scope.graph->node(producer);
    if (!runs_blocks(node)) return false;
    const size_t result = scope.graph->value(place.value).result_index;
    const bool has_branches = node.op == Op::if_else;
    const TripForm form = has_branches ? TripForm{} : trip_form(module_, *scope.graph, producer);
    for (const size_t body : scope.bodies.at(producer)) {
      const size_t output = result + (has_branches ? 0 : form.first_output());
      sources.push_back({body, graph(body).outputs()[output]});
    }
    if (!has_branches && result < form.num_carried) {
      sources.push_back({place.scope, node.operands[form.num_leading + result]});
    }
    return true;
  }

  bool enter_from_outside(Place place, std::vector<Place>& sources) const {
    const Scope& scope = scopes_[place.scope];
    const auto input = scope.inputs.find(place.value);
    if (!scope.node || input == scope.inputs.end()) return false;
    const Graph& outside = graph(scope.parent);
    const Node& node = outside.node(scope.node);
    const size_t i = input->second;
    if (node.op == Op::if_else) {
      sources.push_back({scope.parent, node.operands[i + 1]});
      return true;
    }
    const TripForm form = trip_form(module_, outside, scope.node);
    if (i < form.num_leading) return true;  // the number of the trip and the condition
    sources.push_back({scope.parent, node.operands[i]});
    if (i < form.num_leading + form.num_carried) {
      const size_t output = form.first_output() + i - form.num_leading;
      sources.push_back({place.scope, scope.graph->outputs()[output]});
    }
    return true;
  }

  // Marks the products behind a value, and stops at them.
  void mark_before(Place last) {
    std::vector<Place> pending{last};
    while (!pending.empty()) {
      const Place next = pending.back();
      pending.pop_back();
      if (!is_float_at(next) || !visited_.insert({next.scope, next.value.index}).second) continue;
      if (cross_border(next, pending)) continue;
      const NodeId producer = graph(next.scope).producer(next.value);
      if (!producer) continue;
      const Node& node = graph(next.scope).node(producer);
      if (is_product(node)) {
        exact_products_.insert({next.scope, producer.index});
        continue;
      }
      for (ValueId operand : node.operands) {
        if (operand) pending.push_back({next.scope, operand});
      }
    }
  }

  bool holds_large_integers(const Graph& graph, ValueId constant) const {
    const Tensor* tensor = module_.constant_of(graph, constant);
    if (tensor == nullptr || !is_float(tensor->dtype())) return false;
    bool is_beyond = false;
    for (int64_t i = 0; i < tensor->num_elements(); ++i) {
      const double value = tensor->f64(i);
      if (std::trunc(value) != value || !std::isfinite(value)) return false;
      is_beyond |= std::fabs(value) > largest_exact_integer(narrow_);
    }
    return is_beyond;
  }

  // Whether the value holds integers that the narrow type does not, moved but not computed with.
  bool comes_from_integers(Place last) {
    std::vector<Place> pending{last};
    Places seen;
    while (!pending.empty()) {
      const Place next = pending.back();
      pending.pop_back();
      if (clean_.contains({next.scope, next.value.index})) continue;
      if (!seen.insert({next.scope, next.value.index}).second) continue;
      if (cross_border(next, pending)) continue;
      const Graph& graph = this->graph(next.scope);
      const NodeId producer = graph.producer(next.value);
      if (!producer) continue;
      const Node& node = graph.node(producer);
      if (node.op == Op::constant) {
        if (holds_large_integers(graph, next.value)) return true;
      } else if (node.op == Op::cast) {
        const DType from = graph.type(node.operands[0]).dtype;
        if (is_integer(from) && !holds_all_integers(narrow_, from)) return true;
        if (is_float(from)) pending.push_back({next.scope, node.operands[0]});
      } else if (node.op == Op::one_hot || node.op == Op::range) {
        return true;
      } else if (node.has(Trait::moves_data) || node.op == Op::where) {
        for (ValueId operand : node.operands) {
          if (operand && is_float(graph.type(operand).dtype)) {
            pending.push_back({next.scope, operand});
          }
        }
      }
    }
    // What was walked through without finding anything need not be walked again.
    clean_.insert(seen.begin(), seen.end());
    return false;
  }

  std::string reason_against(size_t scope, NodeId id) {
    const Node& node = graph(scope).node(id);
    if (exact_products_.contains({scope, id.index})) {
      return "its result becomes an angle, an index or an integer";
    }
    if (inner_extent(graph(scope), node) == 1) return "its sums have one term";
    for (size_t i = 0; i < 2; ++i) {
      if (comes_from_integers({scope, node.operands[i]})) return "an operand holds integers";
    }
    return "";
  }

  const Module& module_;
  DType narrow_;
  std::vector<Scope> scopes_;
  Places exact_products_;  // by node: whose results reach an angle, an index, an integer
  Places visited_;
  Places clean_;  // from no integers
};

}  // namespace

std::vector<ExactProducts> find_exact_products(const Module& module, DType narrow) {
  return Exactness(module, narrow).products();
}

}  // namespace neuronc
