// Reads profile traces: profile_report.h.
#include "runtime/tools/profile_report.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "runtime/tools/profile_events.h"

namespace neuronc::tools {
namespace {

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

class Summary {
 public:
  explicit Summary(const ProfileTrace& trace) : trace_(trace) {}

  ProfileReport sum_up() {
    copy_description();
    sum_up_requests();
    sum_up_steps();
    sum_up_cores();
    judge_prediction();
    return std::move(report_);
  }

 private:
  void copy_description() {
    report_.model = trace_.model;
    report_.target = trace_.target;
    report_.strategy = trace_.strategy;
    report_.hardware = trace_.hardware;
    report_.cores_per_stage = trace_.cores_per_stage;
    report_.num_dropped = trace_.num_dropped;
    report_.predicted_latency_us = trace_.predicted_latency_us;
    report_.predicted_period_us = trace_.predicted_period_us;
  }

  void sum_up_requests() {
    std::vector<double> latencies;
    std::vector<double> ends;
    for (const ProfileTrace::Request& request : trace_.requests) {
      latencies.push_back(request.end_us - request.begin_us);
      ends.push_back(request.end_us);
    }
    report_.num_requests = latencies.size();
    report_.latency_us = median(latencies);
    std::sort(ends.begin(), ends.end());
    if (ends.size() > 1) {
      report_.period_us = (ends.back() - ends.front()) / static_cast<double>(ends.size() - 1);
    }
  }

  void sum_up_steps() {
    std::map<std::pair<int64_t, int64_t>, std::vector<double>> times;
    std::map<std::pair<int64_t, int64_t>, const ProfileEvent*> first;
    for (const ProfileEvent& event : trace_.measured) {
      times[{event.lane, event.step}].push_back(event.duration_us);
      first.emplace(std::pair(event.lane, event.step), &event);
    }
    for (auto& [place, durations] : times) {
      const ProfileEvent& event = *first[place];
      StepProfile step;
      step.core = trace_.thread_name(event.thread);
      step.lane = event.lane;
      step.step = event.step;
      step.name = event.name;
      step.kind = event.kind;
      step.variant = event.variant;
      step.nodes = event.nodes;
      step.median_us = median(std::move(durations));
      step.predicted_us = event.predicted_us;
      step.flops = event.flops;
      step.bytes = event.bytes;
      report_.steps.push_back(std::move(step));
    }
  }

  void sum_up_cores() {
    double begin_us = HUGE_VAL;
    double end_us = 0;
    for (const ProfileTrace::Request& request : trace_.requests) {
      begin_us = std::min(begin_us, request.begin_us);
      end_us = std::max(end_us, request.end_us);
    }
    const double window_us = std::max(end_us - begin_us, 1e-9);
    std::map<int64_t, CoreProfile> cores;
    for (const ProfileEvent& event : trace_.measured) {
      CoreProfile& core = cores[event.thread];
      core.lane = event.lane;
      (event.kind == "wait" ? core.waits : core.busy) += event.duration_us / window_us;
    }
    for (auto& [thread, core] : cores) {
      core.name = trace_.thread_name(thread);
      core.idle = std::max(0.0, 1 - core.busy - core.waits);
      for (const StepProfile& step : report_.steps) {
        if (step.lane != core.lane || step.kind == "wait") continue;
        core.work_us += step.median_us;
        core.predicted_us += step.predicted_us;
      }
      report_.cores.push_back(core);
    }
  }

  void judge_prediction() {
    std::vector<double> errors;
    double difference_us = 0;
    double sum_us = 0;
    for (const StepProfile& step : report_.steps) {
      if (step.kind != "kernel" || step.predicted_us <= 0 || step.median_us <= 0) continue;
      const double error_us = std::abs(step.median_us - step.predicted_us);
      errors.push_back(error_us / step.median_us);
      difference_us += error_us;
      sum_us += step.median_us;
    }
    if (errors.empty()) return;
    report_.median_error = median(errors);
    report_.weighted_error = difference_us / sum_us;
    std::map<int64_t, std::pair<double, double>>
        stages;  // measured and predicted, the slowest core's
    for (const CoreProfile& core : report_.cores) {
      if (core.name.starts_with("host")) continue;
      auto& [measured, predicted] = stages[core.lane / report_.cores_per_stage];
      measured = std::max(measured, core.work_us);
      predicted = std::max(predicted, core.predicted_us);
    }
    for (const auto& [stage, times] : stages) {
      if (times.first > stages[report_.slowest_stage].first) report_.slowest_stage = stage;
      if (times.second > stages[report_.predicted_slowest_stage].second) {
        report_.predicted_slowest_stage = stage;
      }
    }
  }

