// Tuning: what is replaced, what a file keeps, and what becomes of a broken one.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "backend/variants/variant.h"
#include "compiler/measure.h"
#include "compiler/tune.h"
#include "compiler/tuning_file.h"
#include "ir/parser.h"

namespace neuronc {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("tuning" + std::to_string(getpid()))) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  std::string file(const std::string& name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
std::string read(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

const TuningKey kKey{"0123456789abcdef0123456789abcdef", "x86-64-v3"};
const TuningKey kOther{"fedcba9876543210fedcba9876543210", "x86-64-v4"};
const TuningChoice kChoice{"conv.direct", "vectors=3", 120, 100, "conv_1"};

// A product whose second way is measured as `factor` of the first one's time, every further as more.
Compilation product(const std::string& target) {
  Compilation compilation;
  Diagnostics diagnostics;
  CompileOptions options;
  options.target_cpu = target;
  const std::string text =
      "nir 1\nmodule \"m\" stage partitioned {\n"
      "  input %x : f32[64,32] in f32\n  input %w : f32[32,64] in f32\n"
      "  %y = group(%x, %w) {variant = \"matmul.dynamic\"} : f32[64,64] in f32 core(0) {\n"
      "    input %x : f32[64,32]\n    input %w : f32[32,64]\n"
      "    %p = matmul(%x, %w) : f32[64,64]\n    output %p\n  }\n  output %y as \"y\"\n}\n";
  auto module = parse_module(text, "product.nir", {}, diagnostics);
  INFO(diagnostics.to_text());
  REQUIRE(module.has_value());
  compilation.model.module = std::move(*module);
  compilation.machines = *make_machines(options, diagnostics);
  return compilation;
}

MeasureFunction timed(double second, size_t& num_calls) {
  return [second, &num_calls](std::span<const LoweredKernel> ways, const Machine&,
                              const MeasureOptions&) -> OrRefusal<std::vector<Rounds>> {
    ++num_calls;
    std::vector<Rounds> rounds(ways.size(), Rounds(7, 2000));
    rounds[0] = Rounds(7, 1000);
    if (ways.size() > 1) rounds[1] = Rounds(7, 1000 * second);
    return rounds;
  };
}

std::string blocking_of(const Compilation& compilation) {
  const Graph& graph = compilation.model.module.graph();
  return graph.node(graph.producer(graph.outputs()[0])).view().string("blocking");
}

}  // namespace

TEST_CASE("the predicted way stays unless another is clearly faster", "[tuning]") {
  const Rounds predicted{100, 101, 99, 100, 102, 100, 100};
  const auto scaled = [&](double factor) {
    Rounds rounds = predicted;
    for (double& time : rounds) time *= factor;
    return rounds;
  };
  CHECK(choose_way(std::vector<Rounds>{predicted}) == 0);
  CHECK(choose_way(std::vector<Rounds>{predicted, predicted}) == 0);
  CHECK(choose_way(std::vector<Rounds>{predicted, scaled(0.98)}) == 0);
  CHECK(choose_way(std::vector<Rounds>{predicted, scaled(1.5)}) == 0);
  CHECK(choose_way(std::vector<Rounds>{predicted, scaled(0.9)}) == 1);
  CHECK(choose_way(std::vector<Rounds>{predicted, scaled(0.9), scaled(0.8)}) == 2);
  // Faster in most rounds and slower in some: not to be told from chance.
  CHECK(choose_way(std::vector<Rounds>{predicted, {80, 80, 80, 80, 80, 130, 130}}) == 0);
  // The usual time says so, the undisturbed one does not.
  CHECK(choose_way(std::vector<Rounds>{{150, 150, 150, 150, 90, 150, 150},
                                       {110, 110, 110, 110, 89, 110, 110}}) == 0);
  CHECK(choose_way(std::vector<Rounds>{{0, 0, 0}, {0, 0, 0}}) == 0);
}

TEST_CASE("the predicted way is the first candidate, and no blocking is listed twice", "[tuning]") {
  Compilation compilation = product("x86-64-v3");
  const Module& module = compilation.model.module;
  const NodeId group = module.graph().producer(module.graph().outputs()[0]);
  const Graph& body = *module.graph().node(group).bodies[0];
  const GroupContext context{module, module.graph(),    group,
                             body,   find_anchor(body), compilation.machines[0]};
  const std::vector<Candidate> ways = candidates(context, "matmul.dynamic", 2);
  REQUIRE(ways.size() > 1);
  CHECK(ways[0].variant == "matmul.dynamic");
  CHECK(ways[0].blocking.is_default());
  for (size_t i = 1; i < ways.size(); ++i) {
    CHECK((ways[i].variant != ways[0].variant || !ways[i].blocking.is_default()));
    CHECK(parse_blocking(to_text(ways[i].blocking)) == ways[i].blocking);
  }
  CHECK(candidates(context, "default", 2).size() == 1);
}

TEST_CASE("blockings are parsed as they are printed, and nothing else is", "[tuning]") {
  CHECK(to_text(Blocking{}).empty());
  CHECK(to_text(Blocking{3, 65536}) == "vectors=3,block-bytes=65536");
  CHECK(parse_blocking("vectors=3,block-bytes=65536") == Blocking{3, 65536});
  for (const char* text : {"vectors=0", "vectors=9", "vectors=", "rows=3", "block-bytes=-1",
                           "block-bytes=99999999999999999999", "vectors=2 ", ","}) {
    INFO(text);
    CHECK_FALSE(parse_blocking(text).has_value());
  }
}

TEST_CASE("what is measured once is taken from the file, whoever measures later", "[tuning]") {
  const Folder folder;
  CompileOptions options;
  options.tune = true;
  options.tune_file = folder.file("sub/t.txt");
  size_t num_calls = 0;
  Compilation first = product("x86-64-v3"), second = product("x86-64-v3");
  Diagnostics diagnostics;
  REQUIRE(tune(first, options, diagnostics, timed(0.5, num_calls)).has_value());
  CHECK(num_calls == 2);  // all ways, then the winner again
  CHECK_FALSE(blocking_of(first).empty());
  const std::string kept = read(options.tune_file);
  REQUIRE(tune(second, options, diagnostics, timed(1.5, num_calls)).has_value());
  CHECK(num_calls == 2);
  CHECK(blocking_of(second) == blocking_of(first));
  CHECK(read(options.tune_file) == kept);
}

TEST_CASE("what does not gain keeps the prediction", "[tuning]") {
  const Folder folder;
  CompileOptions options;
  options.tune_file = folder.file("t.txt");
  for (const double factor : {0.99, 1.0, 1.4}) {
    size_t num_calls = 0;
    fs::remove(options.tune_file);
    Compilation compilation = product("x86-64-v3");
    Diagnostics diagnostics;
    REQUIRE(tune(compilation, options, diagnostics, timed(factor, num_calls)).has_value());
    CHECK(blocking_of(compilation).empty());
    CHECK(diagnostics.to_text().find("tuning: 0 of 1 choices replaced") != std::string::npos);
  }
}

TEST_CASE("a choice that is none any more is measured again and replaced", "[tuning]") {
  const Folder folder;
  CompileOptions options;
  options.tune_file = folder.file("t.txt");
  size_t num_calls = 0;
  Compilation first = product("x86-64-v3"), second = product("x86-64-v3");
  Diagnostics diagnostics;
  REQUIRE(tune(first, options, diagnostics, timed(0.5, num_calls)).has_value());
  std::string text = read(options.tune_file);
  const size_t at = text.find("matmul.dynamic");
  REQUIRE(at != std::string::npos);
  write(options.tune_file, text.replace(at, 14, "matmul.of_old"));
  REQUIRE(tune(second, options, diagnostics, timed(0.5, num_calls)).has_value());
  CHECK(num_calls == 4);
  CHECK(read(options.tune_file).find("matmul.of_old") == std::string::npos);
  CHECK(blocking_of(second) == blocking_of(first));
}

TEST_CASE("tables survive a file, and bad lines are counted", "[tuning]") {
  TuningTable table{{kKey, kChoice}, {kOther, {"matmul.packed", "", 7, 7, "k"}}};
  CHECK(parse_tuning(to_text(table)).choices == table);
  const TuningText damaged = parse_tuning(to_text(table) + "abc\n# a remark\n" + kKey.problem +
                                          " x86-64-v3 v - -5 5 k\n" + kOther.problem);
  CHECK(damaged.is_tuning_file);
  CHECK(damaged.choices == table);
  CHECK(damaged.num_bad_lines == 3);
  CHECK_FALSE(parse_tuning("\x7f"
                           "ELF\n")
                  .is_tuning_file);
  CHECK(parse_tuning("").is_tuning_file);
}

TEST_CASE("the choice that is written first stays, but for a stale one", "[tuning]") {
  const Folder folder;
  const std::string path = folder.file("t.txt");
  TuningChoice later = kChoice;
  later.variant = "conv.taps";
  REQUIRE(add_to_tuning_file(path, {{kKey, kChoice}}, {}).has_value());
  CHECK(add_to_tuning_file(path, {{kKey, later}}, {})->at(kKey) == kChoice);
  CHECK(add_to_tuning_file(path, {{kKey, later}}, {{kKey, kChoice}})->at(kKey) == later);
}

TEST_CASE("jobs that add at once lose nothing", "[tuning]") {
  const Folder folder;
  const std::string path = folder.file("t.txt");
  constexpr int kJobs = 4, kEach = 10;
  std::vector<std::thread> jobs;
  for (int job = 0; job < kJobs; ++job) {
    jobs.emplace_back([&, job] {
      for (int i = 0; i < kEach; ++i) {
        const TuningKey key{kKey.problem, "t" + std::to_string(job * kEach + i)};
        (void)add_to_tuning_file(path, {{key, kChoice}}, {});
      }
    });
  }
  for (std::thread& job : jobs) job.join();
  CHECK(read_tuning_file(path)->choices.size() == kJobs * kEach);
}

TEST_CASE("a file of another kind is left as it is", "[tuning]") {
  const Folder folder;
  const std::string path = folder.file("model.onnx");
  write(path, "not a tuning file");
  CHECK_FALSE(read_tuning_file(path)->is_tuning_file);
  CHECK_FALSE(add_to_tuning_file(path, {{kKey, kChoice}}, {}).has_value());
  CHECK(read(path) == "not a tuning file");
  CHECK_FALSE(read_tuning_file(folder.file("")).has_value());
}

}  // namespace neuronc
