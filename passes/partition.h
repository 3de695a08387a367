// partition: gives every node on a core the core that runs it.
//
//   %0 = group(%x) core        %0 = group(%x) core(0)
//   %1 = group(%0) core   =>   %1 = group(%0) core(0)
//   %2 = group(%1) core        %2 = group(%1) core(1)   (its weights stay on core 1)
//   %3 = reshape(%2) core      %3 = reshape(%2) core(1) (views follow what they show)
//
// `pipeline` cuts the execution order into consecutive stages so that the slowest, which sets the
// rate of requests, is as fast as the hardware model says it can be (pipeline_split.h). `tensor` gives
// every kernel to all cores, which share its tiles (core(0 to 3)); kernels too small for that are the
// first one's (`is_shared` = 0, tensor_split.h). `auto` takes the stages of teams that are predicted best
// (partition_choice.h). Groups, variants and the order of
// reductions stay as they are: results have the same bits on any number of cores. Only memory
// changes: what one core writes and another concatenates is written on its own and copied. Bodies
// run where their node runs; host nodes stay on the host.
#pragma once

#include <string>
#include <vector>

#include "passes/pass.h"

namespace neuronc {

inline constexpr int64_t kMaxCores = 64;
inline constexpr int64_t kMostTabledCores = 16;

struct PartitionOptions {
  int64_t cores = 1;  // 0: as many as help
  std::string strategy = "auto";
  int64_t team = 0;
  std::string optimize_for = "latency";
  std::string hardware = "host";
  int64_t groups = 1;  // for the report: how many groups of cores run requests; 0: a chip's
  std::vector<PassOption> options() {
    return {{"cores", &cores, "NeuronCores a request passes through; 0: as many as help"},
            {"strategy", &strategy, "how work is split", {"auto", "pipeline", "tensor"}},
            {"team", &team, "cores that share each kernel; 0: by the strategy"},
            {"optimize-for", &optimize_for, "what `auto` aims at", {"latency", "throughput"}},
            {"hardware", &hardware, "hardware model: host, inf1 or a file"}};
  }
};

// Stage laid_out -> partitioned. Errors: NEU0601 (weights fit nowhere), NEU0602 (cores),
// NEU0603 (hardware). Warns: NEU0605 (fewer cores are faster).
Expected<Changed> partition(Module& module, const PartitionOptions& options, PassContext& context);

// What a core does and holds, predicted by the hardware model, per request.
struct CoreReport {
  int64_t num_nodes = 0;  // kernels; views and constants are free
  double time_ns = 0;
  double compute_ns = 0;
  double weight_bytes = 0;
  double resident_bytes = 0;  // of the weights: kept on chip
  double left_bytes = 0;      // of the memory on chip: free
  double streamed_bytes = 0;  // of the weights: read from memory for each request
  double received_bytes = 0;
  double sent_bytes = 0;
};

struct PartitionReport {
  std::string strategy;  // what was done: "pipeline", "tensor", "2 stages of 4" or "data"
  int64_t num_stages = 0;
  int64_t team = 1;      // cores of a stage
  int64_t groups = 1;    // of all these cores, which run requests side by side
  std::string hardware;  // the model's name
  double launch_ns = 0, hand_off_ns = 0, barrier_ns = 0;  // what it says of a step
  double on_chip_bytes_per_s = 0, dram_bytes_per_s_per_core = 0;
  std::vector<CoreReport> cores;
  double period_ns = 0;    // between requests, the slowest core's time
  double latency_ns = 0;   // of one request alone, all cores' times
  std::string more_cores;  // a sentence: what one more core would do

  // What is predicted best on 1 to 16 cores.
  struct Row {
    int64_t num_cores = 1;
    std::string latency_strategy, throughput_strategy;
    double latency_ns = 0;
    double period_ns = 0;
    double data_period_ns = 0;  // of as many loads of a one-core model
    double balance = 1;      // of what is best for the objective: the mean stage over the slowest
    double moved_bytes = 0;  // the same: from core to core, a request
    std::string more_cores;  // what the next row would do
  };
  std::vector<Row> table;

  // One request alone, as it is predicted to go.
  struct Event {
    int64_t core = 0;
    std::string name;
    double start_ns = 0;
    double time_ns = 0;
  };
  std::vector<Event> timeline;
};

// The report of a module of stage partitioned. Errors: NEU0603.
Expected<PartitionReport> report_partition(const Module& module, const Target& target,
                                           const PartitionOptions& options,
                                           Diagnostics& diagnostics);

// Tables, one core and one number of cores a line, and the sentence on more cores.
std::string to_text(const PartitionReport& report);

}  // namespace neuronc
