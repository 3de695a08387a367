// Names visible while importing one list of nodes, and what they stand for.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "compiler/onnx/node_context.h"

namespace neuronc::onnx {

// What a name stands for: a value of the graph, a tensor that becomes a constant when it is first
// used, an absent optional input of a function, or nothing because its definition failed.
struct Binding {
  enum class Kind : uint8_t { value, tensor, absent, failed };
  Kind kind = Kind::failed;
  ValueId value;
  Tensor tensor;

  static Binding of(ValueId value) { return {Kind::value, value, {}}; }
  static Binding of(Tensor tensor) { return {Kind::tensor, ValueId(), std::move(tensor)}; }
  static Binding absent() { return {Kind::absent, ValueId(), {}}; }
  static Binding failed() { return {}; }
};

using OpsetVersions = std::map<std::string, int64_t>;  // by domain; "" is ai.onnx

struct Scope {
  GraphBuilder* builder = nullptr;
  const OpsetVersions* opsets = nullptr;
  // Inside a function: the attributes of its call, for references to them.
  const std::vector<OnnxAttribute>* call_attributes = nullptr;
  std::string prefix;             // of node and value names, inside functions
  int64_t depth = 0;              // of functions and bodies, however they are imported
  int64_t num_nested_graphs = 1;  // of the graph that the nodes go to, as the text form nests
  std::unordered_map<std::string, Binding> names;
};

}  // namespace neuronc::onnx
