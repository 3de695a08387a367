// Implements the node half of graph_importer.h: nodes, functions and bodies.
#include "compiler/onnx/graph_importer.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/onnx/rules.h"
#include "compiler/onnx/specification.h"
#include "ir/edit.h"

namespace neuronc::onnx {
namespace {

// Each level of calls and bodies takes some frames of the stack, whether it is inlined or not.
constexpr int64_t kDeepestNesting = 128;
// A model of a few kilobytes can ask for 2^30 nodes, by functions that call others twice.
constexpr int64_t kMostInlinedNodes = 1'000'000;

// A node without a name goes by its first output.
std::string label_of(const NodeProto& node) {
  if (!node.name().empty()) return node.name();
  for (const std::string& output : node.output()) {
    if (!output.empty()) return output;
  }
  return "";
}

}  // namespace

std::string display_name(const std::string& domain, const std::string& op_type) {
  return domain.empty() ? op_type : domain + "::" + op_type;
}

Location GraphImporter::location_of(const NodeProto& node, const Scope& scope) const {
  Location location;
  location.file = file_;
  location.node = scope.prefix + label_of(node);
  const std::string domain = normalised_domain(node.domain());
  location.op = display_name(domain, node.op_type());
  location.opset = version_of(domain, *scope.opsets);
  for (const std::string& output : node.output()) {
    if (output.empty()) continue;
    location.tensor = fmt::format("output \"{}{}\"", scope.prefix, output);
    break;
  }
  return location;
}

int64_t GraphImporter::version_of(const std::string& domain, const OpsetVersions& opsets) const {
  const auto it = opsets.find(domain);
  if (it != opsets.end()) return it->second;
  const auto of_model = opsets_.find(domain);
  if (of_model != opsets_.end()) return of_model->second;
  // ONNX Runtime reads models that do not import its own domain, and so there are some.
  return domain == "com.microsoft" ? 1 : 0;
}

void GraphImporter::define(Scope& scope, const std::string& name, Binding binding,
                           const Location& location) {
  if (name.empty()) return;
  const auto [it, is_new] = scope.names.emplace(name, std::move(binding));
  if (is_new) return;
  reports_.count_problem();
  diagnostics_.report(diag::duplicate_name, location, scope.prefix + name);
}

Binding* GraphImporter::lookup(const std::string& name, Scope& scope, const Location& location) {
  const auto it = scope.names.find(name);
  if (it != scope.names.end()) return &it->second;
  reports_.count_problem();
  if (undefined_names_.insert(scope.prefix + name).second) {
    diagnostics_.report(diag::undefined_name, location, scope.prefix + name);
  }
  return &(scope.names[name] = Binding::failed());
}

ValueId GraphImporter::value_of(const std::string& name, Binding& binding, Scope& scope) {
  if (binding.kind != Binding::Kind::tensor) return binding.value;
  const ValueId value = scope.builder->constant(std::move(binding.tensor), SourceId());
  GraphEditor(scope.builder->graph()).set_name(value, scope.prefix + name);
  binding = Binding::of(value);
  return value;
}

const Tensor* GraphImporter::content_of(const Binding& binding, const Scope& scope) const {
  if (binding.kind == Binding::Kind::tensor) return &binding.tensor;
  if (binding.kind == Binding::Kind::value) return scope.builder->known(binding.value);
  return nullptr;
}

void GraphImporter::import_nodes(const NodeList& nodes, Scope& scope) {
  const NodeOrder order = sort_nodes(nodes);
  if (!order.cycle.empty()) {
    std::string path;
    for (int i : order.cycle) {
      path += fmt::format("\"{}\" ({}) -> ", scope.prefix + label_of(nodes[i]), nodes[i].op_type());
    }
    path += fmt::format("\"{}\"", scope.prefix + label_of(nodes[order.cycle[0]]));
    reports_.count_problem();
    diagnostics_.report(diag::graph_cycle, location_of(nodes[order.cycle[0]], scope), path);
    for (const NodeProto& node : nodes) fail_outputs(node, scope);
    return;
  }
  for (int i : order.order) import_node(nodes[i], scope);
}

// Everything that a function, or the body of a node that is imported again, adds to what the file
// holds. Once the limit is reached the rest of the bodies goes by quickly.
bool GraphImporter::may_inline(const NodeProto& node, const Scope& scope) {
  if (scope.depth == 0) return true;
  if (++num_inlined_nodes_ <= kMostInlinedNodes) return true;
  if (num_inlined_nodes_ == kMostInlinedNodes + 1) {
    report_limit(node, scope, "the number of nodes in functions and bodies", kMostInlinedNodes);
  }
  return false;
}

void GraphImporter::report_limit(const NodeProto& node, const Scope& scope, std::string_view what,
                                 int64_t limit) {
  reports_.over_limit(&node, location_of(node, scope), std::string(what), limit);
}

Scope GraphImporter::nested(const Scope& outer) const {
  Scope inner;
  inner.builder = outer.builder;
  inner.opsets = outer.opsets;
  inner.call_attributes = outer.call_attributes;
  inner.prefix = outer.prefix;
  inner.depth = outer.depth + 1;
  inner.num_nested_graphs = outer.num_nested_graphs;
  return inner;
}

void GraphImporter::import_node(const NodeProto& node, Scope& scope) {
  if (!may_inline(node, scope)) return fail_outputs(node, scope);
  if (const FunctionProto* function = find_function(node)) {
    inline_function(node, *function, scope);
    return;
  }
  if (node.op_type() != "Constant") ++module_.num_model_ops;
  import_by_rule(node, scope);
}

std::optional<std::vector<ValueId>> GraphImporter::inputs_of(const NodeProto& node, Scope& scope) {
  std::vector<ValueId> inputs;
  bool is_complete = true;
  for (const std::string& name : node.input()) {
    if (name.empty()) {
      inputs.emplace_back();
      continue;
    }
    Binding* binding = lookup(name, scope, location_of(node, scope));
    if (binding->kind == Binding::Kind::failed) is_complete = false;
    inputs.push_back(value_of(name, *binding, scope));
  }
  if (!is_complete) return std::nullopt;
  return inputs;
}

void GraphImporter::import_by_rule(const NodeProto& node, Scope& scope) {
  const Location location = location_of(node, scope);
  const std::string domain = normalised_domain(node.domain());
  const Rule* rule = find_rule(domain, node.op_type(), location.opset);
  if (rule == nullptr) {
    reports_.unknown_operator(&node, location, why_no_rule(domain, node.op_type(), location.opset));
    return fail_outputs(node, scope);
  }
  auto inputs = inputs_of(node, scope);
  auto attributes = attributes_of(node, scope);
  if (!inputs || !attributes) return fail_outputs(node, scope);

  NodeContext::Description description;
  description.op_type = node.op_type();
  description.version = location.opset;
  description.inputs = std::move(*inputs);
  description.attributes = std::move(*attributes);
  for (const std::string& output : node.output()) {
    description.output_is_wanted.push_back(!output.empty());
  }
  description.source = module_.add_source({location.node, location.op, location.opset});
  NodeContext context(*scope.builder, *this, std::move(description));
  Scope* const outer = std::exchange(scope_, &scope);
  rule->import(context, *rule);
  scope_ = outer;

  for (size_t i = 0; i < context.num_outputs() && !context.failed(); ++i) {
    if (context.wants_output(i) && !context.outputs()[i] && !context.failed_quietly()) {
      context.invalid(fmt::format("it has no output {}", i));
    }
  }
  if (context.failed()) {
    RuleError error = *context.error();
    if (error.kind == RuleError::Kind::element_type) {
      std::vector<Type> types;
      for (ValueId input : context.inputs()) types.push_back(input ? context.type(input) : Type());
      const bool is_wrong =
          allows_element_types(domain, node.op_type(), location.opset, types) == Allowed::no;
      error.kind = is_wrong ? RuleError::Kind::invalid : RuleError::Kind::unsupported;
    }
    report_rule_error(node, error, location);
  }
  if (context.failed() || context.failed_quietly()) return fail_outputs(node, scope);
  std::vector<Binding> outputs;
  for (ValueId value : context.outputs()) outputs.push_back(Binding::of(value));
  bind_outputs(node, outputs, scope);
}

void GraphImporter::report_rule_error(const NodeProto& node, const RuleError& error,
                                      const Location& location) {
  switch (error.kind) {
    case RuleError::Kind::invalid:
      return reports_.invalid(&node, location, error.reason);
    case RuleError::Kind::unsupported:
    case RuleError::Kind::element_type:
      return reports_.unsupported_use(&node, location, error.reason);
    case RuleError::Kind::too_large:
      return reports_.too_large(&node, location, error.reason);
    case RuleError::Kind::over_limit:
      return reports_.over_limit(&node, location, error.reason, error.limit);
  }
}

void GraphImporter::bind_outputs(const NodeProto& node, const std::vector<Binding>& outputs,
                                 Scope& scope) {
  Graph& graph = scope.builder->graph();
  for (int i = 0; i < node.output_size(); ++i) {
    const std::string& name = node.output(i);
    if (name.empty()) continue;
    const Binding& binding = outputs[static_cast<size_t>(i)];
    if (binding.kind == Binding::Kind::value && graph.value(binding.value).name.empty()) {
      GraphEditor(graph).set_name(binding.value, scope.prefix + name);
    }
    define(scope, name, binding, location_of(node, scope));
  }
}

void GraphImporter::fail_outputs(const NodeProto& node, Scope& scope) {
  reports_.count_problem();
  unjudged_.insert(&node);
  for (const std::string& name : node.output()) {
    if (!name.empty()) scope.names.emplace(name, Binding::failed());
  }
}

const FunctionProto* GraphImporter::find_function(const NodeProto& node) const {
  if (functions_.empty()) return nullptr;
  const auto it = functions_.find({normalised_domain(node.domain()), node.op_type()});
  return it == functions_.end() ? nullptr : it->second;
}

void GraphImporter::inline_function(const NodeProto& node, const FunctionProto& function,
                                    Scope& scope) {
  const Location location = location_of(node, scope);
  const auto fail = [&](const std::string& reason) {
    reports_.bad_call(&node, location, reason);
    fail_outputs(node, scope);
  };
  const bool is_recursive = std::find(calls_.begin(), calls_.end(), &function) != calls_.end();
  if (is_recursive) return fail("it calls itself");
  if (scope.depth >= kDeepestNesting) {
    report_limit(node, scope, "the nesting of functions and bodies", kDeepestNesting);
    return fail_outputs(node, scope);
  }
  if (node.input_size() > function.input_size()) return fail("the call has too many inputs");
  if (node.output_size() > function.output_size()) return fail("the call has too many outputs");

  Scope inner = nested(scope);
  inner.opsets = &function_opsets_.at(&function);
  inner.prefix = fmt::format("{}{}/", scope.prefix, label_of(node));
  auto attributes = attributes_of(node, scope);
  if (!attributes) return fail_outputs(node, scope);
  for (OnnxAttribute& fallback : default_attributes(function)) {
    bool is_given = false;
    for (const OnnxAttribute& given : *attributes) is_given |= given.name == fallback.name;
    if (!is_given) attributes->push_back(std::move(fallback));
  }
  inner.call_attributes = &*attributes;
  for (int i = 0; i < function.input_size(); ++i) {
    const bool is_given = i < node.input_size() && !node.input(i).empty();
    Binding binding = Binding::absent();
    if (is_given) {
      Binding* outer = lookup(node.input(i), scope, location);
      value_of(node.input(i), *outer, scope);
      binding = *outer;
    }
    define(inner, function.input(i), binding, location);
  }
  calls_.push_back(&function);
  import_nodes(function.node(), inner);
  calls_.pop_back();
  std::vector<Binding> outputs;
  for (int i = 0; i < node.output_size(); ++i) {
    Binding* result = lookup(function.output(i), inner, location);
    // What the function gives takes the caller's name for it.
    if (ValueId value = value_of(function.output(i), *result, inner);
        value && scope.builder->graph().value(value).name.starts_with(inner.prefix)) {
      GraphEditor(scope.builder->graph()).set_name(value, "");
    }
    if (result->kind == Binding::Kind::failed) unjudged_.insert(&node);
    outputs.push_back(*result);
  }
  bind_outputs(node, outputs, scope);
}

bool GraphImporter::may_nest(NodeContext& node, int64_t num_graphs) {
  if (num_graphs > kMostNestedGraphs) {
    node.over_limit("the nesting of bodies", kMostNestedGraphs);
  } else if (scope_->depth >= kDeepestNesting) {
    node.over_limit("the nesting of functions and bodies", kDeepestNesting);
  }
  return !node.failed();
}

std::vector<ValueId> GraphImporter::captures(NodeContext& node,
                                             const std::vector<BodyHandle>& bodies) {
  std::vector<ValueId> values;
  for (BodyHandle body : bodies) {
    for (const std::string& name : outer_names(*static_cast<const GraphProto*>(body.graph))) {
      Binding* binding = lookup(name, *scope_, {file_});
      if (binding->kind == Binding::Kind::failed) {
        reports_.count_problem();
        node.fail_quietly();
      }
      if (binding->kind != Binding::Kind::value || content_of(*binding, *scope_)) continue;
      const bool is_new = std::find(values.begin(), values.end(), binding->value) == values.end();
      if (is_new) values.push_back(binding->value);
    }
  }
  return values;
}

std::unique_ptr<Graph> GraphImporter::import_body(NodeContext& node, BodyHandle body,
                                                  const std::vector<Type>& formals,
                                                  const std::vector<ValueId>& captures) {
  const auto& proto = *static_cast<const GraphProto*>(body.graph);
  if (!may_nest(node, scope_->num_nested_graphs + 1)) return nullptr;
  const size_t num_problems = reports_.num_problems();
  auto graph = std::make_unique<Graph>();
  GraphBuilder builder(module_, *graph);
  GraphEditor edit(*graph);
  Scope inner = nested(*scope_);
  inner.builder = &builder;
  ++inner.num_nested_graphs;
  for (int i = 0; i < proto.input_size() && static_cast<size_t>(i) < formals.size(); ++i) {
    const std::string& name = proto.input(i).name();
    const ValueId input = edit.add_input(formals[static_cast<size_t>(i)], inner.prefix + name);
    define(inner, name, Binding::of(input), {file_});
  }
  std::vector<ValueId> captured;
  for (ValueId value : captures) {
    captured.push_back(edit.add_input(node.type(value), node.builder().graph().value(value).name));
  }
  for (const std::string& name : outer_names(proto)) {
    Binding* outer = lookup(name, *scope_, {file_});
    if (const Tensor* content = content_of(*outer, *scope_)) {
      inner.names[name] = Binding::of(*content);
    } else if (outer->kind == Binding::Kind::value) {
      const auto it = std::find(captures.begin(), captures.end(), outer->value);
      inner.names[name] = Binding::of(captured[static_cast<size_t>(it - captures.begin())]);
    } else {
      inner.names[name] = *outer;
    }
  }
  define_initializers(proto, inner);
  import_nodes(proto.node(), inner);
  for (const auto& output : proto.output()) {
    Binding* binding = lookup(output.name(), inner, {file_});
    const ValueId value = value_of(output.name(), *binding, inner);
    if (value) edit.add_output(value, output.name());
  }
  if (reports_.num_problems() != num_problems) {
    node.fail_quietly();
    return nullptr;
  }
  return graph;
}

std::unique_ptr<Graph> GraphImporter::try_body(NodeContext& node, BodyHandle body,
                                               const std::vector<ValueId>& captures,
                                               std::string& problem) {
  const Diagnostics diagnostics = diagnostics_;
  const NodeReports reports = reports_;
  const std::set<const NodeProto*> unjudged = unjudged_;
  auto graph = import_body(node, body, {}, captures);
  if (graph) return graph;
  const std::span<const Diagnostic> all = diagnostics_.all();
  for (const Diagnostic& diagnostic : all.subspan(diagnostics.all().size())) {
    if (diagnostic.severity != Severity::error) continue;
    if (diagnostic.code != diag::invalid_node.code) return nullptr;
    if (problem.empty()) {
      problem = fmt::format("node \"{}\": {}", diagnostic.location.node, diagnostic.message);
    }
  }
  if (problem.empty() || reports_.num_unsupported() != reports.num_unsupported()) {
    problem.clear();
    return nullptr;
  }
  diagnostics_ = diagnostics;
  reports_ = reports;
  unjudged_ = unjudged;
  node.recover();
  return nullptr;
}

void GraphImporter::warn_of_branch(NodeContext& node, std::string_view branch,
                                   const std::string& problem) {
  const Source& source = module_.source(node.source());
  Location location{file_};
  location.node = source.node;
  location.op = source.op;
  location.opset = source.opset;
  // A body that is imported again has said so.
  for (const Diagnostic& diagnostic : diagnostics_.all()) {
    if (diagnostic.code == diag::invalid_branch.code && diagnostic.location.node == source.node) {
      return;
    }
  }
  diagnostics_.report(diag::invalid_branch, location, branch, problem);
}

std::vector<ValueId> GraphImporter::inline_body(NodeContext& node, BodyHandle body,
                                                const std::vector<ValueId>& inputs) {
  const auto& proto = *static_cast<const GraphProto*>(body.graph);
  if (!may_nest(node, scope_->num_nested_graphs)) return {};
  Scope inner = nested(*scope_);
  for (int i = 0; i < proto.input_size() && static_cast<size_t>(i) < inputs.size(); ++i) {
    define(inner, proto.input(i).name(), Binding::of(inputs[static_cast<size_t>(i)]), {file_});
  }
  for (const std::string& name : outer_names(proto)) {
    Binding* outer = lookup(name, *scope_, {file_});
    value_of(name, *outer, *scope_);
    inner.names[name] = *outer;
  }
  define_initializers(proto, inner);
  import_nodes(proto.node(), inner);
  std::vector<ValueId> outputs;
  for (const auto& output : proto.output()) {
    Binding* binding = lookup(output.name(), inner, {file_});
    outputs.push_back(value_of(output.name(), *binding, inner));
    if (binding->kind == Binding::Kind::failed) node.fail_quietly();
  }
  return outputs;
}

ValueId GraphImporter::named_value(NodeContext& node, const std::string& name) {
  const auto it = scope_->names.find(name);
  if (it == scope_->names.end()) return {};
  if (it->second.kind == Binding::Kind::failed) node.fail_quietly();
  return value_of(name, it->second, *scope_);
}

size_t GraphImporter::num_body_inputs(BodyHandle body) {
  return static_cast<size_t>(static_cast<const GraphProto*>(body.graph)->input_size());
}
size_t GraphImporter::num_body_outputs(BodyHandle body) {
  return static_cast<size_t>(static_cast<const GraphProto*>(body.graph)->output_size());
}

}  // namespace neuronc::onnx
