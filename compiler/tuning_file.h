// Choices of kernels that --tune measured, in a text file: one line for each problem and target.
//
//   neuronc-tuning 1
//   KEY TARGET VARIANT BLOCKING PREDICTED_NS CHOSEN_NS KERNEL
//
// The key is the structure of the predicted kernel, so that a choice holds for every model with that
// problem. The file is replaced as a whole, under a lock of its folder: jobs may share it, and the
// choice that is written first stays. Nothing that goes wrong here is an error of the compile.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "ir/base/expected.h"
#include "ir/base/hash.h"

namespace neuronc {

struct TuningKey {
  std::string problem;  // 32 hexadecimal digits
  std::string target;   // "x86-64-v4-bf16"
  friend auto operator<=>(const TuningKey&, const TuningKey&) = default;
};

struct TuningChoice {
  std::string variant;
  std::string blocking;      // blocking.h; empty: the default
  int64_t predicted_ns = 0;  // measured, of the predicted way
  int64_t chosen_ns = 0;     // measured, of the chosen one
  std::string kernel;        // the predicted one's name, for people
  friend bool operator==(const TuningChoice&, const TuningChoice&) = default;
};

using TuningTable = std::map<TuningKey, TuningChoice>;

struct TuningText {
  TuningTable choices;
  int64_t num_bad_lines = 0;
  bool is_tuning_file = true;
};

std::string to_text(const TuningTable& choices);
// What can be read; lines that cannot are counted.
TuningText parse_tuning(std::string_view text);

// A file that does not exist is empty. Refuses what cannot be read.
OrRefusal<TuningText> read_tuning_file(const std::string& path);

// Adds `measured` to the file and gives what stands there then. What the file held first stays, but
// for `stale` keys. Refuses where it cannot be written, and files of another kind.
OrRefusal<TuningTable> add_to_tuning_file(const std::string& path, const TuningTable& measured,
                                          const TuningTable& stale);

}  // namespace neuronc
