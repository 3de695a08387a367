// Implements the C API, include/neuronc/neuronc.h: the command's words become options.
#include "compiler/c_api.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "compiler/commands/compile_options.h"
#include "compiler/public_api.h"

namespace neuronc {

std::optional<CompileOptions> options_of(const char* const* words, size_t num_words,
                                         CompileResult& failed) {
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
  for (const Diagnostic& d : diagnostics.all()) failed.messages.push_back(to_message(d));
  failed.exit_code = exit_code(diagnostics.worst());
  return std::nullopt;
}

CompileResult usage(std::string_view what) {
  Diagnostics diagnostics;
  diagnostics.report(diag::usage_error, {}, what);
  CompileResult result;
  result.messages.push_back(to_message(diagnostics.all()[0]));
  result.exit_code = exit_code(diagnostics.worst());
  return result;
}

std::string hints_text(const Message& message) {
  return fmt::format("{}", fmt::join(message.hints, "\n"));
}

bool is_job(const neuronc_job* job) {
  static_assert(sizeof(neuronc_job) % sizeof(void*) == 0 && sizeof(size_t) == sizeof(void*));
  return job != nullptr && job->size >= sizeof(job->size) && job->size % sizeof(void*) == 0;
}

neuronc_job current_job(const neuronc_job& given) {
  neuronc_job job{};
  std::memcpy(&job, &given, std::min(given.size, sizeof(job)));
  return job;
}

CompileResult out_of_memory() {
  Diagnostics diagnostics;
  diagnostics.report(diag::out_of_memory, {});
  CompileResult result;
  result.messages.push_back(to_message(diagnostics.all()[0]));
  result.exit_code = exit_code(diagnostics.worst());
  return result;
}

void finish_result(neuronc_result& result) {
  result.messages = result.result.messages_text();
  for (const Message& m : result.result.messages) result.hints.push_back(hints_text(m));
}

void add_internal_error(neuronc_result& result, const char* what) {
  result.result = CompileResult();
  Message message;
  message.summary = std::string("internal error: ") + what;
  message.text = message.summary;
  result.result.messages.push_back(std::move(message));
}

namespace {

neuronc_message to_c(const Message& message, const std::string& hints) {
  return {static_cast<neuronc_severity>(message.severity),
          message.code.c_str(),
          message.text.c_str(),
          message.summary.c_str(),
          message.file.c_str(),
          message.node.c_str(),
          message.op.c_str(),
          message.opset,
          message.tensor.c_str(),
          hints.c_str()};
}

void add_callbacks(CompileOptions& options, const neuronc_job& job) {
  if (job.progress != nullptr) {
    options.progress = [job](const Progress& progress) {
      const std::string phase(progress.phase);
      const std::string detail(progress.detail);
      const neuronc_progress c{phase.c_str(), detail.c_str(), progress.done, progress.total};
      return job.progress(job.user_data, &c) == 0;
    };
  }
  if (job.log != nullptr) {
    options.log = [job](const Message& message) {
      const std::string hints = hints_text(message);
      const neuronc_message c = to_c(message, hints);
      job.log(job.user_data, &c);
    };
  }
}

enum class Task : uint8_t { compile, check };

CompileResult run(const neuronc_job& job, Task task) {
  const bool is_file = job.path != nullptr;
  const bool is_memory =
      (job.model != nullptr || job.model_bytes == 0) && job.name != nullptr && !is_file;
  if (!is_file && !is_memory) return usage("the model, its path or its name is a null pointer");
  if (is_file && job.model != nullptr) return usage("the job has a path and a model in memory");
  if (job.output != nullptr && (!is_file || task == Task::check)) {
    return usage("an output is written of a model file that is compiled");
  }
  CompileResult failed;
  auto options = options_of(job.options, job.num_options, failed);
  if (!options) return failed;
  for (size_t i = 0; i < job.num_external_data; ++i) {
    const neuronc_external_data* data =
        job.external_data == nullptr ? nullptr : &job.external_data[i];
    if (data == nullptr || data->location == nullptr ||
        (data->data == nullptr && data->size_bytes > 0)) {
      return usage("external data, or its location, is a null pointer");
    }
    options->external_data[data->location] = {static_cast<const std::byte*>(data->data),
                                              data->size_bytes};
  }
  add_callbacks(*options, job);
  const std::span model(static_cast<const std::byte*>(job.model), job.model_bytes);
  if (task == Task::check) {
    return is_file ? check_file(job.path, *options) : check_bytes(model, job.name, *options);
  }
  if (job.output != nullptr) return compile_file_to(job.path, job.output, *options);
  return is_file ? compile_file(job.path, *options) : compile_bytes(model, job.name, *options);
}

neuronc_result* run_job(const neuronc_job* job, Task task) {
  return result_of([&] {
    if (!is_job(job)) return usage("the job is a null pointer or has not a job's size");
    return run(current_job(*job), task);
  });
}

// neff.json and what the container says.
CompileResult as_result(InspectResult inspected) {
  CompileResult result;
  result.exit_code = inspected.exit_code;
  result.messages = std::move(inspected.messages);
  if (!inspected.is_ok()) return result;
  auto json = nlohmann::ordered_json::parse(inspected.json, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) json = nlohmann::ordered_json::object();
  auto& container = json["container"];
  container = {{"name", inspected.name},
               {"uuid", inspected.uuid},
               {"compiler", inspected.compiler_version},
               {"neuroncores", inspected.num_neuroncores},
               {"target_here", inspected.target_here}};
  for (const InspectResult::Target& target : inspected.targets) {
    container["targets"].push_back(
        {{"name", target.name}, {"features", target.features}, {"runs_here", target.runs_here}});
  }
  for (const InspectResult::Member& member : inspected.members) {
    container["members"].push_back({{"name", member.name},
                                    {"offset_bytes", member.offset_bytes},
                                    {"size_bytes", member.size_bytes}});
  }
  result.report_json =
      json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  return result;
}

// Texts that stay for the life of the process, one for each code that was asked for.
const char* kept_page(const std::string& code) {
  static std::mutex* const kMutex = new std::mutex;
  static auto* const kPages = new std::map<std::string, std::string>;
  const std::string page = explain(code);
  if (page.empty()) return "";
  const std::lock_guard lock(*kMutex);
  // By the page's own spelling of the code, so that they are as many as there are codes.
  return kPages->emplace(page.substr(0, page.find(' ')), page).first->second.c_str();
}

}  // namespace
}  // namespace neuronc

