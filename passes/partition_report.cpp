// The report of partition.h: what a partitioned module's cores do and hold, and what others would.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "passes/partition.h"
#include "passes/partition_choice.h"

namespace neuronc {
namespace {

// The cores in use, 0 to the highest that a kernel stands on. The cores of a team share what a kernel
// computes and reads; what crosses from stage to stage is counted for the first of each team.
class CoreAccounts {
 public:
  // `split` has the times of the kernels as teams run them.
  CoreAccounts(const Graph& graph, const PartitionProblem& problem, const SplitProblem& split)
      : split_(split) {
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
    stalls_ns_.resize(reports_.size());
  }

  std::vector<CoreReport> finish(const HardwareModel& hardware) && {
    for (size_t u = 0; u < split_.units.size(); ++u) add(split_.units[u], cores_of_unit_[u]);
    for (size_t c = 0; c < reports_.size(); ++c) {
      CoreReport& report = reports_[c];
      report.streamed_bytes = hardware.streamed_bytes(report.weight_bytes, 1);
      report.resident_bytes = report.weight_bytes - report.streamed_bytes;
      report.left_bytes = hardware.on_chip_bytes_per_core - report.resident_bytes;
      report.time_ns = report.compute_ns + moving_ns(c);
    }
    return std::move(reports_);
  }

 private:
  static size_t first(const CoreRange& cores) { return static_cast<size_t>(cores.first); }

  // The cores of a team share what it reads from memory; as in pipeline_split.h.
  double moving_ns(size_t core) const {
    const CoreReport& report = reports_[core];
    const size_t stage = core / static_cast<size_t>(split_.cores_per_stage);
    const bool is_from_other = split_.crosses_chips(stage);
    const bool is_to_other = split_.crosses_chips(stage + 1);
    return (report.weight_bytes > 0 ? stalls_ns_[core] * report.streamed_bytes / report.weight_bytes
                                    : 0) +
           report.received_bytes /
               (is_from_other ? split_.chip_link_bytes_per_ns : split_.link_bytes_per_ns) +
           report.sent_bytes /
               (is_to_other ? split_.chip_link_bytes_per_ns : split_.link_bytes_per_ns) +
           static_cast<double>(received_[core].size()) *
               (is_from_other ? split_.chip_hand_off_ns : split_.hand_off_ns);
  }

