// Implements printer.h.
#include "ir/printer.h"

#include <fmt/format.h>

#include <cstring>
#include <iterator>
#include <unordered_map>
#include <unordered_set>

#include "ir/base/text.h"
#include "ir/tensor_text.h"

namespace neuronc {
namespace {

constexpr int64_t kMaxInlineElements = 16;

// True if all elements have the same bits, so that one stands for all.
bool is_uniform(const Tensor& tensor) {
  if (tensor.dtype() == DType::string || tensor.num_elements() < 2) return false;
  const auto bytes = tensor.bytes();
  const auto size = static_cast<size_t>(size_bytes(tensor.dtype()));
  return std::memcmp(bytes.data(), bytes.data() + size, bytes.size() - size) == 0;
}

class Printer {
 public:
  Printer(const Module& module, std::string& out) : module_(module), out_(out) {}

  void print_module();
  void print_graph(const Graph& graph, size_t indent);
  void print_node(const Graph& graph, NodeId id, const ValueNames& names, size_t indent);

 private:
  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }
  void put_indent(size_t indent) { out_.append(2 * indent, ' '); }
  template <class List, class Fn>
  void put_list(const List& list, Fn put_one) {
    bool is_first = true;
    for (const auto& item : list) {
      if (!is_first) out_ += ", ";
      is_first = false;
      put_one(item);
    }
  }

  void print_results(const Graph& graph, const Node& node, const ValueNames& names);
  void print_typed(const Value& value, const ValueNames& names);
  void print_storage(const Value& value, const ValueNames& names);
  void print_operands(const Node& node, const ValueNames& names);
  void print_attributes(const Node& node);
  void print_attribute(const AttributeValue& value);
  void print_elements(const Tensor& tensor);
  void print_constant(ConstantId id);
  bool print_bare_constant(const Graph& graph, const Node& node);
  void print_placement(const Node& node);
  void print_source(const Node& node);

