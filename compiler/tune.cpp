// Implements tune.h.
#include "compiler/tune.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <set>

#include "backend/cpu_target.h"
#include "backend/variants/lower_group.h"
#include "backend/variants/variant.h"
#include "compiler/tuning_file.h"
#include "ir/edit.h"
#include "ir/kernel/verify.h"
#include "runtime/cpu.h"

namespace neuronc {
namespace {

// Variants predicted to take longer than this many times the chosen one are not measured.
constexpr double kCandidateFactor = 2.5;
// Kernels that take less of the model's predicted time are not worth measuring.
constexpr double kLeastShare = 0.002;
// Keys change with what a measurement means.
constexpr std::string_view kKeyVersion = "tuning 1";

// Groups of equal kernels: one choice for all of them.
struct Problem {
  TuningKey key;
  std::string kernel;
  std::vector<NodeId> groups;
  std::vector<Candidate> candidates;
};

class Tuner {
 public:
  Tuner(Module& module, const Machine& machine)
      : module_(module), graph_(module.graph()), edit_(module.graph()), machine_(machine) {}

  void find_problems();
  // Sets what the table says. Choices that are none any more are put into `stale`.
  void apply(const TuningTable& table, TuningTable& stale);
  // None: it could not be measured.
  std::optional<TuningChoice> measure_problem(const Problem& problem,
                                              const MeasureFunction& measure_ways,
                                              const MeasureOptions& options);

  const std::vector<Problem>& problems() const { return problems_; }
  double weight_bytes() const { return weight_bytes_; }

 private:
  void set(NodeId group, const std::string& variant, const std::string& blocking) {
    edit_.set_attribute(group, "variant", variant);
    edit_.set_attribute(group, "blocking", blocking);
  }
  OrRefusal<LoweredKernel> lower_as(NodeId group, const Candidate& candidate);
  TuningKey key_of(const kernel::Kernel& kernel) const;

