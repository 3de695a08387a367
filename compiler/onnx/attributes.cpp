// Implements the attribute part of graph_importer.h: protobuf attributes become OnnxAttributes, and
// references to a function's attributes are resolved.
#include <fmt/format.h>
#include <google/protobuf/unknown_field_set.h>

#include "compiler/onnx/graph_importer.h"

namespace neuronc::onnx {
namespace {

Type ir_type(const DeclaredType& declared) {
  Type type;
  type.kind = declared.kind;
  type.dtype = declared.dtype;
  type.is_ranked = declared.is_ranked;
  for (const DeclaredDim& dim : declared.dims) {
    type.dims.push_back(dim.number >= 0 ? Dim(dim.number) : Dim::unknown());
  }
  return type;
}

// Old files leave `type` out; then the field that is set decides.
AttributeProto::AttributeType type_of(const AttributeProto& proto) {
  if (proto.type() != AttributeProto::UNDEFINED) return proto.type();
  if (proto.has_f()) return AttributeProto::FLOAT;
  if (proto.has_i()) return AttributeProto::INT;
  if (proto.has_s()) return AttributeProto::STRING;
  if (proto.has_t()) return AttributeProto::TENSOR;
  if (proto.has_g()) return AttributeProto::GRAPH;
  if (proto.has_sparse_tensor()) return AttributeProto::SPARSE_TENSOR;
  if (proto.has_tp()) return AttributeProto::TYPE_PROTO;
  if (proto.floats_size() > 0) return AttributeProto::FLOATS;
  if (proto.ints_size() > 0) return AttributeProto::INTS;
  if (proto.strings_size() > 0) return AttributeProto::STRINGS;
  return AttributeProto::UNDEFINED;
}

}  // namespace

OrRefusal<OnnxAttribute> GraphImporter::attribute_from_proto(const AttributeProto& proto) const {
  OnnxAttribute result{proto.name(), {}};
  switch (type_of(proto)) {
    case AttributeProto::INT:
      result.value = static_cast<int64_t>(proto.i());
      break;
    case AttributeProto::FLOAT:
      result.value = static_cast<double>(proto.f());
      break;
    case AttributeProto::STRING:
      result.value = proto.s();
      break;
    case AttributeProto::INTS:
      result.value = std::vector<int64_t>(proto.ints().begin(), proto.ints().end());
      break;
    case AttributeProto::FLOATS:
      result.value = std::vector<double>(proto.floats().begin(), proto.floats().end());
      break;
    case AttributeProto::STRINGS:
      result.value = std::vector<std::string>(proto.strings().begin(), proto.strings().end());
      break;
    case AttributeProto::TENSOR: {
      NEURONC_ASSIGN(result.value, tensor_from_proto(proto.t(), source_));
      break;
    }
    case AttributeProto::SPARSE_TENSOR: {
      NEURONC_ASSIGN(result.value, tensor_from_sparse_proto(proto.sparse_tensor(), source_));
      break;
    }
    case AttributeProto::GRAPH:
      result.value = BodyHandle{&proto.g()};
      break;
    case AttributeProto::TYPE_PROTO: {
      NEURONC_ASSIGN(const DeclaredType declared, type_from_proto(proto.tp()));
      result.value = ir_type(declared);
      break;
    }
    default:
      break;  // lists of tensors, graphs or types: no operator has them
  }
  return result;
}

std::optional<std::vector<OnnxAttribute>> GraphImporter::attributes_of(const NodeProto& node,
                                                                       const Scope& scope) {
  std::vector<OnnxAttribute> attributes;
  for (const AttributeProto& proto : node.attribute()) {
    if (!proto.ref_attr_name().empty()) {
      if (scope.call_attributes == nullptr) continue;
      for (const OnnxAttribute& given : *scope.call_attributes) {
        if (given.name == proto.ref_attr_name()) attributes.push_back({proto.name(), given.value});
      }
      continue;
    }
    auto attribute = attribute_from_proto(proto);
    if (!attribute) {
      const std::string reason =
          fmt::format("attribute `{}`: {}", proto.name(), attribute.error().reason);
      reports_.invalid(&node, location_of(node, scope), reason);
      return std::nullopt;
    }
    attributes.push_back(std::move(*attribute));
  }
  return attributes;
}

std::vector<OnnxAttribute> GraphImporter::default_attributes(const FunctionProto& function) const {
  // FunctionProto.attribute_proto is newer than the installed library and stands among the
  // unknown fields.
  constexpr int kAttributeProtoField = 11;
  std::vector<OnnxAttribute> defaults;
  const auto& unknown = function.unknown_fields();
  for (int i = 0; i < unknown.field_count(); ++i) {
    const auto& field = unknown.field(i);
    if (field.number() != kAttributeProtoField ||
        field.type() != google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED) {
      continue;
    }
    AttributeProto proto;
    const std::string& bytes = field.length_delimited();
    if (!parse_message(std::as_bytes(std::span(bytes)), proto)) continue;
    TensorSource copied = source_;
    copied.owner = nullptr;
    if (type_of(proto) == AttributeProto::TENSOR) {
      if (auto tensor = tensor_from_proto(proto.t(), copied)) {
        defaults.push_back({proto.name(), std::move(*tensor)});
      }
    } else if (type_of(proto) != AttributeProto::GRAPH) {
      if (auto attribute = attribute_from_proto(proto)) defaults.push_back(std::move(*attribute));
    }
  }
  return defaults;
}

}  // namespace neuronc::onnx
