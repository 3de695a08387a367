// The import rule of Gradient of ai.onnx.preview.training: the nodes between the tensors named by
// `xs` and the one named by `y` are differentiated backwards, and their adjoints follow the graph.
#include <fmt/format.h>

#include <map>
#include <set>

#include "compiler/onnx/gradient.h"
#include "compiler/onnx/import_rules.h"

namespace neuronc::onnx {
namespace {

class Differentiation {
 public:
  explicit Differentiation(NodeContext& node) : node_(node), graph_(node.builder().graph()) {}

  void run() {
    read_names();
    if (node_.failed()) return;
    collect();
    substitute();
    if (node_.failed()) return;
    if (!is_active_.contains(y_)) {
      for (size_t i = 0; i < num_xs_; ++i) node_.set_output(i, zeros_of(node_.input(i)));
      return;
    }
    walk_back();
    for (size_t i = 0; i < num_xs_ && !node_.failed(); ++i) {
      const ValueId value = mapped(named_[i]);
      const auto it = gradients_.find(value);
      node_.set_output(i, it == gradients_.end() ? zeros_of(value) : it->second);
    }
  }

 private:
  void read_names() {
    std::vector<std::string> names = node_.strings("xs");
    num_xs_ = names.size();
    for (std::string& name : node_.strings("zs")) names.push_back(std::move(name));
    if (num_xs_ == 0 || names.size() != node_.num_inputs() || num_xs_ < node_.num_outputs()) {
      return node_.invalid("its `xs` and `zs` do not name one tensor for each input");
    }
    for (const std::string& name : names) named_.push_back(value_of(name));
    y_ = value_of(node_.string("y", ""));
    for (size_t i = 0; i < named_.size() && !node_.failed(); ++i) {
      if (!node_.has_input(i)) return node_.invalid(fmt::format("input {} is missing", i));
    }
    for (size_t i = 0; i < num_xs_ && !node_.failed(); ++i) {
      if (!is_float(node_.dtype_of(named_[i]))) {
        node_.invalid(fmt::format("`{}` is not a tensor of floats", names[i]));
      }
    }
    if (!node_.failed() && !is_float(node_.dtype_of(y_))) node_.invalid("its `y` is not of floats");
  }

  ValueId value_of(const std::string& name) {
    const ValueId value = node_.bodies().named_value(node_, name);
    if (!value) node_.invalid(fmt::format("there is no tensor `{}` in its graph", name));
    return value;
  }

  // The nodes that `y` needs, in order, up to the named tensors.
  void collect() {
    const std::set<ValueId> ends(named_.begin(), named_.end());
    std::set<NodeId> needed;
    std::vector<ValueId> open{y_};
    while (!open.empty()) {
      const ValueId value = open.back();
      open.pop_back();
      const NodeId producer = graph_.producer(value);
      if (!producer || ends.contains(value) || !needed.insert(producer).second) continue;
      for (ValueId operand : graph_.node(producer).operands) {
        if (operand) open.push_back(operand);
      }
    }
    for (NodeId id : graph_.nodes()) {
      if (needed.contains(id)) nodes_.push_back(id);
    }
    is_active_.insert(named_.begin(), named_.begin() + static_cast<std::ptrdiff_t>(num_xs_));
    for (NodeId id : nodes_) {
      const Node& node = graph_.node(id);
      bool is_active = false;
      for (ValueId operand : node.operands) is_active |= is_active_.contains(operand);
      if (!is_active) continue;
      // Comparisons, counts and indices do not change with what they come from.
      for (ValueId result : node.results) {
        if (is_float(graph_.type(result).dtype)) is_active_.insert(result);
      }
    }
  }

  // Where an input is another value than the tensor that its name stands for, what follows from
  // that tensor is computed again.
  void substitute() {
    for (size_t i = 0; i < named_.size(); ++i) {
      if (node_.input(i) != named_[i]) substitutes_[named_[i]] = node_.input(i);
    }
    if (substitutes_.empty()) return;
    const std::set<ValueId> ends(named_.begin(), named_.end());
    for (NodeId id : nodes_) {
      bool is_changed = false;
      for (ValueId operand : graph_.node(id).operands) {
        is_changed |= operand && substitutes_.contains(operand);
      }
      if (!is_changed) continue;
      const std::vector<ValueId> copies = copy_of(id);
      if (node_.failed()) return;
      for (size_t i = 0; i < copies.size(); ++i) {
        const ValueId original = graph_.node(id).results[i];
        if (!ends.contains(original)) substitutes_[original] = copies[i];
      }
    }
  }

