// Reads what the processes of this machine publish (runtime/usage_segment.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace neuronc::tools {

struct ModelUsage {
  std::string name, uuid, target;
  uint32_t first_core = 0;
  uint32_t num_cores = 0;
  uint64_t code_bytes = 0;
  uint64_t weight_bytes = 0;
  uint64_t memory_bytes = 0;
  uint64_t num_requests = 0;
  uint64_t num_failures = 0;
  uint64_t latency_ns = 0;
  uint32_t num_in_flight = 0;
};

struct ProcessUsage {
  int64_t pid = 0;
  uint32_t uid = 0;
  std::string command;
  uint64_t tensor_bytes = 0;
  uint64_t resident_bytes = 0;            // of the whole process; 0: not known
  std::map<uint32_t, uint64_t> busy_ns;   // by logical core, those that have been
  std::map<uint32_t, ModelUsage> models;  // by their place
};

struct UsageSample {
  int64_t time_ns = 0;
  std::map<std::string, ProcessUsage> processes;  // by their file
};

// Files that cannot be read or are of another version are passed over, those that dead processes left
// are removed.
UsageSample sample_usage();

// What happened between two samples.
struct ModelRates {
  std::string file;
  uint32_t place = 0;
  double requests_per_s = 0;
  double failures_per_s = 0;
  double latency_ms = 0;  // the mean of those that ended; 0: none
};
struct UsageRates {
  double seconds = 0;
  std::map<std::string, std::map<uint32_t, double>> busy;  // by file and core: the share, 0 to 1
  std::vector<ModelRates> models;

  const ModelRates* find(const std::string& file, uint32_t place) const;
  double busy_of(uint32_t core) const;  // all processes
};
UsageRates rates_between(const UsageSample& before, const UsageSample& now);

}  // namespace neuronc::tools
