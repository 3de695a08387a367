// The facts of a NEFF that people ask for: what `inspect` tabulates and `diff` compares. They come
// from its neff.json, which is what was said of it when it was made.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/include/neuronc/compiler.h"

namespace neuronc {

struct NeffSummary {
  struct Tensor {
    std::string name;
    std::string type;  // "f32[1,3,224,224]"
  };
  struct Kernel {
    std::string symbol;
    std::string variant;  // empty: a default lowering
    std::vector<std::string> nodes;
    int64_t core = 0;
    double time_ns = 0;  // predicted; 0: not
  };
  struct Target {
    std::string isa;
    bool runs_here = false;
    double code_bytes = 0;
    double arena_bytes = 0;  // of all cores
    double channel_bytes = 0;
  };

  std::string name;
  std::string uuid;
  std::string compiler;
  int64_t num_neuroncores = 0;
  std::string strategy;    // of the partition: "tensor"
  int64_t num_groups = 1;  // of that many cores each that the runtime loads it onto
  double neff_bytes = 0;
  double weight_bytes = 0;
  double num_operations = 0;  // after optimizations
  double num_host_operations = 0;
  double latency_us = 0;  // predicted, of a request alone; 0: not
  double period_us = 0;   // between requests
  std::string hardware;   // the model that predicted
  std::map<std::string, std::string> options;
  std::vector<Tensor> inputs, outputs;
  std::vector<Target> targets;  // the best last
  std::string target_here;
  std::vector<Kernel> kernels;                    // of the best target
  std::map<std::string, std::string> host_nodes;  // node -> operator and reason
};

// Members that neff.json lacks, or that are of another type, are left empty.
NeffSummary summarize(const InspectResult& inspected);

}  // namespace neuronc
