// Implements the model half of graph_importer.h: versions, functions, inputs, initializers and
// outputs, and the entry points of import.h.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

#include "compiler/onnx/cut.h"
#include "compiler/onnx/dim_binding.h"
#include "compiler/onnx/graph_importer.h"
#include "compiler/onnx/mapped_file.h"
#include "compiler/onnx/rules.h"
#include "ir/edit.h"

namespace neuronc::onnx {
namespace {

std::set<std::string> initializer_names(const GraphProto& graph) {
  std::set<std::string> names;
  for (const auto& tensor : graph.initializer()) names.insert(tensor.name());
  for (const auto& tensor : graph.sparse_initializer()) names.insert(tensor.values().name());
  return names;
}

OpsetVersions versions_from(
    const google::protobuf::RepeatedPtrField<::onnx::OperatorSetIdProto>& imports) {
  OpsetVersions versions;
  for (const auto& import : imports)
    versions[normalised_domain(import.domain())] = import.version();
  return versions;
}

}  // namespace

GraphImporter::GraphImporter(std::shared_ptr<ModelProto> model, std::string file,
                             std::shared_ptr<ExternalFiles> external, const ImportOptions& options,
                             Diagnostics& diagnostics)
    : model_(std::move(model)),
      file_(std::move(file)),
      source_{std::move(external), model_},
      options_(options),
      diagnostics_(diagnostics),
      reports_(diagnostics) {}

void GraphImporter::read_versions() {
  const auto check = [&](std::string_view what, int64_t version, int64_t oldest, int64_t newest) {
    if (version >= oldest && version <= newest) return;
    reports_.count_problem();
    diagnostics_.report(diag::unsupported_model_version, Location{file_}, what, version, oldest,
                        newest);
  };
  check("IR version", model_->ir_version(), kOldestIrVersion, kNewestIrVersion);
  opsets_ = versions_from(model_->opset_import());
  if (opsets_.contains("")) {
    check("opset", opsets_[""], kOldestOpset, kNewestOpset);
    if (opsets_[""] > kNewestReleasedOpset && opsets_[""] <= kNewestOpset) {
      diagnostics_.report(diag::opset_in_development, Location{file_}, opsets_[""]);
    }
  } else if (opsets_.empty()) {
    reports_.count_problem();
    diagnostics_.report(diag::damaged_model, Location{file_}, "it does not state its opset");
  }
}

void GraphImporter::read_functions() {
  for (const FunctionProto& function : model_->functions()) {
    functions_[{normalised_domain(function.domain()), function.name()}] = &function;
    function_opsets_[&function] = versions_from(function.opset_import());
  }
}

void GraphImporter::define_initializers(const GraphProto& graph, Scope& scope) {
  const auto add = [&](const std::string& name, OrRefusal<Tensor> tensor) {
    if (tensor) {
      define(scope, name, Binding::of(std::move(*tensor)), {file_});
      return;
    }
    reports_.count_problem();
    diagnostics_.report(diag::invalid_tensor, Location{file_}, scope.prefix + name,
                        tensor.error().reason);
    define(scope, name, Binding::failed(), {file_});
  };
  for (const auto& proto : graph.initializer()) {
    add(proto.name(), tensor_from_proto(proto, source_));
  }
  for (const auto& proto : graph.sparse_initializer()) {
    add(proto.values().name(), tensor_from_sparse_proto(proto, source_));
  }
}

// An initializer of an input's name is its default: of the input's element type and shape.
void GraphImporter::check_default(const ValueInfoProto& input) {
  if (input.type().value_case() == ::onnx::TypeProto::VALUE_NOT_SET) return;
  const auto declared = type_from_proto(input.type());
  const auto check = [&](int32_t data_type, const auto& dims) {
    const DType dtype = dtype_from_onnx(data_type);
    const std::vector<int64_t> shape(dims.begin(), dims.end());
    bool agrees = declared && declared->kind == Type::Kind::tensor && declared->dtype == dtype;
    if (agrees && declared->is_ranked) {
      agrees = std::equal(shape.begin(), shape.end(), declared->dims.begin(), declared->dims.end(),
                          [](int64_t extent, const DeclaredDim& dim) {
                            return dim.number < 0 || dim.number == extent;
                          });
    }
    if (agrees) return;
    reports_.count_problem();
    Location location{file_};
    location.tensor = fmt::format("input \"{}\"", input.name());
    diagnostics_.report(diag::initializer_mismatch, location, input.name(),
                        declared ? to_text(*declared) : declared.error().reason,
                        fmt::format("{}[{}]", onnx_dtype_name(data_type), fmt::join(shape, ",")));
  };
  for (const auto& tensor : model_->graph().initializer()) {
    if (tensor.name() == input.name()) check(tensor.data_type(), tensor.dims());
  }
  for (const auto& tensor : model_->graph().sparse_initializer()) {
    if (tensor.values().name() == input.name()) check(tensor.values().data_type(), tensor.dims());
  }
}

void GraphImporter::check_fixed_names(const std::vector<DeclaredInput>& inputs) {
  for (const auto& [name, fixed] : options_.fixed_inputs) {
    const bool is_input =
        std::any_of(inputs.begin(), inputs.end(),
                    [&](const DeclaredInput& input) { return input.name == name; });
    if (is_input) continue;
    reports_.count_problem();
    diagnostics_.report(diag::bad_fixed_input, Location{file_}, name,
                        "the model has no such input");
  }
}

// An input that stands for a constant from here on.
void GraphImporter::fix_input(Scope& scope, const std::string& name, const Type& type,
                              const FixedInput& fixed) {
  const auto content = [&]() -> OrRefusal<Tensor> {
    if (!type.is_static()) return refuse(fmt::format("it is {}", to_text(type)));
    if (fixed.tensor && fixed.tensor.type() != type) {
      return refuse(fmt::format("the tensor is {}, the input {}", to_text(fixed.tensor.type()),
                                to_text(type)));
    }
    if (fixed.tensor) return fixed.tensor;
    if (!is_numeric(type.dtype)) return refuse("a number is no text");
    Tensor tensor = Tensor::zeros(type.dtype, type.shape());
    double real = 0;
    int64_t whole = 0;
    const char* const end = fixed.number.data() + fixed.number.size();
    const bool is_whole =
        std::from_chars(fixed.number.data(), end, whole).ptr == end && is_integer(type.dtype);
    if (!is_whole && std::from_chars(fixed.number.data(), end, real).ptr != end) {
      return refuse(fmt::format("`{}` is no number", fixed.number));
    }
    for (int64_t i = 0; i < tensor.num_elements(); ++i) {
      is_whole ? tensor.set_i64(i, whole) : tensor.set_f64(i, real);
    }
    const bool is_kept =
        tensor.num_elements() == 0 ||
        (is_whole ? tensor.i64(0) == whole : is_float(type.dtype) || tensor.f64(0) == real);
    if (!is_kept) return refuse(fmt::format("{} does not hold it", neuronc::name(type.dtype)));
    return tensor;
  }();
  if (content) return define(scope, name, Binding::of(*content), {file_});
  reports_.count_problem();
  diagnostics_.report(diag::bad_fixed_input, Location{file_}, name, content.error().reason);
  define(scope, name, Binding::failed(), {file_});
}

void GraphImporter::define_inputs(Scope& scope) {
  const GraphProto& graph = model_->graph();
  const auto initializers = initializer_names(graph);
  std::vector<DeclaredInput> inputs;
  for (const auto& input : graph.input()) {
    if (initializers.contains(input.name())) {
      check_default(input);
      // Before IR version 4 every initializer had to be listed as an input.
      if (model_->ir_version() >= 4) {
        diagnostics_.report(diag::input_becomes_constant, Location{file_}, input.name());
      }
      continue;
    }
    auto type = type_from_proto(input.type());
    if (!type) {
      reports_.count_problem();
      diagnostics_.report(diag::unsupported_type, Location{file_}, input.name(),
                          type.error().reason);
      define(scope, input.name(), Binding::failed(), {file_});
      continue;
    }
    inputs.push_back({input.name(), std::move(*type)});
  }
  check_fixed_names(inputs);
  ImportOptions options = options_;
  for (const auto& [name, fixed] : options_.fixed_inputs) {
    if (fixed.tensor) options.input_shapes[name] = fixed.tensor.shape();
  }
  const auto types = bind_inputs(inputs, options, file_, diagnostics_);
  if (!types) {
    reports_.count_problem();
    return;
  }
  GraphEditor edit(module_.graph());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if ((*types)[i].is_too_large()) {
      reports_.count_problem();
      diagnostics_.report(diag::tensor_too_large, Location{file_},
                          fmt::format("input `{}`", inputs[i].name), to_text((*types)[i]));
    }
    if (const auto fixed = options_.fixed_inputs.find(inputs[i].name);
        fixed != options_.fixed_inputs.end()) {
      fix_input(scope, inputs[i].name, (*types)[i], fixed->second);
      continue;
    }
    const ValueId value = edit.add_input((*types)[i], inputs[i].name);
    define(scope, inputs[i].name, Binding::of(value), {file_});
  }
}