  std::vector<ValueId> copy_of(NodeId id) {
    // Emitting moves the graph's nodes.
    const Op op = graph_.node(id).op;
    const size_t num_results = graph_.node(id).results.size();
    if (!graph_.node(id).bodies.empty()) {
      node_.unsupported(fmt::format("`{}` is not computed again for other values", name_of(op)));
      return {};
    }
    std::vector<ValueId> operands;
    for (ValueId operand : graph_.node(id).operands) {
      operands.push_back(operand ? mapped(operand) : operand);
    }
    return node_.emit_many(op, std::move(operands), attributes_of(id), num_results);
  }

  std::vector<NamedAttribute> attributes_of(NodeId id) const {
    const Node& node = graph_.node(id);
    std::vector<NamedAttribute> attributes;
    for (size_t i = 0; i < node.attributes.size(); ++i) {
      if (kind_of(node.attributes[i]) == AttributeKind::none) continue;
      attributes.push_back({std::string(node.def().attributes[i].name), node.attributes[i]});
    }
    return attributes;
  }

  ValueId mapped(ValueId value) const {
    const auto it = substitutes_.find(value);
    return it == substitutes_.end() ? value : it->second;
  }

  static std::string_view name_of(Op op) { return op_def(op).name; }

  ValueId filled(ValueId like, double number) {
    return node_.emit(Op::expand, {node_.scalar_like(like, number), node_.ints(node_.shape(like))});
  }
  ValueId zeros_of(ValueId like) { return filled(like, 0); }

  void walk_back() {
    gradients_[mapped(y_)] = filled(mapped(y_), 1);
    for (auto it = nodes_.rbegin(); it != nodes_.rend() && !node_.failed(); ++it)
      differentiate(*it);
  }

  void differentiate(NodeId id) {
    const Node& node = graph_.node(id);
    std::vector<ValueId> operands, results, gradients;
    std::vector<bool> is_wanted;
    bool is_any_wanted = false, has_gradient = false;
    for (ValueId operand : node.operands) {
      operands.push_back(operand ? mapped(operand) : operand);
      is_wanted.push_back(operand && is_active_.contains(operand));
      is_any_wanted |= is_wanted.back();
    }
    for (ValueId result : node.results) {
      results.push_back(mapped(result));
      const auto it = gradients_.find(results.back());
      gradients.push_back(it == gradients_.end() ? ValueId() : it->second);
      has_gradient |= gradients.back() && is_active_.contains(result);
    }
    if (!is_any_wanted || !has_gradient) return;
    const Op op = node.op;
    const AdjointFn make = find_adjoint(op);
    if (make == nullptr || !node.bodies.empty()) {
      const Source& source = node_.builder().module().source(node.source);
      return node_.unsupported(fmt::format("there is no derivative of `{}`, of node \"{}\" ({})",
                                           name_of(op), source.node, source.op));
    }
    // Adjoints append nodes, which may move what the graph holds.
    const std::vector<AttributeValue> attributes = node.attributes;
    AdjointNode adjoint(node_, OpView{op_def(op), attributes, {}}, operands, std::move(results),
                        std::move(gradients), std::move(is_wanted));
    make(adjoint);
    for (size_t i = 0; i < operands.size() && !node_.failed(); ++i) {
      const ValueId part = adjoint.wants(i) ? adjoint.operand_gradient(i) : ValueId();
      if (!part) continue;
      ValueId& whole = gradients_[operands[i]];
      whole = whole ? node_.emit(Op::add, {whole, part}) : part;
    }
  }

  NodeContext& node_;
  Graph& graph_;
  size_t num_xs_ = 0;
  std::vector<ValueId> named_;  // what `xs` and `zs` name
  ValueId y_;
  std::vector<NodeId> nodes_;  // between them, in order
  std::set<ValueId> is_active_;
  std::map<ValueId, ValueId> substitutes_;
  std::map<ValueId, ValueId> gradients_;  // of `y`, by values after substitution
};

}  // namespace

void import_gradient(NodeContext& node, const Rule&) { Differentiation(node).run(); }

}  // namespace neuronc::onnx