  const Module& module_;
  std::string& out_;
};

void Printer::print_module() {
  put("nir 1\nmodule {} stage {}", quoted(module_.name), name(module_.stage));
  if (module_.num_model_ops != 0) put(" ops {}", module_.num_model_ops);
  put(" {{\n");
  print_graph(module_.graph(), 1);
  put("}}\n");
}

void Printer::print_graph(const Graph& graph, size_t indent) {
  const ValueNames names(graph);
  for (ValueId input : graph.inputs()) {
    put_indent(indent);
    put("input %{} : ", names[input]);
    print_typed(graph.value(input), names);
    out_ += '\n';
  }
  for (NodeId node : graph.nodes()) {
    put_indent(indent);
    print_node(graph, node, names, indent);
    out_ += '\n';
  }
  for (size_t i = 0; i < graph.outputs().size(); ++i) {
    const ValueId output = graph.outputs()[i];
    put_indent(indent);
    put("output %{}", names[output]);
    if (graph.output_names()[i] != graph.value(output).name) {
      put(" as {}", quoted(graph.output_names()[i]));
    }
    out_ += '\n';
  }
}

void Printer::print_node(const Graph& graph, NodeId id, const ValueNames& names, size_t indent) {
  const Node& node = graph.node(id);
  put_list(node.results, [&](ValueId result) { put("%{}", names[result]); });
  if (!node.results.empty()) out_ += " = ";
  out_ += node.def().name;
  if (!print_bare_constant(graph, node)) {
    print_operands(node, names);
    print_attributes(node);
  }
  print_results(graph, node, names);
  print_placement(node);
  print_source(node);
  for (const auto& body : node.bodies) {
    out_ += " {\n";
    print_graph(*body, indent + 1);
    put_indent(indent);
    out_ += '}';
  }
}

void Printer::print_results(const Graph& graph, const Node& node, const ValueNames& names) {
  if (node.results.empty()) return;
  out_ += " : ";
  put_list(node.results, [&](ValueId result) { print_typed(graph.value(result), names); });
}

void Printer::print_typed(const Value& value, const ValueNames& names) {
  out_ += to_text(value.type, &module_);
  if (value.storage) print_storage(value, names);
}

void Printer::print_storage(const Value& value, const ValueNames& names) {
  const Storage& storage = value.storage;
  put(" in {}", name(storage.dtype));
  if (value.type.is_static() && storage == Storage::dense(storage.dtype, value.type.shape())) {
    return;
  }
  put(" strides [{}]", fmt::join(storage.strides, ", "));
  if (storage.block != 1) put(" block {}", storage.block);
  if (storage.blocked_dim != -1) put(" dim {}", storage.blocked_dim);
  if (storage.offset != 0) put(" offset {}", storage.offset);
  if (storage.num_elements != 0) put(" size {}", storage.num_elements);
  if (storage.base) put(" of %{}", names[storage.base]);
}

void Printer::print_operands(const Node& node, const ValueNames& names) {
  out_ += '(';
  put_list(node.operands, [&](ValueId operand) {
    if (operand) {
      put("%{}", names[operand]);
    } else {
      out_ += '_';
    }
  });
  out_ += ')';
}

void Printer::print_attributes(const Node& node) {
  bool is_first = true;
  for (size_t i = 0; i < node.attributes.size(); ++i) {
    const AttributeSpec& spec = node.def().attributes[i];
    if (node.attributes[i] == default_value(spec)) continue;
    out_ += is_first ? " {" : ", ";
    is_first = false;
    put("{} = ", spec.name);
    print_attribute(node.attributes[i]);
  }
  // Without results no type stands between attributes and bodies.
  if (is_first && node.results.empty() && !node.bodies.empty()) out_ += " {";
  if (!is_first || (node.results.empty() && !node.bodies.empty())) out_ += '}';
}

void Printer::print_attribute(const AttributeValue& value) {
  switch (kind_of(value)) {
    case AttributeKind::none:
      out_ += "none";
      break;
    case AttributeKind::i64:
      put("{}", std::get<int64_t>(value));
      break;
    case AttributeKind::f64:
      out_ += float_to_text(std::get<double>(value));
      break;
    case AttributeKind::string:
      out_ += quoted(std::get<std::string>(value));
      break;
    case AttributeKind::ints:
      put("[{}]", fmt::join(std::get<std::vector<int64_t>>(value), ", "));
      break;
    case AttributeKind::floats:
      out_ += '[';
      put_list(std::get<std::vector<double>>(value), [&](double x) { out_ += float_to_text(x); });
      out_ += ']';
      break;
    case AttributeKind::strings:
      out_ += '[';
      put_list(std::get<std::vector<std::string>>(value),
               [&](const std::string& text) { out_ += quoted(text); });
      out_ += ']';
      break;
    case AttributeKind::dtype:
      out_ += name(std::get<DType>(value));
      break;
    case AttributeKind::constant: {
      const ConstantId id = std::get<ConstantId>(value);
      out_ += to_text(module_.constant(id).type(), &module_);
      out_ += ' ';
      print_constant(id);
      break;
    }
  }
}

void Printer::print_elements(const Tensor& tensor) {
  out_ += '{';
  if (tensor.dtype() == DType::string) {
    put_list(tensor.strings(), [&](const std::string& text) { out_ += quoted(text); });
  } else if (tensor.num_elements() > kMaxInlineElements) {
    put("{}, ...", element_to_text(tensor, 0));
  } else {
    for (int64_t i = 0; i < tensor.num_elements(); ++i) {
      if (i > 0) out_ += ", ";
      out_ += element_to_text(tensor, i);
    }
  }
  out_ += '}';
}

void Printer::print_constant(ConstantId id) {
  const Tensor& tensor = module_.constant(id);
  if (is_printed_inline(tensor)) {
    print_elements(tensor);
  } else {
    put("#{}", to_hex(module_.constant_hash(id)));
  }
}

// A node that is nothing but a constant of its result's type: `constant {1, 2} : i64[2]`.
bool Printer::print_bare_constant(const Graph& graph, const Node& node) {
  if (!node.operands.empty() || node.attributes.size() != 1 || node.results.size() != 1 ||
      kind_of(node.attributes[0]) != AttributeKind::constant) {
    return false;
  }
  const auto id = std::get<ConstantId>(node.attributes[0]);
  if (module_.constant(id).type() != graph.type(node.results[0])) return false;
  out_ += ' ';
  print_constant(id);
  return true;
}

void Printer::print_placement(const Node& node) {
  if (node.placement == Placement::unplaced && node.cores.is_none()) return;
  constexpr std::string_view kNames[] = {"unplaced", "core", "host"};
  put(" {}", kNames[static_cast<size_t>(node.placement)]);
  if (node.cores.count == 1) put("({})", node.cores.first);
  if (node.cores.count > 1) put("({} to {})", node.cores.first, node.cores.end() - 1);
}

void Printer::print_source(const Node& node) {
  if (!node.source) return;
  const Source& source = module_.source(node.source);
  put(" @ {} {} {}", quoted(source.node), word_or_quoted(source.op), source.opset);
}

void collect_sidecar(const Module& module, const Graph& graph, std::vector<ConstantId>& found,
                     std::unordered_set<ConstantId>& seen) {
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    for (const AttributeValue& attribute : node.attributes) {
      if (kind_of(attribute) != AttributeKind::constant) continue;
      const auto constant = std::get<ConstantId>(attribute);
      if (is_printed_inline(module.constant(constant))) continue;
      if (seen.insert(constant).second) found.push_back(constant);
    }
    for (const auto& body : node.bodies) collect_sidecar(module, *body, found, seen);
  }
}

}  // namespace

