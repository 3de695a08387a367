// Implements cut.h. Names of the main graph that nodes inside of bodies use count as used by the
// body's node; a body's own names may count too, which keeps more than is needed and never less.
#include "compiler/onnx/cut.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "ir/base/nearest.h"

namespace neuronc::onnx {
namespace {

using ::onnx::GraphProto;
using ::onnx::NodeProto;
using ::onnx::ValueInfoProto;

// All names that a node and what is inside of it read.
void add_names_read(const NodeProto& node, std::vector<std::string_view>& names) {
  for (const std::string& input : node.input()) names.push_back(input);
  const auto add_graph = [&](const GraphProto& graph) {
    for (const NodeProto& inner : graph.node()) add_names_read(inner, names);
    for (const ValueInfoProto& output : graph.output()) names.push_back(output.name());
  };
  for (const auto& attribute : node.attribute()) {
    if (attribute.has_g()) add_graph(attribute.g());
    for (const GraphProto& graph : attribute.graphs()) add_graph(graph);
  }
}

class Cut {
 public:
  explicit Cut(GraphProto& graph) : graph_(graph) {
    for (int i = 0; i < graph.node_size(); ++i) {
      for (const std::string& output : graph.node(i).output()) {
        if (!output.empty()) producers_.emplace(output, i);
      }
    }
    for (const auto& input : graph.input()) others_.insert(input.name());
    for (const auto& tensor : graph.initializer()) others_.insert(tensor.name());
    for (const auto& tensor : graph.sparse_initializer()) others_.insert(tensor.values().name());
  }

  bool has(const std::string& name) const {
    return producers_.contains(name) || others_.contains(name);
  }

  std::vector<std::string_view> names() const {
    std::vector<std::string_view> names;
    for (const auto& [name, node] : producers_) names.push_back(name);
    names.insert(names.end(), others_.begin(), others_.end());
    return names;
  }

  void apply(std::span<const std::string> outputs) {
    std::vector<std::string_view> open(outputs.begin(), outputs.end());
    std::vector<bool> is_kept(static_cast<size_t>(graph_.node_size()));
    while (!open.empty()) {
      const std::string_view name = open.back();
      open.pop_back();
      if (!needed_.insert(std::string(name)).second) continue;
      const auto it = producers_.find(name);
      if (it == producers_.end() || is_kept[static_cast<size_t>(it->second)]) continue;
      is_kept[static_cast<size_t>(it->second)] = true;
      add_names_read(graph_.node(it->second), open);
    }
    set_outputs(outputs);
    const auto is_needed = [this](const std::string& name) { return needed_.contains(name); };
    keep(*graph_.mutable_input(), [&](const auto& input) { return is_needed(input.name()); });
    keep(*graph_.mutable_initializer(), [&](const auto& one) { return is_needed(one.name()); });
    keep(*graph_.mutable_sparse_initializer(),
         [&](const auto& one) { return is_needed(one.values().name()); });
    size_t next = 0;
    keep(*graph_.mutable_node(), [&](const NodeProto&) { return is_kept[next++]; });
  }

 private:
  // Declared types of values inside come from the graph's list of them; most have none.
  void set_outputs(std::span<const std::string> outputs) {
    std::map<std::string_view, const ValueInfoProto*> declared;
    for (const auto& value : graph_.value_info()) declared.emplace(value.name(), &value);
    for (const auto& value : graph_.input()) declared.emplace(value.name(), &value);
    for (const auto& value : graph_.output()) declared[value.name()] = &value;
    google::protobuf::RepeatedPtrField<ValueInfoProto> made;
    for (const std::string& output : outputs) {
      const auto it = declared.find(output);
      if (it != declared.end()) {
        *made.Add() = *it->second;
      } else {
        made.Add()->set_name(output);
      }
    }
    graph_.mutable_output()->Swap(&made);
  }

  // Names are views of what stays; those of what goes are not read any more.
  template <class Field, class Predicate>
  static void keep(Field& field, const Predicate& is_kept) {
    int num_kept = 0;
    for (int i = 0; i < field.size(); ++i) {
      if (!is_kept(field.Get(i))) continue;
      if (i != num_kept) field.SwapElements(i, num_kept);
      ++num_kept;
    }
    field.DeleteSubrange(num_kept, field.size() - num_kept);
  }

  GraphProto& graph_;
  std::map<std::string, int, std::less<>> producers_;  // the node that makes a value
  std::set<std::string, std::less<>> others_;          // inputs and initializers
  std::set<std::string, std::less<>> needed_;
};

}  // namespace

Expected<void> cut_at_outputs(ModelProto& model, std::span<const std::string> outputs,
                              const std::string& file, Diagnostics& diagnostics) {
  if (outputs.empty()) return {};
  Cut cut(*model.mutable_graph());
  const size_t num_errors = diagnostics.num_errors();
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (std::find(outputs.begin(), outputs.begin() + static_cast<std::ptrdiff_t>(i), outputs[i]) !=
        outputs.begin() + static_cast<std::ptrdiff_t>(i)) {
      diagnostics.report(diag::usage_error, {},
                         fmt::format("--outputs names `{}` twice", outputs[i]));
    } else if (!cut.has(outputs[i])) {
      const std::string_view near = nearest(outputs[i], cut.names());
      diagnostics.report(
          diag::unknown_binding, Location{file}, "--outputs", outputs[i],
          near.empty() ? "is no such value" : fmt::format("is `{}`; did you mean that?", near));
    }
  }
  if (diagnostics.num_errors() != num_errors) return reported();
  cut.apply(outputs);
  return {};
}

}  // namespace neuronc::onnx
