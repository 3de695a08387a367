// Implements partition.h: options and hardware model, the split, cores of nodes, the report.
#include "passes/partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "ir/cost.h"
#include "ir/edit.h"
#include "passes/partition_memory.h"
#include "passes/partition_problem.h"

namespace neuronc {
namespace {

// With `cores` 0 a further core is taken only if requests come that much faster.
constexpr double kWorthwhileGain = 1.05;

Expected<void> check_options(const Module& module, const PartitionOptions& options,
                             Diagnostics& diagnostics) {
  Location location;
  location.file = module.message_name();
  if (options.cores < 0 || options.cores > kMaxCores) {
    diagnostics.report(diag::bad_core_count, location, options.cores, kMaxCores);
    return reported();
  }
  return {};
}

std::string bytes_text(double bytes) {
  return bytes < 1048576 ? fmt::format("{:.0f} bytes", bytes)
                         : fmt::format("{:.1f} MiB", bytes / 1048576);
}

// Whether the chips that the cores are on hold the weights, which are there for the life of the
// model.
Expected<void> check_memory(const Module& module, const PartitionProblem& problem,
                            const HardwareModel& hardware, int64_t num_cores,
                            Diagnostics& diagnostics) {
  double weights = 0;
  for (double bytes : problem.split.weight_bytes) weights += bytes;
  const auto holds = [&hardware](int64_t cores) {
    return std::ceil(static_cast<double>(cores) / hardware.cores_per_chip) *
           hardware.dram_bytes_per_chip;
  };
  if (hardware.dram_bytes_per_chip <= 0 || weights <= holds(num_cores)) return {};
  int64_t smallest = num_cores;
  while (smallest <= kMaxCores && weights > holds(smallest)) ++smallest;
  Location location;
  location.file = module.message_name();
  diagnostics.report(diag::weights_do_not_fit, location, bytes_text(weights), num_cores,
                     bytes_text(holds(num_cores)),
                     smallest <= kMaxCores
                         ? fmt::format("{} is the smallest number that holds them", smallest)
                         : fmt::format("no number up to {} holds them", kMaxCores));
  return reported();
}

// The smallest number of cores that no larger one beats by a worthwhile gain.
size_t choose_num_cores(const std::vector<double>& periods) {
  for (size_t k = 0; k < periods.size(); ++k) {
    const double best =
        *std::min_element(periods.begin() + static_cast<std::ptrdiff_t>(k), periods.end());
    if (periods[k] <= best * kWorthwhileGain) return k + 1;
  }
  return 1;
}

class Partitioner {
 public:
  Partitioner(Module& module, PassContext& context)
      : module_(module), graph_(module.graph()), edit_(module.graph()), context_(context) {}

  // All cores share the tiles of every kernel.
  void run_tensor(const PartitionProblem& problem, int64_t num_cores) {
    const CoreRange all{0, static_cast<int32_t>(num_cores)};
    for (NodeId id : problem.kernels) set_cores(id, all);
    for (NodeId id : problem.free_nodes) set_cores(id, all);
    separate_memory(module_, graph_, context_);
  }

  void run(const PartitionProblem& problem, const Split& split) {
    for (size_t i = 0; i < problem.kernels.size(); ++i) {
      const auto after = std::upper_bound(split.begins.begin(), split.begins.end(),
                                          static_cast<size_t>(problem.unit_of_kernel[i]));
      const auto stage = static_cast<int32_t>(after - split.begins.begin()) - 1;
      set_cores(problem.kernels[i], CoreRange::one(stage));
    }
    follow_makers(problem.free_nodes);
    follow_users(problem.free_nodes);
    separate_memory(module_, graph_, context_);
  }

 private:
  void set_cores(NodeId id, CoreRange cores) {
    edit_.set_placement(id, Placement::core, cores);
    std::vector<Graph*> bodies;
    for (const auto& body : graph_.node(id).bodies) bodies.push_back(body.get());
    for (size_t i = 0; i < bodies.size(); ++i) {
      GraphEditor edit(*bodies[i]);
      for (NodeId inner : bodies[i]->nodes()) {
        edit.set_placement(inner, Placement::core, cores);
        for (const auto& body : bodies[i]->node(inner).bodies) bodies.push_back(body.get());
      }
    }
  }

