// Implements output_file.h.
#include "ir/base/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

#include "ir/base/descriptor.h"

namespace neuronc {
namespace {

constexpr size_t kBufferBytes = 1 << 16;
constexpr int kMaxNames = 100;

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// The file that `path` leads to; `path` itself where nothing is there, and where something is there that
// has no name, as a pipe has none under /proc/self/fd.
std::string follow_links(const std::string& path) {
  struct stat status{};
  const bool is_there = stat(path.c_str(), &status) == 0;
  if (is_there && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)) return path;
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr),
                                                         std::free);
  if (real) return real.get();
  // Links to a file that is not there yet, or in a circle.
  constexpr int kMaxLinks = 40;
  std::string end = path;
  for (int i = 0; i < kMaxLinks; ++i) {
    std::error_code error;
    const std::filesystem::path target = std::filesystem::read_symlink(end, error);
    if (error) break;
    end = target.is_absolute() ? target.string()
                               : (std::filesystem::path(folder_of(end)) / target).string();
  }
  return end;
}

std::string draft_name(const std::string& path, int number) {
  return fmt::format("{}.tmp-{}-{}", path, getpid(), number);
}

std::string fd_path(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

}  // namespace

OutputFile::OutputFile(const std::string& path) : path_(follow_links(path)) { open_target(); }

OutputFile::~OutputFile() {
  if (fd_ >= 0) close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void OutputFile::open_target() {
  struct stat status{};
  const bool is_there = stat(path_.c_str(), &status) == 0;
  if (!is_there && errno == ELOOP) {
    note_error();
    return;
  }
  if (is_there && S_ISDIR(status.st_mode)) {
    errno = EISDIR;
    note_error();
    return;
  }
  if (is_there && access(path_.c_str(), W_OK) != 0) {
    note_error();
    return;
  }
  is_special_ = is_there && !S_ISREG(status.st_mode);
  if (is_special_) return;
  open_draft();
  if (is_there && fd_ >= 0) static_cast<void>(fchmod(fd_, status.st_mode & 07777));
}

void OutputFile::open_draft() {
  fd_ = above_standard_streams(
      open(folder_of(path_).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666));
  if (fd_ >= 0 && access(fd_path(fd_).c_str(), F_OK) == 0) return;
  // No such files here, or no way to give them a name later.
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  for (int number = 0; fd_ < 0 && number < kMaxNames; ++number) {
    const std::string name = draft_name(path_, number);
    fd_ = above_standard_streams(open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (fd_ >= 0) temporary_ = name;
    if (fd_ < 0 && errno != EEXIST) break;
  }
  if (fd_ < 0) note_error();
}

bool OutputFile::append(std::span<const std::byte> bytes) {
  if (errno_ != 0) return false;
  if (is_special_ || buffer_.size() + bytes.size() <= kBufferBytes) {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
    return true;
  }
  return flush() && write_all(fd_, bytes);
}

bool OutputFile::overwrite(uint64_t offset_bytes, std::span<const std::byte> bytes) {
  if (errno_ != 0) return false;
  if (is_special_) {
    std::copy(bytes.begin(), bytes.end(), buffer_.begin() + static_cast<ptrdiff_t>(offset_bytes));
    return true;
  }
  if (!flush()) return false;
  const ssize_t written = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset_bytes));
  return written == static_cast<ssize_t>(bytes.size()) || note_error();
}

bool OutputFile::commit() {
  if (errno_ != 0) return false;
  if (is_special_) {
    fd_ = above_standard_streams(open(path_.c_str(), O_WRONLY | O_CLOEXEC));
    if (fd_ < 0) return note_error();
  }
  if (!flush()) return false;
  // Closing may take long and fail; so before the draft has a name that a killed process would leave.
  const int kept = fcntl(fd_, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (kept < 0) return note_error();
  if (close(std::exchange(fd_, kept)) != 0) return note_error();
  if (!give_name()) return false;
  if (temporary_.empty()) return true;
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return note_error();
  temporary_.clear();
  return true;
}

// A draft without a name gets its own where nothing is there yet, and a temporary one otherwise: only
// rename replaces what is there.
bool OutputFile::give_name() {
  if (is_special_ || !temporary_.empty()) return true;
  const std::string draft = fd_path(fd_);
  if (linkat(AT_FDCWD, draft.c_str(), AT_FDCWD, path_.c_str(), AT_SYMLINK_FOLLOW) == 0) return true;
  if (errno != EEXIST) return note_error();
  for (int number = 0; number < kMaxNames; ++number) {
    const std::string name = draft_name(path_, number);
    if (linkat(AT_FDCWD, draft.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      temporary_ = name;
      return true;
    }
    if (errno != EEXIST) break;
  }
  return note_error();
}

bool OutputFile::flush() {
  const bool is_good = write_all(fd_, buffer_);
  buffer_.clear();
  return is_good;
}

bool OutputFile::write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty() && errno_ == 0) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR) note_error();
    if (count > 0) bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return errno_ == 0;
}

bool OutputFile::note_error() {
  if (errno_ == 0) errno_ = errno;
  return false;
}

std::string OutputFile::error() const { return std::strerror(errno_); }

bool is_same_file(const std::string& a, const std::string& b) {
  std::error_code error;
  if (std::filesystem::equivalent(a, b, error)) return std::filesystem::is_regular_file(a, error);
  const auto absolute = [&](const std::string& path) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  };
  std::error_code unknown;
  return !std::filesystem::exists(a, unknown) && !std::filesystem::exists(b, unknown) &&
         absolute(a) == absolute(b);
}

std::string why_no_output_file(const std::string& path) {
  OutputFile file(path);
  return file.append({}) ? std::string() : file.error();
}

std::string write_output_file(const std::string& path, std::span<const std::byte> bytes) {
  OutputFile file(path);
  const bool is_good = file.append(bytes) && file.commit();
  return is_good ? std::string() : file.error();
}

}  // namespace neuronc
