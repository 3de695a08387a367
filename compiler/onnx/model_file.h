// Reading and checking a ModelProto; shared by the importer and the signature reader.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "compiler/onnx/proto.h"
#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"

namespace neuronc::onnx {

using ::onnx::ModelProto;

// Parses `bytes` without protobuf's size limit. Errors: NEU0201 (damaged, truncated, no graph).
Expected<std::shared_ptr<ModelProto>> parse_model(std::span<const std::byte> bytes,
                                                  const std::string& name,
                                                  Diagnostics& diagnostics);

// Parses any message; false when it is damaged or truncated.
bool parse_message(std::span<const std::byte> bytes, google::protobuf::Message& message);

}  // namespace neuronc::onnx
