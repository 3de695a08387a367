// Pipeline text: which passes run, in which order, with which options.
//
//   pipeline := item {"," item}
//   item     := "fixpoint" ["<" number ">"] "(" pipeline ")" | name ["{" options "}"]
//   options  := name "=" value {"," name "=" value}       value: a word or a "quoted text"
//
// fixpoint<N> repeats its passes until none of them changes the module, at most N times (default
// 10). Printing leaves default options out, and parse(print(p)) == p. Syntax, names, option types
// and the order of stages are checked before anything runs, with the column of each problem.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "passes/pass.h"

namespace neuronc {

struct PipelineItem {
  std::unique_ptr<Pass> pass;  // none: a fix point over `body`
  std::vector<PipelineItem> body;
  int64_t max_rounds = 0;
  int64_t column = 0;  // in the text, from 1
};

struct Pipeline {
  std::vector<PipelineItem> items;
};

// Errors: NEU0501 (syntax), NEU0502 (unknown pass), NEU0503 (option). All are collected as far as
// the syntax allows.
Expected<Pipeline> parse_pipeline(std::string_view text, Diagnostics& diagnostics);

std::string to_text(const Pipeline& pipeline);
std::string to_text(std::span<const PipelineItem> items);
// One pass with the options that differ from their defaults.
std::string to_text(const Pass& pass);

// Checks that each pass may run at the stage the module will have when its turn comes, starting
// from `stage`; returns the stage at the end. Errors: NEU0504.
Expected<Stage> check_stages(const Pipeline& pipeline, Stage stage, Diagnostics& diagnostics);

// The pipelines behind -O0 to -O3.
struct OptimizationLevel {
  std::string_view name;  // "O2"
  std::string_view summary;
  std::string_view pipeline;
};
std::span<const OptimizationLevel> optimization_levels();

}  // namespace neuronc
