// Implements partition.h: options and hardware model, the split, cores of nodes.
#include "passes/partition.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/edit.h"
#include "passes/partition_choice.h"
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
  const double weights = problem.stored_weight_bytes;
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

Objective objective_of(const PartitionOptions& options) {
  if (options.strategy == "pipeline") return Objective::throughput;
  if (options.strategy == "tensor") return Objective::latency;
  return options.optimize_for == "throughput" ? Objective::throughput : Objective::latency;
}

bool allows(const PartitionOptions& options, const Choice& choice) {
  if (options.team > 0 && choice.team != options.team) return false;
  if (options.strategy == "pipeline") return choice.team == 1;
  if (options.strategy == "tensor") return choice.stages == 1;
  return true;
}

// The smallest number of cores that no larger one beats by a worthwhile gain.
Choice choose_num_cores(const std::vector<Choice>& choices, Objective objective) {
  Choice best;
  double best_ns = std::numeric_limits<double>::infinity();
  for (const Choice& choice : choices) best_ns = std::min(best_ns, choice.time_ns(objective));
  const auto limit = best_ns * kWorthwhileGain;
  for (const Choice& choice : choices) {
    if (choice.time_ns(objective) > limit) continue;
    return *best_choice(choices, choice.num_cores(), objective);
  }
  return best;
}

// Stages of teams for exactly `options.cores` cores, or fewer stages where there are too few kernels.
Choice choose_split(const Chooser& chooser, const PartitionOptions& options, Objective objective) {
  Choice best;
  best.latency_ns = best.period_ns = std::numeric_limits<double>::infinity();
  for (int64_t team = 1; team <= options.cores; ++team) {
    if (options.cores % team != 0) continue;
    Choice wanted;
    wanted.team = team;
    wanted.stages = options.cores / team;
    if (!allows(options, wanted)) continue;
    const Choice choice = chooser.predict(wanted.stages, team);
    if (choice.time_ns(objective) < best.time_ns(objective)) best = choice;
  }
  return best;
}

class Partitioner {
 public:
  Partitioner(Module& module, PassContext& context)
      : module_(module), graph_(module.graph()), edit_(module.graph()), context_(context) {}

  void run(const PartitionProblem& problem, const Split& split, const TensorSplit& tensor,
           int64_t team) {
    team_ = static_cast<int32_t>(team);
    for (size_t i = 0; i < problem.kernels.size(); ++i) {
      const auto after = std::upper_bound(split.begins.begin(), split.begins.end(),
                                          static_cast<size_t>(problem.unit_of_kernel[i]));
      const auto stage = static_cast<int32_t>(after - split.begins.begin()) - 1;
      const NodeId id = problem.kernels[i];
      set_cores(id, CoreRange{stage * team_, team_});
      if (team > 1 && !tensor.is_shared[i] && graph_.node(id).op == Op::group) {
        edit_.set_attribute(id, "is_shared", int64_t{0});
      }
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
      set_cores(id, cores.is_none() ? CoreRange{0, team_} : cores);
    }
  }

  Module& module_;
  Graph& graph_;
  GraphEditor edit_;
  PassContext& context_;
  int32_t team_ = 1;
};

std::string time_text(const Choice& choice, Objective objective) {
  return objective == Objective::latency
             ? fmt::format("{:.1f} us a request", choice.latency_ns / 1e3)
             : fmt::format("a request every {:.1f} us", choice.period_ns / 1e3);
}

// Warns where fewer cores are predicted to be faster.
void warn_if_slower(const Module& module, const std::vector<Choice>& choices, const Choice& taken,
                    int64_t num_cores, Objective objective, Diagnostics& diagnostics) {
  const Choice* best = nullptr;
  for (const Choice& choice : choices) {
    if (choice.num_cores() >= num_cores) continue;
    if (best == nullptr || choice.time_ns(objective) < best->time_ns(objective)) best = &choice;
  }
  if (best == nullptr) return;
  if (taken.time_ns(objective) <= best->time_ns(objective) * kWorthwhileGain) return;
  Location location;
  location.file = module.message_name();
  diagnostics.report(diag::slower_with_more_cores, location, num_cores, time_text(taken, objective),
                     best->num_cores(), time_text(*best, objective));
}

