// Writes `neff.json`: what a compiled model is, for people and tools. Of it the runtime reads
// `targets`.
//
//   format        1
//   model         name, hash of the file, operations: in model, after optimizations, placed where
//   compiler      version, LLVM's version, the options that made the file
//   inputs, outputs   name, dtype, shape (null: known at run time); of indices what they are below
//   targets       instruction set, features that it needs, cores, groups of them (if not 1), bytes
//                 of arenas and channels; the runtime takes the last one that the machine has the
//                 features for
//   partition     what the partitioner reported, if it ran
//   kernels       isa, symbol, core, variant, model nodes behind it, predicted cost
//   host_nodes    what the host runs, with the reason
//   constants     name, bytes, hash
// Keys are in a fixed order and nothing depends on time or place, so equal compiles give equal
// bytes.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/compile_module.h"

namespace neuronc {

struct NeffJsonInfo {
  std::string compiler_version;
  std::string llvm_version;
  std::vector<std::pair<std::string, std::string>> options;  // name and value, as given or default
  std::string model_hash;  // hexadecimal, of the model file's content

  int64_t num_ops_in_model = 0;
  int64_t num_ops_after_optimizations = 0;
  int64_t num_ops_on_cores = 0;
  int64_t num_ops_on_host = 0;
  struct HostNode {
    std::string node;
    std::string op;
    std::string reason;
  };
  std::vector<HostNode> host_nodes;

  std::map<std::string, int64_t> index_bounds;  // what elements of an input are below
  std::string partition_report;                 // a JSON text; empty: none
  int64_t num_groups = 1;  // of cores that run requests side by side, unless a load says otherwise
};

// `compiled`: the same model for each target, the least demanding first.
std::string neff_json(std::span<const CompiledModel> compiled, const NeffJsonInfo& info);

}  // namespace neuronc
