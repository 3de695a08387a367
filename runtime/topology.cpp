// Implements topology.h by the system's files and calls: no library of NUMA's is needed.
#include "runtime/topology.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <set>

namespace neuronc::runtime {
namespace {

// "0-3,8" as its numbers; what is no such list counts for nothing.
std::vector<int> parse_list(const std::string& text) {
  constexpr int kMost = 1 << 16;
  std::vector<int> numbers;
  const char* at = text.c_str();
  while (*at >= '0' && *at <= '9') {
    char* end = nullptr;
    const long first = std::strtol(at, &end, 10);
    long last = first;
    if (*end == '-') last = std::strtol(end + 1, &end, 10);
    if (first < 0 || last < first || last >= kMost) return {};
    for (long n = first; n <= last; ++n) numbers.push_back(static_cast<int>(n));
    at = *end == ',' ? end + 1 : end;
  }
  return numbers;
}

std::vector<int> read_list(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  std::getline(file, text);
  return parse_list(text);
}

// The mask of more processors than a fixed set holds is read with a larger one.
std::vector<int> usable_processors() {
  for (int count = CPU_SETSIZE; count <= CPU_SETSIZE * 16; count *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(
        CPU_ALLOC(static_cast<size_t>(count)), [](cpu_set_t* s) { CPU_FREE(s); });
    const size_t size = CPU_ALLOC_SIZE(static_cast<size_t>(count));
    if (set == nullptr || sched_getaffinity(0, size, set.get()) != 0) continue;
    std::vector<int> processors;
    for (int i = 0; i < count; ++i) {
      if (CPU_ISSET_S(static_cast<size_t>(i), size, set.get())) processors.push_back(i);
    }
    return processors;
  }
  return {};
}

}  // namespace

Topology Topology::read(const std::string& nodes) {
  Topology topology;
  for (const int id : usable_processors()) topology.processors.push_back({id, 0});
  for (const int node : read_list(nodes + "/online")) {
    const std::vector<int> members = read_list(nodes + "/node" + std::to_string(node) + "/cpulist");
    for (Processor& processor : topology.processors) {
      if (std::find(members.begin(), members.end(), processor.id) != members.end()) {
        processor.node = node;
      }
    }
  }
  return topology;
}

size_t Topology::num_nodes() const {
  std::set<int> nodes;
  for (const Processor& processor : processors) nodes.insert(processor.node);
  return nodes.size();
}

void pin_thread(const Thread& thread, int processor) {
  const auto count = static_cast<size_t>(processor) + 1;
  const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> set(CPU_ALLOC(count),
                                                             [](cpu_set_t* s) { CPU_FREE(s); });
  if (set == nullptr) return;
  const size_t size = CPU_ALLOC_SIZE(count);
  CPU_ZERO_S(size, set.get());
  CPU_SET_S(static_cast<size_t>(processor), size, set.get());
  pthread_setaffinity_np(thread.native_handle(), size, set.get());
}

void prefer_node(void* memory, uint64_t size_bytes, int node) {
  constexpr int kPreferred = 1;  // MPOL_PREFERRED
  constexpr size_t kWordBits = 8 * sizeof(unsigned long);
  if (memory == nullptr || node < 0) return;
  std::vector<unsigned long> mask(static_cast<size_t>(node) / kWordBits + 1, 0);
  mask[static_cast<size_t>(node) / kWordBits] = 1UL << (static_cast<size_t>(node) % kWordBits);
  // Whole pages; the call counts one bit more than there are.
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(memory) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(memory) + size_bytes;
  syscall(SYS_mbind, begin, end - begin, kPreferred, mask.data(), mask.size() * kWordBits + 1, 0);
}

}  // namespace neuronc::runtime
