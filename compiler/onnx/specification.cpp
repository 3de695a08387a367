// Implements specification.h.
#include "compiler/onnx/specification.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <onnx/defs/schema.h>
#pragma GCC diagnostic pop

#include <algorithm>

namespace neuronc::onnx {
namespace {

std::string element_name(DType dtype) {
  switch (dtype) {
    case DType::boolean:
      return "bool";
    case DType::f16:
      return "float16";
    case DType::bf16:
      return "bfloat16";
    case DType::f32:
      return "float";
    case DType::f64:
      return "double";
    case DType::string:
      return "string";
    default:
      break;
  }
  if (!is_integer(dtype) || integer_bits(dtype) < 8) return "";
  return (is_unsigned_integer(dtype) ? "uint" : "int") + std::to_string(integer_bits(dtype));
}

// Element types newer than the installed table's operators.
bool is_recent(DType dtype) { return dtype == DType::bf16 || element_name(dtype).empty(); }

}  // namespace

std::string specification_name(const Type& type) {
  const std::string element = element_name(type.dtype);
  if (element.empty()) return "";
  const std::string tensor = "tensor(" + element + ")";
  switch (type.kind) {
    case Type::Kind::sequence:
      return "seq(" + tensor + ")";
    case Type::Kind::optional:
      return "optional(" + tensor + ")";
    case Type::Kind::optional_sequence:
      return "optional(seq(" + tensor + "))";
    default:
      return tensor;
  }
}

Allowed allows_element_types(const std::string& domain, const std::string& op_type, int64_t version,
                             std::span<const Type> inputs) {
  const auto& known = ::onnx::OpSchemaRegistry::DomainToVersionRange::Instance().Map();
  const auto range = known.find(domain);
  if (range == known.end()) return Allowed::unknown;
  const int newest = range->second.second;
  const ::onnx::OpSchema* schema = ::onnx::OpSchemaRegistry::Schema(
      op_type, static_cast<int>(std::min<int64_t>(version, newest)), domain);
  if (schema == nullptr) return Allowed::unknown;
  const auto& parameters = schema->inputs();
  Allowed answer = Allowed::yes;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].dtype == DType::none) continue;
    const bool is_variadic =
        !parameters.empty() && parameters.back().GetOption() == ::onnx::OpSchema::Variadic;
    if (i >= parameters.size() && !is_variadic) return Allowed::no;
    const auto& types = parameters[std::min(i, parameters.size() - 1)].GetTypes();
    const std::string name = specification_name(inputs[i]);
    const bool is_listed = std::any_of(types.begin(), types.end(),
                                       [&](::onnx::DataType type) { return *type == name; });
    if (is_listed) continue;
    if (version <= newest || !is_recent(inputs[i].dtype)) return Allowed::no;
    answer = Allowed::unknown;
  }
  return answer;
}

}  // namespace neuronc::onnx
