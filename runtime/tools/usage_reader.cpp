// Implements usage_reader.h.
#include "runtime/tools/usage_reader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "runtime/usage_segment.h"

namespace neuronc::tools {
namespace {

using runtime::UsageModel;
using runtime::UsageSegment;

constexpr std::memory_order kRelaxed = std::memory_order_relaxed;

template <size_t N>
std::string text_of(const char (&chars)[N]) {
  return {chars, strnlen(chars, N)};
}

uint64_t resident_bytes(int64_t pid) {
  std::ifstream file(fmt::format("/proc/{}/statm", pid));
  uint64_t total = 0;
  uint64_t resident = 0;
  if (!(file >> total >> resident)) return 0;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// None while the model is not there, or its owner was stopped in the middle of a change.
std::optional<ModelUsage> read_model(const UsageModel& model) {
  constexpr int kMaxTries = 100;
  for (int i = 0; i < kMaxTries; ++i) {
    const uint32_t before = model.sequence.load(std::memory_order_acquire);
    if (before % 2 != 0) continue;
    ModelUsage usage;
    const bool is_loaded = model.is_loaded.load(kRelaxed) != 0;
    usage.name = text_of(model.name);
    usage.uuid = text_of(model.uuid);
    usage.target = text_of(model.target);
    usage.first_core = model.first_core;
    usage.num_cores = model.num_cores;
    usage.code_bytes = model.code_bytes;
    usage.weight_bytes = model.weight_bytes;
    usage.memory_bytes = model.memory_bytes.load(kRelaxed);
    usage.num_requests = model.num_requests.load(kRelaxed);
    usage.num_failures = model.num_failures.load(kRelaxed);
    usage.latency_ns = model.latency_ns.load(kRelaxed);
    usage.num_in_flight = model.num_in_flight.load(kRelaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (model.sequence.load(kRelaxed) != before) continue;
    if (!is_loaded || usage.name.empty()) return std::nullopt;
    return usage;
  }
  return std::nullopt;
}

ProcessUsage read_segment(const UsageSegment& segment) {
  ProcessUsage usage;
  usage.pid = segment.pid;
  usage.uid = segment.uid;
  usage.command = text_of(segment.command);
  usage.tensor_bytes = segment.tensor_bytes.load(kRelaxed);
  usage.resident_bytes = resident_bytes(usage.pid);
  for (uint32_t core = 0; core < runtime::kUsageCores; ++core) {
    const uint64_t busy_ns = segment.busy_ns[core].load(kRelaxed);
    if (busy_ns > 0) usage.busy_ns[core] = busy_ns;
  }
  for (uint32_t place = 0; place < runtime::kUsageModels; ++place) {
    if (auto model = read_model(segment.models[place])) usage.models[place] = std::move(*model);
  }
  return usage;
}

std::optional<ProcessUsage> read_open_file(int fd) {
  struct stat status{};
  if (fstat(fd, &status) != 0 || status.st_size != sizeof(UsageSegment)) return std::nullopt;
  void* memory = mmap(nullptr, sizeof(UsageSegment), PROT_READ, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return std::nullopt;
  const auto* segment = static_cast<const UsageSegment*>(memory);
  std::optional<ProcessUsage> usage;
  if (segment->magic == runtime::kUsageMagic && segment->version == runtime::kUsageVersion &&
      segment->size_bytes == sizeof(UsageSegment)) {
    std::atomic_thread_fence(std::memory_order_acquire);
    usage = read_segment(*segment);
  }
  munmap(memory, sizeof(UsageSegment));
  return usage;
}

// Calls body(path) for what is in a folder that may be gone or closed to this user.
template <class Body>
void each_entry(const std::filesystem::path& folder, const Body& body) {
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(folder, error);
       !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    body(it->path());
  }
}

void read_folder(const std::string& folder, UsageSample& sample) {
  each_entry(folder, [&](const std::filesystem::path& path) {
    if (!path.filename().string().starts_with(runtime::kUsagePrefix)) return;
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return;
    auto usage = read_open_file(fd);
    if (usage) sample.processes[path.string()] = std::move(*usage);
    close(fd);
  });
}

// A number that names a process; none: another entry of /proc.
std::optional<int64_t> pid_of(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  int64_t pid = 0;
  const auto [rest, status] = std::from_chars(name.data(), name.data() + name.size(), pid);
  if (status != std::errc() || rest != name.data() + name.size()) return std::nullopt;
  return pid;
}

// Segments in the open files of processes, by inode: a child of a fork may have its parent's still. In
// another name space of processes an owner has another number than it wrote down.
class ProcessReader {
 public:
  void read(UsageSample& sample) {
    each_entry("/proc", [&](const std::filesystem::path& process) {
      const auto pid = pid_of(process);
      if (!pid) return;
      each_entry(process / "fd", [&](const std::filesystem::path& file) { look(*pid, file); });
    });
    for (auto& [inode, found] : found_) sample.processes[found.file] = std::move(found.usage);
  }

 private:
  struct Found {
    std::string file;
    ProcessUsage usage;
    bool is_own = false;  // by the number that its owner wrote down
  };

  void look(int64_t pid, const std::filesystem::path& file) {
    std::error_code error;
    if (std::filesystem::read_symlink(file, error) != target_) return;
    const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return;
    struct stat status{};
    auto usage = read_open_file(fd);
    const bool is_known = usage && fstat(fd, &status) == 0;
    close(fd);
    if (!is_known) return;
    const bool is_own = usage->pid == pid;
    Found& found = found_[status.st_ino];
    if (!found.file.empty() && (found.is_own || (!is_own && found.usage.pid <= pid))) return;
    usage->pid = pid;
    usage->resident_bytes = resident_bytes(pid);
    found = {file.string(), std::move(*usage), is_own};
  }

  const std::string target_ = fmt::format("/memfd:{} (deleted)", runtime::kUsageMemory);
  std::map<ino_t, Found> found_;
};

double per_second(uint64_t before, uint64_t now, double seconds) {
  return now > before ? static_cast<double>(now - before) / seconds : 0;
}

}  // namespace

UsageSample sample_usage() {
  UsageSample sample;
  const runtime::UsagePlace place = runtime::usage_place();
  if (!place.folder.empty()) {
    runtime::reap_usage_files(place.folder);
    read_folder(place.folder, sample);
  } else if (place.is_published) {
    ProcessReader().read(sample);
  }
  sample.time_ns =
      std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  return sample;
}

const ModelRates* UsageRates::find(const std::string& file, uint32_t place) const {
  const auto it = std::find_if(models.begin(), models.end(), [&](const ModelRates& rates) {
    return rates.file == file && rates.place == place;
  });
  return it == models.end() ? nullptr : &*it;
}

double UsageRates::busy_of(uint32_t core) const {
  double sum = 0;
  for (const auto& [file, cores] : busy) {
    const auto it = cores.find(core);
    if (it != cores.end()) sum += it->second;
  }
  return sum;
}

// What was not there before, or has come to another model, counts from nothing.
UsageRates rates_between(const UsageSample& before, const UsageSample& now) {
  UsageRates rates;
  rates.seconds = std::max(static_cast<double>(now.time_ns - before.time_ns) * 1e-9, 1e-6);
  static const ProcessUsage kNone;
  for (const auto& [file, process] : now.processes) {
    const auto it = before.processes.find(file);
    const bool is_same = it != before.processes.end() && it->second.pid == process.pid;
    const ProcessUsage& old = is_same ? it->second : kNone;
    for (const auto& [core, busy_ns] : process.busy_ns) {
      const auto found = old.busy_ns.find(core);
      const uint64_t old_ns = found == old.busy_ns.end() ? 0 : found->second;
      rates.busy[file][core] = std::min(per_second(old_ns, busy_ns, rates.seconds) * 1e-9, 1.0);
    }
    for (const auto& [place, model] : process.models) {
      const auto found = old.models.find(place);
      const bool is_known = found != old.models.end() && found->second.uuid == model.uuid &&
                            found->second.num_requests <= model.num_requests;
      const ModelUsage then = is_known ? found->second : ModelUsage();
      ModelRates entry{file, place};
      entry.requests_per_s = per_second(then.num_requests, model.num_requests, rates.seconds);
      entry.failures_per_s = per_second(then.num_failures, model.num_failures, rates.seconds);
      if (model.num_requests > then.num_requests) {
        entry.latency_ms = static_cast<double>(model.latency_ns - then.latency_ns) * 1e-6 /
                           static_cast<double>(model.num_requests - then.num_requests);
      }
      rates.models.push_back(std::move(entry));
    }
  }
  return rates;
}

}  // namespace neuronc::tools
