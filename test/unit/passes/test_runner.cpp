// The pass runner: what it reports, stops and checks.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "ir/base/check.h"
#include "ir/base/command.h"
#include "ir/edit.h"
#include "ir/module_file.h"
#include "ir/parser.h"
#include "ir/printer.h"
#include "passes/reference_target.h"
#include "passes/runner.h"

namespace neuronc {
namespace {

// A pass of the tests' own, which does what a function says.
class TestPass final : public Pass {
 public:
  using Function = std::function<Expected<Changed>(Module&)>;
  explicit TestPass(Function function) : function_(std::move(function)) {}
  const PassInfo& info() const override {
    static const PassInfo kInfo{"test-pass",  Stage::imported,           Stage::planned,
                                std::nullopt, "does what the test says", &TestPass::create};
    return kInfo;
  }
  static std::unique_ptr<Pass> create() { return std::make_unique<TestPass>(Function()); }
  std::vector<PassOption> options() override { return {}; }
  Expected<Changed> run(Module& module, PassContext&) const override { return function_(module); }

 private:
  Function function_;
};

struct Fixture {
  ReferenceTarget target;
  Diagnostics diagnostics;
  Remarks remarks;
  PassContext context{target, diagnostics, remarks};
  Module module;

  Fixture() {
    module = *parse_module(
        "nir 1\nmodule \"m\" {\n  input %x : f32[2]\n  %0 = relu(%x) : f32[2]\n"
        "  output %0 as \"y\"\n}\n",
        "t.nir", {}, diagnostics);
  }
  Expected<PipelineResult> run(TestPass::Function function, int64_t max_rounds,
                               const RunnerOptions& options = {}) {
    Pipeline pipeline;
    PipelineItem item;
    item.pass = std::make_unique<TestPass>(std::move(function));
    if (max_rounds > 0) {
      PipelineItem fixpoint;
      fixpoint.max_rounds = max_rounds;
      fixpoint.body.push_back(std::move(item));
      pipeline.items.push_back(std::move(fixpoint));
    } else {
      pipeline.items.push_back(std::move(item));
    }
    return run_pipeline(module, pipeline, context, options);
  }
};

// Grows the module by one node.
Expected<Changed> add_node(Module& module) {
  GraphEditor edit(module.graph());
  const ValueId last = module.graph().outputs()[0];
  const NodeId node = edit.append(
      {.op = Op::relu, .operands = {last}, .result_types = {module.graph().type(last)}});
  edit.set_output(0, module.graph().node(node).results[0]);
  return Changed::yes;
}

Expected<Changed> break_module(Module& module) {
  GraphEditor edit(module.graph());
  edit.set_type(module.graph().outputs()[0], Type::unranked(DType::i64));
  return Changed::yes;
}

}  // namespace

TEST_CASE_METHOD(Fixture, "a fix point ends at its cap with a remark") {
  const auto result = run(add_node, 4);
  REQUIRE(result);
  CHECK(result->times[0].num_runs == 4);
  CHECK(module.graph().num_nodes() == 5);
  REQUIRE(remarks.all().size() == 1);
  CHECK(remarks.to_text() ==
        "fixpoint: missed: `test-pass` still changes the module after 4 rounds\n");
}

TEST_CASE_METHOD(Fixture, "a fix point ends when nothing changes") {
  int rounds = 0;
  const auto result = run(
      [&](Module& m) -> Expected<Changed> {
        return ++rounds < 3 ? add_node(m) : Expected<Changed>(Changed::no);
      },
      10);
  REQUIRE(result);
  CHECK(rounds == 3);
  CHECK(remarks.all().empty());
}

TEST_CASE_METHOD(Fixture, "a pass that breaks the module is named, with a reproduction") {
  const std::string folder = (std::filesystem::temp_directory_path() / "neuronc_runner").string();
  std::filesystem::create_directories(folder);
  RunnerOptions options;
  options.verify_each = VerifyEach::yes;
  options.crash_dir = folder;
  const std::string before = to_text(module);
  CHECK_FALSE(run(break_module, 0, options));
  REQUIRE(diagnostics.num_errors() == 2);
  CHECK(diagnostics.all()[0].code == "NEU0422");
  const Diagnostic& broken = diagnostics.all()[1];
  CHECK(broken.code == "NEU0510");
  CHECK(diagnostics.worst() == ErrorClass::internal);
  REQUIRE(broken.notes.size() == 1);
  const size_t start = broken.notes[0].find(folder);
  REQUIRE(start != std::string::npos);
  const std::string path = broken.notes[0].substr(start, broken.notes[0].find(' ', start) - start);
  const auto reproduced = read_module_file(path, diagnostics);
  REQUIRE(reproduced);
  CHECK(to_text(*reproduced) == before);
  CHECK(broken.notes[0].find("--passes='test-pass'") != std::string::npos);
  std::filesystem::remove_all(folder);
}

TEST_CASE_METHOD(Fixture, "a pass that dies leaves a reproduction behind") {
  const auto die_by_check = [](Module& m) -> Expected<Changed> {
    (void)add_node(m);
    NEURONC_UNREACHABLE("as the test wants it");
  };
  const auto die_by_signal = [](Module& m) -> Expected<Changed> {
    (void)add_node(m);
    std::raise(SIGSEGV);
    return Changed::yes;
  };
  const std::string before = to_text(module);
  for (const TestPass::Function& die : {TestPass::Function(die_by_check), {die_by_signal}}) {
    const std::filesystem::path folder =
        std::filesystem::temp_directory_path() / "neuronc_runner_death";
    std::filesystem::create_directories(folder);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      std::freopen("/dev/null", "w", stderr);
      install_fatal_signal_handlers();
      (void)run(die, 0, {.crash_dir = folder.string()});
      std::_Exit(1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 70);
    const std::filesystem::directory_iterator files(folder);
    REQUIRE(files != std::filesystem::directory_iterator());
    const auto reproduced = read_module_file(files->path().string(), diagnostics);
    REQUIRE(reproduced);
    CHECK(to_text(*reproduced) == before);
    std::filesystem::remove_all(folder);
  }
}

TEST_CASE_METHOD(Fixture, "a pass that misreports its change is named") {
  const RunnerOptions options{.verify_each = VerifyEach::yes};
  CHECK_FALSE(run([](Module&) -> Expected<Changed> { return Changed::yes; }, 0, options));
  REQUIRE(diagnostics.num_errors() == 1);
  CHECK(diagnostics.all()[0].code == "NEU0511");
  CHECK_FALSE(run(
      [](Module& m) -> Expected<Changed> {
        (void)add_node(m);
        return Changed::no;
      },
      0, options));
  CHECK(diagnostics.num_errors() == 2);
}

}  // namespace neuronc
