// The page of a profile: profile_report.h.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "ir/base/html_page.h"
#include "runtime/tools/profile_events.h"
#include "runtime/tools/profile_report.h"

namespace neuronc::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kBody = R"page(<h1 id="title">profile</h1>
<p id="summary"></p>
<h2>Requests, as measured</h2>
<div id="measured"></div>
<h2>A request, as predicted</h2>
<div id="predicted"></div>
<h2>Cores</h2>
<table id="cores"></table>
<h2>Steps</h2>
<table id="steps"></table>
)page";

constexpr std::string_view kScript = R"page(
const one = value => value.toFixed(1);
const percent = share => one(100 * share) + "%";
const colours = {wait: "#ddd", copy: "#d9b44a", host: "#9a6fb0"};
function showSummary() {
  document.getElementById("title").textContent = data.model;
  const predicted = data.hardware
      ? `; predicted ${one(data.predicted_latency_us)} us and ${one(data.predicted_period_us)} us by hardware ` +
        `model ${data.hardware}, median error of a kernel ${percent(data.median_error)}`
      : "";
  document.getElementById("summary").textContent =
      `${data.requests} requests, ${data.strategy || "one core"}, target ${data.target}: a request takes ` +
      `${one(data.latency_us)} us, a result every ${one(data.period_us)} us${predicted}.`;
}
// A lane of boxes per core, all on one scale; of an event that began before or goes on, what lies between.
function showTimeline(id, events, begin, end) {
  const svg = "http://www.w3.org/2000/svg", height = 26;
  const names = [...new Set(events.map(e => e.core))].sort();
  const picture = document.createElementNS(svg, "svg");
  picture.setAttribute("viewBox", `0 0 1000 ${height * Math.max(names.length, 1)}`);
  for (const event of events) {
    const box = document.createElementNS(svg, "rect");
    const from = Math.max(event.begin, begin), to = Math.min(event.begin + event.time, end);
    box.setAttribute("x", (from - begin) / (end - begin) * 1000);
    box.setAttribute("y", names.indexOf(event.core) * height + 3);
    box.setAttribute("width", Math.max((to - from) / (end - begin) * 1000, 0.1));
    box.setAttribute("height", height - 6);
    box.setAttribute("fill", colours[event.kind] || `hsl(${event.step * 47 % 360} 55% 60%)`);
    const title = document.createElementNS(svg, "title");
    title.textContent = `${event.core}, request ${event.request}: ${event.name}, ${one(event.time)} us`;
    box.appendChild(title);
    picture.appendChild(box);
  }
  document.getElementById(id).appendChild(picture);
}
function showCores() {
  const table = document.getElementById("cores");
  row(table, "th", ["core", "busy", "waits", "idle", "work us", "predicted us"]);
  for (const core of data.cores) {
    row(table, "td", [core.name, percent(core.busy), percent(core.waits), percent(core.idle),
                      one(core.work_us), one(core.predicted_us)]);
  }
}
function showSteps() {
  const table = document.getElementById("steps");
  row(table, "th", ["core", "step", "kind", "time us", "predicted us", "GFLOP/s", "GB/s", "nodes"]);
  const rate = (amount, time) => amount > 0 && time > 0 ? one(amount / time / 1000) : "";
  for (const step of data.steps) {
    row(table, "td", [step.core, step.step, step.kind, one(step.time_us),
        step.predicted_us > 0 ? one(step.predicted_us) : "", rate(step.flops, step.time_us),
        rate(step.bytes, step.time_us), step.nodes || step.name]);
  }
}
showSummary();
showTimeline("measured", data.measured, data.window[0], data.window[1]);
showTimeline("predicted", data.predicted, 0,
             Math.max(data.window[1] - data.window[0], ...data.predicted.map(e => e.begin + e.time)));
showCores();
showSteps();
)page";

std::string joined(const std::vector<std::string>& nodes) {
  std::string text;
  for (const std::string& node : nodes) text += (text.empty() ? "" : " + ") + node;
  return text;
}

Json event_json(const ProfileTrace& trace, const ProfileEvent& event) {
  const std::string nodes = joined(event.nodes);
  return {{"core", trace.thread_name(event.thread)},
          {"name", nodes.empty() ? event.name : nodes},
          {"kind", event.kind},
          {"step", event.step},
          {"request", event.request},
          {"begin", event.begin_us},
          {"time", event.duration_us}};
}

// From the middle of what was measured: a request, and as many behind it as are on their way with it, up
// to a limit.
ProfileTrace::Request shown_window(const ProfileTrace& trace) {
  constexpr size_t kMostShown = 4;
  if (trace.requests.empty()) return {0, 1};
  std::vector<ProfileTrace::Request> requests = trace.requests;
  std::sort(requests.begin(), requests.end(),
            [](const auto& a, const auto& b) { return a.begin_us < b.begin_us; });
  const size_t first = requests.size() / 2;
  ProfileTrace::Request window = requests[first];
  for (size_t i = first; i < std::min(requests.size(), first + kMostShown); ++i) {
    if (requests[i].begin_us >= window.end_us) break;
    window.end_us = std::max(window.end_us, requests[i].end_us);
  }
  window.end_us = std::max(window.end_us, window.begin_us + 1e-3);
  return window;
}

Json steps_json(const ProfileReport& report) {
  Json steps = Json::array();
  for (const StepProfile& step : report.steps) {
    steps.push_back({{"core", step.core},
                     {"step", step.step},
                     {"kind", step.kind},
                     {"name", step.name},
                     {"nodes", joined(step.nodes)},
                     {"time_us", step.median_us},
                     {"predicted_us", step.predicted_us},
                     {"flops", step.flops},
                     {"bytes", step.bytes}});
  }
  return steps;
}

Json cores_json(const ProfileReport& report) {
  Json cores = Json::array();
  for (const CoreProfile& core : report.cores) {
    cores.push_back({{"name", core.name},
                     {"busy", core.busy},
                     {"waits", core.waits},
                     {"idle", core.idle},
                     {"work_us", core.work_us},
                     {"predicted_us", core.predicted_us}});
  }
  return cores;
}

}  // namespace

Outcome<std::string> profile_page(const std::string& file) {
  const auto trace = read_trace(file);
  if (!trace) return tl::unexpected(trace.error());
  const auto report = sum_up(*trace);
  Json json = {{"model", report.model},
               {"target", report.target},
               {"strategy", report.strategy},
               {"hardware", report.hardware},
               {"requests", report.num_requests},
               {"latency_us", report.latency_us},
               {"period_us", report.period_us},
               {"predicted_latency_us", report.predicted_latency_us},
               {"predicted_period_us", report.predicted_period_us},
               {"median_error", std::max(report.median_error, 0.0)},
               {"cores", cores_json(report)},
               {"steps", steps_json(report)}};
  const ProfileTrace::Request window = shown_window(*trace);
  json["window"] = {window.begin_us, window.end_us};
  json["measured"] = Json::array();
  for (const ProfileEvent& event : trace->measured) {
    const double end_us = event.begin_us + event.duration_us;
    if (end_us < window.begin_us || event.begin_us > window.end_us) continue;
    json["measured"].push_back(event_json(*trace, event));
  }
  json["predicted"] = Json::array();
  for (const ProfileEvent& event : trace->predicted) {
    json["predicted"].push_back(event_json(*trace, event));
  }
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return html_page({"neuron-profile", kBody, text, kScript});
}

}  // namespace neuronc::tools
