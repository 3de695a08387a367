// Implements match.h.
#include "passes/match.h"

#include <algorithm>
#include <cmath>

namespace neuronc {
namespace {

// Expressions of the patterns have fewer parts; a bound keeps a walk over long chains linear.
constexpr int kMaxWalked = 24;

}  // namespace

NodeId Match::inside(ValueId value, Op op) {
  const NodeId node = value ? graph_->producer(value) : NodeId();
  if (!node || graph_->node(node).op != op) return NodeId();
  inside_.insert(node);
  return node;
}

std::optional<double> Match::splat(ValueId value) const {
  const Tensor* tensor = value ? module_->constant_of(*graph_, value) : nullptr;
  if (tensor == nullptr || !is_numeric(tensor->dtype()) || tensor->num_elements() == 0) {
    return std::nullopt;
  }
  // Larger tensors are weights, not parameters of an expression.
  if (tensor->num_elements() > 4096) return std::nullopt;
  const double first = tensor->f64(0);
  for (int64_t i = 1; i < tensor->num_elements(); ++i) {
    if (tensor->f64(i) != first) return std::nullopt;
  }
  return first;
}

bool Match::is_splat(ValueId value, double number) const {
  const auto constant = splat(value);
  return constant && is_near(*constant, number, graph_->type(value).dtype);
}

bool Match::is_near(double a, double b, DType dtype) {
  double tolerance = 1e-5;
  if (dtype == DType::f16) tolerance = 1e-3;
  if (dtype == DType::bf16) tolerance = 8e-3;
  return std::fabs(a - b) <= tolerance * std::max(std::fabs(a), std::fabs(b));
}

void Match::add_factors(ValueId value, double exponent_sign, bool is_root, Product& product) {
  if (const auto constant = splat(value)) {
    product.coefficient *= exponent_sign > 0 ? *constant : 1 / *constant;
    return;
  }
  const NodeId id = graph_->producer(value);
  if (id && exponent_sign > 0 && (is_root || has_one_user(value)) && num_walked_ < kMaxWalked) {
    const Node& node = graph_->node(id);
    const auto walk = [&] {
      ++num_walked_;
      inside_.insert(id);
    };
    if (node.op == Op::mul) {
      walk();
      add_factors(node.operands[0], 1, false, product);
      add_factors(node.operands[1], 1, false, product);
      return;
    }
    if (node.op == Op::div && splat(node.operands[1])) {
      walk();
      add_factors(node.operands[0], 1, false, product);
      add_factors(node.operands[1], -1, false, product);
      return;
    }
    if (node.op == Op::neg) {
      walk();
      product.coefficient = -product.coefficient;
      add_factors(node.operands[0], 1, false, product);
      return;
    }
    const auto exponent = node.op == Op::pow ? splat(node.operands[1]) : std::nullopt;
    if (exponent && (*exponent == 2 || *exponent == 3)) {
      walk();
      product.factors.insert(product.factors.end(), static_cast<size_t>(*exponent),
                             node.operands[0]);
      return;
    }
  }
  product.factors.push_back(value);
}

Product Match::product(ValueId value) {
  Product product;
  num_walked_ = 0;
  add_factors(value, 1, true, product);
  return product;
}

void Match::add_terms(ValueId value, double coefficient, bool is_root, Sum& sum) {
  if (const auto constant = splat(value)) {
    sum.constant += coefficient * *constant;
    return;
  }
  const NodeId id = graph_->producer(value);
  if (id && (is_root || has_one_user(value)) && num_walked_ < kMaxWalked) {
    const Node& node = graph_->node(id);
    const bool is_difference = node.op == Op::sub;
    if (is_difference || node.op == Op::add) {
      ++num_walked_;
      inside_.insert(id);
      add_terms(node.operands[0], coefficient, false, sum);
      add_terms(node.operands[1], is_difference ? -coefficient : coefficient, false, sum);
      return;
    }
  }
  sum.terms.push_back({coefficient, value});
}

Sum Match::sum(ValueId value) {
  Sum sum;
  num_walked_ = 0;
  add_terms(value, 1, true, sum);
  return sum;
}

ValueId Match::behind_reshapes(ValueId value) {
  while (value) {
    const NodeId id = graph_->producer(value);
    if (!id) return value;
    const Node& node = graph_->node(id);
    const bool keeps_elements =
        node.op == Op::reshape || node.op == Op::squeeze || node.op == Op::unsqueeze ||
        node.op == Op::identity ||
        (node.op == Op::expand && graph_->type(node.operands[0]) == graph_->type(value));
    if (!keeps_elements) return value;
    inside_.insert(id);
    value = node.operands[0];
  }
  return value;
}

bool Match::is_closed(NodeId root) const {
  for (NodeId id : inside_) {
    if (id == root) continue;
    for (ValueId result : graph_->node(id).results) {
      const Value& value = graph_->value(result);
      if (value.num_output_uses > 0) return false;
      for (const Use& use : value.uses) {
        if (use.node != root && !inside_.contains(use.node)) return false;
      }
    }
  }
  return true;
}

std::optional<std::vector<int64_t>> reduced_axes(const Module& module, const Graph& graph,
                                                 NodeId id) {
  const Node& node = graph.node(id);
  const Type& type = graph.type(node.operands[0]);
  if (!type.is_ranked) return std::nullopt;
  std::vector<int64_t> axes;
  if (node.has_operand(1)) {
    const Tensor* tensor = module.constant_of(graph, node.operands[1]);
    if (tensor == nullptr) return std::nullopt;
    axes = tensor->to_ints();
  }
  const int64_t rank = type.rank();
  if (axes.empty()) {
    if (node.view().i64("noop_with_empty_axes") != 0) return std::nullopt;
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  }
  for (int64_t& axis : axes) {
    if (axis < 0) axis += rank;
  }
  std::sort(axes.begin(), axes.end());
  return axes;
}

OrRefusal<ValueId> insert_op(Module& module, Graph& graph, NodeId position, Op op,
                             std::vector<ValueId> operands,
                             std::vector<NamedAttribute> attributes) {
  NEURONC_ASSIGN(auto complete, complete_attributes(op_def(op), std::move(attributes)));
  const auto specs = op_def(op).results;
  const auto num_results = static_cast<size_t>(std::count_if(
      specs.begin(), specs.end(), [](const auto& spec) { return spec.arity != Arity::optional; }));
  NEURONC_ASSIGN(auto types, infer_types(module, graph, op, operands, complete, num_results));
  NodeSpec spec;
  spec.op = op;
  spec.operands = std::move(operands);
  spec.attributes = std::move(complete);
  spec.result_types = std::move(types);
  spec.source = graph.node(position).source;
  spec.placement = graph.node(position).placement;
  GraphEditor edit(graph);
  return graph.node(edit.insert_before(position, std::move(spec))).results[0];
}

ValueId insert_constant(Module& module, Graph& graph, NodeId position, Tensor tensor) {
  NodeSpec spec;
  spec.op = Op::constant;
  spec.result_types = {tensor.type()};
  spec.attributes = {module.add_constant(std::move(tensor))};
  spec.placement = graph.node(position).placement;
  GraphEditor edit(graph);
  return graph.node(edit.insert_before(position, std::move(spec))).results[0];
}

OrRefusal<ValueId> replace_root(Module& module, Graph& graph, NodeId root, Op op,
                                std::vector<ValueId> operands,
                                std::vector<NamedAttribute> attributes) {
  const ValueId old_value = graph.node(root).results[0];
  NEURONC_ASSIGN(const ValueId fresh,
                 insert_op(module, graph, root, op, std::move(operands), std::move(attributes)));
  GraphEditor edit(graph);
  if (graph.type(fresh) != graph.type(old_value)) {
    edit.erase_if_unused(graph.producer(fresh));
    return refuse("the result would have another type");
  }
  std::string name = graph.value(old_value).name;
  edit.set_name(old_value, "");
  edit.set_name(fresh, std::move(name));
  edit.replace_all_uses(old_value, fresh);
  edit.erase_if_unused(root);
  return fresh;
}

}  // namespace neuronc
