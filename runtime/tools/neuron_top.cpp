// neuron-top: what the NeuronCores of this host do: cores, models, requests and memory of the processes
// that use libnrt. On a terminal a screen that refreshes, elsewhere one look; -j in the shape of
// neuron-monitor's reports.
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "runtime/tools/tool.h"
#include "runtime/tools/usage_reader.h"

using namespace neuronc::tools;

namespace {

using Json = nlohmann::ordered_json;

struct Arguments {
  bool is_json = false;
  double interval_s = 1;
  int count = 0;  // 0: until the user ends it
};

double mib(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

uint64_t memory_of(const ProcessUsage& process) {
  uint64_t sum = process.tensor_bytes;
  for (const auto& [place, model] : process.models) {
    sum += model.code_bytes + model.weight_bytes + model.memory_bytes;
  }
  return sum;
}

// --- JSON --------------------------------------------------------------------------------------

Json models_json(const std::string& file, const ProcessUsage& process, const UsageRates& rates) {
  Json models = Json::array();
  for (const auto& [place, model] : process.models) {
    const ModelRates* rate = rates.find(file, place);
    models.push_back({{"name", model.name},
                      {"uuid", model.uuid},
                      {"target", model.target},
                      {"first_neuroncore", model.first_core},
                      {"neuroncore_count", model.num_cores},
                      {"code_bytes", model.code_bytes},
                      {"weight_bytes", model.weight_bytes},
                      {"memory_bytes", model.memory_bytes},
                      {"completed", model.num_requests},
                      {"failed", model.num_failures},
                      {"in_flight", model.num_in_flight},
                      {"completed_per_s", rate == nullptr ? 0 : rate->requests_per_s},
                      {"mean_latency_ms", rate == nullptr ? 0 : rate->latency_ms}});
  }
  return models;
}

Json process_json(const std::string& file, const ProcessUsage& process, const UsageRates& rates) {
  Json cores = Json::object();
  const auto busy = rates.busy.find(file);
  for (const auto& [place, model] : process.models) {
    for (uint32_t i = 0; i < model.num_cores; ++i) {
      cores[std::to_string(model.first_core + i)] = {{"neuroncore_utilization", 0.0}};
    }
  }
  if (busy != rates.busy.end()) {
    for (const auto& [core, share] : busy->second) {
      cores[std::to_string(core)] = {{"neuroncore_utilization", share * 100}};
    }
  }
  uint64_t completed = 0;
  uint64_t failed = 0;
  for (const auto& [place, model] : process.models) {
    completed += model.num_requests;
    failed += model.num_failures;
  }
  const Json report = {
      {"execution_stats",
       {{"period", rates.seconds},
        {"execution_summary",
         {{"completed", completed - failed}, {"completed_with_err", failed}}}}},
      {"memory_used",
       {{"neuron_runtime_used_bytes",
         {{"host", process.resident_bytes}, {"neuron_device", memory_of(process)}}},
        {"tensors_bytes", process.tensor_bytes},
        {"loaded_models", models_json(file, process, rates)}}},
      {"neuroncore_counters", {{"period", rates.seconds}, {"neuroncores_in_use", cores}}}};
  return {{"pid", process.pid}, {"neuron_runtime_tag", process.command}, {"report", report}};
}

std::string json_text(const UsageSample& sample, const UsageRates& rates) {
  Json processes = Json::array();
  for (const auto& [file, process] : sample.processes) {
    processes.push_back(process_json(file, process, rates));
  }
  const Json json = {{"period", rates.seconds}, {"neuron_runtime_data", std::move(processes)}};
  return json.dump(1, ' ', true, Json::error_handler_t::replace) + "\n";
}

// --- Screen ------------------------------------------------------------------------------------

std::string bar(double share) {
  constexpr int kWidth = 20;
  const int filled = static_cast<int>(std::clamp(share, 0.0, 1.0) * kWidth + 0.5);
  return std::string(static_cast<size_t>(filled), '#') +
         std::string(static_cast<size_t>(kWidth - filled), '.');
}

std::string cores_text(uint32_t num_cores, const UsageSample& sample, const UsageRates& rates) {
  std::string text;
  int in_line = 0;
  for (uint32_t core = 0; core < num_cores; ++core) {
    const bool is_used =
        std::any_of(sample.processes.begin(), sample.processes.end(), [core](const auto& entry) {
          return std::any_of(entry.second.models.begin(), entry.second.models.end(),
                             [core](const auto& model) {
                               return core >= model.second.first_core &&
                                      core < model.second.first_core + model.second.num_cores;
                             });
        });
    const double share = rates.busy_of(core);
    if (!is_used && share == 0) continue;
    text += fmt::format("NC{:<3} [{}] {:>5.1f}%{}", core, bar(share), share * 100,
                        ++in_line % 2 == 0 ? "\n" : "   ");
  }
  if (in_line % 2 != 0) text += "\n";
  return text.empty() ? "no NeuronCore has a model\n" : text;
}

std::string models_text(const UsageSample& sample, const UsageRates& rates) {
  std::string text = fmt::format(
      "{:>8} {:<16} {:>9} {:<24} {:<8} {:>10} {:>10} {:>9} {:>9} {:>9}\n", "PID", "COMMAND",
      "RSS MiB", "MODEL", "CORES", "REQ/s", "LATENCY ms", "IN FLIGHT", "FAILED", "MEM MiB");
  for (const auto& [file, process] : sample.processes) {
    const std::string head =
        fmt::format("{:>8} {:<16} {:>9.1f}", process.pid, process.command.substr(0, 16),
                    mib(process.resident_bytes));
    if (process.models.empty()) text += head + " -\n";
    for (const auto& [place, model] : process.models) {
      const ModelRates* rate = rates.find(file, place);
      const std::string cores =
          model.num_cores == 1
              ? fmt::format("{}", model.first_core)
              : fmt::format("{}-{}", model.first_core, model.first_core + model.num_cores - 1);
      text += fmt::format(
          "{} {:<24} {:<8} {:>10.1f} {:>10.3f} {:>9} {:>9} {:>9.1f}\n", head,
          neuronc::printable(model.name, 24), cores, rate == nullptr ? 0 : rate->requests_per_s,
          rate == nullptr ? 0 : rate->latency_ms, model.num_in_flight, model.num_failures,
          mib(model.code_bytes + model.weight_bytes + model.memory_bytes));
    }
  }
  return text;
}

std::string screen_text(uint32_t num_cores, const UsageSample& sample, const UsageRates& rates) {
  return fmt::format("{} process{}, {} NeuronCores\n\n", sample.processes.size(),
                     sample.processes.size() == 1 ? "" : "es", num_cores) +
         cores_text(num_cores, sample, rates) + "\n" + models_text(sample, rates);
}

volatile std::sig_atomic_t is_interrupted = 0;
void interrupt(int) { is_interrupted = 1; }

// The terminal without echo and with the other screen; as it was afterwards.
class Terminal {
 public:
  Terminal() {
    has_input_ = tcgetattr(STDIN_FILENO, &saved_) == 0;
    if (has_input_) {
      termios raw = saved_;
      raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
      tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    }
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, interrupt);
    fmt::print("\x1b[?1049h\x1b[?25l");
  }
  ~Terminal() {
    fmt::print("\x1b[?25h\x1b[?1049l");
    std::fflush(stdout);
    if (has_input_) tcsetattr(STDIN_FILENO, TCSANOW, &saved_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // As much as fits.
  void show(const std::string& text) const {
    winsize size{};
    const bool is_known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0;
    size_t lines_left = is_known ? size.ws_row : 24;
    const size_t columns = is_known && size.ws_col > 0 ? size.ws_col : 80;
    std::string page = "\x1b[H";
    for (size_t begin = 0; begin < text.size() && lines_left > 1; --lines_left) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      page += text.substr(begin, std::min(end - begin, columns)) + "\x1b[K\r\n";
      begin = end + 1;
    }
    fmt::print("{}\x1b[J", page);
    std::fflush(stdout);
  }

  // False if the user wants to leave before the time is over.
  bool wait(double seconds) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (is_interrupted == 0) {
      const double left =
          std::chrono::duration<double, std::milli>(end - std::chrono::steady_clock::now()).count();
      if (left <= 0) return true;
      pollfd input{has_input_ ? STDIN_FILENO : -1, POLLIN, 0};
      if (poll(&input, 1, static_cast<int>(left) + 1) > 0) {
        char key = 0;
        if (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q') return false;
      }
    }
    return false;
  }

 private:
  termios saved_{};
  bool has_input_ = false;
};

uint32_t num_neuroncores() {
  uint32_t count = 0;
  nrt_get_total_nc_count(&count);
  return count;
}

Outcome<int> look_once(const Arguments& args) {
  const UsageSample before = sample_usage();
  std::this_thread::sleep_for(std::chrono::duration<double>(args.interval_s));
  const UsageSample now = sample_usage();
  const UsageRates rates = rates_between(before, now);
  fmt::print("{}",
             args.is_json ? json_text(now, rates) : screen_text(num_neuroncores(), now, rates));
  std::fflush(stdout);
  return kExitDone;
}

Outcome<int> refresh(const Arguments& args) {
  constexpr double kFirstLook = 0.2;  // rather than an empty screen
  const Terminal terminal;
  UsageSample before = sample_usage();
  for (int i = 0; args.count == 0 || i < args.count; ++i) {
    if (!terminal.wait(i == 0 ? std::min(kFirstLook, args.interval_s) : args.interval_s)) break;
    UsageSample now = sample_usage();
    terminal.show(screen_text(num_neuroncores(), now, rates_between(before, now)) + "\nq leaves\n");
    before = std::move(now);
  }
  return kExitDone;
}

Outcome<int> run(const Arguments& args) {
  if (!(args.interval_s > 0)) return tool_error(kExitUsage, "--interval is no number");
  if (!args.is_json && isatty(STDOUT_FILENO) == 1) return refresh(args);
  for (int i = 0; i < std::max(args.count, 1); ++i) {
    if (auto done = look_once(args); !done) return done;
  }
  return kExitDone;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Shows the NeuronCores, models and requests of the processes on this host.",
               "neuron-top");
  Arguments args;
  app.add_flag("-j,--json-output", args.is_json, "Print JSON, once");
  app.add_option("-d,--interval", args.interval_s, "Seconds between two looks, which rates are of")
      ->check(CLI::Range(0.01, 3600.0));
  app.add_option("-n,--count", args.count, "Leave after so many looks")
      ->check(CLI::Range(1, 1000000));
  return run_tool(app, argc, argv, [&] { return run(args); });
}
