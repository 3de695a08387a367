// Implements model_file.h.
#include "compiler/onnx/model_file.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>

#include <limits>

#include "compiler/onnx/external_data.h"

namespace neuronc::onnx {

bool parse_message(std::span<const std::byte> bytes, google::protobuf::Message& message) {
  constexpr int kDeepestNesting = 400;
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max())) return false;
  // Protobuf writes to stderr about messages that it cannot parse; what is wrong is reported here.
  google::protobuf::LogSilencer silence;
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(bytes.data()),
                                                static_cast<int>(bytes.size()));
  stream.SetTotalBytesLimit(std::numeric_limits<int>::max());
  stream.SetRecursionLimit(kDeepestNesting);
  return message.ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage();
}

Expected<std::shared_ptr<ModelProto>> parse_model(std::span<const std::byte> bytes,
                                                  const std::string& name,
                                                  Diagnostics& diagnostics) {
  const auto fail = [&](std::string_view reason) {
    diagnostics.report(diag::damaged_model, Location{name}, reason);
    return reported();
  };
  if (bytes.empty()) return fail("the file is empty");
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    return fail(
        "it is larger than 2 GiB, which a protobuf file cannot be; weights of that size "
        "belong into external data");
  }
  auto model = std::make_shared<ModelProto>();
  if (!parse_message(bytes, *model) || (!model->has_graph() && model->ir_version() == 0)) {
    const std::string_view kind = kind_of_file(bytes);
    return fail(kind.empty() ? "it is truncated, damaged or not an ONNX file" : kind);
  }
  if (!model->has_graph() || model->ir_version() == 0) return fail("it holds no graph");
  return model;
}

}  // namespace neuronc::onnx
