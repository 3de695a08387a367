// Reading and writing files, and .npy; the ONNX form is in tensor_proto.cpp.
#include "runtime/tools/tensor_file.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "ir/base/output_file.h"

namespace neuronc::tools {
namespace {

struct NpyType {
  std::string_view descr;  // behind the byte-order mark
  DType dtype;
};

constexpr NpyType kNpyTypes[] = {
    {"b1", DType::boolean}, {"i1", DType::i8},  {"u1", DType::u8},  {"i2", DType::i16},
    {"u2", DType::u16},     {"i4", DType::i32}, {"u4", DType::u32}, {"i8", DType::i64},
    {"u8", DType::u64},     {"f2", DType::f16}, {"f4", DType::f32}, {"f8", DType::f64},
};

constexpr std::string_view kMagic = "\x93NUMPY";

// The value of `key` in the header's dictionary: the text behind its colon.
std::optional<std::string_view> entry(std::string_view header, std::string_view key) {
  const size_t at = header.find(fmt::format("'{}'", key));
  if (at == std::string_view::npos) return std::nullopt;
  const size_t colon = header.find(':', at);
  if (colon == std::string_view::npos) return std::nullopt;
  const size_t begin = header.find_first_not_of(' ', colon + 1);
  if (begin == std::string_view::npos) return std::nullopt;
  return header.substr(begin);
}

std::optional<std::vector<int64_t>> parse_shape(std::string_view text) {
  std::vector<int64_t> shape;
  const size_t end = text.find(')');
  if (text.empty() || text[0] != '(' || end == std::string_view::npos) return std::nullopt;
  text = text.substr(1, end - 1);
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(" ,"), text.size()));
    if (text.empty()) return shape;
    int64_t dim = 0;
    const auto [next, errc] = std::from_chars(text.data(), text.data() + text.size(), dim);
    if (errc != std::errc() || dim < 0) return std::nullopt;
    shape.push_back(dim);
    text.remove_prefix(static_cast<size_t>(next - text.data()));
  }
}

// The size the header promises, if it fits what is there.
bool has_size(const FileTensor& tensor, size_t available) {
  // Without elements the other extents are of no account, however large.
  if (std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end()) {
    return available == 0;
  }
  uint64_t size = static_cast<uint64_t>(size_bytes(tensor.dtype));
  for (int64_t dim : tensor.shape) {
    if (size > available / static_cast<uint64_t>(dim)) return false;
    size *= static_cast<uint64_t>(dim);
  }
  return size == available;
}

// The elements of an array whose first axis varies fastest, in the order in which the last one
// does.
std::vector<std::byte> from_fortran_order(const FileTensor& tensor,
                                          std::span<const std::byte> bytes) {
  std::vector<std::byte> result(bytes.size());
  const auto size = static_cast<size_t>(size_bytes(tensor.dtype));
  const size_t rank = tensor.shape.size();
  std::vector<size_t> strides(rank, size);
  for (size_t d = 1; d < rank; ++d) {
    strides[d] = strides[d - 1] * static_cast<size_t>(tensor.shape[d - 1]);
  }
  std::vector<int64_t> index(rank, 0);
  size_t from = 0;
  for (size_t to = 0; to < bytes.size(); to += size) {
    std::memcpy(result.data() + to, bytes.data() + from, size);
    for (size_t d = rank; d-- > 0;) {
      from += strides[d];
      if (++index[d] < tensor.shape[d]) break;
      from -= strides[d] * static_cast<size_t>(tensor.shape[d]);
      index[d] = 0;
    }
  }
  return result;
}

}  // namespace

Outcome<std::vector<std::byte>> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file || std::filesystem::is_directory(path)) {
    return tool_error(kExitError, "cannot open `{}`: {}", path, std::strerror(errno));
  }
  std::vector<std::byte> bytes(static_cast<size_t>(file.tellg()));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file) return tool_error(kExitError, "cannot read `{}`", path);
  return bytes;
}

