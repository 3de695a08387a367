// neuron-bench: latency and throughput of a NEFF on seeded inputs; or what this host can do, as a
// hardware model.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <span>
#include <thread>

#include "ir/base/output_file.h"
#include "runtime/tools/calibrate.h"
#include "runtime/tools/run_inputs.h"

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

// The inputs that the ONNX Runtime benchmark uses: floats in [-0.5, 0.5) from a linear congruential
// generator whose product is rounded to f64, ids below 1000, masks of ones.
HostTensor seeded_input(const nrt::TensorInfo& info) {
  HostTensor tensor{to_dtype(info.dtype), info.shape, std::vector<std::byte>(info.size_bytes)};
  int64_t count = 1;
  for (int64_t dim : info.shape) count *= dim;
  if (tensor.dtype == DType::string) {
    tensor.bytes.assign(static_cast<size_t>(count), std::byte{0});
    return tensor;
  }
  const bool is_mask = info.name.find("mask") != std::string::npos;
  double state = 12345;
  for (int64_t i = 0; i < count; ++i) {
    if (is_float(tensor.dtype)) {
      const double product = state * 1103515245.0 + 12345.0;
      state = static_cast<double>(static_cast<uint64_t>(product) & 0x7fffffff);
      store_from_f64(tensor.dtype, tensor.bytes.data(), i, state / 2147483647.0 - 0.5);
    } else {
      store_from_i64(tensor.dtype, tensor.bytes.data(), i, is_mask ? 1 : (i * 37 + 11) % 1000);
    }
  }
  return tensor;
}

// Requests with tensors and sets made once, as a server would hold them.
class Client {
 public:
  Client(const nrt::Model& model, const std::vector<HostTensor>& inputs) : model_(model) {
    nrt_tensor_set_t *input_set = nullptr, *output_set = nullptr;
    nrt_allocate_tensor_set(&input_set);
    nrt_allocate_tensor_set(&output_set);
    input_set_.reset(input_set);
    output_set_.reset(output_set);
    for (size_t i = 0; i < inputs.size(); ++i) {
      add(input_set, model.inputs()[i].name, to_runtime(inputs[i]));
    }
    for (const nrt::TensorInfo& info : model.outputs()) {
      nrt_tensor_t* tensor = nullptr;
      nrt_tensor_allocate_empty(info.name.c_str(), &tensor);
      add(output_set, info.name, nrt::TensorPtr(tensor));
    }
  }

  Outcome<double> run_ms() {
    const Clock::time_point begin = Clock::now();
    const NRT_STATUS status = nrt_execute(model_.handle(), input_set_.get(), output_set_.get());
    if (status == NRT_SUCCESS) return ms_since(begin);
    return tool_error(exit_code(status), "{} ({})", nrt_get_last_message(),
                      nrt_get_status_as_str(status));
  }

 private:
  void add(nrt_tensor_set_t* set, const std::string& name, nrt::TensorPtr tensor) {
    nrt_add_tensor_to_tensor_set(set, name.c_str(), tensor.get());
    tensors_.push_back(std::move(tensor));
  }

  const nrt::Model& model_;
  std::vector<nrt::TensorPtr> tensors_;
  nrt::TensorSetPtr input_set_, output_set_;
};

// Sends requests until the time is over; at least five in all.
Outcome<void> measure(const nrt::Model& model, const std::vector<HostTensor>& inputs,
                      const Arguments& args, Measurement& result) {
  constexpr size_t kMinRequests = 5;
  std::mutex mutex;
  std::optional<ToolError> error;
  std::atomic<size_t> num_requests{0};
  const Clock::time_point begin = Clock::now();
  const auto serve = [&] {
    Client client(model, inputs);
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
        "\"first_ms\": {:.3f}, \"peak_rss_mib\": {:.1f}, \"requests\": {}, \"target\": \"{}\"}}\n",
        l.front(), percentile(l, 0.5), percentile(l, 0.9), percentile(l, 0.99), throughput,
        m.load_ms, m.first_ms, peak_rss_mib(), l.size(), m.model.target);
    return;
  }
  fmt::print("latency     min {:.3f} ms, p50 {:.3f} ms, p90 {:.3f} ms, p99 {:.3f} ms\n", l.front(),
             percentile(l, 0.5), percentile(l, 0.9), percentile(l, 0.99));
  fmt::print("throughput  {:.1f} per second ({} requests)\n", throughput, l.size());
  fmt::print("load        {:.2f} ms, first request {:.2f} ms\n", m.load_ms, m.first_ms);
  fmt::print("peak memory {:.1f} MiB\n", peak_rss_mib());
  fmt::print("target      {} on {} NeuronCores\n", m.model.target, m.model.nc_count);
}

// With --random or --input as neuron-run makes them; else those of the other benchmark.
Outcome<std::vector<HostTensor>> make_inputs(const nrt::Model& model, const Arguments& args) {
  if (!args.inputs.empty() || args.seed) {
    const auto files = parse_assignments(args.inputs, "--input");
    if (!files) return tl::unexpected(files.error());
    return load_inputs(model, *files, {}, {}, args.seed.value_or(1));
  }
  std::vector<HostTensor> inputs;
  for (const nrt::TensorInfo& info : model.inputs()) {
    inputs.push_back(info.kind == NRT_VALUE_TENSOR ? seeded_input(info)
                                                   : random_input(info, 1, {}));
  }
  return inputs;
}

Outcome<int> run(const Arguments& args) {
  Measurement result;
  const Clock::time_point begin = Clock::now();
  const auto model = open_model(args.neff, args.num_cores);
  if (!model) return tl::unexpected(model.error());
  result.load_ms = ms_since(begin);
  result.model = model->info();
  const auto made = make_inputs(*model, args);
  if (!made) return tl::unexpected(made.error());
  const std::vector<HostTensor>& inputs = *made;
  Client client(*model, inputs);
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
  const Calibration calibration = calibrate();
  fmt::print("{}", to_text(calibration));
  if (args.output.empty()) return kExitDone;
  const std::string name = std::filesystem::path(args.output).stem().string();
  const std::string text = to_hardware_model(calibration, name.empty() ? "measured" : name);
  const std::string error = write_output_file(args.output, std::as_bytes(std::span(text)));
  if (!error.empty()) return tool_error(kExitError, "{}: {}", args.output, error);
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
