// neuron-bench: latency and throughput of a NEFF on seeded inputs; or what this host can do, as a
// hardware model.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <thread>

#include "ir/base/output_file.h"
#include "runtime/tools/bench_client.h"
#include "runtime/tools/calibrate.h"

using namespace neuronc;
using namespace neuronc::tools;
using Clock = std::chrono::steady_clock;

namespace {

struct Arguments {
  std::string neff;
  double seconds = 5;
  int inflight = 1;
  int num_cores = 0;
  bool is_json = false;
  bool is_calibration = false;
  std::string output;
  std::vector<std::string> inputs;
  std::optional<uint64_t> seed;
};

struct Measurement {
  double load_ms = 0;
  double first_ms = 0;
  double elapsed_s = 0;
  std::vector<double> latencies_ms;  // ascending
  nrt_model_info_t model{};
};

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// The largest resident size the process has had.
double peak_rss_mib() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    double kib = 0;
    if (word == "VmHWM:" && status >> kib) return kib / 1024;
  }
  return 0;
}

// Sends requests until the time is over; at least five in all.
Outcome<void> measure(const nrt::Model& model, const std::vector<HostTensor>& inputs,
                      const Arguments& args, Measurement& result) {
  constexpr size_t kMinRequests = 5;
  std::mutex mutex;
  std::optional<ToolError> error;
  std::atomic<size_t> num_requests{0};
  const Clock::time_point begin = Clock::now();
  const auto serve = [&] {
    BenchClient client(model, inputs);
    std::vector<double> latencies;
    std::optional<ToolError> my_error;
    while (!my_error &&
           (ms_since(begin) < args.seconds * 1000 || num_requests.load() < kMinRequests)) {
      const auto latency = client.run_ms();
      if (latency) {
        latencies.push_back(*latency);
        ++num_requests;
      } else {
        my_error = latency.error();
      }
    }
    const std::lock_guard lock(mutex);
    result.latencies_ms.insert(result.latencies_ms.end(), latencies.begin(), latencies.end());
    if (my_error) error = my_error;
  };
  if (args.inflight == 1) {
    serve();
  } else {
    std::vector<std::thread> threads;
    for (int i = 0; i < args.inflight; ++i) threads.emplace_back(serve);
    for (std::thread& thread : threads) thread.join();
  }
  result.elapsed_s = ms_since(begin) / 1000;
  std::sort(result.latencies_ms.begin(), result.latencies_ms.end());
  if (error) return tl::unexpected(*error);
  return {};
}

double percentile(const std::vector<double>& ascending, double fraction) {
  const auto rank = static_cast<size_t>(fraction * static_cast<double>(ascending.size()));
  return ascending[std::min(rank, ascending.size() - 1)];
}

void print(const Measurement& m, bool is_json) {
  const std::vector<double>& l = m.latencies_ms;
  const double throughput = static_cast<double>(l.size()) / m.elapsed_s;
  if (is_json) {
    fmt::print(
        "{{\"latency_ms\": {{\"min\": {:.4f}, \"p50\": {:.4f}, \"p90\": {:.4f}, "
        "\"p99\": {:.4f}}}, \"throughput_per_s\": {:.3f}, \"load_ms\": {:.3f}, "
        "\"first_ms\": {:.3f}, \"peak_rss_mib\": {:.1f}, \"requests\": {}, \"target\": {}}}\n",
        l.front(), percentile(l, 0.5), percentile(l, 0.9), percentile(l, 0.99), throughput,
        m.load_ms, m.first_ms, peak_rss_mib(), l.size(),
        nlohmann::json(m.model.target)
            .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
    return;
  }
  fmt::print("latency     min {:.3f} ms, p50 {:.3f} ms, p90 {:.3f} ms, p99 {:.3f} ms\n", l.front(),
             percentile(l, 0.5), percentile(l, 0.9), percentile(l, 0.99));
  fmt::print("throughput  {:.1f} per second ({} requests)\n", throughput, l.size());
  fmt::print("load        {:.2f} ms, first request {:.2f} ms\n", m.load_ms, m.first_ms);
  fmt::print("peak memory {:.1f} MiB\n", peak_rss_mib());
  fmt::print("target      {} on {} NeuronCores\n", printable_lines(m.model.target),
             m.model.nc_count);
}

Outcome<int> run(const Arguments& args) {
  Measurement result;
  const Clock::time_point begin = Clock::now();
  const auto model = open_model(args.neff, args.num_cores);
  if (!model) return tl::unexpected(model.error());
  result.load_ms = ms_since(begin);
  result.model = model->info();
  const auto made = bench_inputs(*model, args.inputs, args.seed);
  if (!made) return tl::unexpected(made.error());
  const std::vector<HostTensor>& inputs = *made;
  BenchClient client(*model, inputs);
  const auto first = client.run_ms();
  if (!first) return tl::unexpected(first.error());
  result.first_ms = *first;
  for (int i = 0; i < 2; ++i) client.run_ms();
  if (auto done = measure(*model, inputs, args, result); !done) {
    return tl::unexpected(done.error());
  }
  print(result, args.is_json);
  return kExitDone;
}

// The model is named after its file: reports show the name.
Outcome<int> run_calibration(const Arguments& args) {
  if (!args.output.empty()) {  // before the machine is measured for minutes
    const std::string error = why_no_output_file(args.output);
    if (!error.empty()) return tool_error(kExitError, "cannot write `{}`: {}", args.output, error);
  }
  const Calibration calibration = calibrate();
  fmt::print("{}", to_text(calibration));
  if (args.output.empty()) return kExitDone;
  const std::string name = std::filesystem::path(args.output).stem().string();
  const std::string text = to_hardware_model(calibration, name.empty() ? "measured" : name);
  const std::string error = write_output_file(args.output, std::as_bytes(std::span(text)));
  if (!error.empty()) return tool_error(kExitError, "cannot write `{}`: {}", args.output, error);
  return kExitDone;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures latency and throughput of a compiled model.", "neuron-bench");
  Arguments args;
  auto* neff = app.add_option("neff", args.neff, "The compiled model");
  auto* calibrate_flag = app.add_flag("--calibrate", args.is_calibration,
                                      "Measure this host instead, as a hardware model");
  app.add_option("-o,--output", args.output, "Where --calibrate writes the hardware model")
      ->needs(calibrate_flag);
  app.add_option("--seconds", args.seconds, "How long to send requests")
      ->check(CLI::Range(0.0, 86400.0))
      ->check([](const std::string& text) {
        return text.find("nan") == std::string::npos ? ""
                                                     : "a number is wanted, not `" + text + "`";
      });
  app.add_option("--input", args.inputs, "NAME=FILE: an input from .npy, .pb (ONNX) or raw bytes")
      ->allow_extra_args(false);
  app.add_option("--random", args.seed, "SEED: make the inputs that are not given");
  app.add_option("--inflight", args.inflight, "Requests on their way at once")
      ->check(CLI::Range(1, 256));
  app.add_option("--cores", args.num_cores,
                 "NeuronCores to load onto; twice the model's or more: groups of them")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--json", args.is_json, "Print one JSON object");
  calibrate_flag->excludes(neff);
  return run_tool(app, argc, argv, [&]() -> Outcome<int> {
    if (args.is_calibration) return run_calibration(args);
    if (args.neff.empty()) return tool_error(kExitUsage, "a NEFF or --calibrate is wanted");
    return run(args);
  });
}
