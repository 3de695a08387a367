// The main function of the numeric tests: Catch2's, and behind a complete run the question whether
// every operator with a lowering had a problem.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <cstdio>

#include "harness.h"

int main(int argc, char** argv) {
  Catch::Session session;
  const int usage = session.applyCommandLine(argc, argv);
  if (usage != 0) return usage;
  const int failed = session.run();
  const Catch::ConfigData& asked = session.configData();
  const bool is_complete = asked.testsOrTags.empty() && !asked.showHelp && !asked.listTests &&
                           !asked.listTags && !asked.listReporters && !asked.listTestNamesOnly;
  if (failed != 0 || !is_complete) return failed;
  const std::vector<std::string> missing = neuronc::testing::untested_operators();
  for (const std::string& name : missing) {
    std::fprintf(stderr, "`%s` has a lowering, but no numeric problem\n", name.c_str());
  }
  return missing.empty() ? 0 : 1;
}
