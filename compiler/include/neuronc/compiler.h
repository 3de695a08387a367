// The compiler as a library: an ONNX model in, a NEFF file out. `neuronc` is a thin client of it.
//
//   neuronc::CompileOptions options;
//   options.num_neuroncores = 4;
//   const neuronc::CompileResult result = neuronc::compile_file("resnet.onnx", options);
//   if (!result.is_ok()) std::cerr << result.messages_text();
//
// Nothing throws; compiles may run concurrently in one process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#define NEURONC_API __attribute__((visibility("default")))

namespace neuronc {

// `data`: the model for one core, which the runtime loads onto as many as there are to be.
enum class PartitionStrategy : uint8_t { automatic, pipeline, tensor, data };
enum class OptimizeFor : uint8_t { latency, throughput };
enum class AutoCast : uint8_t { matmult, all, none };
enum class AutoCastType : uint8_t { bf16, fp16 };
enum class Numerics : uint8_t { fast, strict };
enum class Reductions : uint8_t { fixed, fast };

// What a compile says while it runs.
struct Message {
  enum class Severity : uint8_t { note, warning, error };
  Severity severity = Severity::error;
  std::string code;     // "NEU0204"
  std::string text;     // as printed, with its location and notes
  std::string summary;  // the text alone
  // Where: each may be empty.
  std::string file;
  std::string node;  // the ONNX node's name
  std::string op;    // its operator
  int64_t opset = 0;
  std::string tensor;              // `output "y": f32[1,64,56,56]`
  std::vector<std::string> hints;  // what the values are, what to do
};

struct Progress {
  std::string_view phase;   // "import", "passes", "code", "write"
  std::string_view detail;  // the pass that begins; may be empty
  int64_t done = 0;         // of `total` steps of the phase; 0 of 0: not known
  int64_t total = 0;
};

// Later versions add fields at the end; `size_bytes` tells the library which of them its caller
// knows.
struct CompileOptions {
  size_t size_bytes = sizeof(CompileOptions);
  int64_t num_neuroncores = 1;  // 0: the compiler chooses
  PartitionStrategy partition = PartitionStrategy::automatic;
  OptimizeFor optimize_for = OptimizeFor::latency;
  AutoCast auto_cast = AutoCast::matmult;
  AutoCastType auto_cast_type = AutoCastType::bf16;
  std::vector<std::string> keep_fp32;  // regular expressions over ONNX node names
  Numerics numerics = Numerics::fast;
  Reductions reductions = Reductions::fixed;
  std::map<std::string, int64_t> dims;                       // symbolic dim -> number
  std::map<std::string, std::vector<int64_t>> input_shapes;  // input -> shape
  // Inputs that become constants: a number for all elements, or the path of a .npy or .pb file.
  std::map<std::string, std::string> fixed_inputs;
  std::string target_cpu = "default";
  std::string hardware_model = "host";  // inf1, host, or a file
  int optimization_level = 2;           // 0 to 3
  std::string passes;                   // replaces the level's pipeline where not empty
  bool emit_kernels = false;            // the kernels' text too, which NEURON_RT_CHECK=1 runs
  int64_t max_host_ops = -1;            // more operations on the host fail; -1: no limit

  // For looking inside; text goes to `print`, or to stderr where there is none.
  std::string print_after;  // a pass, or "all"
  bool print_changed = false;
  bool time_passes = false;
  std::string dump_dir;
  std::string crash_dir;  // where the reproduction of an internal error goes
  std::function<void(std::string_view)> print;

