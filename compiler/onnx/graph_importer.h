// Imports the nodes of an ONNX graph, its functions and bodies into a module.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "compiler/onnx/dim_binding.h"
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

// All nodes, or those only that have a problem.
enum class ShowNodes : bool { all, problems };

class GraphImporter : public BodyImporter {
 public:
  GraphImporter(std::shared_ptr<ModelProto> model, std::string file,
                std::shared_ptr<ExternalFiles> external, const ImportOptions& options,
                Diagnostics& diagnostics);

  Expected<Module> run();
  // What became of each node, after a run that failed.
  std::vector<NodeStatus> survey() const;

  // BodyImporter.
  std::vector<ValueId> captures(NodeContext& node, const std::vector<BodyHandle>& bodies) override;
  std::unique_ptr<Graph> import_body(NodeContext& node, BodyHandle body,
                                     const std::vector<Type>& formals,
                                     const std::vector<ValueId>& captures) override;
  std::unique_ptr<Graph> try_body(NodeContext& node, BodyHandle body,
                                  const std::vector<ValueId>& captures,
                                  std::string& problem) override;
  void warn_of_branch(NodeContext& node, std::string_view branch,
                      const std::string& problem) override;
  size_t num_body_inputs(BodyHandle body) override;
  size_t num_body_outputs(BodyHandle body) override;
  using BodyImporter::inline_body;
  std::vector<ValueId> inline_body(NodeContext& node, BodyHandle body,
                                   const std::vector<ValueId>& inputs) override;
  ValueId named_value(NodeContext& node, const std::string& name) override;

 private:
  // model.cpp: what surrounds the nodes.
  void read_versions();
  void read_functions();
  void define_inputs(Scope& scope);
  void check_default(const ValueInfoProto& input);
  void check_fixed_names(const std::vector<DeclaredInput>& inputs);
  void fix_input(Scope& scope, const std::string& name, const Type& type, const FixedInput& fixed);
  void define_initializers(const GraphProto& graph, Scope& scope);
  void define_outputs(Scope& scope);
  void check_output_type(const ValueInfoProto& declared, ValueId value);
  void check_operators_exist(const NodeList& nodes, const OpsetVersions& opsets);

  // survey.cpp: what is told of a model that cannot be imported.
  void survey_nodes(const NodeList& nodes, const Scope& scope, ShowNodes show,
                    std::vector<NodeStatus>& statuses) const;
  NodeStatus status_of(const NodeProto& node, const Scope& scope) const;

  // graph_importer.cpp: nodes.
  void import_nodes(const NodeList& nodes, Scope& scope);
  void import_node(const NodeProto& node, Scope& scope);
  bool may_inline(const NodeProto& node, const Scope& scope);
  bool may_nest(NodeContext& node, int64_t num_graphs);
  void report_limit(const NodeProto& node, const Scope& scope, std::string_view what,
                    int64_t limit);
  // What bodies and functions take over from the scope around them.
  Scope nested(const Scope& outer) const;
  void import_by_rule(const NodeProto& node, Scope& scope);
  void report_rule_error(const NodeProto& node, const RuleError& error, const Location& location);
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
  std::set<std::string> undefined_names_;    // reported once each
  std::set<const NodeProto*> unjudged_;      // nodes without results
  std::vector<const FunctionProto*> calls_;  // that are being inlined
  int64_t num_inlined_nodes_ = 0;
  Scope* scope_ = nullptr;  // of the node that a rule works on
};

// "ai.onnx" and "" are the same domain.
inline std::string normalised_domain(const std::string& domain) {
  return domain == "ai.onnx" ? std::string() : domain;
}
// "Conv", "com.microsoft::FusedConv".
std::string display_name(const std::string& domain, const std::string& op_type);

}  // namespace neuronc::onnx
