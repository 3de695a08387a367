// Implements the C API, include/neuronc/neuronc.h: the command's words become options.
#include <CLI/CLI.hpp>
#include <new>
#include <optional>
#include <string>

#include "compiler/commands/compile_options.h"
#include "compiler/include/neuronc/compiler.h"
#include "compiler/include/neuronc/neuronc.h"

struct neuronc_result {
  neuronc::CompileResult result;
  std::string messages;
};

namespace neuronc {
namespace {

// The options behind `words`. No value: `failed` says why.
std::optional<CompileOptions> options_of(const char* const* words, size_t num_words,
                                         neuronc_result& failed) {
  Diagnostics diagnostics;
  CLI::App app("neuronc");
  CompileArguments arguments;
  app.set_help_flag();  // a library prints nothing
  declare_compile_options(app, arguments);
  std::vector<std::string> args;
  for (size_t i = 0; i < num_words; ++i) {
    const char* word = words == nullptr ? nullptr : words[i];
    if (word == nullptr) diagnostics.report(diag::usage_error, {}, "an option is a null pointer");
    if (word != nullptr) args.emplace_back(word);
  }
  if (!diagnostics.has_errors() && !parse_arguments(app, args, diagnostics) &&
      finish(arguments, diagnostics)) {
    if (arguments.report.empty()) return arguments.options;
    diagnostics.report(diag::usage_error, {}, "neuronc_result_report gives what --report writes");
  }
  failed.messages = diagnostics.to_text();
  failed.result.exit_code = exit_code(diagnostics.worst());
  return std::nullopt;
}

template <class Compile>
neuronc_result* compile(const char* const* words, size_t num_words, bool has_model,
                        Compile compile_with) {
  auto* result = new neuronc_result;
  try {
    if (!has_model) {
      Diagnostics diagnostics;
      diagnostics.report(diag::usage_error, {},
                         "the model, its path or its name is a null pointer");
      result->messages = diagnostics.to_text();
      result->result.exit_code = exit_code(diagnostics.worst());
      return result;
    }
    if (const auto options = options_of(words, num_words, *result)) {
      result->result = compile_with(*options);
      result->messages = result->result.messages_text();
    }
  } catch (const std::exception& error) {
    result->result = CompileResult();
    result->messages = std::string("internal error: ") + error.what() + "\n";
  }
  return result;
}

}  // namespace
}  // namespace neuronc

extern "C" {

neuronc_result* neuronc_compile_file(const char* path, const char* const* options,
                                     size_t num_options) {
  return neuronc::compile(
      options, num_options, path != nullptr,
      [&](const neuronc::CompileOptions& parsed) { return neuronc::compile_file(path, parsed); });
}

neuronc_result* neuronc_compile_bytes(const void* model, size_t size_bytes, const char* name,
                                      const char* const* options, size_t num_options) {
  const bool has_model = (model != nullptr || size_bytes == 0) && name != nullptr;
  return neuronc::compile(options, num_options, has_model,
                          [&](const neuronc::CompileOptions& parsed) {
                            const std::span bytes(static_cast<const std::byte*>(model), size_bytes);
                            return neuronc::compile_bytes(bytes, name, parsed);
                          });
}

int neuronc_result_exit_code(const neuronc_result* result) {
  return result == nullptr ? neuronc::exit_code(neuronc::ErrorClass::usage)
                           : result->result.exit_code;
}
const char* neuronc_result_messages(const neuronc_result* result) {
  return result == nullptr ? "" : result->messages.c_str();
}
const char* neuronc_result_report(const neuronc_result* result) {
  return result == nullptr ? "" : result->result.report_json.c_str();
}
const void* neuronc_result_neff(const neuronc_result* result, size_t* size_bytes) {
  if (size_bytes != nullptr) *size_bytes = 0;
  if (result == nullptr) return nullptr;
  const auto& neff = result->result.neff;
  if (size_bytes != nullptr) *size_bytes = neff.size();
  return neff.empty() ? nullptr : neff.data();
}
void neuronc_result_free(neuronc_result* result) { delete result; }

const char* neuronc_version(void) {
  static const std::string* const kVersion = new std::string(neuronc::compiler_version());
  return kVersion->c_str();
}

}  // extern "C"