  void add(const SplitUnit& unit, const CoreRange& cores) {
    const double share = 1.0 / cores.count;
    for (size_t c = first(cores); c < first(cores) + static_cast<size_t>(cores.count); ++c) {
      reports_[c].compute_ns += unit.compute_ns;
      stalls_ns_[c] += unit.stall_ns;
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
  std::vector<double> stalls_ns_;  // of each core, if it kept none of its weights
  // What each core has counted already; each value and weight counts once a core.
  std::vector<std::unordered_set<uint32_t>> weights_, received_;
  std::unordered_set<uint32_t> sent_;
};

// Stages are teams of equal size, from core 0 on.
int64_t team_of(const Module& module, const PartitionProblem& problem) {
  int64_t team = 1;
  for (NodeId id : problem.kernels) {
    team = std::max<int64_t>(team, module.graph().node(id).cores.count);
  }
  return team;
}

std::vector<PartitionReport::Row> make_table(const Chooser& chooser, const HardwareModel& hardware,
                                             Objective objective) {
  const std::vector<Choice> choices = chooser.choices(kMostTabledCores);
  std::vector<PartitionReport::Row> rows;
  std::vector<const Choice*> taken;
  for (int64_t n = 1; n <= kMostTabledCores; ++n) {
    const Choice* fast = best_choice(choices, n, Objective::latency);
    const Choice* steady = best_choice(choices, n, Objective::throughput);
    if (fast == nullptr || steady == nullptr) continue;
    const Choice& mine = objective == Objective::latency ? *fast : *steady;
    taken.push_back(&mine);
    PartitionReport::Row row;
    row.num_cores = n;
    row.latency_strategy = n == 1 ? "one core" : fast->strategy();
    row.throughput_strategy = n == 1 ? "one core" : steady->strategy();
    row.latency_ns = fast->latency_ns;
    row.period_ns = steady->period_ns;
    const auto copies = static_cast<double>(n);
    row.data_period_ns =
        std::max(choices.front().period_ns / copies,
                 choices.front().streamed_bytes / (hardware.dram_bytes_per_s(copies) * 1e-9));
    row.balance = mine.balance;
    row.moved_bytes = mine.moved_bytes;
    rows.push_back(std::move(row));
  }
  for (size_t i = 0; i + 1 < rows.size(); ++i) {
    rows[i].more_cores = sentence_on(*taken[i], taken[i + 1], rows[i + 1].num_cores, objective);
  }
  return rows;
}

// A request alone: stages one after another, the kernels of each in their order.
std::vector<PartitionReport::Event> make_timeline(const Module& module,
                                                  const PartitionProblem& problem,
                                                  const TensorSplit& tensor) {
  constexpr size_t kMostEvents = 20000;
  const Graph& graph = module.graph();
  std::vector<PartitionReport::Event> events;
  double now = 0;
  for (size_t i = 0; i < problem.kernels.size() && events.size() < kMostEvents; ++i) {
    const NodeId id = problem.kernels[i];
    CoreRange cores = graph.node(id).cores;
    if (cores.is_none()) cores = CoreRange::one(0);
    const int32_t used = tensor.is_shared[i] ? cores.count : 1;
    for (int32_t c = 0; c < used; ++c) {
      events.push_back({cores.first + c, node_label(module, graph, id), now, tensor.times_ns[i]});
    }
    now += tensor.times_ns[i];
  }
  return events;
}

std::string sentence_on_more_cores(const Chooser& chooser, const PartitionReport& report,
                                   const PartitionOptions& options, size_t num_kernels) {
  const auto num_cores = report.num_stages * report.team;
  const int64_t next_cores = num_cores + 1;
  if (report.team == 1 && options.strategy == "pipeline" &&
      report.num_stages >= static_cast<int64_t>(num_kernels)) {
    return fmt::format("{} cores would not help: there are only {} kernels to split", next_cores,
                       num_kernels);
  }
  const bool is_tensor = options.strategy == "tensor" || report.strategy == "tensor";
  const Choice now = chooser.predict(report.num_stages, report.team);
  std::vector<Choice> next;
  if (is_tensor || options.strategy == "auto") next.push_back(chooser.predict(1, next_cores));
  if (!is_tensor) next.push_back(chooser.predict(next_cores, 1));
  const Objective objective = is_tensor                           ? Objective::latency
                              : options.strategy == "pipeline"    ? Objective::throughput
                              : options.optimize_for == "latency" ? Objective::latency
                                                                  : Objective::throughput;
  return sentence_on(now, best_choice(next, next_cores, objective), next_cores, objective);
}

}  // namespace

Expected<PartitionReport> report_partition(const Module& module, const Target& target,
                                           const PartitionOptions& options,
                                           Diagnostics& diagnostics) {
  NEURONC_ASSIGN(const HardwareModel hardware, load_hardware_model(options.hardware, diagnostics));
  const PartitionProblem problem =
      make_partition_problem(module, target, hardware, Tiles::of_kernels);
  const Chooser chooser(problem, hardware);
  PartitionReport report;
  report.hardware = hardware.name;
  report.launch_ns = hardware.launch_ns;
  report.hand_off_ns = hardware.hand_off_ns;
  report.barrier_ns = hardware.barrier_ns;
  report.on_chip_bytes_per_s = hardware.on_chip_bytes_per_s;
  report.dram_bytes_per_s_per_core = hardware.dram_bytes_per_s(static_cast<double>(report.team)) /
                                     static_cast<double>(report.team);
  report.team = team_of(module, problem);
  const TensorSplit tensor = chooser.split_over_team(report.team);
  const SplitProblem split = chooser.problem_of_team(tensor, report.team);
  report.cores = CoreAccounts(module.graph(), problem, split).finish(hardware);
  const auto num_used = static_cast<int64_t>(report.cores.size());
  report.num_stages = num_used / report.team;
  Choice shape;
  shape.stages = report.num_stages;
  shape.team = report.team;
  report.strategy = shape.strategy();
  double streamed_bytes = 0;
  for (int64_t c = 0; c < num_used; ++c) {
    streamed_bytes += report.cores[static_cast<size_t>(c)].streamed_bytes;
    const double time_ns = report.cores[static_cast<size_t>(c)].time_ns;
    report.period_ns = std::max(report.period_ns, time_ns);
    if (c % report.team == 0) report.latency_ns += time_ns;
  }
  if (num_used > 0) {
    const double rate = hardware.dram_bytes_per_s(static_cast<double>(num_used)) * 1e-9;
    report.period_ns = std::max(report.period_ns, streamed_bytes / rate);
  }
  report.groups =
      options.groups > 0 ? options.groups : static_cast<int64_t>(hardware.cores_per_chip);
  if (report.groups > 1) {
    const auto groups = static_cast<double>(report.groups);
    const double rate = hardware.dram_bytes_per_s(static_cast<double>(num_used) * groups) * 1e-9;
    report.strategy = "data";
    report.period_ns = std::max(report.period_ns / groups, streamed_bytes / rate);
  }
  report.latency_ns += hand_over_ns(hardware, report.num_stages, report.team);
  const bool is_for_throughput =
      options.strategy == "pipeline" ||
      (options.strategy == "auto" && options.optimize_for == "throughput");
  report.table =
      make_table(chooser, hardware, is_for_throughput ? Objective::throughput : Objective::latency);
  report.timeline = make_timeline(module, problem, tensor);
  if (num_used > 0) {
    report.more_cores = sentence_on_more_cores(chooser, report, options, problem.kernels.size());
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
  if (report.groups > 1) {
    text += fmt::format(
        "{} groups of {} cores run requests side by side, with one copy of the weights\n",
        report.groups, report.cores.size());
  }
  text += fmt::format("`{}`, predicted by the hardware model `{}`: a request every {:.1f} us\n",
                      report.strategy, report.hardware, report.period_ns / 1e3);
  text += fmt::format("{:>4} {:>12} {:<16} {:>12} {:<16} {:>12} {:>8} {:>12}\n", "N", "latency us",
                      "strategy", "period us", "strategy", "data us", "balance", "traffic KiB");
  for (const PartitionReport::Row& row : report.table) {
    text += fmt::format("{:>4} {:>12.1f} {:<16} {:>12.1f} {:<16} {:>12.1f} {:>7.0f}% {:>12.1f}\n",
                        row.num_cores, row.latency_ns / 1e3, row.latency_strategy,
                        row.period_ns / 1e3, row.throughput_strategy, row.data_period_ns / 1e3,
                        row.balance * 100, row.moved_bytes / 1024);
    if (!row.more_cores.empty()) text += "     " + row.more_cores + "\n";
  }
  if (!report.more_cores.empty()) text += report.more_cores + "\n";
  return text;
}

}  // namespace neuronc
