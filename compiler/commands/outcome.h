// What became of one model, whatever the command: what the output formats print.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "compiler/include/neuronc/compiler.h"
#include "ir/base/diagnostics.h"

namespace neuronc {

// What gates measure; no value: the command does not know it.
struct Figures {
  std::optional<double> host_ops;
  std::optional<double> neff_bytes;
  std::optional<double> arena_bytes;  // of all cores, of the target that needs most
  std::optional<double> latency_us;   // of one request, predicted
  std::optional<double> min_cosine;   // of all outputs
  std::optional<double> max_error;    // the largest absolute difference
  std::vector<std::string> targets;   // that the NEFF has code for
};

// A limit that an option set.
struct Gate {
  std::string name;  // the option's, "max-neff-bytes"
  std::string measured;
  std::string limit;
  bool is_passed = true;
};

// A line of `check`'s table.
struct OperationStatus {
  std::string
      status;  // "NeuronCore", "host"; of a model that cannot be imported "unsupported", ...
  std::string op;
  std::string node;
  std::string reason;  // why it is not on a NeuronCore
};

// A line of `verify`.
struct OutputStatus {
  std::string data;  // the set of inputs
  std::string output;
  double max_abs_diff = 0;
  double cosine = 1;
  int64_t num_mismatches = 0;
  int64_t num_elements = 0;
  bool is_float = false;
  bool is_passed = false;
};

struct ModelOutcome {
  std::string model;
  std::string output;  // the NEFF that was written
  int exit_code = 0;
  std::vector<Message> messages;
  int64_t num_allowed = 0;  // warnings that --allow took out
  OperationCounts operations;
  Figures figures;
  std::vector<Gate> gates;
  std::vector<OperationStatus> nodes;
  std::vector<OutputStatus> outputs;
  bool is_from_cache = false;
  std::string details;  // further text for people
  double time_ms = 0;
};

// What a command did with all of its models.
struct BatchOutcome {
  std::string command;            // "check"
  std::vector<Message> messages;  // that belong to no model
  std::vector<ModelOutcome> models;
  int exit_code = 0;
};

// Of several exit codes the one that counts: 70, 2, 1, 3, 5, 0.
int worst_exit_code(int a, int b);

// The messages of `diagnostics` and the exit code; `is_done` false without an error is internal.
void add_messages(ModelOutcome& outcome, const Diagnostics& diagnostics, bool is_done);

}  // namespace neuronc
