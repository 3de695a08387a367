// Implements node_context.h.
#include "compiler/onnx/node_context.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/onnx/onnx_dtype.h"
#include "ir/edit.h"

namespace neuronc::onnx {
namespace {

// Larger values are not computed while importing: folding is a pass's business.
constexpr int64_t kMostKnownElements = 4096;

bool is_small(const Type& type) {
  return type.is_static() && type.num_elements() <= kMostKnownElements;
}

}  // namespace

const Tensor* GraphBuilder::known(ValueId value) const {
  if (const Tensor* constant = module_.constant_of(graph_, value)) return constant;
  const auto it = known_.find(value);
  return it == known_.end() ? nullptr : &it->second;
}

ValueId GraphBuilder::constant(Tensor tensor, SourceId source) {
  NodeSpec spec;
  spec.op = Op::constant;
  spec.result_types = {tensor.type()};
  spec.attributes = {module_.add_constant(std::move(tensor))};
  spec.source = source;
  return graph_.node(GraphEditor(graph_).append(std::move(spec))).results[0];
}

OrRefusal<std::vector<ValueId>> GraphBuilder::emit(Op op, std::vector<ValueId> operands,
                                                   std::vector<NamedAttribute> attributes,
                                                   size_t num_results,
                                                   std::vector<std::unique_ptr<Graph>> bodies,
                                                   SourceId source) {
  while (!operands.empty() && !operands.back()) operands.pop_back();
  NodeSpec spec;
  spec.op = op;
  NEURONC_ASSIGN(spec.attributes, complete_attributes(op_def(op), std::move(attributes)));
  std::vector<Type> types;
  std::vector<const Tensor*> constants;
  for (ValueId operand : operands) {
    types.push_back(operand ? graph_.type(operand) : Type());
    constants.push_back(operand ? known(operand) : nullptr);
  }
  spec.bodies = std::move(bodies);
  const InferInput input{OpView{op_def(op), spec.attributes, spec.bodies}, types, constants,
                         num_results};
  NEURONC_ASSIGN(spec.result_types, infer_checked(input));
  spec.operands = std::move(operands);
  spec.source = source;
  const NodeId node = GraphEditor(graph_).append(std::move(spec));
  compute_known(node);
  return graph_.node(node).results;
}

void GraphBuilder::compute_known(NodeId id) {
  const Node& node = graph_.node(id);
  if (!node.bodies.empty() || node.has(Trait::random) || node.op == Op::constant) return;
  std::vector<Type> result_types;
  for (ValueId result : node.results) {
    if (!is_small(graph_.type(result))) return;
    result_types.push_back(graph_.type(result));
  }
  std::vector<HostValue> values(node.operands.size());
  std::vector<const HostValue*> operands;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    if (!node.operands[i]) {
      operands.push_back(nullptr);
      continue;
    }
    const Tensor* tensor = known(node.operands[i]);
    if (tensor == nullptr || tensor->num_elements() > kMostKnownElements) return;
    values[i] = HostValue(*tensor);
    operands.push_back(&values[i]);
  }
  const auto results =
      node.def().evaluate({node.view(), operands, result_types, node.results.size()});
  if (!results || results->size() != node.results.size()) return;
  for (size_t i = 0; i < node.results.size(); ++i) {
    if ((*results)[i].kind == Type::Kind::tensor) known_[node.results[i]] = (*results)[i].tensor();
  }
}

const OnnxAttribute* NodeContext::find(std::string_view name) const {
  for (const OnnxAttribute& attribute : node_.attributes) {
    if (attribute.name == name) return &attribute;
  }
  return nullptr;
}

template <class T>
T NodeContext::get(std::string_view name, T fallback, std::string_view kind) {
  const OnnxAttribute* attribute = find(name);
  if (attribute == nullptr) return fallback;
  if (const T* value = std::get_if<T>(&attribute->value)) return *value;
  invalid(fmt::format("attribute `{}` is not {}", name, kind));
  return fallback;
}