  std::vector<std::string> outputs;  // the graph is cut at these values; empty: at its own outputs
  std::vector<std::string>
      external_data_dirs;  // where external data may lie, besides the model's folder
  // External data in memory, by the location that the model names; it must outlive the compile.
  std::map<std::string, std::span<const std::byte>> external_data;
  int64_t num_jobs = 0;  // threads; 0: as many as affinity and control groups allow the process
  // Called on the calling thread, often; false cancels the compile (NEU0006). What a callback throws
  // ends the compile and comes out of the call.
  std::function<bool(const Progress&)> progress;
  // Called on the calling thread with each message, not later than the phase's end.
  std::function<void(const Message&)> log;
  // Where results are kept and looked for, by what they are made of; empty: nowhere. A folder that
  // cannot be used changes nothing but the time, and a warning says so (NEU0009).
  std::string cache_dir;
  int64_t cache_limit_bytes = int64_t{4} << 30;  // the oldest results beyond it are removed
  // The kernels that could be fastest are measured on this machine. The choices are kept in
  // `tune_file`; where it is empty, in `cache_dir` or the user's cache folder.
  bool tune = false;
  std::string tune_file;
};

// How many operations there are and where they run.
struct OperationCounts {
  int64_t num_in_model = 0;
  int64_t num_after_optimizations = 0;
  int64_t num_on_neuroncores = 0;
  int64_t num_on_host = 0;
};

// Text for people, one fact a line.
struct CompileDetails {
  std::string partition;  // what each NeuronCore does
  std::string remarks;    // what was done, and what was not and why
  std::string times;      // with time_passes
};

struct CompileResult {
  int exit_code = 70;  // 0 done, 1 wrong input, 3 unsupported, 5 gate failed, 70 internal error
  std::vector<std::byte> neff;  // of compile_*; empty where compile_*_to wrote a file
  OperationCounts operations;
  std::string report_json;  // what was done and why
  CompileDetails details;
  std::vector<Message> messages;
  bool is_from_cache = false;
  std::vector<std::string> input_files;  // that were read: the model, its external data, ...

  bool is_ok() const { return exit_code == 0; }
  NEURONC_API std::string messages_text() const;
};

// Compiles a model file, or a model in memory. `name` stands for the file in messages; external
// data of a model in memory is looked for in `folder` (empty: there may be none).
NEURONC_API CompileResult compile_file(const std::string& path, const CompileOptions& options = {});
NEURONC_API CompileResult compile_bytes(std::span<const std::byte> model, const std::string& name,
                                        const CompileOptions& options = {},
                                        const std::string& folder = {});

// The same, written to `output`: to a temporary name first, so that no partial file is left behind.
NEURONC_API CompileResult compile_file_to(const std::string& path, const std::string& output,
                                          const CompileOptions& options = {});

// Imports, optimises and places without making code: every problem and where each operation would
// run. The result has no NEFF.
NEURONC_API CompileResult check_file(const std::string& path, const CompileOptions& options = {});
NEURONC_API CompileResult check_bytes(std::span<const std::byte> model, const std::string& name,
                                      const CompileOptions& options = {},
                                      const std::string& folder = {});

// What a NEFF holds.
struct InspectResult {
  struct Member {
    std::string name;
    uint64_t offset_bytes = 0;
    uint64_t size_bytes = 0;
  };
  struct Target {
    std::string name;                   // "x86-64-v3"
    std::vector<std::string> features;  // that the machine must have
    bool runs_here = false;
  };
  int exit_code = 70;  // 0 done, 1 not a usable NEFF
  std::string json;    // neff.json
  std::string name;
  std::string uuid;
  std::string compiler_version;
  int64_t num_neuroncores = 0;
  std::vector<Member> members;
  std::vector<Target> targets;  // the best last
  std::string target_here;      // which of them this machine would run; empty: none
  std::vector<Message> messages;

  bool is_ok() const { return exit_code == 0; }
};
NEURONC_API InspectResult inspect_file(const std::string& path);
NEURONC_API InspectResult inspect_bytes(std::span<const std::byte> neff);

// The page behind the code of a message, in either case of letters; empty: there is no such code.
NEURONC_API std::string explain(std::string_view code);

// "neuronc 0.1.0 (LLVM 19.1.7)" is made of these two.
NEURONC_API std::string compiler_version();
NEURONC_API std::string llvm_version();

}  // namespace neuronc
