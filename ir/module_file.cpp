// Implements module_file.h.
#include "ir/module_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "ir/base/output_file.h"
#include "ir/printer.h"

namespace neuronc {
namespace {

constexpr std::string_view kMagic = "NIRC0001";
constexpr uint64_t kAlignment = 64;
constexpr uint32_t kMaxRank = 64;

uint64_t align_up(uint64_t offset) { return (offset + kAlignment - 1) / kAlignment * kAlignment; }

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// Reads numbers from a file's bytes; once past the end everything is zero and `is_good` false.
struct ByteReader {
  std::string_view bytes;
  size_t position = 0;
  bool is_good = true;

  template <class T>
  T take() {
    T value{};
    if (bytes.size() - position < sizeof value) {
      is_good = false;
      return value;
    }
    std::memcpy(&value, bytes.data() + position, sizeof value);
    position += sizeof value;
    return value;
  }
};

Location in_file(std::string_view file) {
  Location location;
  location.file = file;
  return location;
}

// Elements, or nothing where the shape has no countable size.
std::optional<int64_t> checked_num_elements(const std::vector<int64_t>& shape) {
  int64_t product = 1;
  for (int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(product, extent, &product)) return std::nullopt;
  }
  return product;
}

// One constant's record and bytes; an empty tensor if they are damaged.
Tensor read_constant(ByteReader& reader, const std::shared_ptr<const std::string>& owner,
                     Hash128& hash) {
  hash.low = reader.take<uint64_t>();
  hash.high = reader.take<uint64_t>();
  const auto dtype_code = reader.take<uint32_t>();
  const auto rank = reader.take<uint32_t>();
  const auto offset = reader.take<uint64_t>();
  const auto size = reader.take<uint64_t>();
  if (!reader.is_good || rank > kMaxRank) return {};
  std::vector<int64_t> shape(rank);
  for (int64_t& extent : shape) extent = reader.take<int64_t>();
  const auto dtype = static_cast<DType>(dtype_code);
  if (!reader.is_good || dtype_code >= static_cast<uint32_t>(DType::string) ||
      dtype == DType::none) {
    return {};
  }
  const auto num_elements = checked_num_elements(shape);
  uint64_t expected = 0;
  if (!num_elements ||
      __builtin_mul_overflow(static_cast<uint64_t>(*num_elements),
                             static_cast<uint64_t>(size_bytes(dtype)), &expected) ||
      size != expected || offset > reader.bytes.size() || size > reader.bytes.size() - offset) {
    return {};
  }
  const auto data = std::as_bytes(std::span(*owner)).subspan(offset, size);
  return Tensor::borrow(dtype, std::move(shape), data, owner);
}

}  // namespace

std::string constants_to_bytes(const Module& module, const std::vector<ConstantId>& constants) {
  uint64_t offset = kMagic.size() + sizeof(uint64_t);
  for (ConstantId id : constants) offset += 40 + 8 * module.constant(id).shape().size();
  std::string out(kMagic);
  put<uint64_t>(out, constants.size());
  std::vector<uint64_t> offsets;
  for (ConstantId id : constants) {
    const Tensor& tensor = module.constant(id);
    const Hash128 hash = module.constant_hash(id);
    offsets.push_back(offset = align_up(offset));
    put(out, hash.low);
    put(out, hash.high);
    put(out, static_cast<uint32_t>(tensor.dtype()));
    put(out, static_cast<uint32_t>(tensor.rank()));
    put(out, offset);
    put(out, static_cast<uint64_t>(tensor.size_bytes()));
    for (int64_t extent : tensor.shape()) put(out, extent);
    offset += static_cast<uint64_t>(tensor.size_bytes());
  }
  for (size_t i = 0; i < constants.size(); ++i) {
    out.resize(offsets[i], '\0');
    const auto bytes = module.constant(constants[i]).bytes();
    out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  return out;
}

Expected<ConstantPool> constants_from_bytes(std::string_view bytes, std::string_view file,
                                            Diagnostics& diagnostics) {
  const auto damaged = [&](std::string_view what) {
    diagnostics.report(diag::bad_constants_file, in_file(file), what);
    return reported();
  };
  if (!bytes.starts_with(kMagic)) return damaged("it does not start with the magic number");
  const auto owner = std::make_shared<const std::string>(bytes);
  ByteReader reader{*owner, kMagic.size()};
  const auto count = reader.take<uint64_t>();
  if (!reader.is_good) return damaged("it is truncated");
  ConstantPool pool;
  for (uint64_t i = 0; i < count; ++i) {
    Hash128 hash;
    Tensor tensor = read_constant(reader, owner, hash);
    if (!tensor) return damaged(fmt::format("constant {} of {} is truncated", i + 1, count));
    if (tensor.hash() != hash) {
      return damaged(fmt::format("constant {} of {} does not have its hash", i + 1, count));
    }
    pool.emplace(to_hex(hash), std::move(tensor));
  }
  return pool;
}

Expected<std::string> read_file(const std::string& path, Diagnostics& diagnostics) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             std::fclose);
  std::string text;
  if (file) {
    char buffer[1 << 16];
    size_t size = 0;
    while ((size = std::fread(buffer, 1, sizeof buffer, file.get())) > 0) text.append(buffer, size);
  }
  if (!file || std::ferror(file.get()) != 0) {
    diagnostics.report(diag::cannot_read_file, {}, path, std::strerror(errno));
    return reported();
  }
  return text;
}

Expected<void> write_file(const std::string& path, std::string_view bytes,
                          Diagnostics& diagnostics) {
  const std::string error = write_output_file(path, std::as_bytes(std::span(bytes)));
  if (error.empty()) return {};
  diagnostics.report(diag::cannot_write_file, {}, path, error);
  return reported();
}

Expected<Module> read_module_file(const std::string& path, Diagnostics& diagnostics) {
  NEURONC_ASSIGN(const std::string text, read_file(path, diagnostics));
  ConstantPool constants;
  const std::string sidecar = path + "c";
  std::error_code error;
  if (std::filesystem::is_regular_file(sidecar, error)) {
    NEURONC_ASSIGN(const std::string bytes, read_file(sidecar, diagnostics));
    NEURONC_ASSIGN(constants, constants_from_bytes(bytes, sidecar, diagnostics));
  }
  return parse_module(text, path, constants, diagnostics);
}

Expected<void> write_module_file(const Module& module, const std::string& path,
                                 Diagnostics& diagnostics) {
  // The sidecar is not written for a module that cannot be, nor beside a device or a pipe, which get the
  // text alone, as standard output does.
  const std::string text = to_text(module);
  OutputFile file(path);
  bool is_good = file.append(std::as_bytes(std::span(text)));
  const std::vector<ConstantId> constants = sidecar_constants(module);
  if (is_good && !constants.empty() && !file.is_special()) {
    NEURONC_TRY(write_file(path + "c", constants_to_bytes(module, constants), diagnostics));
  }
  is_good = is_good && file.commit();
  if (is_good) return {};
  diagnostics.report(diag::cannot_write_file, {}, path, file.error());
  return reported();
}

}  // namespace neuronc