  Module& module_;
  Graph& graph_;
  GraphEditor edit_;
  const Machine& machine_;
  std::vector<Problem> problems_;
  double weight_bytes_ = 0;
};

TuningKey Tuner::key_of(const kernel::Kernel& kernel) const {
  const Hash128 options = hash_text(fmt::format("{} O{}", kKeyVersion, machine_.code.opt_level));
  return {to_hex(hash_combine(structural_hash(kernel), options)), machine_.isa.name};
}

OrRefusal<LoweredKernel> Tuner::lower_as(NodeId group, const Candidate& candidate) {
  const OpView now = graph_.node(group).view();
  const std::string variant = now.string("variant"), blocking = now.string("blocking");
  set(group, candidate.variant, to_text(candidate.blocking));
  OrRefusal<LoweredKernel> lowered = lower_group(module_, graph_, group, machine_);
  set(group, variant, blocking);
  if (!lowered) return lowered;
  const std::vector<std::string> errors = kernel::verify(lowered->kernel, 1);
  if (!errors.empty()) return refuse(errors[0]);
  return lowered;
}

void Tuner::find_problems() {
  const CpuTarget target(machine_);
  std::vector<std::pair<NodeId, double>> groups;
  double total_ns = 0;
  for (NodeId id : graph_.nodes()) {
    if (graph_.node(id).op != Op::group || graph_.node(id).placement != Placement::core) continue;
    const GroupCost cost = target.cost(module_, graph_, id, machine_.hardware);
    groups.emplace_back(id, cost.time_ns);
    total_ns += cost.time_ns;
    weight_bytes_ += cost.weight_bytes;
  }
  std::map<TuningKey, size_t> index_of;
  for (const auto& [id, time_ns] : groups) {
    if (time_ns < kLeastShare * total_ns) continue;
    const Graph& body = *graph_.node(id).bodies[0];
    const GroupContext context{module_, graph_, id, body, find_anchor(body), machine_};
    const std::string chosen = graph_.node(id).view().string("variant");
    std::vector<Candidate> ways = candidates(context, chosen, kCandidateFactor);
    if (ways.size() < 2) continue;
    const OrRefusal<LoweredKernel> lowered = lower_as(id, ways[0]);
    if (!lowered) continue;
    const TuningKey key = key_of(lowered->kernel);
    const auto [it, is_new] = index_of.emplace(key, problems_.size());
    if (is_new) problems_.push_back({key, lowered->kernel.name, {}, std::move(ways)});
    problems_[it->second].groups.push_back(id);
  }
}

void Tuner::apply(const TuningTable& table, TuningTable& stale) {
  for (const Problem& problem : problems_) {
    const auto it = table.find(problem.key);
    if (it == table.end()) continue;
    const TuningChoice& choice = it->second;
    const bool is_known = std::any_of(problem.candidates.begin(), problem.candidates.end(),
                                      [&](const Candidate& candidate) {
                                        return candidate.variant == choice.variant &&
                                               to_text(candidate.blocking) == choice.blocking;
                                      });
    if (!is_known) {
      stale.emplace(problem.key, choice);
      continue;
    }
    for (NodeId group : problem.groups) set(group, choice.variant, choice.blocking);
  }
}

std::optional<TuningChoice> Tuner::measure_problem(const Problem& problem,
                                                   const MeasureFunction& measure_ways,
                                                   const MeasureOptions& options) {
  std::vector<LoweredKernel> kernels;
  std::vector<const Candidate*> ways;
  std::set<Hash128> known;
  for (const Candidate& candidate : problem.candidates) {
    auto lowered = lower_as(problem.groups[0], candidate);
    if (!lowered && ways.empty()) return std::nullopt;
    // A blocking that changes nothing gives an equal kernel.
    if (!lowered || !known.insert(structural_hash(lowered->kernel)).second) continue;
    kernels.push_back(std::move(*lowered));
    ways.push_back(&candidate);
  }
  size_t chosen = 0;
  auto rounds = measure_ways(kernels, machine_, options);
  if (!rounds) return std::nullopt;
  chosen = choose_way(*rounds);
  if (chosen != 0) {
    // The best of many is partly the luckiest: it has to win again, alone.
    std::vector<LoweredKernel> both;
    both.push_back(std::move(kernels[0]));
    both.push_back(std::move(kernels[chosen]));
    rounds = measure_ways(both, machine_, options);
    if (!rounds) return std::nullopt;
    const bool wins_again = choose_way(*rounds) == 1;
    if (!wins_again) chosen = 0;
  }
  const Rounds& chosen_rounds = (*rounds)[chosen == 0 ? 0 : 1];
  const auto whole_ns = [](double time_ns) {
    return std::max<int64_t>(static_cast<int64_t>(time_ns), 1);
  };
  return TuningChoice{ways[chosen]->variant, to_text(ways[chosen]->blocking),
                      whole_ns(median((*rounds)[0])), whole_ns(median(chosen_rounds)),
                      to_symbol(problem.kernel)};
}

Module& module_of(Compilation& compilation, size_t machine) {
  return machine == 0 ? compilation.model.module : compilation.further_modules[machine - 1];
}

// The machine whose code the runtime would take here; none: it runs none.
std::optional<size_t> machine_here(const std::vector<Machine>& machines) {
  std::vector<runtime::NeffTarget> targets;
  for (const Machine& machine : machines) {
    targets.push_back({machine.isa.name, {}});
    for (std::string_view feature : machine.isa.features) {
      targets.back().features.emplace_back(feature);
    }
  }
  const runtime::NeffTarget* best =
      runtime::best_target(targets, runtime::cpu_multiplies_bf16_fast());
  if (best == nullptr) return std::nullopt;
  return static_cast<size_t>(best - targets.data());
}

std::string time_text(double time_ns) {
  return time_ns < 1e6 ? fmt::format("{:.1f} us", time_ns * 1e-3)
                       : fmt::format("{:.3f} ms", time_ns * 1e-6);
}

// Of the choices that the table has for the problems.
void report_gain(const std::vector<Problem>& problems, const TuningTable& table,
                 Diagnostics& diagnostics) {
  int64_t num_choices = 0, num_replaced = 0;
  double before_ns = 0, after_ns = 0;
  for (const Problem& problem : problems) {
    const auto it = table.find(problem.key);
    if (it == table.end()) continue;
    const auto count = static_cast<double>(problem.groups.size());
    const TuningChoice& choice = it->second;
    ++num_choices;
    num_replaced +=
        choice.variant == problem.candidates[0].variant && choice.blocking.empty() ? 0 : 1;
    before_ns += count * static_cast<double>(choice.predicted_ns);
    after_ns += count * static_cast<double>(choice.chosen_ns);
  }
  const double gain = before_ns > 0 ? 100 * (1 - after_ns / before_ns) : 0;
  diagnostics.report(diag::tuned, {}, num_replaced, num_choices, time_text(before_ns),
                     fmt::format("{} ({:.1f} % less)", time_text(after_ns), gain));
}

// Forgets a path at which no choices can be kept.
TuningTable read_choices(std::string& path, Diagnostics& diagnostics) {
  if (path.empty()) return {};
  const auto give_up = [&](std::string_view reason) {
    diagnostics.report(diag::tuning_file_unusable, {}, path, reason);
    path.clear();
    return TuningTable();
  };
  auto text = read_tuning_file(path);
  if (!text) return give_up(text.error().reason);
  if (!text->is_tuning_file) return give_up("is a file of another kind");
  if (text->num_bad_lines > 0) {
    diagnostics.report(diag::tuning_file_unusable, {}, path,
                       fmt::format("has {} lines that cannot be read", text->num_bad_lines));
  }
  return std::move(text->choices);
}

}  // namespace

std::string tuning_path(const CompileOptions& options) {
  namespace fs = std::filesystem;
  constexpr const char* kName = "tuning.txt";
  if (!options.tune_file.empty()) return options.tune_file;
  if (!options.cache_dir.empty()) return (fs::path(options.cache_dir) / kName).string();
  const auto folder = [](const char* variable) {
    const char* value = std::getenv(variable);
    return fs::path(value == nullptr ? "" : value);
  };
  if (const fs::path cache = folder("XDG_CACHE_HOME"); cache.is_absolute()) {
    return (cache / "neuronc" / kName).string();
  }
  const fs::path home = folder("HOME");
  return home.is_absolute() ? (home / ".cache" / "neuronc" / kName).string() : std::string();
}

Expected<void> tune(Compilation& compilation, const CompileOptions& options,
                    Diagnostics& diagnostics, const MeasureFunction& measure_ways) {
  std::string path = tuning_path(options);
  TuningTable table = read_choices(path, diagnostics);
  std::vector<Tuner> tuners;
  tuners.reserve(compilation.machines.size());
  TuningTable stale;
  for (size_t i = 0; i < compilation.machines.size(); ++i) {
    tuners.emplace_back(module_of(compilation, i), compilation.machines[i]);
    tuners.back().find_problems();
    tuners.back().apply(table, stale);
  }
  const std::optional<size_t> here = machine_here(compilation.machines);
  if (!here) {
    std::vector<std::string_view> names;
    for (const Machine& machine : compilation.machines) names.push_back(machine.isa.name);
    diagnostics.report(diag::nothing_to_tune_for, {}, fmt::format("{}", fmt::join(names, ", ")));
    return {};
  }
  Tuner& tuner = tuners[*here];
  MeasureOptions measure_options;
  measure_options.weight_bytes = static_cast<int64_t>(tuner.weight_bytes());
  measure_options.num_threads = static_cast<int>(options.num_jobs);
  TuningTable measured;
  const auto total = static_cast<int64_t>(tuner.problems().size());
  int64_t num_done = 0;
  for (const Problem& problem : tuner.problems()) {
    if (!compilation.goes_on({"tune", problem.kernel, num_done++, total})) return reported();
    if (table.contains(problem.key) && !stale.contains(problem.key)) continue;
    const auto choice = tuner.measure_problem(problem, measure_ways, measure_options);
    if (choice) measured.emplace(problem.key, *choice);
  }
  for (const auto& [key, choice] : measured) table.insert_or_assign(key, choice);
  if (!measured.empty() && !path.empty()) {
    auto kept = add_to_tuning_file(path, measured, stale);
    if (kept) {
      table = std::move(*kept);
    } else {
      diagnostics.report(diag::tuning_file_unusable, {}, path, kept.error().reason);
    }
  }
  stale.clear();
  tuner.apply(table, stale);
  report_gain(tuner.problems(), table, diagnostics);
  return {};
}

}  // namespace neuronc