extern "C" {

neuronc_result* neuronc_compile(const neuronc_job* job) {
  return neuronc::run_job(job, neuronc::Task::compile);
}

neuronc_result* neuronc_check(const neuronc_job* job) {
  return neuronc::run_job(job, neuronc::Task::check);
}

neuronc_result* neuronc_compile_file(const char* path, const char* const* options,
                                     size_t num_options) {
  neuronc_job job{};
  job.size = sizeof(job);
  job.path = path;
  job.options = options;
  job.num_options = num_options;
  return neuronc_compile(&job);
}

neuronc_result* neuronc_compile_bytes(const void* model, size_t size_bytes, const char* name,
                                      const char* const* options, size_t num_options) {
  neuronc_job job{};
  job.size = sizeof(job);
  job.model = model;
  job.model_bytes = size_bytes;
  job.name = name;
  job.options = options;
  job.num_options = num_options;
  return neuronc_compile(&job);
}

neuronc_result* neuronc_inspect_file(const char* path) {
  return neuronc::result_of([&] {
    if (path == nullptr) return neuronc::usage("the path is a null pointer");
    return neuronc::as_result(neuronc::inspect_file(path));
  });
}

neuronc_result* neuronc_inspect_bytes(const void* neff, size_t size_bytes) {
  return neuronc::result_of([&] {
    if (neff == nullptr && size_bytes > 0) return neuronc::usage("the NEFF is a null pointer");
    return neuronc::as_result(
        neuronc::inspect_bytes({static_cast<const std::byte*>(neff), size_bytes}));
  });
}

const char* neuronc_explain(const char* code) {
  try {
    return code == nullptr ? "" : neuronc::kept_page(code);
  } catch (const std::exception&) {
    return "";
  }
}

int neuronc_result_exit_code(const neuronc_result* result) {
  return result == nullptr ? neuronc::exit_code(neuronc::ErrorClass::usage)
                           : result->result.exit_code;
}
const char* neuronc_result_messages(const neuronc_result* result) {
  return result == nullptr ? "" : result->messages.c_str();
}
size_t neuronc_result_num_messages(const neuronc_result* result) {
  return result == nullptr ? 0 : result->result.messages.size();
}
int neuronc_result_message(const neuronc_result* result, size_t index, neuronc_message* message,
                           size_t size) {
  if (message == nullptr || index >= neuronc_result_num_messages(result)) return 1;
  const neuronc_message filled =
      neuronc::to_c(result->result.messages[index], result->hints[index]);
  std::memset(message, 0, size);
  std::memcpy(message, &filled, std::min(size, sizeof(filled)));
  return 0;
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

const char* neuronc_llvm_version(void) {
  static const std::string* const kVersion = new std::string(neuronc::llvm_version());
  return kVersion->c_str();
}

}  // extern "C"
