// Implements the files of cache.h.
#include "compiler/cache.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "compiler/tune.h"
#include "ir/base/hash.h"
#include "ir/base/output_file.h"
#include "ir/hardware_model.h"

namespace neuronc {
namespace {

namespace fs = std::filesystem;

constexpr char kMagic[8] = {'N', 'E', 'U', 'C', 'A', 'C', 'H', '1'};
constexpr std::string_view kEnding = ".entry";
// What backup programs look for: the folder can be made again.
constexpr std::string_view kTag =
    "Signature: 8a477f597d28d172789f06886806bc55\n# Results of neuronc, see --cache-dir.\n";

struct EntryHeader {
  char magic[8];
  uint64_t facts_bytes;
  uint64_t neff_bytes;
  Hash128 hash;  // of the facts' and the NEFF's hashes
};

std::optional<std::vector<std::byte>> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const auto size = file ? static_cast<int64_t>(file.tellg()) : -1;
  if (size < 0) return std::nullopt;
  std::vector<std::byte> bytes(static_cast<size_t>(size));
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), size)) return std::nullopt;
  return bytes;
}

Hash128 hash_of(std::span<const std::byte> facts, std::span<const std::byte> neff) {
  return hash_combine(hash_bytes(facts), hash_bytes(neff));
}

// Of a file that an option names; one that cannot be read is found out elsewhere.
std::string file_hash(const std::string& path) {
  const auto bytes = read_bytes(path);
  return bytes ? to_hex(hash_bytes(*bytes)) : "unreadable";
}

// Of the program or library that this code is in: versions do not tell builds apart.
const std::string& build_hash() {
  static const std::string* const kHash = [] {
    Dl_info info{};
    const bool is_found = dladdr(reinterpret_cast<const void*>(&build_hash), &info) != 0;
    // Of a program the name is how it was called.
    const std::string path = is_found && info.dli_fname != nullptr && fs::exists(info.dli_fname)
                                 ? info.dli_fname
                                 : "/proc/self/exe";
    return new std::string(file_hash(path));
  }();
  return *kHash;
}

std::string path_of(const std::string& dir, const std::string& key) {
  return (fs::path(dir) / (key + std::string(kEnding))).string();
}

// Removes the oldest entries while all together are larger than `limit_bytes`.
void make_room(const std::string& dir, int64_t limit_bytes) {
  struct Entry {
    fs::path path;
    int64_t size_bytes;
    timespec used;
  };
  std::vector<Entry> entries;
  int64_t total_bytes = 0;
  std::error_code error;
  for (const auto& file : fs::directory_iterator(dir, error)) {
    struct stat info{};
    if (file.path().extension() != kEnding || stat(file.path().c_str(), &info) != 0) continue;
    entries.push_back({file.path(), info.st_size, info.st_mtim});
    total_bytes += info.st_size;
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  for (const Entry& entry : entries) {
    if (total_bytes <= limit_bytes) return;
    fs::remove(entry.path, error);
    total_bytes -= entry.size_bytes;
  }
}

}  // namespace

std::string cache_key(const Compilation& compilation, const CompileOptions& options) {
  const bool wants_text = options.print_changed || options.time_passes ||
                          !options.print_after.empty() || !options.dump_dir.empty();
  if (options.cache_dir.empty() || wants_text) return {};
  std::string text =
      fmt::format("1\n{}\n{}\n{}\n{}\n{}\n", compiler_version(), llvm_version(), build_hash(),
                  to_hex(compilation.model.hash), compilation.model.module.name);
  for (const auto& [name, value] : option_list(options))
    text += fmt::format("{}={}\n", name, value);
  text += fmt::format("max-host-ops={}\n", options.max_host_ops);
  // Later choices in the file may be of other models; then the model is compiled once more, from it.
  if (options.tune) text += "tuning=" + file_hash(tuning_path(options)) + "\n";
  for (const auto& [name, value] : options.fixed_inputs) {
    text += fmt::format("{}={} {}\n", name, value, file_hash(value));
  }
  if (!builtin_hardware_model_text(options.hardware_model)) {
    text += file_hash(options.hardware_model);
  }
  return to_hex(hash_text(text));
}

std::optional<CacheEntry> read_cache(const std::string& dir, const std::string& key) {
  const std::string path = path_of(dir, key);
  const auto bytes = read_bytes(path);
  if (!bytes) return std::nullopt;
  EntryHeader header{};
  const bool has_header = bytes->size() >= sizeof(header);
  if (has_header) std::memcpy(&header, bytes->data(), sizeof(header));
  const std::span<const std::byte> rest =
      std::span(*bytes).subspan(has_header ? sizeof(header) : bytes->size());
  const bool is_sound = has_header && std::memcmp(header.magic, kMagic, sizeof(kMagic)) == 0 &&
                        header.facts_bytes <= rest.size() &&
                        header.neff_bytes == rest.size() - header.facts_bytes;
  const auto facts = rest.first(is_sound ? header.facts_bytes : 0);
  const auto neff = rest.subspan(facts.size());
  if (!is_sound || hash_of(facts, neff) != header.hash) {
    std::error_code error;
    fs::remove(path, error);
    return std::nullopt;
  }
  utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
  return CacheEntry{std::string(reinterpret_cast<const char*>(facts.data()), facts.size()),
                    std::vector<std::byte>(neff.begin(), neff.end())};
}

std::string write_cache(const std::string& dir, const std::string& key, const CacheEntry& entry,
                        int64_t limit_bytes) {
  const auto facts = std::as_bytes(std::span(entry.facts_json));
  EntryHeader header{{}, facts.size(), entry.neff.size(), hash_of(facts, entry.neff)};
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  if (static_cast<int64_t>(sizeof(header) + facts.size() + entry.neff.size()) > limit_bytes) {
    return "the result is larger than all that the cache may hold";
  }
  std::error_code error;
  const bool is_new = fs::create_directories(dir, error);
  if (error) return error.message();
  if (is_new) {
    write_output_file((fs::path(dir) / "CACHEDIR.TAG").string(), std::as_bytes(std::span(kTag)));
  }
  OutputFile file(path_of(dir, key));
  const bool is_written = file.append(std::as_bytes(std::span(&header, 1))) && file.append(facts) &&
                          file.append(entry.neff) && file.commit();
  if (!is_written) return file.error();
  make_room(dir, limit_bytes);
  return {};
}

}  // namespace neuronc
