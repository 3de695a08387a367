// --format of the commands that judge: what stdout and files get besides the text for people.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "compiler/commands/outcome.h"
#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"

namespace neuronc {

enum class OutputFormat : uint8_t { text, json, sarif, junit, github };

// FORMAT, what stdout gets, or FORMAT=FILE.
using FormatWords = std::vector<std::string>;

void declare_formats(CLI::App& app, FormatWords& words);

// Two formats for stdout, no file name, text for a file. Errors: NEU0002.
Expected<void> check_formats(const FormatWords& words, Diagnostics& diagnostics);

OutputFormat format_on_stdout(const FormatWords& words);

// Writes a document for each of `words`, files first: one that cannot be written changes the exit code
// and is among the messages of what stdout gets. Text has an empty document.
using MakeDocument = std::function<std::string(const BatchOutcome& batch, OutputFormat format)>;
void write_documents(BatchOutcome& batch, const FormatWords& words, const MakeDocument& make);

}  // namespace neuronc
