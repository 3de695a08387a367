// Runs ONNX's own operator tests against a list in which every test is `pass` or `skip REASON`:
//   onnx_node_tests --data FOLDER --list FILE [--through evaluator|neff] [--only NAME] [--cores N]
//                    [--half-roundings N]
// A listed pass that fails, a skip that passes or ends in an internal error, and a test that is not
// listed are failures. Reasons are written by hand, and say why the test cannot pass.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "test/onnx_node/run_case.h"

namespace {

namespace fs = std::filesystem;
using neuronc::node_test::CaseResult;
using neuronc::node_test::Through;

struct Options {
  std::string data, list, only;
  neuronc::node_test::CaseOptions run;
};

struct Entry {
  bool is_pass = false;
  std::string reason;
};

std::map<std::string, Entry> read_list(const std::string& path) {
  std::map<std::string, Entry> entries;
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    const size_t space = line.find(' ');
    const std::string verdict = space == std::string::npos ? "" : line.substr(space + 1);
    const bool is_pass = verdict == "pass";
    entries[line.substr(0, space)] = {is_pass, is_pass ? "" : verdict};
  }
  return entries;
}

std::vector<std::string> case_names(const std::string& data) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(data)) {
    if (fs::exists(entry.path() / "model.onnx")) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Through through_from(std::string_view word) {
  return word == "evaluator" ? Through::evaluator : Through::neff;
}

bool parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (i + 1 == argc) return false;
    if (arg == "--data")
      options.data = argv[++i];
    else if (arg == "--list")
      options.list = argv[++i];
    else if (arg == "--through")
      options.run.through = through_from(argv[++i]);
    else if (arg == "--only")
      options.only = argv[++i];
    else if (arg == "--cores")
      options.run.cores = std::atoi(argv[++i]);
    else if (arg == "--half-roundings")
      options.run.half_roundings = std::atoi(argv[++i]);
    else
      return false;
  }
  return !options.data.empty() && !options.list.empty();
}

// What is wrong with a result in the light of the list; empty: nothing.
std::string judge(const CaseResult& result, const Entry* entry) {
  if (entry == nullptr)
    return result.is_passed ? "passes, but is not listed"
                            : "is not listed, and fails: " + result.reason;
  if (entry->is_pass && !result.is_passed) return "fails: " + result.reason;
  if (!entry->is_pass && result.is_passed) return "passes, but is listed as " + entry->reason;
  if (!entry->is_pass && result.is_broken) return "ends in an internal error: " + result.reason;
  if (!entry->is_pass && !entry->reason.starts_with("skip ")) return "is listed without a reason";
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!parse(argc, argv, options)) {
    std::fputs("usage: onnx_node_tests --data FOLDER --list FILE [--only NAME] [--cores N]\n",
               stderr);
    return 2;
  }
  if (!fs::is_directory(options.data)) {
    fmt::print("SKIPPED: {} does not exist (install libonnx-testdata)\n", options.data);
    return 77;
  }
  const auto entries = read_list(options.list);
  std::map<std::string, CaseResult> results;
  int num_passed = 0, num_wrong = 0;
  for (const std::string& name : case_names(options.data)) {
    if (!options.only.empty() && name != options.only) continue;
    const CaseResult result = neuronc::node_test::run_case(options.data + "/" + name, options.run);
    num_passed += result.is_passed ? 1 : 0;
    const auto it = entries.find(name);
    const std::string wrong = judge(result, it == entries.end() ? nullptr : &it->second);
    if (!wrong.empty()) {
      ++num_wrong;
      fmt::print("{} {}\n", name, wrong);
      std::fflush(stdout);
    }
    results[name] = result;
  }
  for (const auto& [name, entry] : entries) {
    if (!options.only.empty() || results.contains(name)) continue;
    ++num_wrong;
    fmt::print("{} is listed, but does not exist\n", name);
  }
  fmt::print("{} tests: {} pass, {} skipped, {} wrong\n", results.size(), num_passed,
             results.size() - static_cast<size_t>(num_passed), num_wrong);
  return num_wrong == 0 ? 0 : 1;
}
