// Imports the nodes of an ONNX graph, its functions and bodies into a module.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "compiler/onnx/import.h"
#include "compiler/onnx/model_file.h"
#include "compiler/onnx/node_context.h"
#include "compiler/onnx/proto_types.h"
#include "compiler/onnx/report.h"
#include "compiler/onnx/scope.h"
#include "compiler/onnx/topology.h"

namespace neuronc::onnx {

using ::onnx::AttributeProto;
using ::onnx::FunctionProto;
using ::onnx::GraphProto;
using ::onnx::NodeProto;
using ::onnx::ValueInfoProto;

class GraphImporter : public BodyImporter {
 public:
  GraphImporter(std::shared_ptr<ModelProto> model, std::string file, std::string folder,
                const ImportOptions& options, Diagnostics& diagnostics);

  Expected<Module> run();

  // BodyImporter.
  std::vector<ValueId> captures(NodeContext& node, const std::vector<BodyHandle>& bodies) override;
  std::unique_ptr<Graph> import_body(NodeContext& node, BodyHandle body,
                                     const std::vector<Type>& formals,
                                     const std::vector<ValueId>& captures) override;
  size_t num_body_inputs(BodyHandle body) override;
  size_t num_body_outputs(BodyHandle body) override;
  std::vector<ValueId> inline_body(NodeContext& node, BodyHandle body) override;

 private:
  // model.cpp: what surrounds the nodes.
  void read_versions();
  void read_functions();
  void define_inputs(Scope& scope);
  void define_initializers(const GraphProto& graph, Scope& scope);
  void define_outputs(Scope& scope);
  void check_output_type(const ValueInfoProto& declared, ValueId value);
  void check_operators_exist(const NodeList& nodes, const OpsetVersions& opsets);

  // graph_importer.cpp: nodes.
  void import_nodes(const NodeList& nodes, Scope& scope);
  void import_node(const NodeProto& node, Scope& scope);
  void import_by_rule(const NodeProto& node, Scope& scope);
  void inline_function(const NodeProto& node, const FunctionProto& function, Scope& scope);
  std::optional<std::vector<OnnxAttribute>> attributes_of(const NodeProto& node,
                                                          const Scope& scope);
  OrRefusal<OnnxAttribute> attribute_from_proto(const AttributeProto& proto) const;
  std::vector<OnnxAttribute> default_attributes(const FunctionProto& function) const;
  std::optional<std::vector<ValueId>> inputs_of(const NodeProto& node, Scope& scope);
  void bind_outputs(const NodeProto& node, const std::vector<Binding>& outputs, Scope& scope);
  void fail_outputs(const NodeProto& node, Scope& scope);
  void define(Scope& scope, const std::string& name, Binding binding, const Location& location);
  const FunctionProto* find_function(const NodeProto& node) const;
  // The binding of `name`; an undefined one is reported and failed.
  Binding* lookup(const std::string& name, Scope& scope, const Location& location);
  // The value behind a name, made a constant where it is a tensor; none when absent or failed.
  ValueId value_of(const std::string& name, Binding& binding, Scope& scope);
  // The content of a binding where it is known.
  const Tensor* content_of(const Binding& binding, const Scope& scope) const;
  Location location_of(const NodeProto& node, const Scope& scope) const;
  int64_t version_of(const std::string& domain, const OpsetVersions& opsets) const;

  std::shared_ptr<ModelProto> model_;
  std::string file_;
  TensorSource source_;
  const ImportOptions& options_;
  Diagnostics& diagnostics_;
  NodeReports reports_;
  Module module_;
  OpsetVersions opsets_;
  std::map<std::pair<std::string, std::string>, const FunctionProto*> functions_;
  std::map<const FunctionProto*, OpsetVersions> function_opsets_;
  std::set<std::string> undefined_names_;  // reported once each
  Scope* scope_ = nullptr;                 // of the node that a rule works on
};

// "ai.onnx" and "" are the same domain.
inline std::string normalised_domain(const std::string& domain) {
  return domain == "ai.onnx" ? std::string() : domain;
}
// "Conv", "com.microsoft::FusedConv".
std::string display_name(const std::string& domain, const std::string& op_type);

}  // namespace neuronc::onnx