void remark_on(const Module& module, const PartitionProblem& problem,
               const std::vector<Choice>& choices, const Choice& taken, int64_t num_cores,
               Remarks& remarks) {
  remarks.done(module.name, fmt::format("{} kernels on {} cores ({}), a request every {:.1f} us",
                                        problem.kernels.size(), taken.num_cores(), taken.strategy(),
                                        taken.period_ns / 1e3));
  if (taken.num_cores() < num_cores) {
    remarks.missed(module.name, fmt::format("{} cores are left empty: there are only {} kernels",
                                            num_cores - taken.num_cores(), problem.kernels.size()));
  }
  if (taken.team > 1) return;
  for (const Choice& choice : choices) {
    if (choice.num_cores() >= taken.num_cores() || choice.period_ns > taken.period_ns) continue;
    remarks.missed(module.name, fmt::format("{} cores would serve requests at the same rate",
                                            choice.num_cores()));
    break;
  }
}

// What the other cores of a team wait for, where it is worth a word.
void remark_on_unshared(const Module& module, const PartitionProblem& problem, Remarks& remarks) {
  constexpr double kWorthOfAll = 0.02;
  double all_ns = 0;
  for (const TensorUnit& unit : problem.tensor_units) all_ns += unit.time_ns;
  for (size_t i = 0; i < problem.kernels.size(); ++i) {
    const double time_ns = problem.tensor_units[i].time_ns;
    if (problem.why_alone[i].empty() || time_ns < all_ns * kWorthOfAll) continue;
    remarks.missed(node_label(module, module.graph(), problem.kernels[i]),
                   fmt::format("one core computes it ({:.1f} us) for its team: {}", time_ns / 1e3,
                               problem.why_alone[i]));
  }
}

}  // namespace

Expected<Changed> partition(Module& module, const PartitionOptions& options, PassContext& context) {
  NEURONC_TRY(check_options(module, options, context.diagnostics));
  NEURONC_ASSIGN(const HardwareModel hardware,
                 load_hardware_model(options.hardware, context.diagnostics));
  // A team that is told its size has been chosen, and judged, before.
  const Tiles tiles = options.cores == 1 || options.team == 1 || options.strategy == "pipeline"
                          ? Tiles::one
                          : Tiles::of_kernels;
  const PartitionProblem problem = make_partition_problem(module, context.target, hardware, tiles);
  const int64_t wanted = options.cores > 0
                             ? options.cores
                             : std::min(kMaxCores, static_cast<int64_t>(hardware.cores_per_chip));
  NEURONC_TRY(check_memory(module, problem, hardware, wanted, context.diagnostics));
  const Objective objective = objective_of(options);
  const Chooser chooser(problem, hardware);
  std::vector<Choice> choices;
  if (options.cores != 1 && options.team == 0)
    choices = chooser.choices(std::min(wanted, kMostTabledCores));
  std::erase_if(choices, [&](const Choice& choice) { return !allows(options, choice); });
  const Choice taken = options.cores == 0 ? choose_num_cores(choices, objective)
                                          : choose_split(chooser, options, objective);
  const TensorSplit tensor = chooser.split_over_team(taken.team);
  const SplitProblem split_problem = chooser.problem_of_team(tensor, taken.team);
  Split split;
  if (!problem.kernels.empty()) {
    split = best_split(split_problem, static_cast<size_t>(taken.stages), taken.period_ns);
  }
  if (problem.kernels.size() > problem.split.units.size()) {
    context.remarks.missed(module.name, "kernels were split in runs: there are very many");
  }
  warn_if_slower(module, choices, taken, options.cores, objective, context.diagnostics);
  Partitioner(module, context).run(problem, split, tensor, taken.team);
  remark_on(module, problem, choices, taken, options.cores, context.remarks);
  if (taken.team > 1) remark_on_unshared(module, problem, context.remarks);
  return problem.kernels.empty() && problem.free_nodes.empty() ? Changed::no : Changed::yes;
}

}  // namespace neuronc