void GraphImporter::check_output_type(const ValueInfoProto& declared, ValueId value) {
  if (!declared.has_type()) return;
  const Type& type = module_.graph().type(value);
  auto expected = output_type_from_proto(declared.type());
  if (!expected) {
    reports_.count_problem();
    diagnostics_.report(diag::unsupported_type, Location{file_}, declared.name(),
                        expected.error().reason);
    return;
  }
  if (expected->kind != type.kind || expected->dtype != type.dtype) {
    reports_.count_problem();
    diagnostics_.report(diag::output_type_mismatch, Location{file_}, declared.name(),
                        to_text(*expected), to_text(type, &module_));
    return;
  }
  if (is_sequence_of_maps(declared.type())) {
    diagnostics_.report(diag::maps_become_tensor, Location{file_}, declared.name());
  }
  if (!expected->is_ranked || !type.is_ranked || !type.is_tensor()) return;
  bool agrees = expected->dims.size() == type.dims.size();
  for (size_t i = 0; agrees && i < type.dims.size(); ++i) {
    const int64_t number = expected->dims[i].number;
    agrees = number < 0 || !type.dims[i].is_number() || type.dims[i].number() == number;
  }
  if (agrees) return;
  diagnostics_.report(diag::output_shape_mismatch, Location{file_}, declared.name(),
                      to_text(*expected), to_text(type, &module_));
}

