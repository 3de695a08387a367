// What the command lines of all programs have in common. For programs that use CLI11; header only,
// so that libraries do not see it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/nearest.h"

namespace neuronc {

// The option of `app` that a misspelt one is closest to, "--auto-cast"; empty: none is near.
inline std::string nearest_option(const CLI::App& app, std::string_view word) {
  const std::string_view name = word.substr(0, word.find('='));
  if (!name.starts_with("-")) return {};
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& one : option->get_lnames()) names.push_back("--" + one);
  }
  const std::vector<std::string_view> candidates(names.begin(), names.end());
  return std::string(nearest(name, candidates));
}

}  // namespace neuronc