ValueNames::ValueNames(const Graph& graph) : texts_(graph.num_value_slots()) {
  std::unordered_map<std::string_view, int64_t> num_seen;
  int64_t num_unnamed = 0;
  const auto give_name = [&](ValueId id) {
    const std::string& model_name = graph.value(id).name;
    if (model_name.empty()) {
      texts_[id.index] = std::to_string(num_unnamed++);
      return;
    }
    std::string& text = texts_[id.index];
    const bool is_plain =
        is_word(model_name, "./-") && !model_name.starts_with("//") && model_name != "_";
    text = is_plain ? model_name : quoted(model_name);
    const int64_t count = ++num_seen[model_name];
    if (count > 1) text += "#" + std::to_string(count);
  };
  for (ValueId input : graph.inputs()) give_name(input);
  for (NodeId node : graph.nodes()) {
    for (ValueId result : graph.node(node).results) give_name(result);
  }
}

const std::string& ValueNames::operator[](ValueId id) const {
  static const std::string kInvalid = "<invalid>";
  return id.index < texts_.size() && !texts_[id.index].empty() ? texts_[id.index] : kInvalid;
}

std::string to_text(const Module& module) {
  std::string text;
  Printer(module, text).print_module();
  return text;
}

std::string to_text(const Module& module, const Graph& graph) {
  std::string text;
  Printer(module, text).print_graph(graph, 0);
  return text;
}

std::string to_text(const Module& module, const Graph& graph, NodeId node,
                    const ValueNames& names) {
  std::string text;
  Printer(module, text).print_node(graph, node, names, 0);
  return text;
}

bool is_printed_inline(const Tensor& tensor) {
  return tensor.num_elements() <= kMaxInlineElements || tensor.dtype() == DType::string ||
         is_uniform(tensor);
}

std::vector<ConstantId> sidecar_constants(const Module& module) {
  std::vector<ConstantId> found;
  std::unordered_set<ConstantId> seen;
  collect_sidecar(module, module.graph(), found, seen);
  return found;
}

}  // namespace neuronc
