// What differs between two NEFFs, as data, text and JSON; for `neuronc diff`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "compiler/commands/neff_summary.h"

namespace neuronc {

struct DiffFigure {
  std::string name;  // "size"
  std::string unit;  // "bytes", "us"; empty: a count
  double old_value = 0;
  double new_value = 0;
};

// An entry of one side is empty where the other alone has it.
struct DiffEntry {
  std::string name;
  std::string old_text;
  std::string new_text;
};

// How much a figure may grow.
struct DiffLimit {
  std::string figure;
  double increase = 0;
  bool is_percent = false;
  std::string text;  // as it was given
};

struct DiffGate {
  std::string name;
  std::string measured;
  std::string limit;
  bool is_passed = true;
};

struct DiffReport {
  std::string old_file, new_file;
  std::vector<DiffFigure> figures;
  std::vector<DiffEntry> inputs, outputs, options, targets, host_nodes, kernels;
  size_t num_same_kernels = 0;
  std::vector<DiffGate> gates;
};

bool is_figure(std::string_view name);
std::string figure_names();  // "size, weights, ..."

DiffReport compare_summaries(const NeffSummary& old_summary, const NeffSummary& new_summary);
DiffGate judge(const DiffReport& report, const DiffLimit& limit);

std::string to_text(const DiffReport& report);
std::string to_json(const DiffReport& report, int exit_code);

}  // namespace neuronc
