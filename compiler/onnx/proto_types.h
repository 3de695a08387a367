// Conversions of protobuf types and tensors to the IR's. Knows protobuf; used by the graph importer
// and the test data reader only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "compiler/onnx/external_data.h"
#include "compiler/onnx/onnx_dtype.h"
#include "compiler/onnx/proto.h"
#include "ir/base/expected.h"
#include "ir/tensor.h"
#include "ir/type.h"

namespace neuronc::onnx {

using ::onnx::SparseTensorProto;
using ::onnx::TensorProto;
using ::onnx::TypeProto;

// Where tensors' bytes may come from besides the message itself.
struct TensorSource {
  std::shared_ptr<ExternalFiles> external;  // null: there may be none
  std::shared_ptr<const void> owner;  // keeps the message alive, so that raw data may be borrowed;
                                      // nullptr: raw data is copied
};

// The tensor of a message: raw, typed or external data. Refuses unknown element types, negative
// dims, data that is too short or too long, and external paths that leave the model's folder.
OrRefusal<Tensor> tensor_from_proto(const TensorProto& proto, const TensorSource& source);

// A sparse tensor made dense.
OrRefusal<Tensor> tensor_from_sparse_proto(const SparseTensorProto& proto,
                                           const TensorSource& source);

// One declared extent: a number, a name, or neither.
struct DeclaredDim {
  int64_t number = -1;
  std::string name;
};
struct DeclaredType {
  Type::Kind kind = Type::Kind::none;
  DType dtype = DType::none;
  bool is_ranked = false;
  std::vector<DeclaredDim> dims;
};
// Refuses maps, opaque types, sparse tensors and element types without a DType.
OrRefusal<DeclaredType> type_from_proto(const TypeProto& proto);
// Of an output; a sequence of maps is a tensor of what the maps hold, a row for each.
OrRefusal<DeclaredType> output_type_from_proto(const TypeProto& proto);
bool is_sequence_of_maps(const TypeProto& proto);

}  // namespace neuronc::onnx
