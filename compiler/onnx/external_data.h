// The files beside a model that hold its large tensors. Free of protobuf.
//
// A model's folder is the one it is named in, and the one that its file really lies in: stores that
// address files by content (a hub's cache, Bazel, Kubernetes) name models and data by links. Data
// is looked for in these and in the folders that are added; what it resolves to must lie under one
// of them, so that a model cannot have any file of the machine read.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "compiler/onnx/mapped_file.h"
#include "ir/base/expected.h"
#include "ir/base/hash.h"

namespace neuronc::onnx {

class ExternalFiles {
 public:
  // `folders` in the order of the search; none: there may be no files. `in_memory` comes first.
  ExternalFiles(std::vector<std::string> folders,
                std::map<std::string, std::span<const std::byte>> in_memory);

  struct Bytes {
    std::span<const std::byte> bytes;
    std::shared_ptr<const void> owner;  // null: memory of the caller's
  };
  // The content of `location`. Refuses with what is wrong with it and what to do.
  OrRefusal<Bytes> open(const std::string& location);

  // The files that were opened.
  std::vector<std::string> files() const;

  // Counts content as part of the model.
  void note_used(std::span<const std::byte> bytes);
  // Of everything that was used, combined with the model file's `hash`; that itself without any.
  Hash128 hash_with(Hash128 hash) const;

 private:
  OrRefusal<std::string> resolve(const std::string& location) const;

  std::vector<std::string> folders_;
  std::map<std::string, std::span<const std::byte>> in_memory_;
  std::map<std::string, Bytes> open_;
  std::vector<std::string> files_;
  std::vector<Hash128> used_;
};

// The folders of a model file: as it is named, and where the file really lies.
std::vector<std::string> folders_of_model(const std::string& path);

// What a file is that is no model and no data, by its first bytes: "a Git LFS pointer: run `git lfs
// pull`"; empty if nothing is known of it.
std::string_view kind_of_file(std::span<const std::byte> bytes);

}  // namespace neuronc::onnx
