// Implements usage_segment.h.
#include "runtime/usage_segment.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace neuronc::runtime {

UsagePlace usage_place() {
  const char* value = std::getenv("NEURON_RT_USAGE");
  const std::string_view wanted = value == nullptr ? "" : value;
  if (wanted == "0") return {.is_published = false};
  if (wanted.empty() || wanted == "1") return {};
  // From now on: the process may change its working directory.
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::absolute(wanted, error);
  return {.folder = error ? std::string(wanted) : folder.string()};
}

bool is_usage_file_owned(int fd) {
  struct flock lock{};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  return fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

// Files that this user may not open or remove are others' to reap. This process's own are not looked at:
// closing any descriptor of a file gives up the locks that the process has on it.
void reap_usage_files(const std::string& folder) {
  const std::string own =
      std::string(kUsagePrefix) + std::to_string(getuid()) + "." + std::to_string(getpid()) + ".";
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(folder, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    const std::string path = it->path().string();
    const std::string name = it->path().filename().string();
    if (!name.starts_with(kUsagePrefix) || name.starts_with(own)) continue;
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) continue;
    if (!is_usage_file_owned(fd)) unlink(path.c_str());
    close(fd);
  }
}

}  // namespace neuronc::runtime
