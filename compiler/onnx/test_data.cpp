// Implements test_data.h.
#include "compiler/onnx/test_data.h"

#include <fmt/format.h>

#include <filesystem>

#include "compiler/onnx/mapped_file.h"
#include "compiler/onnx/model_file.h"
#include "compiler/onnx/proto_types.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <onnx/onnx-data_pb.h>
#pragma GCC diagnostic pop

namespace neuronc::onnx {
namespace {

using ::onnx::OptionalProto;
using ::onnx::SequenceProto;

struct NamedValue {
  std::string name;
  HostValue value;
};

OrRefusal<HostValue> from_sequence(const SequenceProto& proto) {
  HostValue value;
  value.kind = Type::Kind::sequence;
  for (const TensorProto& element : proto.tensor_values()) {
    NEURONC_ASSIGN(Tensor tensor, tensor_from_proto(element, {}));
    value.elements.push_back(std::move(tensor));
  }
  return value;
}

OrRefusal<HostValue> from_optional(const OptionalProto& proto) {
  HostValue value;
  value.kind = Type::Kind::optional;
  if (proto.has_tensor_value()) {
    NEURONC_ASSIGN(Tensor tensor, tensor_from_proto(proto.tensor_value(), {}));
    value.elements.push_back(std::move(tensor));
  } else if (proto.has_sequence_value()) {
    NEURONC_ASSIGN(value, from_sequence(proto.sequence_value()));
    value.kind = Type::Kind::optional_sequence;
  } else {
    value.has_value = false;
  }
  return value;
}

OrRefusal<NamedValue> parse_value(std::span<const std::byte> bytes, Type::Kind kind) {
  constexpr std::string_view kDamaged = "it is truncated, damaged or of another kind";
  NamedValue named;
  if (kind == Type::Kind::sequence) {
    SequenceProto proto;
    if (!parse_message(bytes, proto)) return refuse(std::string(kDamaged));
    named.name = proto.name();
    NEURONC_ASSIGN(named.value, from_sequence(proto));
  } else if (kind == Type::Kind::optional || kind == Type::Kind::optional_sequence) {
    OptionalProto proto;
    if (!parse_message(bytes, proto)) return refuse(std::string(kDamaged));
    named.name = proto.name();
    NEURONC_ASSIGN(named.value, from_optional(proto));
    if (!named.value.has_value) named.value.kind = kind;
  } else {
    TensorProto proto;
    if (!parse_message(bytes, proto)) return refuse(std::string(kDamaged));
    named.name = proto.name();
    NEURONC_ASSIGN(Tensor tensor, tensor_from_proto(proto, {}));
    named.value = HostValue(std::move(tensor));
  }
  return named;
}

Expected<NamedValue> read_named(const std::string& path, Type::Kind kind,
                                Diagnostics& diagnostics) {
  const auto file = MappedFile::open(path);
  if (!file) {
    diagnostics.report(diag::cannot_read_file, {}, path, file.error().reason);
    return reported();
  }
  auto named = parse_value((*file)->bytes(), kind);
  if (!named) {
    diagnostics.report(diag::invalid_test_data, {}, path, named.error().reason);
    return reported();
  }
  return std::move(*named);
}

// Values of prefix_0.pb, prefix_1.pb... until the first that is absent.
Expected<std::vector<HostValue>> read_all(const std::string& folder, const std::string& prefix,
                                          const std::vector<DeclaredValue>& declared,
                                          Diagnostics& diagnostics) {
  std::vector<HostValue> values(declared.size());
  std::vector<bool> is_given(declared.size());
  size_t count = 0;
  for (;; ++count) {
    const std::string path = fmt::format("{}/{}_{}.pb", folder, prefix, count);
    if (!std::filesystem::exists(path)) break;
    if (count >= declared.size()) {
      diagnostics.report(diag::invalid_test_data, {}, path,
                         fmt::format("the model has only {} {}s", declared.size(), prefix));
      return reported();
    }
    NEURONC_ASSIGN(NamedValue named, read_named(path, declared[count].kind, diagnostics));
    size_t position = count;
    for (size_t i = 0; i < declared.size(); ++i) {
      if (!named.name.empty() && declared[i].name == named.name && !is_given[i]) position = i;
    }
    values[position] = std::move(named.value);
    is_given[position] = true;
  }
  if (count == 0) values.clear();
  if (count > 0 && count < declared.size()) {
    diagnostics.report(
        diag::invalid_test_data, {}, folder,
        fmt::format("it has {} of the model's {} {}s", count, declared.size(), prefix));
    return reported();
  }
  return values;
}

}  // namespace

Expected<HostValue> read_value_file(const std::string& path, Type::Kind kind,
                                    Diagnostics& diagnostics) {
  NEURONC_ASSIGN(NamedValue named, read_named(path, kind, diagnostics));
  return std::move(named.value);
}

Expected<TestData> read_test_data(const std::string& folder, const ModelSignature& signature,
                                  Diagnostics& diagnostics) {
  TestData data;
  data.folder = folder;
  if (!std::filesystem::is_directory(folder)) {
    diagnostics.report(diag::cannot_read_file, {}, folder, "there is no such folder");
    return reported();
  }
  NEURONC_ASSIGN(data.inputs, read_all(folder, "input", signature.inputs, diagnostics));
  NEURONC_ASSIGN(data.outputs, read_all(folder, "output", signature.outputs, diagnostics));
  if (data.inputs.size() != signature.inputs.size()) {
    diagnostics.report(diag::invalid_test_data, {}, folder, "it has no inputs");
    return reported();
  }
  if (data.outputs.size() != signature.outputs.size()) {
    diagnostics.report(diag::invalid_test_data, {}, folder, "it has no outputs to compare with");
    return reported();
  }
  return data;
}

std::map<std::string, std::vector<int64_t>> input_shapes(const TestData& data,
                                                         const ModelSignature& signature) {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (size_t i = 0; i < data.inputs.size() && i < signature.inputs.size(); ++i) {
    const HostValue& value = data.inputs[i];
    if (value.kind != Type::Kind::tensor) continue;
    shapes[signature.inputs[i].name] = value.tensor().shape();
  }
  return shapes;
}

}  // namespace neuronc::onnx