Outcome<FileTensor> parse_npy(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kMagic) || text.size() < 12) {
    return tool_error(kExitError, "it is not a .npy file");
  }
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const bool is_version_1 = byte(6) == 1;
  const size_t header_begin = is_version_1 ? 10 : 12;
  size_t header_size = byte(8) + 256u * byte(9);
  if (!is_version_1) header_size += 65536u * byte(10) + 16777216u * byte(11);
  if (text.size() < header_begin + header_size) {
    return tool_error(kExitError, "the .npy file is truncated");
  }
  const std::string_view header = text.substr(header_begin, header_size);
  const auto descr = entry(header, "descr");
  const auto order = entry(header, "fortran_order");
  const auto shape_text = entry(header, "shape");
  const auto shape = shape_text ? parse_shape(*shape_text) : std::nullopt;
  if (!descr || !order || !shape || descr->size() < 5) {
    return tool_error(kExitError, "the .npy file has a malformed header");
  }
  FileTensor tensor;
  tensor.shape = *shape;
  const std::string_view code = descr->substr(1, descr->find('\'', 1) - 1);
  for (const NpyType& type : kNpyTypes) {
    if (code.size() == 3 && code.substr(1) == type.descr && code[0] != '>') {
      tensor.dtype = type.dtype;
    }
  }
  if (tensor.dtype == DType::none) {
    return tool_error(kExitUnsupported, "the .npy file has the type `{}`, which is not handled",
                      code);
  }
  const std::span<const std::byte> data = bytes.subspan(header_begin + header_size);
  if (!has_size(tensor, data.size())) {
    return tool_error(kExitError, "the .npy file has {} bytes of data, not those of {}[{}]",
                      data.size(), name(tensor.dtype), fmt::join(tensor.shape, ","));
  }
  if (order->starts_with("True")) {
    tensor.bytes = from_fortran_order(tensor, data);
  } else {
    tensor.bytes.assign(data.begin(), data.end());
  }
  return tensor;
}

Outcome<FileTensor> read_tensor(const std::string& path) {
  auto bytes = read_file(path);
  if (!bytes) return tl::unexpected(bytes.error());
  Outcome<FileTensor> tensor = FileTensor{DType::none, {}, {}};
  if (path.ends_with(".npy")) {
    tensor = parse_npy(*bytes);
  } else if (path.ends_with(".pb")) {
    tensor = parse_tensor_proto(*bytes);
  } else {
    tensor->bytes = std::move(*bytes);
  }
  if (!tensor) return tool_error(tensor.error().code, "{}: {}", path, tensor.error().message);
  return tensor;
}

std::vector<std::byte> to_npy(DType dtype, std::span<const int64_t> shape,
                              std::span<const std::byte> bytes) {
  std::string descr;
  for (const NpyType& type : kNpyTypes) {
    if (type.dtype == dtype) descr = type.descr;
  }
  if (descr.empty()) descr = fmt::format("u{}", size_bytes(dtype));
  const std::string comma = shape.size() == 1 ? "," : "";
  std::string header =
      fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}{}), }}",
                  size_bytes(dtype) == 1 ? '|' : '<', descr, fmt::join(shape, ", "), comma);
  // The data starts on 64 bytes.
  const size_t prefix = kMagic.size() + 4;
  header += std::string(63 - (prefix + header.size()) % 64, ' ') + "\n";
  std::string head(kMagic);
  head += '\x01';
  head += '\x00';
  head += static_cast<char>(header.size() % 256);
  head += static_cast<char>(header.size() / 256);
  head += header;
  std::vector<std::byte> result(head.size() + bytes.size());
  std::memcpy(result.data(), head.data(), head.size());
  if (!bytes.empty()) std::memcpy(result.data() + head.size(), bytes.data(), bytes.size());
  return result;
}

Outcome<void> write_file(const std::string& path, std::span<const std::byte> bytes) {
  const std::string error = write_output_file(path, bytes);
  if (!error.empty()) return tool_error(kExitError, "cannot write `{}`: {}", path, error);
  return {};
}

}  // namespace neuronc::tools
