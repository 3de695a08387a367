// A file mapped for reading, kept alive by whoever borrows from it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "ir/base/expected.h"

namespace neuronc::onnx {

class MappedFile {
 public:
  // Refuses with the system's reason.
  static OrRefusal<std::shared_ptr<const MappedFile>> open(const std::string& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}
  const std::byte* data_;
  size_t size_;
};

}  // namespace neuronc::onnx
