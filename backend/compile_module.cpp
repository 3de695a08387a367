// Implements compile_module.h.
#include "backend/compile_module.h"

#include <algorithm>
#include <chrono>

#include "backend/llvm/codegen.h"
#include "backend/lower/share_tables.h"
#include "backend/plan/build_plan.h"
#include "backend/plan/host_graph.h"
#include "backend/plan/prepare_host.h"
#include "backend/variants/lower_group.h"
#include "ir/kernel/text.h"

namespace neuronc {
namespace {

class PhaseClock {
 public:
  explicit PhaseClock(std::vector<PhaseTime>& phases) : phases_(phases) {}
  // Ends the running phase under this name.
  void end(std::string_view phase) {
    const auto now = std::chrono::steady_clock::now();
    const auto time = std::chrono::duration_cast<std::chrono::nanoseconds>(now - begin_);
    phases_.push_back({phase, time.count()});
    begin_ = now;
  }

 private:
  std::vector<PhaseTime>& phases_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

Expected<std::vector<std::byte>> generate_code(const KernelTable& kernels, const Machine& machine,
                                               const CompileModuleOptions& options,
                                               const Location& location,
                                               std::vector<PhaseTime>& phases,
                                               Diagnostics& diagnostics) {
  std::vector<KernelSymbol> symbols;
  for (const KernelTable::Entry& entry : kernels.entries()) {
    symbols.push_back({&entry.kernel, entry.symbol, entry.aliases});
  }
  CodegenOptions codegen;
  codegen.isa = machine.isa;
  codegen.opt_level = machine.code.opt_level;
  codegen.is_verified = true;  // by lower_module
  codegen.num_threads = options.num_threads;
  codegen.progress = options.progress;
  CodegenTimes times;
  OrRefusal<std::vector<std::byte>> code = compile_kernels(symbols, codegen, &times);
  phases.push_back({"verify-kernels", times.verify_ns});
  phases.push_back({"llvm", times.llvm_ns});
  phases.push_back({"link", times.link_ns});
  if (code) return std::move(*code);
  diagnostics.report(diag::code_generation_failed, location, code.error().reason);
  return reported();
}

std::string kernels_text(const KernelTable& kernels) {
  std::string text;
  for (const KernelTable::Entry& entry : kernels.entries()) text += print(entry.kernel);
  return text;
}

void measure_memory(CompiledModel& compiled) {
  for (const plan::Lane& lane : compiled.plan.lanes) {
    compiled.peak_arena_bytes = std::max(compiled.peak_arena_bytes, lane.arena_bytes);
    compiled.total_arena_bytes += lane.arena_bytes;
  }
  for (const plan::Team& team : compiled.plan.teams) {
    compiled.peak_arena_bytes = std::max(compiled.peak_arena_bytes, team.shared_bytes);
    compiled.total_arena_bytes += team.shared_bytes;
  }
  for (const plan::Channel& channel : compiled.plan.channels) {
    compiled.channel_bytes += channel.slot_bytes * channel.depth;
  }
}

}  // namespace

Expected<CompiledModel> compile_module(const Module& partitioned, const Machine& machine,
                                       const CompileModuleOptions& options,
                                       Diagnostics& diagnostics) {
  const Location location{partitioned.message_name()};
  if (partitioned.stage != Stage::partitioned) {
    diagnostics.report(diag::not_partitioned, location, name(partitioned.stage));
    return reported();
  }
  CompiledModel compiled;
  compiled.isa = machine.isa.name;
  compiled.features.assign(machine.isa.features.begin(), machine.isa.features.end());
  PhaseClock clock(compiled.phases);
  Module module = partitioned.clone();
  prepare_host(module);
  share_tables(module, machine);
  const LowerFunction lower = [&machine](const Module& m, const Graph& graph, NodeId node,
                                         size_t pass) {
    return lower_group(m, graph, node, machine, pass);
  };
  NEURONC_ASSIGN(LoweredModule lowered, lower_module(module, lower, diagnostics));
  for (const LoweredNode& node : lowered.nodes) {
    compiled.kernels.push_back(report_kernel(module, *node.graph, node.node, machine));
    compiled.kernels.back().symbol = lowered.kernels.entries()[node.kernel.index].symbol;
  }
  clock.end("lower");
  NEURONC_ASSIGN(compiled.plan, build_plan(module, lowered, diagnostics));
  HostGraph host = extract_host_graph(module);
  compiled.host_nir = std::move(host.nir);
  compiled.host_nirc = std::move(host.nirc);
  compiled.constants = lowered.constants.take_tensors();
  measure_memory(compiled);
  clock.end("plan-memory");
  NEURONC_ASSIGN(compiled.code, generate_code(lowered.kernels, machine, options, location,
                                              compiled.phases, diagnostics));
  compiled.kernel_text = kernels_text(lowered.kernels);
  return compiled;
}

}  // namespace neuronc