void GraphImporter::define_outputs(Scope& scope) {
  const GraphProto& graph = model_->graph();
  if (graph.output_size() == 0) {
    reports_.count_problem();
    diagnostics_.report(diag::damaged_model, Location{file_}, "its graph has no outputs");
  }
  for (const auto& output : graph.output()) {
    Location location{file_};
    location.tensor = fmt::format("output \"{}\"", output.name());
    Binding* binding = lookup(output.name(), scope, location);
    const ValueId value = value_of(output.name(), *binding, scope);
    if (!value) continue;
    check_output_type(output, value);
    GraphEditor(module_.graph()).add_output(value, output.name());
  }
}

void GraphImporter::check_operators_exist(const NodeList& nodes, const OpsetVersions& opsets) {
  Scope scope;
  scope.opsets = &opsets;
  for (const NodeProto& node : nodes) {
    ++module_.num_model_ops;
    const std::string domain = normalised_domain(node.domain());
    const Location location = location_of(node, scope);
    for (const AttributeProto& attribute : node.attribute()) {
      if (attribute.has_g()) check_operators_exist(attribute.g().node(), opsets);
    }
    unjudged_.insert(&node);
    if (find_function(node) || find_rule(domain, node.op_type(), location.opset)) continue;
    reports_.unknown_operator(&node, location, why_no_rule(domain, node.op_type(), location.opset));
  }
}

Expected<Module> GraphImporter::run() {
  module_.name = model_->graph().name();
  module_.file = file_;
  read_versions();
  if (reports_.num_problems() > 0) return reported();
  read_functions();
  GraphBuilder builder(module_, module_.graph());
  Scope scope;
  scope.builder = &builder;
  scope.opsets = &opsets_;
  define_inputs(scope);
  if (reports_.num_problems() > 0) {
    // Without types for the inputs nothing can be inferred, but missing operators can be listed.
    check_operators_exist(model_->graph().node(), opsets_);
    for (const FunctionProto& f : model_->functions()) {
      check_operators_exist(f.node(), function_opsets_.at(&f));
    }
  } else {
    define_initializers(model_->graph(), scope);
    import_nodes(model_->graph().node(), scope);
    define_outputs(scope);
  }
  reports_.finish(module_.num_model_ops, file_);
  if (reports_.num_problems() > 0) return reported();
  return std::move(module_);
}

