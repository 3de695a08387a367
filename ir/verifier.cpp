// Implements verifier.h, rule by rule; the rules' names stand at the code that checks them.
#include "ir/verifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_set>

#include "ir/base/text.h"
#include "ir/control_flow.h"
#include "ir/printer.h"

namespace neuronc {
namespace {

using Rule = DiagnosticDef<diag::Text, diag::Text>;

class Verifier {
 public:
  Verifier(const Module& module, Diagnostics& diagnostics, std::string_view file)
      : module_(module), diagnostics_(diagnostics), file_(file) {}

  // `holds_groups`: the main graph, or a body that a core runs.
  void verify_graph(const Graph& graph, const Node* parent, bool holds_groups);

 private:
  // Structure; false if the rest cannot be looked at.
  bool verify_order();
  void verify_node_links(NodeId id);
  void verify_uses();
  void verify_outputs();
  void verify_sizes();
  void verify_names(NodeId id);
  // Schema and types.
  bool verify_schema(NodeId id);
  void verify_types(NodeId id);
  void verify_result_type(NodeId id, size_t index, const Type& inferred);
  void verify_group(NodeId id);
  // Stages and storage, of the main graph.
  void verify_stage(NodeId id);
  void verify_core_node(NodeId id);
  void verify_cores(NodeId id);
  void verify_storage(ValueId id);
  void verify_bounds(ValueId id, const Storage& storage);

  bool is_value(ValueId id) const {
    return id.index < graph_->num_value_slots() && !graph_->value(id).is_erased;
  }
  bool is_live(NodeId id) const {
    return id.index < graph_->num_node_slots() && !graph_->node(id).is_erased;
  }
  std::string written(ValueId id) const { return "%" + (*names_)[id]; }
  std::string type_text(const Type& type) const { return to_text(type, &module_); }
  void report(const Rule& rule, NodeId id, std::string_view problem);
  void report(const Rule& rule, std::string_view where, std::string_view problem);

