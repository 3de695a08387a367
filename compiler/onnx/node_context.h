// What an import rule sees of an ONNX node, and how it makes IR nodes. Free of protobuf.
//
// Errors are sticky: after the first failure every `emit` gives no value and does nothing, so that
// rules read as straight lines; the graph importer looks at `error()` once, when the rule is done.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ir/graph.h"
#include "ir/op.h"

namespace neuronc::onnx {

// Why a node cannot be imported: it contradicts its operator's definition, asks for something this
// version does not do, has an element type that the IR's operator does not take (which of the two
// that is, ONNX's table says), makes a tensor beyond every machine (`reason` is then its type), or
// goes over a limit of the importer (`reason` says of what).
struct RuleError {
  enum class Kind : uint8_t { invalid, unsupported, element_type, too_large, over_limit };
  Kind kind = Kind::invalid;
  std::string reason;
  int64_t limit = 0;
};

// A body of a control-flow node, opaque to rules.
struct BodyHandle {
  const void* graph = nullptr;
};

// An attribute as it stands in the model; references to a function's attributes are resolved.
struct OnnxAttribute {
  std::string name;
  std::variant<std::monostate, int64_t, double, std::string, std::vector<int64_t>,
               std::vector<double>, std::vector<std::string>, Tensor, BodyHandle, Type>
      value;
};

// A value of the graph under construction whose content is known while importing.
using KnownValues = std::map<ValueId, Tensor>;

// The graph under construction: emits nodes with inferred types, and keeps the content of small
// values that can be computed from constants (shapes above all), so that operators which take
// shapes as operands get static types without any change to the graph.
class GraphBuilder {
 public:
  GraphBuilder(Module& module, Graph& graph) : module_(module), graph_(graph) {}

  Module& module() { return module_; }
  Graph& graph() { return graph_; }
  const Type& type(ValueId value) const { return graph_.type(value); }

  // The constant behind `value` or its computed content; nullptr when it is not known.
  const Tensor* known(ValueId value) const;
  void set_known(ValueId value, Tensor tensor) { known_[value] = std::move(tensor); }

  // The tensors that a sequence is known to hold; nullptr when they are not.
  const std::vector<ValueId>* elements(ValueId sequence) const {
    const auto it = elements_.find(sequence);
    return it == elements_.end() ? nullptr : &it->second;
  }
  void set_elements(ValueId sequence, std::vector<ValueId> elements) {
    elements_[sequence] = std::move(elements);
  }

  ValueId constant(Tensor tensor, SourceId source);
  // Checks operands against the schema, infers types and appends a node.
  OrRefusal<std::vector<ValueId>> emit(Op op, std::vector<ValueId> operands,
                                       std::vector<NamedAttribute> attributes, size_t num_results,
                                       std::vector<std::unique_ptr<Graph>> bodies, SourceId source);

 private:
  void compute_known(NodeId node);

  Module& module_;
  Graph& graph_;
  KnownValues known_;
  std::map<ValueId, std::vector<ValueId>> elements_;
};

// A body imported for a control-flow node: its graph and the values of the outer graph that it
// uses, which are its last inputs in this order.
struct ImportedBody {
  std::unique_ptr<Graph> graph;
};

class NodeContext;

// Imports bodies for rules; implemented by the graph importer.
class BodyImporter {
 public:
  virtual ~BodyImporter() = default;
  // The values of the enclosing graph that the bodies use, without those whose content is known
  // (they become constants inside).
  virtual std::vector<ValueId> captures(NodeContext& node,
                                        const std::vector<BodyHandle>& bodies) = 0;
  // A body whose first inputs have the types `formals`, followed by `captures`. A `known` formal
  // (may be empty) is one whose content is fixed. No graph: the body failed, already reported.
  virtual std::unique_ptr<Graph> import_body(NodeContext& node, BodyHandle body,
                                             const std::vector<Type>& formals,
                                             const std::vector<ValueId>& captures) = 0;
  // The same for a branch that need not be taken. Where nothing but invalid nodes stands against
  // it, nothing is reported: no graph, and `problem` says what is wrong.
  virtual std::unique_ptr<Graph> try_body(NodeContext& node, BodyHandle body,
                                          const std::vector<ValueId>& captures,
                                          std::string& problem) = 0;
  virtual void warn_of_branch(NodeContext& node, std::string_view branch,
                              const std::string& problem) = 0;
  virtual size_t num_body_inputs(BodyHandle body) = 0;
  virtual size_t num_body_outputs(BodyHandle body) = 0;
  // Imports the body's nodes into the enclosing graph in place of the node; its outputs. Its first
  // inputs are `inputs`.
  virtual std::vector<ValueId> inline_body(NodeContext& node, BodyHandle body,
                                           const std::vector<ValueId>& inputs) = 0;
  std::vector<ValueId> inline_body(NodeContext& node, BodyHandle body) {
    return inline_body(node, body, {});
  }
  // The value that a name stands for where the node stands; none where there is none.
  virtual ValueId named_value(NodeContext& node, const std::string& name) = 0;
};

class NodeContext {
 public:
  struct Description {
    std::string op_type;
    int64_t version = 0;          // of the operator's domain
    std::vector<ValueId> inputs;  // none: absent
    std::vector<bool> output_is_wanted;
    std::vector<OnnxAttribute> attributes;
    SourceId source;
  };