std::string_view name(NodeStatus::Kind kind) {
  switch (kind) {
    case NodeStatus::Kind::supported:
      return "supported";
    case NodeStatus::Kind::unsupported:
      return "unsupported";
    case NodeStatus::Kind::invalid:
      return "invalid";
    case NodeStatus::Kind::unknown:
      return "unknown";
  }
  return "unknown";
}

namespace {

Expected<ImportedModel> import_with(std::span<const std::byte> bytes, const std::string& name,
                                    std::vector<std::string> folders, const ImportOptions& options,
                                    Diagnostics& diagnostics, std::vector<NodeStatus>* survey) {
  NEURONC_ASSIGN(auto model, parse_model(bytes, name, diagnostics));
  NEURONC_TRY(cut_at_outputs(*model, options.outputs, name, diagnostics));
  folders.insert(folders.end(), options.external_data_dirs.begin(),
                 options.external_data_dirs.end());
  const auto external = std::make_shared<ExternalFiles>(std::move(folders), options.external_data);
  ImportedModel imported;
  imported.hash = hash_bytes(bytes);
  imported.size_bytes = static_cast<int64_t>(bytes.size());
  imported.ir_version = model->ir_version();
  imported.producer = model->producer_name();
  if (!model->producer_version().empty()) imported.producer += " " + model->producer_version();
  const OpsetVersions versions = versions_from(model->opset_import());
  if (const auto it = versions.find(""); it != versions.end()) imported.opset = it->second;
  GraphImporter importer(std::move(model), name, external, options, diagnostics);
  auto module = importer.run();
  if (!module) {
    if (survey != nullptr) *survey = importer.survey();
    return reported();
  }
  imported.module = std::move(*module);
  imported.hash = external->hash_with(imported.hash);
  imported.external_files = external->files();
  return imported;
}

}  // namespace

Expected<ImportedModel> import_bytes(std::span<const std::byte> bytes, const std::string& name,
                                     const std::string& folder, const ImportOptions& options,
                                     Diagnostics& diagnostics, std::vector<NodeStatus>* survey) {
  std::vector<std::string> folders;
  if (!folder.empty()) folders.push_back(folder);
  return import_with(bytes, name, std::move(folders), options, diagnostics, survey);
}

Expected<ImportedModel> import_file(const std::string& path, const ImportOptions& options,
                                    Diagnostics& diagnostics, std::vector<NodeStatus>* survey) {
  auto file = MappedFile::open(path);
  if (!file) {
    diagnostics.report(diag::cannot_read_file, {}, path, file.error().reason);
    return reported();
  }
  return import_with((*file)->bytes(), path, folders_of_model(path), options, diagnostics, survey);
}

Expected<ModelSignature> read_signature(const std::string& path, Diagnostics& diagnostics,
                                        std::span<const std::string> outputs) {
  auto file = MappedFile::open(path);
  if (!file) {
    diagnostics.report(diag::cannot_read_file, {}, path, file.error().reason);
    return reported();
  }
  return read_signature((*file)->bytes(), path, diagnostics, outputs);
}

Expected<ModelSignature> read_signature(std::span<const std::byte> bytes, const std::string& name,
                                        Diagnostics& diagnostics,
                                        std::span<const std::string> outputs) {
  NEURONC_ASSIGN(const auto model, parse_model(bytes, name, diagnostics));
  NEURONC_TRY(cut_at_outputs(*model, outputs, name, diagnostics));
  const auto describe = [](const ValueInfoProto& value, bool is_output = false) {
    const auto type =
        is_output ? output_type_from_proto(value.type()) : type_from_proto(value.type());
    if (!type) return DeclaredValue{value.name(), "unsupported"};
    return DeclaredValue{value.name(), to_text(*type), type->kind};
  };
  ModelSignature signature;
  const auto initializers = initializer_names(model->graph());
  for (const auto& input : model->graph().input()) {
    if (!initializers.contains(input.name())) signature.inputs.push_back(describe(input));
  }
  for (const auto& output : model->graph().output()) {
    signature.outputs.push_back(describe(output, true));
  }
  return signature;
}

}  // namespace neuronc::onnx
