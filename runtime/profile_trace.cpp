// Implements profile_trace.h. Times count from the first request, in microseconds as the format has them.
#include "runtime/profile_trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace neuronc::runtime {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMeasured = 1;
constexpr int kPredicted = 2;
// Threads: the cores by their number, and then the host.
constexpr uint32_t kHostThread = 100000;

double us(double ns) { return ns / 1e3; }

Json name_event(const char* what, int process, uint32_t thread, std::string name) {
  return {{"ph", "M"},
          {"name", what},
          {"pid", process},
          {"tid", thread},
          {"args", {{"name", std::move(name)}}}};
}

class TraceWriter {
 public:
  TraceWriter(const ProfiledModel& model, const plan::Plan& plan, const ProfileCosts& costs)
      : model_(model), plan_(plan), costs_(costs) {}

  std::string write(const Profile::Records& records) {
    events_.push_back(name_event("process_name", kMeasured, 0, "measured"));
    events_.push_back(name_event("process_name", kPredicted, 0, "predicted"));
    add_measured(records);
    add_predicted();
    Json trace;
    trace["displayTimeUnit"] = "ns";
    trace["profile"] = summary(records);
    trace["traceEvents"] = std::move(events_);
    // Names come from models and need not be UTF-8.
    return trace.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  }

 private:
  Json summary(const Profile::Records& records) const {
    Json groups = Json::array();
    for (const auto& ids : model_.core_ids) groups.push_back(ids);
    return {{"version", 1},
            {"model", model_.name},
            {"uuid", model_.uuid},
            {"target", model_.target},
            {"strategy", costs_.strategy},
            {"hardware", costs_.hardware},
            {"groups", std::move(groups)},
            {"cores_per_stage", costs_.cores_per_stage},
            {"requests", records.requests.size()},
            {"dropped_requests", records.num_dropped},
            {"predicted_latency_us", us(costs_.predicted_latency_ns)},
            {"predicted_period_us", us(costs_.predicted_period_ns)}};
  }

  uint32_t thread_of(uint32_t group, size_t lane) const {
    const plan::Lane& description = plan_.lanes[lane];
    if (description.kind == plan::LaneKind::host) return kHostThread + group;
    const std::vector<uint32_t>& ids = model_.core_ids[group];
    return ids[std::min<size_t>(description.core, ids.size() - 1)];
  }

  void name_thread(int process, uint32_t thread) {
    if (!named_.insert({process, thread}).second) return;
    events_.push_back(name_event("thread_name", process, thread,
                                 thread >= kHostThread
                                     ? fmt::format("host {}", thread - kHostThread)
                                     : fmt::format("core {}", thread)));
  }

  // The event of a step, with what it did in `duration_ns`.
  Json step_event(int process, uint32_t thread, size_t lane, size_t step, double begin_ns,
                  double duration_ns) const {
    const StepCost& cost = costs_.lanes[lane][step];
    Json args = {{"step", step}, {"lane", lane}};
    if (!cost.nodes.empty()) args["nodes"] = cost.nodes;
    if (!cost.variant.empty()) args["variant"] = cost.variant;
    if (cost.kind != "wait") {
      args["bytes_read"] = cost.bytes_read;
      args["bytes_written"] = cost.bytes_written;
      args["flops"] = cost.flops;
      if (duration_ns > 0) args["gflop_per_s"] = cost.flops / duration_ns;
      if (duration_ns > 0) {
        args["gb_per_s"] = (cost.bytes_read + cost.bytes_written) / duration_ns;
      }
      if (cost.predicted_ns > 0) args["predicted_us"] = us(cost.predicted_ns);
    }
    return {
        {"ph", "X"},     {"name", cost.label}, {"cat", cost.kind},       {"pid", process},
        {"tid", thread}, {"ts", us(begin_ns)}, {"dur", us(duration_ns)}, {"args", std::move(args)}};
  }

  void add_measured(const Profile::Records& records) {
    if (records.requests.empty()) return;
    const int64_t zero_ns = records.requests[0].begin_ns;
    const auto since = [zero_ns](int64_t time_ns) {
      return static_cast<double>(time_ns - zero_ns);
    };
    for (size_t i = 0; i < records.requests.size(); ++i) {
      const Profile::RequestSpan& span = records.requests[i];
      if (span.end_ns == 0) continue;
      // Requests overlap, which events of a thread must not.
      for (const bool is_begin : {true, false}) {
        events_.push_back({{"ph", is_begin ? "b" : "e"},
                           {"name", fmt::format("request {}", i)},
                           {"cat", "request"},
                           {"id", i},
                           {"pid", kMeasured},
                           {"tid", 0},
                           {"ts", us(since(is_begin ? span.begin_ns : span.end_ns))}});
      }
    }
    for (const Profile::LaneRun& run : records.lanes) {
      const Profile::RequestSpan& span = records.requests[run.request];
      if (span.end_ns == 0) continue;
      const uint32_t thread = thread_of(span.group, run.lane);
      name_thread(kMeasured, thread);
      for (const StepRecord& step : run.steps) {
        events_.push_back(step_event(kMeasured, thread, run.lane, step.step, since(step.begin_ns),
                                     static_cast<double>(step.end_ns - step.begin_ns)));
        events_.back()["args"]["request"] = run.request;
      }
    }
  }

  void add_predicted() {
    for (size_t lane = 0; lane < costs_.timeline.size(); ++lane) {
      const uint32_t thread = thread_of(0, lane);
      name_thread(kPredicted, thread);
      for (size_t i = 0; i < costs_.timeline[lane].size(); ++i) {
        const PredictedStep& step = costs_.timeline[lane][i];
        events_.push_back(
            step_event(kPredicted, thread, lane, i, step.begin_ns, step.end_ns - step.begin_ns));
      }
    }
  }

  const ProfiledModel& model_;
  const plan::Plan& plan_;
  const ProfileCosts& costs_;
  Json events_ = Json::array();
  std::set<std::pair<int, uint32_t>> named_;
};

}  // namespace

std::string trace_json(const ProfiledModel& model, const plan::Plan& plan,
                       const ProfileCosts& costs, const Profile::Records& records) {
  return TraceWriter(model, plan, costs).write(records);
}

}  // namespace neuronc::runtime
