// Implements profile_events.h. Whatever a file holds, what is missing or of another type counts as nothing.
#include "runtime/tools/profile_events.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/tools/tensor_file.h"

namespace neuronc::tools {
namespace {

using Json = nlohmann::json;

const Json& at(const Json& json, const char* key) {
  static const Json kNull;
  const auto it = json.is_object() ? json.find(key) : json.end();
  return json.is_object() && it != json.end() ? *it : kNull;
}

double number_at(const Json& json, const char* key) {
  const Json& value = at(json, key);
  const double number = value.is_number() ? value.get<double>() : 0;
  return std::isfinite(number) ? number : 0;
}

// Within what any trace has.
int64_t integer_at(const Json& json, const char* key) {
  return static_cast<int64_t>(std::clamp(number_at(json, key), -1e15, 1e15));
}

std::string text_at(const Json& json, const char* key) {
  const Json& value = at(json, key);
  return value.is_string() ? value.get<std::string>() : "";
}

ProfileEvent event_of(const Json& json) {
  const Json& args = at(json, "args");
  ProfileEvent event;
  event.thread = integer_at(json, "tid");
  event.lane = integer_at(args, "lane");
  event.step = integer_at(args, "step");
  event.request = integer_at(args, "request");
  event.name = text_at(json, "name");
  event.kind = text_at(json, "cat");
  event.variant = text_at(args, "variant");
  if (const Json& nodes = at(args, "nodes"); nodes.is_array()) {
    for (const Json& node : nodes) {
      if (node.is_string()) event.nodes.push_back(node.get<std::string>());
    }
  }
  event.begin_us = number_at(json, "ts");
  event.duration_us = number_at(json, "dur");
  event.predicted_us = number_at(args, "predicted_us");
  event.flops = number_at(args, "flops");
  event.bytes = number_at(args, "bytes_read") + number_at(args, "bytes_written");
  return event;
}

void read_event(const Json& json, std::map<int64_t, ProfileTrace::Request>& requests,
                ProfileTrace& trace) {
  constexpr int64_t kMeasured = 1;
  const std::string phase = text_at(json, "ph");
  const bool is_measured = integer_at(json, "pid") == kMeasured;
  if (phase == "X") {
    (is_measured ? trace.measured : trace.predicted).push_back(event_of(json));
  } else if (phase == "b") {
    requests[integer_at(json, "id")].begin_us = number_at(json, "ts");
  } else if (phase == "e") {
    requests[integer_at(json, "id")].end_us = number_at(json, "ts");
  } else if (phase == "M" && text_at(json, "name") == "thread_name") {
    trace.thread_names[integer_at(json, "tid")] = text_at(at(json, "args"), "name");
  }
}

}  // namespace

Outcome<ProfileTrace> read_trace(const std::string& file) {
  const auto bytes = read_file(file);
  if (!bytes) return tl::unexpected(bytes.error());
  const auto* text = reinterpret_cast<const char*>(bytes->data());
  const Json json = Json::parse(text, text + bytes->size(), nullptr, /*allow_exceptions=*/false);
  const Json& profile = at(json, "profile");
  if (integer_at(profile, "version") != 1 || !at(json, "traceEvents").is_array()) {
    return tool_error(kExitError, "{}: this is no profile of `neuron-profile run`", file);
  }
  ProfileTrace trace;
  trace.model = text_at(profile, "model");
  trace.target = text_at(profile, "target");
  trace.strategy = text_at(profile, "strategy");
  trace.hardware = text_at(profile, "hardware");
  trace.cores_per_stage = std::max<int64_t>(1, integer_at(profile, "cores_per_stage"));
  trace.num_dropped =
      static_cast<uint64_t>(std::max<int64_t>(0, integer_at(profile, "dropped_requests")));
  trace.predicted_latency_us = number_at(profile, "predicted_latency_us");
  trace.predicted_period_us = number_at(profile, "predicted_period_us");
  std::map<int64_t, ProfileTrace::Request> requests;
  for (const Json& event : at(json, "traceEvents")) read_event(event, requests, trace);
  for (const auto& [id, request] : requests) trace.requests.push_back(request);
  return trace;
}

}  // namespace neuronc::tools
