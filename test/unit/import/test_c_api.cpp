// The C API: words as on the command line, one result to free.
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "compiler/include/neuronc/neuronc.h"
#include "compiler/public_api.h"

namespace {

TEST_CASE("a model compiles from C", "[api]") {
  const char* words[] = {"--num-neuroncores", "2", "-O1"};
  neuronc_result* result = neuronc_compile_file(GLYPHS_MODEL, words, 3);
  INFO(neuronc_result_messages(result));
  CHECK(neuronc_result_exit_code(result) == 0);
  size_t size_bytes = 0;
  const void* neff = neuronc_result_neff(result, &size_bytes);
  REQUIRE(neff != nullptr);
  CHECK(size_bytes > 1024);
  CHECK(std::memcmp(neff, "\x7fNEFF", 5) == 0);
  CHECK(std::string(neuronc_result_report(result)).find("\"partition\"") != std::string::npos);
  neuronc_result_free(result);
}

TEST_CASE("errors have the command's exit codes and no NEFF", "[api]") {
  const char* wrong[] = {"--num-neuroncores", "none"};
  neuronc_result* usage = neuronc_compile_file(GLYPHS_MODEL, wrong, 2);
  CHECK(neuronc_result_exit_code(usage) == 2);
  CHECK(std::string(neuronc_result_messages(usage)).find("NEU0003") != std::string::npos);
  neuronc_result_free(usage);

  neuronc_result* damaged = neuronc_compile_bytes("nonsense", 8, "memory", nullptr, 0);
  size_t size_bytes = 1;
  CHECK(neuronc_result_exit_code(damaged) == 1);
  CHECK(neuronc_result_neff(damaged, &size_bytes) == nullptr);
  CHECK(size_bytes == 0);
  neuronc_result_free(damaged);
}

TEST_CASE("null pointers are wrong usage, not a crash", "[api]") {
  const char* words[] = {nullptr};
  for (neuronc_result* result :
       {neuronc_compile_file(nullptr, nullptr, 0), neuronc_compile_file(GLYPHS_MODEL, words, 1),
        neuronc_compile_file(GLYPHS_MODEL, nullptr, 3),
        neuronc_compile_bytes(nullptr, 8, "memory", nullptr, 0),
        neuronc_compile_bytes("nonsense", 8, nullptr, nullptr, 0)}) {
    CHECK(neuronc_result_exit_code(result) == 2);
    CHECK(std::string(neuronc_result_messages(result)).find("null pointer") != std::string::npos);
    neuronc_result_free(result);
  }
  size_t size_bytes = 1;
  CHECK(neuronc_result_exit_code(nullptr) == 2);
  CHECK(neuronc_result_neff(nullptr, &size_bytes) == nullptr);
  CHECK(size_bytes == 0);
  neuronc_result_free(nullptr);
}

}  // namespace

namespace {

struct Seen {
  std::vector<std::string> phases;
  std::vector<std::string> codes;
  std::string cancel_in;
};

int on_progress(void* user_data, const neuronc_progress* progress) {
  auto& seen = *static_cast<Seen*>(user_data);
  if (seen.phases.empty() || seen.phases.back() != progress->phase) {
    seen.phases.emplace_back(progress->phase);
  }
  CHECK(progress->done >= 0);
  CHECK(progress->done <= progress->total);
  return seen.cancel_in == progress->phase ? 1 : 0;
}

void on_log(void* user_data, const neuronc_message* message) {
  static_cast<Seen*>(user_data)->codes.emplace_back(message->code);
}

neuronc_job job_of(Seen& seen) {
  neuronc_job job{};
  job.size = sizeof(job);
  job.path = GLYPHS_MODEL;
  job.progress = on_progress;
  job.log = on_log;
  job.user_data = &seen;
  return job;
}

}  // namespace

TEST_CASE("a job tells its progress and can be cancelled in every phase", "[api]") {
  Seen all;
  const neuronc_job job = job_of(all);
  neuronc_result* result = neuronc_compile(&job);
  CHECK(neuronc_result_exit_code(result) == 0);
  neuronc_result_free(result);
  CHECK(all.phases == std::vector<std::string>{"import", "passes", "code"});
  for (const std::string& phase : all.phases) {
    Seen seen;
    seen.cancel_in = phase;
    const neuronc_job cancelled = job_of(seen);
    result = neuronc_compile(&cancelled);
    CHECK(neuronc_result_exit_code(result) == 1);
    REQUIRE(neuronc_result_num_messages(result) == 1);
    neuronc_message message;
    CHECK(neuronc_result_message(result, 0, &message, sizeof(message)) == 0);
    CHECK(std::string(message.code) == "NEU0006");
    CHECK(std::string(message.summary).find(phase) != std::string::npos);
    CHECK(neuronc_result_message(result, 1, &message, sizeof(message)) != 0);
    CHECK(seen.phases.back() == phase);
    CHECK(seen.codes == std::vector<std::string>{"NEU0006"});
    neuronc_result_free(result);
  }
}

