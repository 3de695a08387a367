// The models that a command line names: files, folders, patterns, standard input.
#pragma once

#include <string>
#include <vector>

#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"

namespace neuronc {

inline constexpr std::string_view kStandardStream = "-";  // as a file's name
inline constexpr std::string_view kStandardInputName = "<stdin>";

// A folder stands for the .onnx files in it and below, a pattern for the files that match it; in
// the order of their names, each once. A name that is neither stays: whoever reads it says what is
// wrong. Errors: NEU0008, NEU0003 (standard input among others).
Expected<std::vector<std::string>> find_models(const std::vector<std::string>& names,
                                               Diagnostics& diagnostics);

// The NEFF of each model. `output` is one model's file, or the folder of several (it ends in a
// slash or is one); empty: the current folder. Errors: NEU0003 (two of the same name).
Expected<std::vector<std::string>> output_names(const std::vector<std::string>& models,
                                                const std::string& output,
                                                Diagnostics& diagnostics);

// All of standard input. Errors: NEU0001.
Expected<std::vector<std::byte>> read_standard_input(Diagnostics& diagnostics);

}  // namespace neuronc
