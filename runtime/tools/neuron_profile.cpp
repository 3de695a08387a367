// neuron-profile: measures where a model's requests spend their time, and shows it.
#include <fmt/format.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <span>
#include <thread>

#include "ir/base/output_file.h"
#include "runtime/tools/bench_client.h"
#include "runtime/tools/profile_report.h"

using namespace neuronc;
using namespace neuronc::tools;

namespace {

struct Arguments {
  std::string command;
  std::string file;
  std::string output;
  int num_requests = 20;
  int inflight = 1;
  int num_cores = 0;
  size_t num_steps = 15;
  std::vector<std::string> inputs;
  std::optional<uint64_t> seed;
};

void add_options(CLI::App& app, Arguments& args) {
  app.add_option("command", args.command, "`run` measures a NEFF, `view` shows a trace")
      ->required()
      ->check(CLI::IsMember({"run", "view"}));
  app.add_option("file", args.file, "The NEFF, or the trace that `run` wrote")->required();
  app.add_option("-o,--output", args.output,
                 "Of `run`, which needs it, the trace, JSON for Perfetto; of `view` an HTML page");
  app.add_option("--requests", args.num_requests, "How many requests to measure")
      ->check(CLI::Range(1, 100000));
  app.add_option("--inflight", args.inflight, "Requests on their way at once")
      ->check(CLI::Range(1, 256));
  app.add_option("--cores", args.num_cores,
                 "NeuronCores to load onto; twice the model's or more: groups of them")
      ->check(CLI::Range(1, 1024));
  app.add_option("--top", args.num_steps, "How many of the longest steps to print")
      ->check(CLI::Range(0, 100000));
  app.add_option("--input", args.inputs, "NAME=FILE: an input from .npy, .pb (ONNX) or raw bytes")
      ->allow_extra_args(false);
  app.add_option("--random", args.seed, "SEED: make the inputs that are not given");
}

// Sends `count` requests, some at a time.
Outcome<void> send_requests(const nrt::Model& model, const std::vector<HostTensor>& inputs,
                            int count, int inflight) {
  std::atomic<int> num_left{count};
  std::mutex mutex;
  std::optional<ToolError> error;
  const auto serve = [&] {
    BenchClient client(model, inputs);
    while (num_left.fetch_sub(1) > 0) {
      const auto time = client.run_ms();
      if (time) continue;
      const std::lock_guard lock(mutex);
      error = time.error();
      num_left = 0;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 1; i < inflight; ++i) threads.emplace_back(serve);
  serve();
  for (std::thread& thread : threads) thread.join();
  if (error) return tl::unexpected(*error);
  return {};
}

ToolError runtime_error(NRT_STATUS status) { return {exit_code(status), nrt_get_last_message()}; }

Outcome<int> run(const Arguments& args) {
  if (args.output.empty()) return tool_error(kExitUsage, "`run` needs -o FILE.json");
  // Before there is something to lose.
  const std::string error = why_no_output_file(args.output);
  if (!error.empty()) return tool_error(kExitError, "cannot write `{}`: {}", args.output, error);
  const auto model = open_model(args.file, args.num_cores);
  if (!model) return tl::unexpected(model.error());
  const auto inputs = bench_inputs(*model, args.inputs, args.seed);
  if (!inputs) return tl::unexpected(inputs.error());
  constexpr int kNumWarmUps = 3;
  if (auto done = send_requests(*model, *inputs, kNumWarmUps, 1); !done) {
    return tl::unexpected(done.error());
  }
  NRT_STATUS status = nrt_profile_start(model->handle(), args.output.c_str());
  if (status != NRT_SUCCESS) return tl::unexpected(runtime_error(status));
  if (auto done = send_requests(*model, *inputs, args.num_requests, args.inflight); !done) {
    return tl::unexpected(done.error());
  }
  status = nrt_profile_stop(args.output.c_str());
  if (status != NRT_SUCCESS) return tl::unexpected(runtime_error(status));
  const auto report = read_profile(args.output);
  if (!report) return tl::unexpected(report.error());
  fmt::print("{}", printable_lines(to_text(*report, args.num_steps)));
  return kExitDone;
}

Outcome<int> view(const Arguments& args) {
  if (args.output.empty()) {
    const auto report = read_profile(args.file);
    if (!report) return tl::unexpected(report.error());
    fmt::print("{}", printable_lines(to_text(*report, args.num_steps)));
    return kExitDone;
  }
  if (is_same_file(args.file, args.output)) {
    return tool_error(kExitUsage, "{}: the page would take the place of the trace", args.output);
  }
  const auto page = profile_page(args.file);
  if (!page) return tl::unexpected(page.error());
  const std::string error = write_output_file(args.output, std::as_bytes(std::span(*page)));
  if (!error.empty()) return tool_error(kExitError, "cannot write `{}`: {}", args.output, error);
  return kExitDone;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures and shows where the time of a compiled model goes.", "neuron-profile");
  Arguments args;
  add_options(app, args);
  return run_tool(app, argc, argv, [&] { return args.command == "run" ? run(args) : view(args); });
}
