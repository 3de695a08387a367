// Implements list_values.h.
#include "runtime/tools/list_values.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include "runtime/tools/tensor_file.h"

namespace neuronc::tools {
namespace {

namespace fs = std::filesystem;

// The number that a file's name is, before its ending.
std::optional<uint64_t> number_of(const fs::path& path) {
  const std::string stem = path.stem().string();
  uint64_t number = 0;
  const auto parsed = std::from_chars(stem.data(), stem.data() + stem.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != stem.data() + stem.size()) return std::nullopt;
  return number;
}

Outcome<std::vector<FileTensor>> read_folder(const std::string& folder) {
  std::vector<std::pair<uint64_t, std::string>> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const auto number = number_of(entry.path());
    if (!number) {
      return tool_error(kExitError, "{}: `{}` is no element: their names are numbers, as in 0.npy",
                        folder, entry.path().filename().string());
    }
    files.emplace_back(*number, entry.path().string());
  }
  if (error) return tool_error(kExitError, "cannot read `{}`: {}", folder, error.message());
  std::sort(files.begin(), files.end());
  std::vector<FileTensor> elements;
  for (const auto& [number, path] : files) {
    auto element = read_tensor(path);
    if (!element) return tl::unexpected(element.error());
    elements.push_back(std::move(*element));
  }
  return elements;
}

Outcome<FileList> read_list(const nrt::TensorInfo& info, const std::string& path) {
  const bool is_sequence = info.kind == NRT_VALUE_SEQUENCE;
  if (fs::is_directory(path)) {
    auto elements = read_folder(path);
    if (!elements) return tl::unexpected(elements.error());
    return FileList{true, std::move(*elements)};
  }
  if (path.ends_with(".pb")) {
    const auto bytes = read_file(path);
    if (!bytes) return tl::unexpected(bytes.error());
    auto list = is_sequence ? parse_sequence_proto(*bytes) : parse_optional_proto(*bytes);
    if (!list) return tool_error(list.error().code, "{}: {}", path, list.error().message);
    return list;
  }
  if (info.kind != NRT_VALUE_OPTIONAL) {
    return tool_error(kExitError,
                      "input `{}` is {}: it takes a folder of 0.npy, 1.npy, ... or a .pb file",
                      info.name, type_text(info));
  }
  auto element = read_tensor(path);
  if (!element) return tl::unexpected(element.error());
  FileList list{true, {}};
  list.elements.push_back(std::move(*element));
  return list;
}

}  // namespace

bool is_list(const nrt::TensorInfo& info) { return info.kind != NRT_VALUE_TENSOR; }

Outcome<HostTensor> load_list_input(const nrt::TensorInfo& info, const std::string& path) {
  auto list = read_list(info, path);
  if (!list) return tl::unexpected(list.error());
  HostTensor value;
  value.dtype = to_dtype(info.dtype);
  value.kind = info.kind;
  value.has_value = list->has_value;
  for (FileTensor& element : list->elements) {
    if (element.dtype != value.dtype && !is_stand_in(element.dtype, value.dtype)) {
      return tool_error(kExitError, "input `{}` is {}, {} holds {}[{}]", info.name, type_text(info),
                        path, name(element.dtype), fmt::join(element.shape, ","));
    }
    value.elements.push_back({value.dtype, std::move(element.shape), std::move(element.bytes)});
  }
  return value;
}

nrt::TensorPtr to_runtime_list(const HostTensor& value) {
  nrt::TensorPtr list = nrt::Model::list(value.has_value);
  for (const HostTensor& element : value.elements) {
    nrt::Model::append(list, to_runtime(element), element.shape);
  }
  return list;
}

HostTensor from_runtime_list(const nrt::TensorInfo& info, const nrt_tensor_t* list) {
  HostTensor value;
  value.dtype = to_dtype(info.dtype);
  value.kind = info.kind;
  size_t count = 0;
  int has_value = 0;
  nrt_tensor_list_get_count(list, &count, &has_value);
  value.has_value = has_value != 0;
  for (size_t i = 0; i < count; ++i) {
    nrt_tensor_t* element = nullptr;
    nrt_tensor_list_get(list, i, &element);
    value.elements.push_back(from_runtime_tensor(value.dtype, element));
  }
  return value;
}

}  // namespace neuronc::tools
