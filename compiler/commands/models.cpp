// Implements models.h.
#include "compiler/commands/models.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>

namespace neuronc {
namespace {

namespace fs = std::filesystem;

bool is_folder(const std::string& name) {
  std::error_code error;
  return fs::is_directory(name, error);
}

bool exists(const std::string& name) {
  std::error_code error;
  return fs::exists(name, error);
}

bool is_pattern(const std::string& name) {
  return name.find_first_of("*?[") != std::string::npos && !exists(name);
}

// Folders whose names begin with a dot (.git, .venv) are none of the project's.
std::vector<std::string> models_in(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code error;
  auto it = fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied,
                                             error);
  for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    if (it->is_directory(ignored) && name.starts_with(".")) it.disable_recursion_pending();
    if (it->path().extension() == ".onnx" && it->is_regular_file(ignored)) {
      found.push_back(it->path().string());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> matches(const std::string& pattern) {
  std::vector<std::string> found;
  glob_t result{};
  if (glob(pattern.c_str(), 0, nullptr, &result) == 0) {
    found.assign(result.gl_pathv, result.gl_pathv + result.gl_pathc);
  }
  globfree(&result);
  return found;
}

Expected<std::vector<std::string>> usage(Diagnostics& diagnostics, const std::string& text) {
  diagnostics.report(diag::usage_error, {}, text);
  return reported();
}

}  // namespace

Expected<std::vector<std::string>> find_models(const std::vector<std::string>& names,
                                               Diagnostics& diagnostics) {
  std::vector<std::string> models;
  std::set<std::string> seen;
  const auto add = [&](const std::string& model) {
    if (seen.insert(model).second) models.push_back(model);
  };
  for (const std::string& name : names) {
    const bool is_several = is_folder(name) || is_pattern(name);
    std::vector<std::string> found{name};
    if (is_several) found = is_folder(name) ? models_in(name) : matches(name);
    if (found.empty()) diagnostics.report(diag::no_models, {}, name);
    for (const std::string& match : found) {
      // A pattern may match folders.
      const bool is_nested = is_several && is_folder(match);
      for (const std::string& model : is_nested ? models_in(match) : std::vector{match}) add(model);
    }
  }
  if (seen.contains(std::string(kStandardStream)) && models.size() > 1) {
    return usage(diagnostics, "a model from standard input comes alone");
  }
  if (diagnostics.has_errors()) return reported();
  return models;
}

Expected<std::vector<std::string>> output_names(const std::vector<std::string>& models,
                                                const std::string& output,
                                                Diagnostics& diagnostics) {
  const bool is_dir = !output.empty() && (output.ends_with("/") || is_folder(output));
  if (models.size() == 1 && !output.empty() && !is_dir) return std::vector{output};
  if (models.size() > 1 && !output.empty() && !is_dir) {
    return usage(diagnostics,
                 fmt::format("--output of several models is a folder, written as `{}/`", output));
  }
  if (models[0] == kStandardStream) {
    return usage(diagnostics, "a model from standard input needs --output");
  }
  std::vector<std::string> outputs;
  std::map<std::string, std::string> model_of;
  for (const std::string& model : models) {
    const fs::path name = fs::path(model).filename().replace_extension(".neff");
    outputs.push_back((fs::path(output) / name).string());
    const auto [it, is_new] = model_of.emplace(outputs.back(), model);
    if (!is_new) {
      return usage(diagnostics, fmt::format("`{}` and `{}` would both become `{}`", it->second,
                                            model, outputs.back()));
    }
  }
  if (is_dir) {
    std::error_code error;
    fs::create_directories(output, error);
  }
  return outputs;
}

Expected<std::vector<std::byte>> read_standard_input(Diagnostics& diagnostics) {
  std::vector<std::byte> bytes;
  std::byte buffer[1 << 16];
  size_t size = 0;
  while ((size = std::fread(buffer, 1, sizeof buffer, stdin)) > 0) {
    bytes.insert(bytes.end(), buffer, buffer + size);
  }
  if (std::ferror(stdin) == 0) return bytes;
  diagnostics.report(diag::cannot_read_file, {}, kStandardInputName, std::strerror(errno));
  return reported();
}

}  // namespace neuronc
