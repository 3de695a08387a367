// Import rules of If, Loop and Scan. Bodies become graphs that see nothing of the outside: what
// they use of it are operands behind the operator's own, and their last inputs.
#include <fmt/format.h>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"
#include "ir/edit.h"

namespace neuronc::onnx {
namespace {

using Types = std::vector<Type>;

void set_outputs(NodeContext& node, const std::vector<ValueId>& results) {
  for (size_t i = 0; i < results.size(); ++i) node.set_output(i, results[i]);
}

std::vector<ValueId> joined(std::vector<ValueId> values, const std::vector<ValueId>& more) {
  values.insert(values.end(), more.begin(), more.end());
  return values;
}

std::vector<std::unique_ptr<Graph>> only(std::unique_ptr<Graph> body) {
  std::vector<std::unique_ptr<Graph>> bodies;
  bodies.push_back(std::move(body));
  return bodies;
}

// The most precise type that both have; false where they are equal already.
bool widen(Type& type, const Type& other) {
  if (type == other) return false;
  const Type before = type;
  if (!other.is_ranked || !type.is_ranked || type.dims.size() != other.dims.size()) {
    type.is_ranked = false;
    type.dims.clear();
    return type != before;
  }
  for (size_t i = 0; i < type.dims.size(); ++i) {
    if (type.dims[i] != other.dims[i]) type.dims[i] = Dim::unknown();
  }
  return type != before;
}

bool is_optional(const Type& type) {
  return type.kind == Type::Kind::optional || type.kind == Type::Kind::optional_sequence;
}

// Where an optional is carried and the body gives the value itself, the next trip's is an optional
// that holds it. Gives which outputs these are.
std::vector<bool> wrap_optionals(NodeContext& node, Graph& body, const Types& carried,
                                 size_t first_output) {
  std::vector<bool> wrapped(carried.size());
  GraphBuilder builder(node.builder().module(), body);
  for (size_t i = 0; i < carried.size(); ++i) {
    const ValueId output = body.outputs()[first_output + i];
    if (!is_optional(carried[i]) || is_optional(body.type(output))) continue;
    const auto results = builder.emit(Op::optional, {output}, {}, 1, {}, node.source());
    if (!results) continue;
    GraphEditor(body).set_output(first_output + i, (*results)[0]);
    wrapped[i] = true;
  }
  return wrapped;
}

// Imports a body whose inputs from `first` on are carried: its outputs from `first_output` on are
// their values in the next trip. Where these change their shape the input's type is widened and
// the body imported again.
std::unique_ptr<Graph> import_carrying_body(NodeContext& node, BodyHandle body, Types formals,
                                            size_t first, size_t num_carried, size_t first_output,
                                            const std::vector<ValueId>& captures,
                                            std::vector<bool>* wrapped = nullptr) {
  for (;;) {
    auto graph = node.bodies().import_body(node, body, formals, captures);
    if (!graph) return nullptr;
    if (graph->outputs().size() < first_output + num_carried) {
      node.invalid("its body has too few outputs");
      return nullptr;
    }
    const auto carried = formals.begin() + static_cast<std::ptrdiff_t>(first);
    auto wraps = wrap_optionals(node, *graph,
                                Types(carried, carried + static_cast<std::ptrdiff_t>(num_carried)),
                                first_output);
    if (wrapped != nullptr) *wrapped = std::move(wraps);
    bool is_widened = false;
    for (size_t i = 0; i < num_carried; ++i) {
      const Type& next = graph->type(graph->outputs()[first_output + i]);
      is_widened |= widen(formals[first + i], next);
    }
    if (!is_widened) return graph;
  }
}

constexpr std::string_view kBranches[] = {"then_branch", "else_branch"};

// A branch that takes what the others take and fails instead of giving what `valid` gives. None
// where that is more than tensors.
std::unique_ptr<Graph> failing_branch(NodeContext& node, const std::vector<ValueId>& captures,
                                      const Graph& valid, const std::string& message) {
  auto graph = std::make_unique<Graph>();
  GraphEditor edit(*graph);
  GraphBuilder builder(node.builder().module(), *graph);
  for (ValueId value : captures) {
    edit.add_input(node.type(value), node.builder().graph().value(value).name);
  }
  for (size_t i = 0; i < valid.outputs().size(); ++i) {
    const Type& type = valid.type(valid.outputs()[i]);
    if (!type.is_tensor()) return nullptr;
    std::vector<NamedAttribute> attributes{{"dtype", type.dtype}, {"message", message}};
    std::vector<int64_t> shape;
    for (Dim dim : type.dims) shape.push_back(dim.is_number() ? dim.number() : -1);
    if (type.is_ranked) attributes.push_back({"shape", std::move(shape)});
    const auto results = builder.emit(Op::fail, {}, std::move(attributes), 1, {}, node.source());
    if (!results) return nullptr;
    edit.add_output((*results)[0], valid.output_names()[i]);
  }
  return graph;
}

// The two branches; none where one cannot be imported, which is then reported. One that the known
// shapes make invalid fails when it is taken: models choose among networks by a condition.
std::vector<std::unique_ptr<Graph>> import_branches(NodeContext& node,
                                                    const std::vector<BodyHandle>& handles,
                                                    const std::vector<ValueId>& captures) {
  std::vector<std::unique_ptr<Graph>> bodies;
  std::string problems[2];
  for (size_t i = 0; i < handles.size(); ++i) {
    bodies.push_back(node.bodies().try_body(node, handles[i], captures, problems[i]));
    if (!bodies[i] && problems[i].empty()) return {};
  }
  for (size_t i = 0; i < handles.size(); ++i) {
    if (bodies[i]) continue;
    const std::string message =
        fmt::format("the {} is invalid for the model's shapes: {}", kBranches[i], problems[i]);
    if (bodies[1 - i]) bodies[i] = failing_branch(node, captures, *bodies[1 - i], message);
    if (!bodies[i]) {
      node.bodies().import_body(node, handles[i], {}, captures);  // reports what is wrong
      return {};
    }
    node.bodies().warn_of_branch(node, kBranches[i], problems[i]);
  }
  return bodies;
}

}  // namespace

// A condition that is known while importing leaves one branch, in place of the node.
void import_if(NodeContext& node, const Rule&) {
  const auto then_branch = node.body("then_branch");
  const auto else_branch = node.body("else_branch");
  if (node.failed()) return;
  if (!node.has_input(0)) return node.invalid("it has no condition");
  if (const Tensor* condition = node.known(node.input(0));
      condition && condition->num_elements() == 1) {
    const BodyHandle taken = condition->i64(0) != 0 ? *then_branch : *else_branch;
    return set_outputs(node, node.bodies().inline_body(node, taken));
  }
  const std::vector<BodyHandle> handles{*then_branch, *else_branch};
  const auto captures = node.bodies().captures(node, handles);
  if (node.failed_quietly()) return;
  auto bodies = import_branches(node, handles, captures);
  if (bodies.empty()) return;
  set_outputs(node, node.emit_many(Op::if_else, joined({node.input(0)}, captures), {},
                                   node.num_outputs(), std::move(bodies)));
}

void import_loop(NodeContext& node, const Rule&) {
  const auto body = node.body("body");
  if (node.failed()) return;
  const size_t num_carried = node.num_inputs() < 2 ? 0 : node.num_inputs() - 2;
  if (node.bodies().num_body_inputs(*body) != num_carried + 2) {
    return node.invalid(fmt::format("its body has not {} inputs", num_carried + 2));
  }
  const auto captures = node.bodies().captures(node, {*body});
  Types formals{Type::tensor(DType::i64, std::vector<Dim>{}),
                Type::tensor(DType::boolean, std::vector<Dim>{})};
  std::vector<ValueId> operands{node.input(0), node.input(1)};
  for (size_t i = 0; i < num_carried; ++i) {
    if (!node.has_input(i + 2)) return node.invalid("a carried value is missing");
    operands.push_back(node.input(i + 2));
    formals.push_back(node.type(node.input(i + 2)));
  }
  std::vector<bool> wrapped;
  auto graph = import_carrying_body(node, *body, formals, 2, num_carried, 1, captures, &wrapped);
  if (!graph) return;
  auto results = node.emit_many(Op::loop, joined(operands, captures),
                                {{"num_carried", static_cast<int64_t>(num_carried)}},
                                node.num_outputs(), only(std::move(graph)));
  // What the node gives has the type of its body's output.
  for (size_t i = 0; i < results.size() && i < num_carried; ++i) {
    if (wrapped[i] && results[i]) results[i] = node.emit(Op::optional_get_element, {results[i]});
  }
  set_outputs(node, results);
}

// Opset 8 had a batch axis in front, and lengths of each entry's sequence: a scan per entry.
void import_scan_8(NodeContext& node, const Rule&) {
  const auto body = node.body("body");
  const int64_t num_scans = node.i64("num_scan_inputs", 0);
  const auto num_inputs = static_cast<int64_t>(node.num_inputs()) - 1;
  if (node.failed()) return;
  if (num_scans < 1 || num_scans > num_inputs) {
    return node.invalid("attribute `num_scan_inputs` does not fit its inputs");
  }
  if (node.has_input(0)) return node.unsupported("its sequences have lengths of their own");
  const std::vector<int64_t> shape = node.shape(node.input(node.num_inputs() - 1));
  if (node.failed()) return;
  if (shape.empty() || shape[0] < 1) return node.unsupported("its batch is empty");
  const auto num_states = static_cast<size_t>(num_inputs - num_scans);
  const auto captures = node.bodies().captures(node, {*body});
  std::vector<std::vector<ValueId>> outputs(node.num_outputs());
  for (int64_t entry = 0; entry < shape[0]; ++entry) {
    std::vector<ValueId> operands;
    Types formals;
    for (size_t i = 1; i < node.num_inputs(); ++i) {
      operands.push_back(node.emit(Op::gather, {node.input(i), node.scalar_i64(entry)}));
      Type type = node.type(operands.back());
      if (i > num_states && type.is_ranked && type.rank() > 0) type.dims.erase(type.dims.begin());
      formals.push_back(std::move(type));
    }
    if (node.failed()) return;
    auto graph = import_carrying_body(node, *body, formals, 0, num_states, 0, captures);
    if (!graph) return;
    std::vector<NamedAttribute> attributes{{"num_scan_inputs", num_scans},
                                           {"num_states", static_cast<int64_t>(num_states)}};
    if (node.has("directions")) {
      attributes.push_back({"scan_input_directions", node.ints("directions")});
    }
    const auto results = node.emit_many(Op::scan, joined(operands, captures), std::move(attributes),
                                        node.num_outputs(), only(std::move(graph)));
    for (size_t i = 0; i < results.size(); ++i) {
      outputs[i].push_back(
          node.emit(Op::unsqueeze, {results[i], node.ints(std::vector<int64_t>{0})}));
    }
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    node.set_output(i, node.emit(Op::concat, outputs[i], {{"axis", int64_t{0}}}));
  }
}

// The body takes an element of each sequence, tensors as they are, and captures.
void import_sequence_map(NodeContext& node, const Rule& rule) {
  const auto body = node.body("body");
  if (node.failed()) return;
  Types formals;
  for (ValueId input : node.inputs()) {
    if (!input) return node.invalid("an input is missing");
    Type type = node.type(input);
    if (type.kind == Type::Kind::sequence) type.kind = Type::Kind::tensor;
    formals.push_back(std::move(type));
  }
  const auto captures = node.bodies().captures(node, {*body});
  auto graph = node.bodies().import_body(node, *body, formals, captures);
  if (!graph) return;
  set_outputs(node, node.emit_many(rule.op, joined(node.inputs(), captures),
                                   {{"num_operands", static_cast<int64_t>(node.num_inputs())}},
                                   node.num_outputs(), only(std::move(graph))));
}

void import_scan(NodeContext& node, const Rule&) {
  const auto body = node.body("body");
  const int64_t num_scan_inputs = node.i64("num_scan_inputs", 0);
  const auto num_inputs = static_cast<int64_t>(node.num_inputs());
  if (node.failed()) return;
  if (num_scan_inputs < 1 || num_scan_inputs > num_inputs) {
    return node.invalid("attribute `num_scan_inputs` does not fit its inputs");
  }
  const int64_t num_states = num_inputs - num_scan_inputs;
  const std::vector<int64_t> axes = node.ints("scan_input_axes");
  Types formals;
  for (int64_t i = 0; i < num_inputs; ++i) {
    Type type = node.type(node.input(static_cast<size_t>(i)));
    if (i >= num_states && type.is_ranked) {
      const auto scan = static_cast<size_t>(i - num_states);
      const int64_t axis = normalised_axis(node, scan < axes.size() ? axes[scan] : 0, type.rank());
      if (node.failed()) return;
      type.dims.erase(type.dims.begin() + axis);
    }
    formals.push_back(std::move(type));
  }
  const auto captures = node.bodies().captures(node, {*body});
  auto graph =
      import_carrying_body(node, *body, formals, 0, static_cast<size_t>(num_states), 0, captures);
  if (!graph) return;
  auto attributes = direct_attributes(node, Op::scan, {"body", "num_scan_inputs"});
  attributes.push_back({"num_scan_inputs", num_scan_inputs});
  attributes.push_back({"num_states", num_states});
  set_outputs(node, node.emit_many(Op::scan, joined(node.inputs(), captures), std::move(attributes),
                                   node.num_outputs(), only(std::move(graph))));
}

}  // namespace neuronc::onnx