TEST_CASE("the last call of progress cancels like the first, and what a callback throws comes out",
          "[api]") {
  struct Thrown {};
  neuronc::CompileOptions options;
  options.num_jobs = 4;
  int64_t total = 0;
  options.progress = [&](const neuronc::Progress&) { return ++total > 0; };
  REQUIRE(neuronc::compile_file(GLYPHS_MODEL, options).is_ok());
  for (const int64_t at : {int64_t{1}, total / 2, total - 1, total}) {
    int64_t calls = 0;
    options.progress = [&](const neuronc::Progress&) { return ++calls != at; };
    const neuronc::CompileResult result = neuronc::compile_file(GLYPHS_MODEL, options);
    CHECK(result.exit_code == 1);
    CHECK(result.neff.empty());
    REQUIRE(result.messages.size() == 1);
    CHECK(result.messages[0].code == "NEU0006");
    CHECK(calls == at);
    calls = 0;
    options.progress = [&](const neuronc::Progress&) -> bool {
      if (++calls == at) throw Thrown();
      return true;
    };
    CHECK_THROWS_AS(neuronc::compile_file(GLYPHS_MODEL, options), Thrown);
  }
}

TEST_CASE("messages have their parts, and a check makes no NEFF", "[api]") {
  Seen seen;
  neuronc_job job = job_of(seen);
  job.path = "nowhere.onnx";
  neuronc_result* result = neuronc_check(&job);
  CHECK(neuronc_result_exit_code(result) == 1);
  CHECK(seen.codes == std::vector<std::string>{"NEU0001"});
  neuronc_message message;
  REQUIRE(neuronc_result_message(result, 0, &message, sizeof(message)) == 0);
  CHECK(message.severity == NEURONC_ERROR);
  CHECK(std::string(message.text).find(message.summary) != std::string::npos);
  neuronc_result_free(result);
  job.path = GLYPHS_MODEL;
  result = neuronc_check(&job);
  CHECK(neuronc_result_exit_code(result) == 0);
  CHECK(std::string(neuronc_result_report(result)).find("\"on_neuroncores\"") != std::string::npos);
  size_t size_bytes = 1;
  CHECK(neuronc_result_neff(result, &size_bytes) == nullptr);
  neuronc_result_free(result);
  CHECK(std::string(neuronc_explain("neu0001")).find("NEU0001 (error") == 0);
  CHECK(neuronc_explain("NEU0001") == neuronc_explain("neu0001"));
  CHECK(std::string(neuronc_explain("nonsense")).empty());
}

TEST_CASE("a NEFF in memory is inspected", "[api]") {
  neuronc_result* compiled = neuronc_compile_file(GLYPHS_MODEL, nullptr, 0);
  size_t size_bytes = 0;
  const void* neff = neuronc_result_neff(compiled, &size_bytes);
  neuronc_result* result = neuronc_inspect_bytes(neff, size_bytes);
  CHECK(neuronc_result_exit_code(result) == 0);
  const std::string report = neuronc_result_report(result);
  CHECK(report.find("\"target_here\": \"x86-64-v") != std::string::npos);
  CHECK(report.find("x86-64-v3/code.so") != std::string::npos);
  neuronc_result_free(result);
  result = neuronc_inspect_bytes(neff, size_bytes / 2);
  CHECK(neuronc_result_exit_code(result) == 1);
  neuronc_result_free(result);
  neuronc_result_free(compiled);
}

TEST_CASE("a job of an earlier or later version is taken as far as it goes", "[api]") {
  Seen seen;
  neuronc_job job = job_of(seen);
  job.size = offsetof(neuronc_job, progress);
  neuronc_result* result = neuronc_compile(&job);
  CHECK(neuronc_result_exit_code(result) == 0);
  CHECK(seen.phases.empty());
  neuronc_result_free(result);
  // Nothing, or something that ends inside of the path.
  for (const size_t size : {size_t{0}, offsetof(neuronc_job, path) + 4}) {
    job.size = size;
    for (neuronc_result* refused :
         {neuronc_compile(&job), neuronc_check(&job), neuronc_evaluate(&job, nullptr, 0)}) {
      CHECK(neuronc_result_exit_code(refused) == 2);
      neuronc_result_free(refused);
    }
  }
}

TEST_CASE("values that no option has are wrong usage", "[api]") {
  using neuronc::CompileOptions;
  std::vector<CompileOptions> wrong(8);
  wrong[0].partition = static_cast<neuronc::PartitionStrategy>(99);
  wrong[1].optimize_for = static_cast<neuronc::OptimizeFor>(2);
  wrong[2].auto_cast = static_cast<neuronc::AutoCast>(3);
  wrong[3].auto_cast_type = static_cast<neuronc::AutoCastType>(2);
  wrong[4].numerics = static_cast<neuronc::Numerics>(2);
  wrong[5].reductions = static_cast<neuronc::Reductions>(255);
  wrong[6].num_jobs = -1;
  wrong[7].optimization_level = 4;
  for (const CompileOptions& options : wrong) {
    CHECK(neuronc::compile_file(GLYPHS_MODEL, options).exit_code == 2);
  }
}

TEST_CASE("options of an earlier version keep what it knows, and each field is taken over",
          "[api]") {
  using neuronc::CompileOptions;
  CompileOptions all;
  all.num_neuroncores = 2;
  all.print_changed = true;
  all.outputs = {"nothing"};
  all.num_jobs = 3;
  all.log = [](const neuronc::Message&) {};
  const CompileOptions same = neuronc::current_options(all);
  CHECK(same.num_neuroncores == 2);
  CHECK(same.print_changed);
  CHECK(same.outputs == all.outputs);
  CHECK(same.num_jobs == 3);
  CHECK(same.log);
  all.size_bytes = static_cast<size_t>(reinterpret_cast<const char*>(&all.outputs) -
                                       reinterpret_cast<const char*>(&all));
  const CompileOptions earlier = neuronc::current_options(all);
  CHECK(earlier.num_neuroncores == 2);
  CHECK(earlier.print_changed);
  CHECK(earlier.outputs.empty());
  CHECK(earlier.num_jobs == 0);
}
