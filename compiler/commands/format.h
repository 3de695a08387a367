// How outcomes are printed: tables for people, documents for machines.
//
//   json    docs/schema/result.v1.schema.json
//   sarif   SARIF 2.1.0: rules are our codes, with the pages of `explain`; locations are the file
//           and, as logical locations, the ONNX node
//   junit   a test case a model
//   github  workflow commands, which become annotations
#pragma once

#include <string>

#include "compiler/commands/batch.h"
#include "compiler/commands/outcome.h"

namespace neuronc {

// The tables of `check` and `verify`, to stdout; with the model's name above where there are
// several.
void print_tables(const ModelOutcome& outcome, bool has_title);

// The document; empty for text.
std::string to_document(const BatchOutcome& batch, OutputFormat format);

std::string to_json_document(const BatchOutcome& batch);
std::string to_sarif(const BatchOutcome& batch);
std::string to_junit(const BatchOutcome& batch);
std::string to_github(const BatchOutcome& batch);

std::string_view severity_name(Message::Severity severity);

}  // namespace neuronc
