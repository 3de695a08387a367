// Implements tuning_file.h.
#include "compiler/tuning_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <span>
#include <vector>

#include "ir/base/output_file.h"

namespace neuronc {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHeader = "neuronc-tuning 1";
constexpr std::string_view kNone = "-";  // a field without a text
constexpr size_t kNumFields = 7;
constexpr size_t kHashDigits = 32;
constexpr int64_t kLargestFileBytes = int64_t{256} << 20;

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  while (!line.empty()) {
    const size_t space = line.find(' ');
    fields.push_back(line.substr(0, space));
    if (space == std::string_view::npos) break;
    line.remove_prefix(space + 1);
  }
  return fields;
}

std::optional<int64_t> parse_time(std::string_view text) {
  int64_t time_ns = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), time_ns);
  const bool is_good = error == std::errc() && end == text.data() + text.size() && time_ns > 0;
  return is_good ? std::optional(time_ns) : std::nullopt;
}

bool add_line(std::string_view line, TuningTable& choices) {
  const std::vector<std::string_view> fields = fields_of(line);
  if (fields.size() != kNumFields) return false;
  const bool is_hash = fields[0].size() == kHashDigits &&
                       fields[0].find_first_not_of("0123456789abcdef") == std::string_view::npos;
  const auto predicted_ns = parse_time(fields[4]);
  const auto chosen_ns = parse_time(fields[5]);
  if (!is_hash || !predicted_ns || !chosen_ns || fields[1].empty() || fields[2].empty()) {
    return false;
  }
  TuningChoice choice;
  choice.variant = fields[2];
  if (fields[3] != kNone) choice.blocking = fields[3];
  choice.predicted_ns = *predicted_ns;
  choice.chosen_ns = *chosen_ns;
  choice.kernel = fields[6];
  choices.emplace(TuningKey{std::string(fields[0]), std::string(fields[1])}, std::move(choice));
  return true;
}

// Held while it lives; a file system without locks goes on without.
class FolderLock {
 public:
  explicit FolderLock(const std::string& folder)
      : fd_(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    while (fd_ >= 0 && flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~FolderLock() {
    if (fd_ >= 0) close(fd_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int fd_;
};

}  // namespace

std::string to_text(const TuningTable& choices) {
  std::string text(kHeader);
  text += '\n';
  for (const auto& [key, choice] : choices) {
    text += fmt::format("{} {} {} {} {} {} {}\n", key.problem, key.target, choice.variant,
                        choice.blocking.empty() ? kNone : std::string_view(choice.blocking),
                        choice.predicted_ns, choice.chosen_ns, choice.kernel);
  }
  return text;
}

TuningText parse_tuning(std::string_view text) {
  TuningText result;
  bool is_first = true;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (is_first) {
      is_first = false;
      result.is_tuning_file = line == kHeader;
      if (!result.is_tuning_file) return result;
      continue;
    }
    if (line.empty() || line[0] == '#') continue;
    if (!add_line(line, result.choices)) ++result.num_bad_lines;
  }
  return result;
}

OrRefusal<TuningText> read_tuning_file(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) return TuningText();
  if (status.type() != fs::file_type::regular) return refuse("is no file");
  if (static_cast<int64_t>(fs::file_size(path, error)) > kLargestFileBytes) {
    TuningText other;
    other.is_tuning_file = false;
    return other;
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return refuse(std::string("cannot be read: ") + std::strerror(errno));
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return refuse("cannot be read");
  return parse_tuning(text);
}

OrRefusal<TuningTable> add_to_tuning_file(const std::string& path, const TuningTable& measured,
                                          const TuningTable& stale) {
  const fs::path folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : ".";
  std::error_code error;
  fs::create_directories(folder, error);
  const FolderLock lock(folder.string());
  NEURONC_ASSIGN(TuningText now, read_tuning_file(path));
  if (!now.is_tuning_file) return refuse("is a file of another kind");
  for (const auto& [key, choice] : stale) {
    const auto it = now.choices.find(key);
    if (it != now.choices.end() && it->second == choice) now.choices.erase(it);
  }
  for (const auto& [key, choice] : measured) now.choices.emplace(key, choice);
  const std::string text = to_text(now.choices);
  const std::string problem = write_output_file(path, std::as_bytes(std::span(text)));
  if (!problem.empty()) return refuse("cannot be written: " + problem);
  return std::move(now.choices);
}

}  // namespace neuronc