  NodeContext(GraphBuilder& builder, BodyImporter& bodies, Description description)
      : builder_(builder),
        bodies_(bodies),
        node_(std::move(description)),
        outputs_(node_.output_is_wanted.size()) {}

  // --- The node ------------------------------------------------------------------------------
  const std::string& op_type() const { return node_.op_type; }
  int64_t version() const { return node_.version; }
  size_t num_inputs() const { return node_.inputs.size(); }
  bool has_input(size_t i) const { return i < node_.inputs.size() && node_.inputs[i]; }
  ValueId input(size_t i) const { return i < node_.inputs.size() ? node_.inputs[i] : ValueId(); }
  const std::vector<ValueId>& inputs() const { return node_.inputs; }
  size_t num_outputs() const { return outputs_.size(); }
  bool wants_output(size_t i) const { return i < outputs_.size() && node_.output_is_wanted[i]; }

  // --- Attributes ----------------------------------------------------------------------------
  bool has(std::string_view name) const { return find(name) != nullptr; }
  int64_t i64(std::string_view name, int64_t fallback);
  double f64(std::string_view name, double fallback);
  std::string string(std::string_view name, std::string fallback);
  std::vector<int64_t> ints(std::string_view name, std::vector<int64_t> fallback = {});
  std::vector<double> floats(std::string_view name, std::vector<double> fallback = {});
  std::vector<std::string> strings(std::string_view name);
  Tensor tensor(std::string_view name);  // no tensor when absent
  std::optional<BodyHandle> body(std::string_view name);
  std::optional<Type> type_attribute(std::string_view name);
  // The IR's dtype behind an attribute that holds an ONNX data type number.
  DType dtype(std::string_view name, DType fallback);
  const std::vector<OnnxAttribute>& attributes() const { return node_.attributes; }

  // --- Values --------------------------------------------------------------------------------
  const Type& type(ValueId value) const;
  DType dtype_of(ValueId value) const { return type(value).dtype; }
  bool is_ranked(ValueId value) const { return type(value).is_ranked; }
  // The rank of a value; an unknown one is an error of the node.
  int64_t rank(ValueId value);
  // Dims of a value that must be static here; an error of the node otherwise.
  std::vector<int64_t> shape(ValueId value);
  const Tensor* known(ValueId value) const { return value ? builder_.known(value) : nullptr; }
  const std::vector<ValueId>* elements(ValueId sequence) const {
    return sequence ? builder_.elements(sequence) : nullptr;
  }
  void set_elements(ValueId sequence, std::vector<ValueId> elements) {
    builder_.set_elements(sequence, std::move(elements));
  }
  // The integers behind input `i`, which must be known; an error of the node otherwise.
  std::vector<int64_t> known_ints(size_t i);

  // --- Making --------------------------------------------------------------------------------
  ValueId emit(Op op, std::vector<ValueId> operands, std::vector<NamedAttribute> attributes = {});
  std::vector<ValueId> emit_many(Op op, std::vector<ValueId> operands,
                                 std::vector<NamedAttribute> attributes, size_t num_results,
                                 std::vector<std::unique_ptr<Graph>> bodies = {});
  ValueId constant(Tensor tensor);
  ValueId ints(const std::vector<int64_t>& values);  // i64[n]
  ValueId scalar_i64(int64_t value);                 // i64[]
  ValueId scalar(DType dtype, double value);         // dtype[]
  ValueId scalar_like(ValueId like, double value);   // of the same dtype
  void set_known(ValueId value, Tensor tensor) { builder_.set_known(value, std::move(tensor)); }

  void set_output(size_t i, ValueId value);
  const std::vector<ValueId>& outputs() const { return outputs_; }

  BodyImporter& bodies() { return bodies_; }
  GraphBuilder& builder() { return builder_; }
  SourceId source() const { return node_.source; }

  // --- Errors --------------------------------------------------------------------------------
  void invalid(std::string reason) { fail(RuleError::Kind::invalid, std::move(reason)); }
  void unsupported(std::string reason) { fail(RuleError::Kind::unsupported, std::move(reason)); }
  void over_limit(std::string what, int64_t limit) {
    fail(RuleError::Kind::over_limit, std::move(what));
    error_->limit = limit;
  }
  bool failed() const { return error_.has_value(); }
  const std::optional<RuleError>& error() const { return error_; }
  // The node failed inside a body, where it has been reported.
  void fail_quietly() { failed_quietly_ = true; }
  void recover() { failed_quietly_ = false; }
  bool failed_quietly() const { return failed_quietly_; }

 private:
  const OnnxAttribute* find(std::string_view name) const;
  template <class T>
  T get(std::string_view name, T fallback, std::string_view kind);
  void fail(RuleError::Kind kind, std::string reason) {
    if (!error_) error_ = RuleError{kind, std::move(reason), 0};
  }

  GraphBuilder& builder_;
  BodyImporter& bodies_;
  Description node_;
  std::vector<ValueId> outputs_;
  std::optional<RuleError> error_;
  bool failed_quietly_ = false;
};

}  // namespace neuronc::onnx
