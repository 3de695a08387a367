// neuron-ls: shows this host as the NeuronCores it stands for.
//
// Chips of four cores in a ring, the host's memory shared out evenly over their two channels each.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "runtime/tools/tool.h"
#include "runtime/tools/usage_reader.h"

using namespace neuronc::tools;

namespace {

constexpr uint32_t kCoresPerChip = 4;

struct Chip {
  std::string bdf;  // the host is no PCI device: it is bus `host`
  uint32_t id = 0;
  uint64_t channel_mib = 0;  // of each of the two memory channels
  uint32_t east = 0;
  uint32_t west = 0;
};

Outcome<std::vector<Chip>> list_chips() {
  uint32_t num_cores = 0;
  if (nrt_get_total_nc_count(&num_cores) != NRT_SUCCESS) {
    return tool_error(kExitError, "{}", nrt_get_last_message());
  }
  const uint32_t count = num_cores / kCoresPerChip;
  const auto pages = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES));
  const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t memory_mib = pages * page_bytes >> 20;
  std::vector<Chip> chips;
  for (uint32_t id = 0; id < count; ++id) {
    chips.push_back({fmt::format("host:{:02x}.0", id), id, memory_mib / count / 2, (id + 1) % count,
                     (id + count - 1) % count});
  }
  return chips;
}

void print_table(const std::vector<Chip>& chips) {
  const std::string line =
      "+--------------+---------+--------+-----------+-----------+------+------+\n";
  fmt::print("{}", line);
  fmt::print("|   PCI BDF    | LOGICAL | NEURON |  MEMORY   |  MEMORY   | EAST | WEST |\n");
  fmt::print("|              |   ID    | CORES  | CHANNEL 0 | CHANNEL 1 |      |      |\n");
  fmt::print("{}", line);
  for (const Chip& chip : chips) {
    const std::string memory = fmt::format("{} MB", chip.channel_mib);
    fmt::print("| {:^12} | {:^7} | {:^6} | {:>9} | {:>9} | {:^4} | {:^4} |\n", chip.bdf, chip.id,
               kCoresPerChip, memory, memory, chip.east, chip.west);
  }
  fmt::print("{}", line);
  fmt::print("instruction sets: {}\n", nrt_get_cpu_features());
}

// The processes with models on the chip, as JSON.
std::string processes_json(const Chip& chip, const UsageSample& usage) {
  std::string text;
  for (const auto& [file, process] : usage.processes) {
    std::set<uint32_t> cores;
    for (const auto& [place, model] : process.models) {
      for (uint32_t i = 0; i < model.num_cores; ++i) {
        const uint32_t core = model.first_core + i;
        if (core / kCoresPerChip == chip.id) cores.insert(core);
      }
    }
    if (cores.empty()) continue;
    text += fmt::format("{}{{\"pid\": {}, \"command\": {}, \"neuroncore_ids\": [{}]}}",
                        text.empty() ? "" : ", ", process.pid,
                        nlohmann::json(process.command)
                            .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace),
                        fmt::join(cores, ", "));
  }
  return text;
}

void print_json(const std::vector<Chip>& chips) {
  const UsageSample usage = sample_usage();
  fmt::print("[");
  for (const Chip& chip : chips) {
    fmt::print(
        "{}\n  {{\"neuron_device\": {}, \"bdf\": \"{}\", \"nc_count\": {}, "
        "\"memory_size\": {}, \"connected_to\": [{}, {}], \"neuron_processes\": [{}], "
        "\"cpu_features\": \"{}\"}}",
        chip.id == 0 ? "" : ",", chip.id, chip.bdf, kCoresPerChip, 2 * chip.channel_mib << 20,
        chip.west, chip.east, processes_json(chip, usage), nrt_get_cpu_features());
  }
  fmt::print("\n]\n");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Lists the NeuronCores of this host.", "neuron-ls");
  bool is_json = false;
  app.add_flag("-j,--json-output", is_json, "Print JSON");
  return run_tool(app, argc, argv, [&]() -> Outcome<int> {
    const auto chips = list_chips();
    if (!chips) return tl::unexpected(chips.error());
    is_json ? print_json(*chips) : print_table(*chips);
    return kExitDone;
  });
}