  const Module& module_;
  Diagnostics& diagnostics_;
  std::string_view file_;
  const Graph* graph_ = nullptr;
  const Node* parent_ = nullptr;  // of the body; none: the main graph
  std::optional<ValueNames> names_;
  std::vector<int64_t> position_;             // of each node in the order; -1: not in it
  std::map<int32_t, CoreRange> core_ranges_;  // of the main graph's nodes, by first core
};

// The node as it prints, without its bodies.
std::string headline(std::string text) {
  text = text.substr(0, text.find('\n'));
  if (text.ends_with(" {")) text.resize(text.size() - 2);
  constexpr size_t kMaxLength = 200;
  if (text.size() > kMaxLength) text = text.substr(0, kMaxLength) + "...";
  return text;
}

void Verifier::report(const Rule& rule, NodeId id, std::string_view problem) {
  const Node& node = graph_->node(id);
  Location location;
  location.file = file_;
  if (node.source && node.source.index < module_.num_sources()) {
    const Source& source = module_.source(node.source);
    location.node = source.node;
    location.op = source.op;
    location.opset = source.opset;
  }
  const bool can_print = std::all_of(node.results.begin(), node.results.end(), [&](ValueId v) {
    return v.index < graph_->num_value_slots();
  });
  const std::string text = can_print && node.attributes.size() == node.def().attributes.size()
                               ? headline(to_text(module_, *graph_, id, *names_))
                               : std::string(node.def().name);
  diagnostics_.report(rule, std::move(location), text, problem);
}

void Verifier::report(const Rule& rule, std::string_view where, std::string_view problem) {
  Location location;
  location.file = file_;
  diagnostics_.report(rule, std::move(location), where, problem);
}

void Verifier::verify_graph(const Graph& graph, const Node* parent, bool holds_groups) {
  graph_ = &graph;
  parent_ = parent;
  if (!verify_order()) return;
  names_.emplace(graph);
  for (NodeId id : graph.nodes()) verify_node_links(id);
  verify_outputs();
  verify_uses();
  verify_sizes();
  for (NodeId id : graph.nodes()) {
    verify_names(id);
    if (verify_schema(id)) verify_types(id);
    if (holds_groups) verify_stage(id);
  }
  if (!holds_groups) return;
  for (ValueId input : graph.inputs()) verify_storage(input);
}

// S4: the list is walked with a bound, so that a cycle in it ends.
bool Verifier::verify_order() {
  position_.assign(graph_->num_node_slots(), -1);
  int64_t count = 0;
  NodeId previous;
  for (NodeId id = graph_->first_node(); id; id = graph_->node(id).next) {
    if (!is_live(id) || position_[id.index] >= 0 || graph_->node(id).previous != previous) {
      report(diag::broken_structure, "the order of nodes", "the list of nodes is not linked");
      return false;
    }
    position_[id.index] = count++;
    previous = id;
  }
  size_t num_live = 0;
  for (size_t i = 0; i < graph_->num_node_slots(); ++i) {
    if (!graph_->node(NodeId(i)).is_erased) ++num_live;
  }
  if (static_cast<size_t>(count) == num_live && num_live == graph_->num_nodes() &&
      previous == graph_->last_node()) {
    return true;
  }
  report(diag::broken_structure, "the order of nodes",
         fmt::format("{} of {} nodes stand in the list", count, num_live));
  return false;
}

// S1, S2, and of S3 that results name their producer.
void Verifier::verify_node_links(NodeId id) {
  const Node& node = graph_->node(id);
  for (size_t i = 0; i < node.operands.size(); ++i) {
    const ValueId operand = node.operands[i];
    if (!operand) continue;
    if (!is_value(operand)) {
      report(diag::broken_structure, id, fmt::format("operand {} is no value of this graph", i));
      continue;
    }
    const NodeId producer = graph_->producer(operand);
    if (producer && (!is_live(producer) || position_[producer.index] >= position_[id.index])) {
      report(diag::broken_structure, id,
             fmt::format("operand {} is used before it is defined", written(operand)));
    }
  }
  for (size_t i = 0; i < node.results.size(); ++i) {
    const ValueId result = node.results[i];
    if (is_value(result) && graph_->producer(result) == id &&
        graph_->value(result).result_index == i) {
      continue;
    }
    report(diag::broken_structure, id, fmt::format("result {} does not name this node", i));
  }
}

// S5.
void Verifier::verify_outputs() {
  if (graph_->outputs().size() != graph_->output_names().size()) {
    report(diag::broken_structure, "the outputs", "not every output has a name");
  }
  std::unordered_set<std::string_view> seen;
  for (size_t i = 0; i < graph_->outputs().size(); ++i) {
    const ValueId output = graph_->outputs()[i];
    if (!is_value(output) || (graph_->producer(output) && !is_live(graph_->producer(output)))) {
      report(diag::broken_structure, fmt::format("output {}", i), "it is no value of this graph");
    }
    if (parent_ != nullptr || i >= graph_->output_names().size()) continue;
    const std::string& output_name = graph_->output_names()[i];
    if (!seen.insert(output_name).second) {
      report(diag::broken_structure, fmt::format("output {}", i),
             fmt::format("another output is named {} too", quoted(output_name)));
    }
  }
}

// S3, counted from the operands.
void Verifier::verify_uses() {
  std::vector<size_t> num_uses(graph_->num_value_slots()), num_output_uses(num_uses.size());
  for (NodeId id : graph_->nodes()) {
    for (ValueId operand : graph_->node(id).operands) {
      if (operand && is_value(operand)) ++num_uses[operand.index];
    }
  }
  for (ValueId output : graph_->outputs()) {
    if (is_value(output)) ++num_output_uses[output.index];
  }
  for (size_t i = 0; i < num_uses.size(); ++i) {
    const ValueId id(i);
    const Value& value = graph_->value(id);
    if (value.is_erased) continue;
    const bool names_operands = std::all_of(value.uses.begin(), value.uses.end(), [&](Use use) {
      if (!use.node || !is_live(use.node)) return false;
      const auto& operands = graph_->node(use.node).operands;
      return use.operand_index < operands.size() && operands[use.operand_index] == id;
    });
    if (!names_operands || value.uses.size() != num_uses[i] ||
        value.num_output_uses != num_output_uses[i]) {
      report(diag::broken_structure, written(id), "its list of uses is wrong");
    }
  }
}

// Y4.
void Verifier::verify_sizes() {
  for (size_t i = 0; i < graph_->num_value_slots(); ++i) {
    const Value& value = graph_->value(ValueId(i));
    if (value.is_erased || !value.type.is_too_large()) continue;
    report(diag::tensor_too_large, written(ValueId(i)), type_text(value.type));
  }
}

// S6.
void Verifier::verify_names(NodeId id) {
  const Node& node = graph_->node(id);
  if (node.source && node.source.index >= module_.num_sources()) {
    report(diag::broken_structure, id, "its source is not in the module");
  }
  for (ValueId result : node.results) {
    if (!is_value(result)) continue;
    for (Dim dim : graph_->type(result).dims) {
      if (dim.is_symbol() && dim.symbol_id().index >= module_.num_symbols()) {
        report(diag::broken_structure, "a result of " + std::string(node.def().name),
               "a symbol is not in the module");
      }
    }
  }
}

// T1 (the count; element types come with inference), T2, T3. False if types cannot be inferred.
bool Verifier::verify_schema(NodeId id) {
  const Node& node = graph_->node(id);
  const OpDef& def = node.def();
  const size_t num_errors = diagnostics_.num_errors();
  if (node.attributes.size() != def.attributes.size()) {
    report(diag::broken_schema, id,
           fmt::format("it has {} attributes instead of {}", node.attributes.size(),
                       def.attributes.size()));
    return false;
  }
  for (size_t i = 0; i < node.attributes.size(); ++i) {
    const AttributeSpec& spec = def.attributes[i];
    const AttributeKind kind = kind_of(node.attributes[i]);
    if (kind == AttributeKind::none && (spec.is_required || !spec.default_text.empty())) {
      report(diag::broken_schema, id, fmt::format("attribute `{}` is missing", spec.name));
    } else if (kind != AttributeKind::none && kind != spec.kind) {
      report(diag::broken_schema, id,
             fmt::format("attribute `{}` is of the wrong kind", spec.name));
    } else if (kind == AttributeKind::constant &&
               std::get<ConstantId>(node.attributes[i]).index >= module_.num_constants()) {
      report(diag::broken_schema, id,
             fmt::format("attribute `{}` names no constant of the module", spec.name));
    }
  }
  const bool is_variadic = !def.results.empty() && def.results.back().arity == Arity::variadic;
  size_t num_required = 0;
  for (const ResultSpec& spec : def.results) {
    if (spec.arity != Arity::optional) ++num_required;
  }
  if (node.results.size() < num_required ||
      (node.results.size() > def.results.size() && !is_variadic)) {
    report(diag::broken_schema, id,
           fmt::format("it has {} results, but `{}` makes {}{}", node.results.size(), def.name,
                       num_required, is_variadic ? " or more" : ""));
  }
  return diagnostics_.num_errors() == num_errors;
}

// Whether two types can be of the same value.
bool agrees(const Type& a, const Type& b) {
  if (a.kind != b.kind || a.dtype != b.dtype) return false;
  if (!a.is_ranked || !b.is_ranked) return true;
  if (a.dims.size() != b.dims.size()) return false;
  for (size_t d = 0; d < a.dims.size(); ++d) {
    if (a.dims[d].is_number() && b.dims[d].is_number() && a.dims[d] != b.dims[d]) return false;
  }
  return true;
}

// T1 and Y1 to Y3.
void Verifier::verify_types(NodeId id) {
  const Node& node = graph_->node(id);
  for (ValueId operand : node.operands) {
    if (operand && !is_value(operand)) return;  // reported by S1
  }
  if (node.op == Op::group) return verify_group(id);
  if (node.op == Op::constant) {
    const Type type = module_.constant(std::get<ConstantId>(node.attributes[0])).type();
    return verify_result_type(id, 0, type);
  }
  std::vector<Type> types;
  std::vector<const Tensor*> constants;
  for (ValueId operand : node.operands) {
    types.push_back(operand ? graph_->type(operand) : Type());
    constants.push_back(operand ? module_.constant_of(*graph_, operand) : nullptr);
  }
  const auto inferred = infer_checked({node.view(), types, constants, node.results.size()});
  if (!inferred) return report(diag::broken_schema, id, inferred.error().reason);
  for (size_t i = 0; i < node.results.size() && i < inferred->size(); ++i) {
    verify_result_type(id, i, (*inferred)[i]);
  }
}

void Verifier::verify_result_type(NodeId id, size_t index, const Type& inferred) {
  const Type& declared = graph_->type(graph_->node(id).results[index]);
  if (agrees(declared, inferred) || inferred.kind == Type::Kind::none) return;
  report(diag::broken_type, id,
         fmt::format("result {} is declared as {} but comes out as {}", index, type_text(declared),
                     type_text(inferred)));
}

void Verifier::verify_group(NodeId id) {
  const Node& node = graph_->node(id);
  if (node.bodies.size() != 1) {
    return report(diag::broken_type, id, "a group has exactly one body");
  }
  const Graph& body = *node.bodies[0];
  if (body.inputs().size() != node.operands.size() ||
      body.outputs().size() != node.results.size()) {
    return report(diag::broken_type, id,
                  fmt::format("its body has {} inputs and {} outputs for {} operands and {} "
                              "results",
                              body.inputs().size(), body.outputs().size(), node.operands.size(),
                              node.results.size()));
  }
  for (size_t i = 0; i < node.operands.size(); ++i) {
    if (!node.operands[i]) {
      report(diag::broken_type, id, fmt::format("operand {} of a group is absent", i));
    } else if (body.type(body.inputs()[i]) != graph_->type(node.operands[i])) {
      report(diag::broken_type, id,
             fmt::format("operand {} is {} but the body's input is {}", i,
                         type_text(graph_->type(node.operands[i])),
                         type_text(body.type(body.inputs()[i]))));
    }
  }
  for (size_t i = 0; i < node.results.size(); ++i) {
    if (body.outputs()[i].index >= body.num_value_slots()) continue;  // reported by S5
    if (body.type(body.outputs()[i]) == graph_->type(node.results[i])) continue;
    report(diag::broken_type, id,
           fmt::format("result {} is {} but the body's output is {}", i,
                       type_text(graph_->type(node.results[i])),
                       type_text(body.type(body.outputs()[i]))));
  }
}

// G1, G3 and G4.
void Verifier::verify_stage(NodeId id) {
  const Node& node = graph_->node(id);
  const Stage stage = module_.stage;
  if (node.op == Op::group && stage < Stage::fused) {
    report(diag::broken_stage, id, "groups exist from stage `fused` on");
  }
  if (stage < Stage::placed) {
    if (node.placement != Placement::unplaced) {
      report(diag::broken_stage, id, "it is placed, which happens at stage `placed`");
    }
  } else if (node.placement == Placement::unplaced && node.op != Op::constant) {
    report(diag::broken_stage, id,
           fmt::format("it is not placed, though the stage is `{}`", name(stage)));
  }
  if (node.placement == Placement::core && stage >= Stage::placed) verify_core_node(id);
  if (node.op != Op::constant && node.placement == Placement::core) {
    if (stage < Stage::partitioned && !node.cores.is_none()) {
      report(diag::broken_stage, id, "cores are assigned at stage `partitioned`");
    } else if (stage >= Stage::partitioned && node.cores.is_none()) {
      report(diag::broken_stage, id, "it has no core, though the module is partitioned");
    } else if (stage >= Stage::partitioned) {
      verify_cores(id);
    }
  }
  for (ValueId result : node.results) {
    if (is_value(result)) verify_storage(result);
  }
}

// G4.
void Verifier::verify_cores(NodeId id) {
  const CoreRange& cores = graph_->node(id).cores;
  const auto [it, is_new] = core_ranges_.emplace(cores.first, cores);
  const auto meets = [&](const auto& entry) {
    return entry.second != cores && entry.second.meets(cores);
  };
  if (it->second == cores && !is_new) return;
  if (it->second != cores || std::any_of(core_ranges_.begin(), core_ranges_.end(), meets)) {
    report(diag::broken_stage, id, "it shares cores with nodes that run on others too");
  }
}

// G2, G3, L1.
void Verifier::verify_core_node(NodeId id) {
  const Node& node = graph_->node(id);
  const auto verify_value = [&](ValueId value) {
    if (!value || !is_value(value)) return;
    const Type& type = graph_->type(value);
    if (!type.is_static() || !is_numeric(type.dtype)) {
      report(
          diag::broken_stage, id,
          fmt::format("{} is {}, which no NeuronCore can hold", written(value), type_text(type)));
    } else if (module_.stage >= Stage::laid_out && !graph_->value(value).storage &&
               !graph_->constant_id(value)) {
      report(diag::broken_storage, id, fmt::format("{} has no storage", written(value)));
    }
  };
  for (ValueId operand : node.operands) verify_value(operand);
  for (ValueId result : node.results) verify_value(result);
  if (module_.stage < Stage::fused) return;
  if (runs_blocks(node)) return;
  if (node.op != Op::group && !node.has(Trait::moves_data)) {
    report(diag::broken_stage, id, "a node on a core is a group or moves data from stage `fused`");
  }
  for (const auto& body : node.bodies) {
    for (NodeId inner : body->nodes()) {
      if (body->node(inner).op != Op::group) continue;
      report(diag::broken_stage, id, "there is a group inside a group");
      break;
    }
  }
}

// L1, L2 and L3.
void Verifier::verify_storage(ValueId id) {
  const Value& value = graph_->value(id);
  const Storage& storage = value.storage;
  if (!storage) return;
  const auto wrong = [&](std::string_view problem) {
    report(diag::broken_storage, written(id), problem);
  };
  if (module_.stage < Stage::laid_out) return wrong("it has a storage before stage `laid_out`");
  if (!value.type.is_static()) return wrong("it has a storage but no static shape");
  if (storage.strides.size() != value.type.dims.size()) {
    return wrong(fmt::format("it has {} strides for {} dims", storage.strides.size(),
                             value.type.dims.size()));
  }
  const bool has_block = storage.blocked_dim != -1;
  if (storage.block < 1 || (!has_block && storage.block != 1) || storage.blocked_dim < -1 ||
      (has_block && storage.blocked_dim >= static_cast<int32_t>(storage.strides.size()))) {
    return wrong("its blocking is malformed");
  }
  if (storage.offset < 0 || storage.num_elements < 0 ||
      std::any_of(
          storage.strides.begin(), storage.strides.end(),
          [](int64_t stride) { return stride < 0; })) {
    return wrong("it has a negative stride, offset or size");
  }
  if (!storage.base) return verify_bounds(id, storage);
  if (!is_value(storage.base)) return wrong("its base is no value of this graph");
  const Storage& base = graph_->value(storage.base).storage;
  const bool has_constant_base = static_cast<bool>(graph_->constant_id(storage.base));
  if (!base && !has_constant_base) return wrong("its base has no storage");
  if (base && base.is_view()) return wrong("its base is a view itself");
  if (base && base.dtype != storage.dtype) {
    return wrong("its base has another element type in memory");
  }
  if (base) verify_bounds(id, base);
}

// L2: the largest index stays inside the allocation of `owner`.
void Verifier::verify_bounds(ValueId id, const Storage& owner) {
  const Value& value = graph_->value(id);
  const Storage& storage = value.storage;
  __int128 last = storage.offset;
  for (size_t d = 0; d < storage.strides.size(); ++d) {
    const int64_t extent = value.type.dims[d].number();
    if (extent == 0) return;
    if (static_cast<int32_t>(d) == storage.blocked_dim) {
      last += static_cast<__int128>((extent - 1) / storage.block) * storage.strides[d];
      last += std::min(extent, storage.block) - 1;
    } else {
      last += static_cast<__int128>(extent - 1) * storage.strides[d];
    }
  }
  if (last < owner.num_elements) return;
  constexpr __int128 kMax = INT64_MAX;
  report(diag::broken_storage, written(id),
         fmt::format("its last element stands at {} of an allocation of {}",
                     static_cast<int64_t>(std::min(last, kMax)), owner.num_elements));
}

}  // namespace

Expected<void> verify(const Module& module, Diagnostics& diagnostics, std::string_view file) {
  const size_t num_errors = diagnostics.num_errors();
  // Bodies wait in a list; each graph is looked at by itself, as it is isolated from the others.
  struct Item {
    const Graph* graph;
    const Node* parent;
    bool holds_groups;
  };
  std::vector<Item> work{{&module.graph(), nullptr, true}};
  for (size_t i = 0; i < work.size(); ++i) {
    const auto [graph, parent, holds_groups] = work[i];
    Verifier(module, diagnostics, file).verify_graph(*graph, parent, holds_groups);
    for (size_t n = 0; n < graph->num_node_slots(); ++n) {
      const Node& node = graph->node(NodeId(n));
      if (node.is_erased) continue;
      // Up to stage `placed` all bodies are alike.
      const bool is_of_core = holds_groups && runs_blocks(node);
      for (const auto& body : node.bodies) work.push_back({body.get(), &node, is_of_core});
    }
  }
  if (diagnostics.num_errors() != num_errors) return reported();
  return {};
}

}  // namespace neuronc
