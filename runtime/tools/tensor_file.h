// Tensors in files: NumPy's .npy, ONNX's TensorProto (.pb, read by its wire format, without
// protobuf) and raw bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ir/base/dtype.h"
#include "runtime/tools/tool.h"

namespace neuronc::tools {

struct FileTensor {
  DType dtype = DType::none;  // none: raw bytes, of whatever type is wanted
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;  // row-major; strings end with a zero byte each
};

// The value of a sequence or an optional.
struct FileList {
  bool has_value = true;
  std::vector<FileTensor> elements;
};

Outcome<std::vector<std::byte>> read_file(const std::string& path);

// By the name's ending: .npy, .pb, anything else is raw.
Outcome<FileTensor> read_tensor(const std::string& path);
Outcome<FileTensor> parse_npy(std::span<const std::byte> bytes);
Outcome<FileTensor> parse_tensor_proto(std::span<const std::byte> bytes);
Outcome<FileList> parse_sequence_proto(std::span<const std::byte> bytes);
Outcome<FileList> parse_optional_proto(std::span<const std::byte> bytes);

// Types that NumPy does not have are stored as unsigned integers of their size.
std::vector<std::byte> to_npy(DType dtype, std::span<const int64_t> shape,
                              std::span<const std::byte> bytes);
// Written to a temporary name and renamed.
Outcome<void> write_file(const std::string& path, std::span<const std::byte> bytes);

}  // namespace neuronc::tools
