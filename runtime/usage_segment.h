// What a process that uses libnrt publishes for `neuron-top`: a small file of shared memory with counters.
//
// It has no name: readers find it among the open files of a process, and it is gone with the process,
// however that ends; so does NEURON_RT_USAGE=1. NEURON_RT_USAGE=0 publishes nothing, and any other value
// names a folder: a file `neuron-rt.UID.PID.N` there, for readers that do not see the process itself. Its
// owner holds a lock on such a file for as long as it lives: one without was left by a process that was
// killed, and whoever looks may remove it. Counters are written with relaxed atomics; what describes a model is behind a
// sequence that is odd while it changes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace neuronc::runtime {

inline constexpr std::string_view kUsagePrefix = "neuron-rt.";
inline constexpr const char* kUsageMemory = "neuron-rt";  // of a segment without a name
inline constexpr uint64_t kUsageMagic = 0x3153'5547'4152'4e01;
inline constexpr uint32_t kUsageVersion = 1;
inline constexpr uint32_t kUsageCores = 1024;  // as many as there can be
inline constexpr uint32_t kUsageModels = 64;   // further ones are not shown

struct UsageModel {
  std::atomic<uint32_t> sequence{0};
  std::atomic<uint32_t> is_loaded{0};
  char name[64] = {};
  char uuid[40] = {};
  char target[32] = {};
  uint32_t first_core = 0;
  uint32_t num_cores = 0;
  uint64_t code_bytes = 0;
  uint64_t weight_bytes = 0;
  std::atomic<uint64_t> memory_bytes{0};  // changes while requests run
  std::atomic<uint64_t> num_requests{0};  // that have ended
  std::atomic<uint64_t> num_failures{0};  // of these
  std::atomic<uint64_t> latency_ns{0};    // of these, together
  std::atomic<uint32_t> num_in_flight{0};
  uint32_t unused = 0;
};

struct UsageSegment {
  uint64_t magic = 0;
  uint32_t version = 0;
  uint32_t size_bytes = 0;
  int32_t pid = 0;
  uint32_t uid = 0;
  int64_t started_ns = 0;  // since 1970
  char command[64] = {};
  uint32_t num_visible_cores = 0;
  uint32_t unused = 0;
  std::atomic<uint64_t> tensor_bytes{0};
  std::atomic<uint64_t> busy_ns[kUsageCores] = {};  // by logical core
  UsageModel models[kUsageModels];
};

static_assert(std::atomic<uint64_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<uint64_t>) == 8 && sizeof(std::atomic<uint32_t>) == 4);

// Where segments are, by the environment of the caller.
struct UsagePlace {
  bool is_published = true;
  std::string folder;  // empty: in the open files of their processes
};
UsagePlace usage_place();

// Whether a process holds the lock on the file that is open as `fd`.
bool is_usage_file_owned(int fd);

// Removes the files of processes that are gone.
void reap_usage_files(const std::string& folder);

}  // namespace neuronc::runtime