  // Views and concats in place are where the last of what they show is made.
  void follow_makers(const std::vector<NodeId>& free_nodes) {
    for (NodeId id : free_nodes) {
      CoreRange cores;
      for (ValueId operand : graph_.node(id).operands) {
        const NodeId maker = operand ? graph_.producer(operand) : NodeId();
        if (maker && graph_.node(maker).cores.first > cores.first) {
          cores = graph_.node(maker).cores;
        }
      }
      if (!cores.is_none()) set_cores(id, cores);
    }
  }

  // Views of what no core makes are where they are first used.
  void follow_users(const std::vector<NodeId>& free_nodes) {
    for (size_t i = free_nodes.size(); i-- > 0;) {
      const NodeId id = free_nodes[i];
      if (!graph_.node(id).cores.is_none()) continue;
      CoreRange cores;
      for (ValueId result : graph_.node(id).results) {
        for (const Use& use : graph_.value(result).uses) {
          const CoreRange& users = graph_.node(use.node).cores;
          if (!users.is_none() && (cores.is_none() || users.first < cores.first)) cores = users;
        }
      }
      set_cores(id, cores.is_none() ? CoreRange::one(0) : cores);
    }
  }

  Module& module_;
  Graph& graph_;
  GraphEditor edit_;
  PassContext& context_;
};

// Warns where fewer cores are predicted to serve requests faster.
void warn_if_slower(const Module& module, const std::vector<double>& periods, int64_t num_cores,
                    Diagnostics& diagnostics) {
  if (periods.empty() || num_cores < 2) return;
  const size_t used = std::min(periods.size(), static_cast<size_t>(num_cores));
  const auto best =
      std::min_element(periods.begin(), periods.begin() + static_cast<std::ptrdiff_t>(used));
  if (periods[used - 1] <= *best * kWorthwhileGain) return;
  Location location;
  location.file = module.message_name();
  diagnostics.report(diag::slower_with_more_cores, location, num_cores,
                     fmt::format("a request every {:.1f} us", periods[used - 1] / 1e3),
                     static_cast<int64_t>(best - periods.begin()) + 1,
                     fmt::format("one every {:.1f} us", *best / 1e3));
}

void remark_on(const Module& module, const PartitionProblem& problem,
               const std::vector<double>& periods, size_t num_stages, int64_t num_cores,
               Remarks& remarks) {
  remarks.done(module.name, fmt::format("{} kernels on {} cores, a request every {:.1f} us",
                                        problem.kernels.size(), std::max<size_t>(num_stages, 1),
                                        num_stages > 0 ? periods[num_stages - 1] / 1e3 : 0.0));
  if (static_cast<int64_t>(num_stages) < num_cores) {
    remarks.missed(module.name, fmt::format("{} cores are left empty: there are only {} kernels",
                                            num_cores - static_cast<int64_t>(num_stages),
                                            problem.kernels.size()));
  }
  for (size_t k = 0; k + 1 < num_stages; ++k) {
    if (periods[k] > periods[num_stages - 1]) continue;
    remarks.missed(module.name,
                   fmt::format("{} cores would serve requests at the same rate", k + 1));
    break;
  }
}

}  // namespace

Expected<Changed> partition(Module& module, const PartitionOptions& options, PassContext& context) {
  NEURONC_TRY(check_options(module, options, context.diagnostics));
  NEURONC_ASSIGN(const HardwareModel hardware,
                 load_hardware_model(options.hardware, context.diagnostics));
  const PartitionProblem problem = make_partition_problem(module, hardware);
  const int64_t wanted = options.cores > 0
                             ? options.cores
                             : std::min(kMaxCores, static_cast<int64_t>(hardware.cores_per_chip));
  NEURONC_TRY(check_memory(module, problem, hardware, wanted, context.diagnostics));
  const bool shares_tiles =
      options.strategy == "tensor" ||
      (options.strategy == "auto" && options.optimize_for == "latency" && options.cores > 1);
  if (shares_tiles) {
    Partitioner(module, context).run_tensor(problem, wanted);
    return problem.kernels.empty() && problem.free_nodes.empty() ? Changed::no : Changed::yes;
  }
  const std::vector<double> periods = best_periods_ns(problem.split, static_cast<size_t>(wanted));
  size_t num_stages = periods.size();
  if (options.cores == 0 && num_stages > 0) num_stages = choose_num_cores(periods);
  Split split;
  if (num_stages > 0) split = best_split(problem.split, num_stages, periods[num_stages - 1]);
  if (problem.kernels.size() > problem.split.units.size()) {
    context.remarks.missed(module.name, "kernels were split in runs: there are very many");
  }
  warn_if_slower(module, periods, options.cores, context.diagnostics);
  Partitioner(module, context).run(problem, split);
  remark_on(module, problem, periods, num_stages, options.cores, context.remarks);
  return problem.kernels.empty() && problem.free_nodes.empty() ? Changed::no : Changed::yes;
}

namespace {

// The cores in use, 0 to the highest that a kernel stands on. The cores of a team share what a kernel
// computes and reads; what crosses from stage to stage is counted for the first of each team.
class CoreAccounts {
 public:
  CoreAccounts(const Graph& graph, const PartitionProblem& problem) : split_(problem.split) {
    cores_of_unit_.resize(split_.units.size());
    for (size_t i = problem.kernels.size(); i-- > 0;) {
      CoreRange cores = graph.node(problem.kernels[i]).cores;
      if (cores.is_none()) cores = CoreRange::one(0);
      cores_of_unit_[problem.unit_of_kernel[i]] = cores;
      const auto end = static_cast<size_t>(cores.first + cores.count);
      if (reports_.size() < end) reports_.resize(end);
      for (size_t c = first(cores); c < end; ++c) ++reports_[c].num_nodes;
    }
    weights_.resize(reports_.size());
    received_.resize(reports_.size());
  }

