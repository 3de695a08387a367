// Damaged models end in diagnostics, never in a crash: a real model with bytes changed and cut off.
#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <iterator>
#include <span>
#include <string>

#include "compiler/onnx/import.h"
#include "ir/verifier.h"

namespace neuronc::onnx {
namespace {

std::string read_model() {
  std::ifstream file(GLYPHS_MODEL, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What is imported from damaged bytes is a module that verifies, or nothing and an error.
void check_import(const std::string& bytes) {
  Diagnostics diagnostics;
  const auto imported =
      import_bytes(std::as_bytes(std::span(bytes)), "damaged.onnx", "", {}, diagnostics);
  if (!imported) {
    CHECK(diagnostics.has_errors());
    return;
  }
  CHECK(verify(imported->module, diagnostics));
}

TEST_CASE("the model is good as it is", "[import]") {
  const std::string model = read_model();
  Diagnostics diagnostics;
  const auto imported = import_bytes(std::as_bytes(std::span(model)), "m", "", {}, diagnostics);
  INFO(diagnostics.to_text());
  REQUIRE(imported);
  CHECK(imported->size_bytes == static_cast<int64_t>(model.size()));
}

TEST_CASE("every truncation is refused", "[import]") {
  const std::string model = read_model();
  constexpr size_t kSteps = 200;
  for (size_t i = 0; i < kSteps; ++i) {
    Diagnostics diagnostics;
    const std::string cut = model.substr(0, model.size() * i / kSteps);
    INFO("cut to " << cut.size() << " bytes");
    CHECK_FALSE(import_bytes(std::as_bytes(std::span(cut)), "cut.onnx", "", {}, diagnostics));
    CHECK(diagnostics.has_errors());
  }
}

// The structure stands at both ends of the file, around the weights.
TEST_CASE("changed bytes give a module or an error", "[import]") {
  const std::string model = read_model();
  uint64_t state = 1;
  for (int i = 0; i < 400; ++i) {
    std::string changed = model;
    for (int flips = 0; flips < 3; ++flips) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const size_t reach = std::min<size_t>(4096, model.size());
      const size_t offset = (state >> 33) % reach;
      const size_t position = (state & 1) != 0 ? offset : model.size() - 1 - offset;
      changed[position] = static_cast<char>(state >> 24);
    }
    check_import(changed);
  }
}

}  // namespace
}  // namespace neuronc::onnx
