// neuron-run: runs a NEFF on files and pictures.
#include <fmt/format.h>

#include <atomic>
#include <charconv>
#include <chrono>
#include <cmath>
#include <mutex>
#include <optional>
#include <thread>

#include "runtime/tools/run_inputs.h"
#include "runtime/tools/tensor_file.h"

using namespace neuronc;
using namespace neuronc::tools;

namespace {

struct Arguments {
  std::string neff;
  std::vector<std::string> inputs;
  std::vector<std::string> images;
  ImageOptions image;
  std::string scale = "1";
  std::string output_dir;
  size_t top = 0;
  std::string labels;
  int concurrency = 1;
  int repeat = 1;
  std::optional<uint64_t> seed;
};

void add_options(CLI::App& app, Arguments& args) {
  app.add_option("neff", args.neff, "The compiled model")->required();
  app.add_option("--input", args.inputs, "NAME=FILE: an input from .npy, .pb (ONNX) or raw bytes")
      ->allow_extra_args(false);
  app.add_option("--random", args.seed, "SEED: make the inputs that are not given");
  app.add_option("--image", args.images, "NAME=FILE: an input from a picture")
      ->allow_extra_args(false);
  app.add_option("--resize", args.image.resize,
                 "HxW, or short:N to bring the short side to N; bilinear, antialiased");
  app.add_option("--crop", args.image.crop, "HxW of the centre, after resizing");
  app.add_option("--channels", args.image.channels, "Channel order of the model")
      ->check(CLI::IsMember({"rgb", "bgr", "gray"}));
  app.add_option("--mean", args.image.mean, "Per channel: value = (pixel * scale - mean) / std")
      ->delimiter(',');
  app.add_option("--std", args.image.std, "Per channel")->delimiter(',');
  app.add_option("--scale", args.scale, "Factor for pixels, which are 0 to 255; may be 1/255");
  app.add_option("--layout", args.image.layout, "Layout of the model's input")
      ->check(CLI::IsMember({"nchw", "nhwc"}));
  app.add_option("--output-dir", args.output_dir, "Write each output as NAME.npy");
  app.add_option("--top", args.top, "Print the K largest elements of the first output");
  app.add_option("--labels", args.labels, "One label a line, for --top");
  app.add_option("--concurrency", args.concurrency, "Requests in flight at once")
      ->check(CLI::Range(1, 256));
  app.add_option("--repeat", args.repeat, "Number of requests; all must give the same bits")
      ->check(CLI::Range(1, 100000000));
}

Outcome<std::vector<std::string>> read_labels(const std::string& path) {
  std::vector<std::string> labels;
  if (path.empty()) return labels;
  auto bytes = read_file(path);
  if (!bytes) return tl::unexpected(bytes.error());
  std::string line;
  for (std::byte byte : *bytes) {
    const char c = static_cast<char>(byte);
    if (c == '\n') labels.push_back(std::exchange(line, {}));
    if (c != '\n' && c != '\r') line += c;
  }
  if (!line.empty()) labels.push_back(line);
  return labels;
}

// Runs the remaining requests on several threads and compares each result with `first`.
Outcome<void> repeat_requests(const nrt::Model& model, const std::vector<HostTensor>& inputs,
                              const std::vector<HostTensor>& first, const Arguments& args) {
  std::atomic<int> num_left{args.repeat - 1};
  std::mutex mutex;
  std::optional<ToolError> error;
  const auto serve = [&] {
    while (num_left.fetch_sub(1) > 0) {
      auto outputs = run_request(model, inputs);
      if (outputs && *outputs == first) continue;
      const std::lock_guard lock(mutex);
      error = outputs ? ToolError{kExitVerificationFailed, "a repeated request gave other bits"}
                      : outputs.error();
      num_left = 0;
    }
  };
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (int i = 0; i < args.concurrency; ++i) threads.emplace_back(serve);
  for (std::thread& thread : threads) thread.join();
  if (error) return tl::unexpected(*error);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  print_error("{} requests, {} at a time, all with the same bits: {:.1f} per second\n", args.repeat,
              args.concurrency, (args.repeat - 1) / seconds);
  return {};
}

// A number, or one divided by another: "1/255".
Outcome<double> parse_scale(const std::string& text) {
  const size_t slash = text.find('/');
  const std::string parts[] = {text.substr(0, slash),
                               slash == std::string::npos ? "1" : text.substr(slash + 1)};
  double values[] = {0, 0};
  for (size_t i = 0; i < 2; ++i) {
    const char* end = parts[i].data() + parts[i].size();
    const auto parsed = std::from_chars(parts[i].data(), end, values[i]);
    if (parsed.ec != std::errc() || parsed.ptr != end || !std::isfinite(values[i])) {
      return tool_error(kExitUsage, "--scale `{}`: expected a number or A/B", text);
    }
  }
  if (values[1] == 0) return tool_error(kExitUsage, "--scale `{}`: divides by zero", text);
  return values[0] / values[1];
}

Outcome<int> run(Arguments args) {
  const auto scale = parse_scale(args.scale);
  if (!scale) return tl::unexpected(scale.error());
  args.image.scale = *scale;
  const auto files = parse_assignments(args.inputs, "--input");
  if (!files) return tl::unexpected(files.error());
  const auto pictures = parse_assignments(args.images, "--image");
  if (!pictures) return tl::unexpected(pictures.error());
  const auto labels = read_labels(args.labels);
  if (!labels) return tl::unexpected(labels.error());
  const auto model = open_model(args.neff);
  if (!model) return tl::unexpected(model.error());
  const auto inputs = load_inputs(*model, *files, *pictures, args.image, args.seed);
  if (!inputs) return tl::unexpected(inputs.error());
  const auto outputs = run_request(*model, *inputs);
  if (!outputs) return tl::unexpected(outputs.error());
  if (args.repeat > 1) {
    if (auto done = repeat_requests(*model, *inputs, *outputs, args); !done) {
      return tl::unexpected(done.error());
    }
  }
  if (!args.output_dir.empty()) {
    if (auto done = write_outputs(*model, *outputs, args.output_dir); !done) {
      return tl::unexpected(done.error());
    }
  }
  if (args.top > 0 && !outputs->empty() && is_numeric(outputs->front().dtype)) {
    fmt::print("{}", printable_lines(top_elements(outputs->front(), args.top, *labels)));
  } else {
    fmt::print("{}", printable_lines(describe_outputs(*model, *outputs)));
  }
  return kExitDone;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs a compiled model on files and pictures.", "neuron-run");
  Arguments args;
  add_options(app, args);
  return run_tool(app, argc, argv, [&] { return run(args); });
}