  std::vector<CoreReport> finish(const HardwareModel& hardware) && {
    for (size_t u = 0; u < split_.units.size(); ++u) add(split_.units[u], cores_of_unit_[u]);
    for (size_t c = 0; c < reports_.size(); ++c) {
      CoreReport& report = reports_[c];
      report.resident_bytes = std::min(report.weight_bytes, hardware.on_chip_bytes_per_core);
      report.left_bytes = hardware.on_chip_bytes_per_core - report.resident_bytes;
      report.streamed_bytes = report.weight_bytes - report.resident_bytes;
      report.time_ns = report.compute_ns + report.streamed_bytes / split_.memory_bytes_per_ns +
                       (report.received_bytes + report.sent_bytes) / split_.link_bytes_per_ns +
                       static_cast<double>(received_[c].size()) * split_.hand_off_ns;
    }
    return std::move(reports_);
  }

 private:
  static size_t first(const CoreRange& cores) { return static_cast<size_t>(cores.first); }

  void add(const SplitUnit& unit, const CoreRange& cores) {
    const double share = 1.0 / cores.count;
    for (size_t c = first(cores); c < first(cores) + static_cast<size_t>(cores.count); ++c) {
      reports_[c].compute_ns += unit.compute_ns * share;
      for (uint32_t w : unit.weights_used) {
        if (!weights_[c].insert(w).second) continue;
        reports_[c].weight_bytes += split_.weight_bytes[w] * share;
      }
    }
    const size_t core = first(cores);
    for (uint32_t v : unit.values_used) {
      const CarriedValue& value = split_.values[v];
      const size_t maker = first(cores_of_unit_[static_cast<size_t>(value.maker)]);
      if (maker == core) continue;
      if (received_[core].insert(v).second) reports_[core].received_bytes += value.size_bytes;
      if (sent_.insert(v).second) reports_[maker].sent_bytes += value.size_bytes;
    }
  }