int64_t NodeContext::i64(std::string_view name, int64_t fallback) {
  return get<int64_t>(name, fallback, "an integer");
}
double NodeContext::f64(std::string_view name, double fallback) {
  return get<double>(name, fallback, "a float");
}
std::string NodeContext::string(std::string_view name, std::string fallback) {
  return get<std::string>(name, std::move(fallback), "a string");
}
std::vector<int64_t> NodeContext::ints(std::string_view name, std::vector<int64_t> fallback) {
  return get<std::vector<int64_t>>(name, std::move(fallback), "a list of integers");
}
std::vector<double> NodeContext::floats(std::string_view name, std::vector<double> fallback) {
  return get<std::vector<double>>(name, std::move(fallback), "a list of floats");
}
std::vector<std::string> NodeContext::strings(std::string_view name) {
  return get<std::vector<std::string>>(name, {}, "a list of strings");
}
Tensor NodeContext::tensor(std::string_view name) {
  return get<Tensor>(name, Tensor(), "a tensor");
}
std::optional<BodyHandle> NodeContext::body(std::string_view name) {
  const BodyHandle handle = get<BodyHandle>(name, BodyHandle(), "a graph");
  if (handle.graph != nullptr) return handle;
  invalid(fmt::format("the graph attribute `{}` is missing", name));
  return std::nullopt;
}
std::optional<Type> NodeContext::type_attribute(std::string_view name) {
  if (!has(name)) return std::nullopt;
  return get<Type>(name, Type(), "a type");
}

DType NodeContext::dtype(std::string_view name, DType fallback) {
  if (!has(name)) return fallback;
  const int64_t number = i64(name, 0);
  const DType dtype = dtype_from_onnx(static_cast<int32_t>(number));
  if (dtype == DType::none) {
    unsupported(fmt::format("attribute `{}` names the element type {}", name,
                            onnx_dtype_name(static_cast<int32_t>(number))));
  }
  return dtype;
}

const Type& NodeContext::type(ValueId value) const {
  static const Type kNone;
  return value ? builder_.type(value) : kNone;
}

int64_t NodeContext::rank(ValueId value) {
  const Type& t = type(value);
  if (!t.is_ranked && !failed()) unsupported("the rank of an operand is not known");
  return t.rank();
}

std::vector<int64_t> NodeContext::shape(ValueId value) {
  const Type& t = type(value);
  if (t.is_static()) return t.shape();
  if (!failed()) unsupported("the shape of an operand is not known");
  return {};
}

std::vector<int64_t> NodeContext::known_ints(size_t i) {
  const Tensor* tensor = known(input(i));
  if (tensor != nullptr && (is_integer(tensor->dtype()) || tensor->dtype() == DType::boolean)) {
    return tensor->to_ints();
  }
  if (!failed()) unsupported(fmt::format("input {} is not a constant", i));
  return {};
}

namespace {

bool takes_element_types(const GraphBuilder& builder, const OpDef& def,
                         const std::vector<ValueId>& operands) {
  for (size_t i = 0; i < operands.size() && !def.operands.empty(); ++i) {
    const OperandSpec& spec = def.operands[std::min(i, def.operands.size() - 1)];
    if (operands[i] && !spec.dtypes.contains(builder.type(operands[i]).dtype)) return false;
  }
  return true;
}

}  // namespace

ValueId NodeContext::emit(Op op, std::vector<ValueId> operands,
                          std::vector<NamedAttribute> attributes) {
  const auto results = emit_many(op, std::move(operands), std::move(attributes), 1);
  return results.empty() ? ValueId() : results[0];
}

std::vector<ValueId> NodeContext::emit_many(Op op, std::vector<ValueId> operands,
                                            std::vector<NamedAttribute> attributes,
                                            size_t num_results,
                                            std::vector<std::unique_ptr<Graph>> bodies) {
  if (failed() || failed_quietly_) return std::vector<ValueId>(num_results);
  const bool is_type_taken = takes_element_types(builder_, op_def(op), operands);
  auto results = builder_.emit(op, std::move(operands), std::move(attributes), num_results,
                               std::move(bodies), node_.source);
  if (results && results->size() >= num_results) {
    for (ValueId result : *results) {
      if (type(result).is_too_large()) fail(RuleError::Kind::too_large, to_text(type(result)));
    }
    return std::move(*results);
  }
  if (!results && !is_type_taken) {
    fail(RuleError::Kind::element_type, results.error().reason);
  } else {
    invalid(results ? "it has more outputs than its operator" : results.error().reason);
  }
  return std::vector<ValueId>(num_results);
}

ValueId NodeContext::constant(Tensor tensor) {
  return builder_.constant(std::move(tensor), node_.source);
}
ValueId NodeContext::ints(const std::vector<int64_t>& values) {
  return constant(Tensor::ints(values));
}
ValueId NodeContext::scalar_i64(int64_t value) {
  return constant(Tensor::from<int64_t>(DType::i64, {}, std::span(&value, 1)));
}
ValueId NodeContext::scalar(DType dtype, double value) {
  if (!is_numeric(dtype)) return ValueId();
  return constant(Tensor::scalar(dtype, value));
}
ValueId NodeContext::scalar_like(ValueId like, double value) {
  return scalar(dtype_of(like), value);
}

void NodeContext::set_output(size_t i, ValueId value) {
  if (i < outputs_.size()) outputs_[i] = value;
}

}  // namespace neuronc::onnx
