// Pipeline text: printing and parsing are inverse, and wrong texts are refused before anything
// runs.
#include <catch2/catch.hpp>

#include "passes/pipeline.h"

namespace neuronc {
namespace {

std::string reprint(std::string_view text) {
  Diagnostics diagnostics;
  const auto pipeline = parse_pipeline(text, diagnostics);
  return pipeline ? to_text(*pipeline) : diagnostics.to_text();
}

}  // namespace

TEST_CASE("a printed pipeline parses as itself") {
  for (std::string_view text :
       {"", "canonicalize", "canonicalize,fixpoint<10>(fold-constants,simplify)",
        "fixpoint<3>(fixpoint<2>(simplify),fold-constants{max-bytes=7,max-flops=9})"}) {
    CHECK(reprint(text) == text);
  }
}

TEST_CASE("blanks and defaults are not printed") {
  CHECK(reprint(" fixpoint ( simplify , fold-constants { max-bytes = 1048576 } ) ") ==
        "fixpoint<10>(simplify,fold-constants)");
}

TEST_CASE("every optimisation level is a pipeline that may run on an imported module") {
  REQUIRE(optimization_levels().size() == 4);
  for (const OptimizationLevel& level : optimization_levels()) {
    INFO(level.name);
    Diagnostics diagnostics;
    const auto pipeline = parse_pipeline(level.pipeline, diagnostics);
    REQUIRE(pipeline);
    CHECK(to_text(*pipeline) == level.pipeline);
    CHECK(check_stages(*pipeline, Stage::imported, diagnostics));
    CHECK(diagnostics.to_text().empty());
  }
}

TEST_CASE("every pass has its place in the table") {
  std::string_view previous;
  for (const PassInfo& info : all_passes()) {
    INFO(info.name);
    CHECK(previous < info.name);
    CHECK(info.earliest <= info.latest);
    CHECK_FALSE(info.summary.empty());
    CHECK(info.create()->info().name == info.name);
    previous = info.name;
  }
}

TEST_CASE("a fix point must be able to repeat its passes") {
  Diagnostics diagnostics;
  const auto pipeline = parse_pipeline("fixpoint(canonicalize,simplify)", diagnostics);
  REQUIRE(pipeline);
  CHECK(check_stages(*pipeline, Stage::imported, diagnostics));
  const auto wrong = parse_pipeline("canonicalize,fixpoint(eliminate-dead,place)", diagnostics);
  REQUIRE(wrong);
  CHECK_FALSE(check_stages(*wrong, Stage::imported, diagnostics));
}

TEST_CASE("no text crashes the parser") {
  const std::string text = "fixpoint<3>(fold-constants{max-bytes=7},\"x\"),simplify";
  for (size_t size = 0; size <= text.size(); ++size) {
    reprint(text.substr(0, size));
    for (char c : {'\0', '{', '}', '(', ')', '"', ',', '<', '\xff'}) {
      std::string changed = text;
      if (size < text.size()) changed[size] = c;
      reprint(changed);
    }
  }
  std::string nested;
  for (int i = 0; i < 100000; ++i) nested += "fixpoint(";
  CHECK(reprint(nested).find("NEU0501") != std::string::npos);
}

}  // namespace neuronc
