// Implements publication.h.
#include "runtime/publication.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <new>

#include "ir/base/command.h"
#include "ir/base/descriptor.h"
#include "ir/base/text.h"

namespace neuronc::runtime {
namespace {

constexpr std::memory_order kRelaxed = std::memory_order_relaxed;

std::string command_of_this_process() {
  std::ifstream file("/proc/self/comm");
  std::string name;
  std::getline(file, name);
  return name;
}

// Fills up with zero bytes; cut to fit, with one at the end.
template <size_t N>
void store(char (&target)[N], std::string_view text) {
  std::memset(target, 0, N);
  std::memcpy(target, text.data(), std::min(text.size(), N - 1));
}

}  // namespace

Publication::Publication(uint32_t num_visible_cores) : pid_(getpid()) {
  const UsagePlace place = usage_place();
  if (!place.folder.empty()) {
    reap_usage_files(place.folder);
    if (const int error = create_in(place.folder); error != 0) {
      print_error("nrt: warning: NEURON_RT_USAGE: nothing can be published in `{}`: {}\n",
                  printable_lines(place.folder), std::strerror(error));
    }
  } else if (place.is_published) {
    create();
  }
  if (segment_ == nullptr) segment_ = new UsageSegment;
  fill(num_visible_cores);
}

// Memory is there before it is written to: that there is none left is no fault of the model's.
void* Publication::map(int fd) {
  errno = posix_fallocate(fd, 0, sizeof(UsageSegment));
  if (errno != 0) return MAP_FAILED;
  return mmap(nullptr, sizeof(UsageSegment), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

void Publication::create() {
  const int fd = above_standard_streams(memfd_create(kUsageMemory, MFD_CLOEXEC));
  if (fd < 0) return;
  void* memory = map(fd);
  if (memory == MAP_FAILED) {
    close(fd);
    return;
  }
  fd_ = fd;
  segment_ = new (memory) UsageSegment;
}

// The file gets its name when its owner has the lock, so that nobody takes it for one left behind.
int Publication::create_in(const std::string& folder) {
  const int fd = above_standard_streams(open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (fd < 0) return errno;
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  void* memory = fcntl(fd, F_SETLK, &lock) == 0 ? map(fd) : MAP_FAILED;
  if (memory == MAP_FAILED) {
    const int error = errno;
    close(fd);
    return error;
  }
  // A process may publish again, after nrt_close or beside another copy of the library; and one of
  // another name space may have the same number.
  constexpr int kMaxFiles = 64;
  for (int i = 0; i < kMaxFiles && path_.empty(); ++i) {
    const std::string path = folder + "/" + std::string(kUsagePrefix) + std::to_string(getuid()) +
                             "." + std::to_string(pid_) + "." + std::to_string(i);
    const std::string self = "/proc/self/fd/" + std::to_string(fd);
    if (linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      path_ = path;
    } else if (errno != EEXIST) {
      break;
    }
  }
  if (path_.empty()) {
    const int error = errno;
    munmap(memory, sizeof(UsageSegment));
    close(fd);
    return error;
  }
  fd_ = fd;
  segment_ = new (memory) UsageSegment;
  return 0;
}

void Publication::fill(uint32_t num_visible) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  segment_->pid = pid_;
  segment_->uid = getuid();
  segment_->started_ns = now / std::chrono::nanoseconds(1);
  segment_->num_visible_cores = num_visible;
  store(segment_->command, command_of_this_process());
  segment_->size_bytes = sizeof(UsageSegment);
  segment_->version = kUsageVersion;
  // Who sees this sees the rest.
  std::atomic_thread_fence(std::memory_order_release);
  segment_->magic = kUsageMagic;
}

Publication::~Publication() {
  if (fd_ < 0) {
    delete segment_;
    return;
  }
  remove_file();
  munmap(segment_, sizeof(UsageSegment));
  close(fd_);
}

void Publication::remove_file() {
  if (path_.empty() || pid_ != getpid()) return;
  unlink(path_.c_str());
  path_.clear();
}

void Publication::abandon() {
  if (fd_ >= 0) close(fd_);
  path_.clear();
}

UsageModel* Publication::take_place() {
  const std::lock_guard lock(mutex_);
  for (UsageModel& place : segment_->models) {
    if (place.is_loaded.load(kRelaxed) != 0) continue;
    place.sequence.fetch_add(1, std::memory_order_acq_rel);
    place.name[0] = 0;
    place.num_requests.store(0, kRelaxed);
    place.num_failures.store(0, kRelaxed);
    place.latency_ns.store(0, kRelaxed);
    place.num_in_flight.store(0, kRelaxed);
    place.is_loaded.store(1, kRelaxed);
    place.sequence.fetch_add(1, std::memory_order_release);
    return &place;
  }
  return nullptr;
}

void Publication::describe(UsageModel& place, const nrt_model_info_t& info) {
  place.sequence.fetch_add(1, std::memory_order_acq_rel);
  store(place.name, info.name);
  store(place.uuid, info.uuid);
  store(place.target, info.target);
  place.first_core = info.first_nc;
  place.num_cores = info.nc_count;
  place.code_bytes = info.code_bytes;
  place.weight_bytes = info.weight_bytes;
  place.memory_bytes.store(info.memory_bytes, kRelaxed);
  place.sequence.fetch_add(1, std::memory_order_release);
}

void Publication::give_back(UsageModel& place) {
  const std::lock_guard lock(mutex_);
  place.sequence.fetch_add(1, std::memory_order_acq_rel);
  place.is_loaded.store(0, kRelaxed);
  place.sequence.fetch_add(1, std::memory_order_release);
}

PublishedModel::PublishedModel(std::shared_ptr<Publication> publication)
    : publication_(std::move(publication)) {
  UsageModel* place = publication_ == nullptr ? nullptr : publication_->take_place();
  if (place != nullptr) place_ = place;
}

PublishedModel::~PublishedModel() {
  if (place_ != &own_) publication_->give_back(*place_);
}

}  // namespace neuronc::runtime