  const ProfileTrace& trace_;
  ProfileReport report_;
};

std::string joined_nodes(const StepProfile& step) {
  std::string text;
  for (const std::string& node : step.nodes) text += (text.empty() ? "" : " + ") + node;
  return text.empty() ? step.name : text;
}

// A number per microsecond in thousands: "-" where there is none.
std::string rate(double amount, double time_us) {
  return amount > 0 && time_us > 0 ? fmt::format("{:.1f}", amount / time_us * 1e-3) : "-";
}

std::string steps_text(const ProfileReport& report, size_t num_steps) {
  std::vector<const StepProfile*> longest;
  double sum_us = 0;
  for (const StepProfile& step : report.steps) {
    longest.push_back(&step);
    sum_us += step.median_us;
  }
  std::stable_sort(longest.begin(), longest.end(), [](const StepProfile* a, const StepProfile* b) {
    return a->median_us > b->median_us;
  });
  longest.resize(std::min(longest.size(), num_steps));
  std::string text = fmt::format("{:>10} {:>10} {:>6} {:>8} {:>7} {:<8} {:<8} {}\n", "time us",
                                 "predicted", "share", "GFLOP/s", "GB/s", "core", "kind", "nodes");
  for (const StepProfile* step : longest) {
    text += fmt::format("{:>10.1f} {:>10} {:>5.1f}% {:>8} {:>7} {:<8} {:<8} {}\n", step->median_us,
                        step->predicted_us > 0 ? fmt::format("{:.1f}", step->predicted_us) : "-",
                        step->median_us / std::max(sum_us, 1e-9) * 100,
                        rate(step->flops, step->median_us), rate(step->bytes, step->median_us),
                        step->core, step->kind, joined_nodes(*step));
  }
  return text;
}

}  // namespace

int64_t ProfileReport::num_stages() const {
  int64_t lanes = 0;
  for (const CoreProfile& core : cores) {
    if (!core.name.starts_with("host")) lanes = std::max(lanes, core.lane + 1);
  }
  return (lanes + cores_per_stage - 1) / cores_per_stage;
}

ProfileReport sum_up(const ProfileTrace& trace) { return Summary(trace).sum_up(); }

Outcome<ProfileReport> read_profile(const std::string& file) {
  auto trace = read_trace(file);
  if (!trace) return tl::unexpected(trace.error());
  return sum_up(*trace);
}

std::string to_text(const ProfileReport& report, size_t num_steps) {
  std::string text =
      fmt::format("{}: {} requests, `{}`, target {}\n", report.model, report.num_requests,
                  report.strategy.empty() ? "one core" : report.strategy, report.target);
  text += fmt::format("latency {:.1f} us, a result every {:.1f} us", report.latency_us,
                      report.period_us);
  if (!report.hardware.empty()) {
    text += fmt::format("; predicted {:.1f} us, {:.1f} us (hardware model `{}`)",
                        report.predicted_latency_us, report.predicted_period_us, report.hardware);
  }
  text += "\n\n" + steps_text(report, num_steps);
  text += fmt::format("\n{:<8} {:>7} {:>7} {:>7} {:>12} {:>12}\n", "core", "busy", "waits", "idle",
                      "work us", "predicted us");
  for (const CoreProfile& core : report.cores) {
    text += fmt::format("{:<8} {:>6.1f}% {:>6.1f}% {:>6.1f}% {:>12.1f} {:>12.1f}\n", core.name,
                        core.busy * 100, core.waits * 100, core.idle * 100, core.work_us,
                        core.predicted_us);
  }
  if (report.median_error >= 0) {
    text +=
        fmt::format("\nprediction of kernels: median error {:.1f} %, of all their time {:.1f} %\n",
                    report.median_error * 100, report.weighted_error * 100);
    if (report.num_stages() > 1) {
      text += fmt::format("slowest stage: {} measured, {} predicted\n", report.slowest_stage,
                          report.predicted_slowest_stage);
    }
  }
  if (report.num_dropped > 0) {
    text += fmt::format("{} further requests had no room in the profile\n", report.num_dropped);
  }
  return text;
}

}  // namespace neuronc::tools
