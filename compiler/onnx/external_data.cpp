// Implements external_data.h.
#include "compiler/onnx/external_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace neuronc::onnx {
namespace {

namespace fs = std::filesystem;

bool is_inside(const fs::path& path, const fs::path& folder) {
  const fs::path inside = path.lexically_relative(folder);
  return !inside.empty() && *inside.begin() != "..";
}

struct Signature {
  std::string_view begin;
  size_t offset;
  std::string_view kind;
};

constexpr Signature kSignatures[] = {
    {"version https://git-lfs", 0,
     "it is a Git LFS pointer and not the file itself: run `git lfs pull`"},
    {"\x1f\x8b", 0, "it is compressed with gzip: unpack it first"},
    {"\x28\xb5\x2f\xfd", 0, "it is compressed with zstd: unpack it first"},
    {"BZh", 0, "it is compressed with bzip2: unpack it first"},
    {"\xfd"
     "7zXZ",
     0, "it is compressed with xz: unpack it first"},
    {"PK\x03\x04", 0,
     "it is a zip archive: unpack it if the model is inside; PyTorch's files are such archives and "
     "must be exported to ONNX"},
    {"\x7fNEFF", 0, "it is a NEFF, which is compiled already"},
    {"\x89HDF", 0, "it is an HDF5 file, such as Keras writes: export the model to ONNX"},
    {"TFL3", 4, "it is a TensorFlow Lite model: convert it to ONNX"},
    {"ORTM", 4, "it is in ONNX Runtime's own format: use the .onnx file that it was made from"},
    {"\x80\x02", 0, "it is a Python pickle, such as PyTorch wrote: export the model to ONNX"},
    {"<!DOCTYPE", 0, "it is a web page: the download got something else than the file"},
    {"<!doctype", 0, "it is a web page: the download got something else than the file"},
    {"<html", 0, "it is a web page: the download got something else than the file"},
    {"<HTML", 0, "it is a web page: the download got something else than the file"},
    {"<?xml", 0, "it is an XML file: the download got something else, or it is another format"},
};

}  // namespace

std::string_view kind_of_file(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min<size_t>(bytes.size(), 512));
  // A page may begin with a byte order mark and blanks.
  const size_t mark = text.starts_with("\xef\xbb\xbf") ? 3 : 0;
  const size_t first = std::min(text.find_first_not_of(" \t\r\n", mark), text.size());
  for (const Signature& signature : kSignatures) {
    const bool is_markup = signature.begin.starts_with('<');
    const size_t offset = is_markup ? first : signature.offset;
    if (text.size() > offset && text.substr(offset).starts_with(signature.begin)) {
      return signature.kind;
    }
  }
  if (first < text.size() && text[first] == '{' && text.find('"') != std::string_view::npos) {
    return "it is JSON text: the download got an error message, or it is another format";
  }
  return {};
}

std::vector<std::string> folders_of_model(const std::string& path) {
  std::vector<std::string> folders;
  const fs::path named = fs::path(path).parent_path();
  folders.push_back(named.empty() ? "." : named.string());
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (!error && real.parent_path() != fs::weakly_canonical(folders[0], error)) {
    folders.push_back(real.parent_path().string());
  }
  return folders;
}

ExternalFiles::ExternalFiles(std::vector<std::string> folders,
                             std::map<std::string, std::span<const std::byte>> in_memory)
    : folders_(std::move(folders)), in_memory_(std::move(in_memory)) {}

OrRefusal<std::string> ExternalFiles::resolve(const std::string& location) const {
  const fs::path relative(location);
  const std::string outside = fmt::format(
      "its external data `{}` is outside of the model's folder; put it there, or add the folder "
      "that "
      "it is in with --external-data-dir",
      location);
  if (folders_.empty()) return refuse("external data needs a model that is a file");
  if (relative.is_absolute() || !is_inside(relative.lexically_normal(), ".")) {
    return refuse(outside);
  }
  std::error_code error;
  std::string link;
  for (const std::string& folder : folders_) {
    const fs::path base = fs::weakly_canonical(folder, error);
    if (error) return refuse(error.message());
    const fs::path full = fs::weakly_canonical(base / relative, error);
    if (error) return refuse(error.message());
    if (!fs::exists(full, error)) continue;
    for (const std::string& allowed : folders_) {
      if (is_inside(full, fs::weakly_canonical(allowed, error))) return full.string();
    }
    link = full.string();
  }
  if (link.empty()) {
    return refuse(fmt::format("its external data `{}` cannot be read: there is no such file in {}",
                              location, fmt::join(folders_, ", ")));
  }
  return refuse(fmt::format(
      "its external data `{}` is a link to `{}`, outside of the model's folder; add the "
      "folder of that file with --external-data-dir",
      location, link));
}

OrRefusal<ExternalFiles::Bytes> ExternalFiles::open(const std::string& location) {
  if (const auto it = in_memory_.find(location); it != in_memory_.end()) {
    return Bytes{it->second, nullptr};
  }
  if (const auto it = open_.find(location); it != open_.end()) return it->second;
  NEURONC_ASSIGN(const std::string path, resolve(location));
  auto file = MappedFile::open(path);
  if (!file) {
    return refuse(
        fmt::format("its external data `{}` cannot be read: {}", location, file.error().reason));
  }
  const std::span<const std::byte> content = (*file)->bytes();
  const Bytes bytes{content, std::move(*file)};
  open_.emplace(location, bytes);
  files_.push_back(path);
  return bytes;
}

std::vector<std::string> ExternalFiles::files() const { return files_; }

void ExternalFiles::note_used(std::span<const std::byte> bytes) {
  used_.push_back(hash_bytes(bytes));
}

Hash128 ExternalFiles::hash_with(Hash128 hash) const {
  for (const Hash128& used : used_) hash = hash_combine(hash, used);
  return hash;
}

}  // namespace neuronc::onnx
