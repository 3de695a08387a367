// From a partitioned module to everything a NEFF holds: lowers each group, makes native code of the
// kernels, plans memory and steps. The bytes depend on the module and the options alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/kernel_report.h"
#include "backend/machine.h"
#include "backend/plan/lower_module.h"
#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"
#include "ir/graph.h"
#include "ir/plan/plan.h"
#include "ir/tensor.h"

namespace neuronc {

struct CompileModuleOptions {
  int num_threads = 0;  // 0: as many as the process may use
  // Called on the calling thread as kernels become code; false ends the compile. May be empty.
  std::function<bool(int64_t done, int64_t total)> progress;
};

struct PhaseTime {
  std::string_view phase;  // "lower", "plan-memory", "verify-kernels", "llvm", "link"
  int64_t time_ns = 0;
};

struct CompiledModel {
  std::string isa;                    // the target the code is for, "x86-64-v4-bf16"
  std::vector<std::string> features;  // what it must have, by LLVM's names
  std::vector<std::byte> code;        // an ELF shared object
  plan::Plan plan;                    // offsets of constants are for the NEFF writer to fill in
  std::vector<Tensor> constants;      // the bytes of plan.constants, in their order
  std::string host_nir;               // the graph of host nodes; empty without any
  std::string host_nirc;              // its sidecar of constants; empty where it needs none
  std::string kernel_text;            // kernels.nki: every kernel in text form, for the interpreter
  std::vector<KernelReport> kernels;  // one per group or reorder, in execution order
  std::vector<PhaseTime> phases;
  uint64_t peak_arena_bytes = 0;   // the largest arena of a lane
  uint64_t total_arena_bytes = 0;  // of all lanes
  uint64_t channel_bytes = 0;      // of all channels, every slot
};

// `module` is at stage `partitioned`. Errors: NEU0701 (no lowering), NEU0702 (code generation),
// NEU0703 (a plan that does not verify), NEU0705 (an output that no tensor can hold), NEU0706 (a
// module of an earlier stage).
Expected<CompiledModel> compile_module(const Module& module, const Machine& machine,
                                       const CompileModuleOptions& options,
                                       Diagnostics& diagnostics);

}  // namespace neuronc
