// The way in: an ONNX file becomes a module of stage `imported`. Free of protobuf.
//
// Opsets 1 to 27 and IR versions 3 to 13 are read; version knowledge ends in this folder. Model
// local functions are inlined, bodies of If, Loop and Scan are isolated (what they use of the
// outside comes in as operands), symbolic dims are bound. All problems of a model are reported in
// one run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"
#include "ir/base/hash.h"
#include "ir/graph.h"

namespace neuronc::onnx {

// What an input is fixed to: a tensor, or one number, given as text, for all of its elements.
struct FixedInput {
  std::string number;  // empty: the tensor
  Tensor tensor;
};

struct ImportOptions {
  std::map<std::string, int64_t> dims;                       // --dim NAME=N
  std::map<std::string, std::vector<int64_t>> input_shapes;  // --input-shape NAME=D,D
  std::map<std::string, FixedInput> fixed_inputs;            // --fix-input NAME=VALUE
  std::vector<std::string> outputs;  // the graph is cut at these values; empty: at its own outputs
  std::vector<std::string> external_data_dirs;  // where data may lie too (external_data.h)
  std::map<std::string, std::span<const std::byte>> external_data;  // by location; lives on
};

struct ImportedModel {
  Module module;
  Hash128 hash;            // of the file's bytes and the external data that it uses
  int64_t size_bytes = 0;  // of the file
  int64_t ir_version = 0;
  int64_t opset = 0;  // of ai.onnx; 0 where none is used
  std::string producer;
  std::vector<std::string> external_files;  // that were opened
};

// What is known of a node of a model that cannot be imported.
struct NodeStatus {
  enum class Kind : uint8_t { supported, unsupported, invalid, unknown };
  std::string node;
  std::string op;
  Kind kind = Kind::supported;
  std::string reason;  // why it is not supported
};
std::string_view name(NodeStatus::Kind kind);

// Errors: NEU0001, NEU0301 and the codes NEU02xx. `survey`, if given, is filled where nodes make
// the import fail: every node of the main graph, and those of functions and bodies that have a
// problem.
Expected<ImportedModel> import_file(const std::string& path, const ImportOptions& options,
                                    Diagnostics& diagnostics,
                                    std::vector<NodeStatus>* survey = nullptr);

// The same for a model in memory; `name` stands for the file in diagnostics. External data is
// looked for in `folder` too; empty: there is no such folder.
Expected<ImportedModel> import_bytes(std::span<const std::byte> bytes, const std::string& name,
                                     const std::string& folder, const ImportOptions& options,
                                     Diagnostics& diagnostics,
                                     std::vector<NodeStatus>* survey = nullptr);

// What a model declares, without importing it.
struct DeclaredValue {
  std::string name;
  std::string type;  // "f32[batch,3,?,?]"
  Type::Kind kind = Type::Kind::none;
};
struct ModelSignature {
  std::vector<DeclaredValue> inputs;  // without those that are initializers
  std::vector<DeclaredValue> outputs;
};
// `outputs` as in ImportOptions.
Expected<ModelSignature> read_signature(const std::string& path, Diagnostics& diagnostics,
                                        std::span<const std::string> outputs = {});
Expected<ModelSignature> read_signature(std::span<const std::byte> bytes, const std::string& name,
                                        Diagnostics& diagnostics,
                                        std::span<const std::string> outputs = {});

}  // namespace neuronc::onnx
