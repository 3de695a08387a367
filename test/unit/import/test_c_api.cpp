// The C API: words as on the command line, one result to free.
#include <catch2/catch.hpp>
#include <cstring>
#include <string>

#include "compiler/include/neuronc/neuronc.h"

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