  const SplitProblem& split_;
  std::vector<CoreRange> cores_of_unit_;
  std::vector<CoreReport> reports_;
  // What each core has counted already; each value and weight counts once a core.
  std::vector<std::unordered_set<uint32_t>> weights_, received_;
  std::unordered_set<uint32_t> sent_;
};

bool has_teams(const Module& module, const PartitionProblem& problem) {
  return std::any_of(problem.kernels.begin(), problem.kernels.end(),
                     [&](NodeId id) { return module.graph().node(id).cores.count > 1; });
}

std::string sentence_on_more_cores(const std::vector<double>& periods, size_t num_cores,
                                   const std::vector<CoreReport>& cores) {
  if (num_cores >= periods.size()) {
    return fmt::format("{} cores would not help: there are only {} kernels to split", num_cores + 1,
                       periods.size());
  }
  const double now = periods[num_cores - 1];
  const double then = periods[num_cores];
  if (then < now) {
    return fmt::format("{} cores would serve requests {:.2f} times as fast", num_cores + 1,
                       now / then);
  }
  const auto slowest =
      std::max_element(cores.begin(), cores.end(),
                       [](const auto& a, const auto& b) { return a.time_ns < b.time_ns; });
  if (slowest != cores.end() && slowest->num_nodes == 1) {
    return fmt::format("{} cores would not help: the slowest core runs a single kernel",
                       num_cores + 1);
  }
  return fmt::format("{} cores would not help: the hand-over would cost what they gain",
                     num_cores + 1);
}

}  // namespace

Expected<PartitionReport> report_partition(const Module& module, const PartitionOptions& options,
                                           Diagnostics& diagnostics) {
  NEURONC_ASSIGN(const HardwareModel hardware, load_hardware_model(options.hardware, diagnostics));
  const PartitionProblem problem = make_partition_problem(module, hardware);
  PartitionReport report;
  report.strategy = has_teams(module, problem) ? "tensor" : "pipeline";
  report.hardware = hardware.name;
  report.cores = CoreAccounts(module.graph(), problem).finish(hardware);
  const size_t num_used = report.cores.size();
  for (const CoreReport& core : report.cores) {
    report.period_ns = std::max(report.period_ns, core.time_ns);
    report.latency_ns += core.time_ns;
  }
  if (report.strategy == "tensor") report.latency_ns = report.period_ns;
  report.periods_ns = best_periods_ns(problem.split, num_used + 1);
  if (num_used > 0 && report.strategy == "pipeline") {
    report.more_cores = sentence_on_more_cores(report.periods_ns, num_used, report.cores);
  }
  const auto wanted = static_cast<size_t>(std::clamp<int64_t>(options.cores, 0, kMaxCores));
  while (report.cores.size() < wanted) {
    report.cores.push_back({});
    report.cores.back().left_bytes = hardware.on_chip_bytes_per_core;
  }
  return report;
}

std::string to_text(const PartitionReport& report) {
  std::string text = fmt::format("{:>4} {:>7} {:>10} {:>12} {:>12} {:>12} {:>12} {:>12}\n", "core",
                                 "kernels", "time us", "weights KiB", "resident KiB",
                                 "streamed KiB", "received KiB", "sent KiB");
  for (size_t i = 0; i < report.cores.size(); ++i) {
    const CoreReport& core = report.cores[i];
    text += fmt::format("{:>4} {:>7} {:>10.1f} {:>12.1f} {:>12.1f} {:>12.1f} {:>12.1f} {:>12.1f}\n",
                        i, core.num_nodes, core.time_ns / 1e3, core.weight_bytes / 1024,
                        core.resident_bytes / 1024, core.streamed_bytes / 1024,
                        core.received_bytes / 1024, core.sent_bytes / 1024);
  }
  text += fmt::format("`{}`, predicted by the hardware model `{}`: a request every {:.1f} us\n",
                      report.strategy, report.hardware, report.period_ns / 1e3);
  if (!report.more_cores.empty()) text += report.more_cores + "\n";
  return text;
}

}  // namespace neuronc
