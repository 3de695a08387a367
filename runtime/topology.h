// Where threads may run and what memory is near them: the processors of this process and their NUMA nodes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ir/base/thread.h"

namespace neuronc::runtime {

struct Processor {
  int id = 0;    // of the system
  int node = 0;  // 0 where the system says nothing
};

struct Topology {
  std::vector<Processor> processors;  // that the process may use, ascending

  // `nodes` is the system's folder of NUMA nodes.
  static Topology read(const std::string& nodes = "/sys/devices/system/node");

  size_t num_nodes() const;  // of these processors
  // The processor that stands for a logical core; nullptr if there are too few.
  const Processor* of_core(uint32_t core) const {
    return core < processors.size() ? &processors[core] : nullptr;
  }
};

// Keeps the thread on one processor; that it cannot be is no fault.
void pin_thread(const Thread& thread, int processor);

// Prefers a node for pages that nobody has touched; likewise.
void prefer_node(void* memory, uint64_t size_bytes, int node);

}  // namespace neuronc::runtime
