// The container: what the writer wrote is read back, any tar lists it, the bytes are reproducible,
// and no damage, however it was made, does more than give a status.
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <set>
#include <thread>

#include "runtime/code_image.h"
#include "runtime/cpu.h"
#include "runtime/model.h"
#include "test/unit/runtime/fixtures.h"

using namespace neuronc;
using namespace neuronc::runtime;
using namespace neuronc::test;

namespace {

std::string temporary_path(std::string_view name) {
  return fmt::format("{}/neuronc-{}-{}", std::filesystem::temp_directory_path().string(), getpid(),
                     name);
}

std::string output_of(const std::string& command) {
  std::FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) text += static_cast<char>(c);
  pclose(pipe);
  return text;
}

NeffHeader& header_of(std::vector<std::byte>& neff) {
  return *reinterpret_cast<NeffHeader*>(neff.data());
}

// Makes a changed NEFF consistent again, as an attacker would.
void reseal(std::vector<std::byte>& neff) {
  NeffHeader& header = header_of(neff);
  header.tar_bytes = neff.size() - kNeffHeaderBytes;
  const uint64_t begin = header.weights_offset_bytes;
  const uint64_t size = header.weights_bytes;
  if (begin <= neff.size() && size <= neff.size() - begin && begin >= kNeffHeaderBytes) {
    std::vector<std::byte> rest(neff.begin() + kNeffHeaderBytes,
                                neff.begin() + static_cast<ptrdiff_t>(begin));
    rest.insert(rest.end(), neff.begin() + static_cast<ptrdiff_t>(begin + size), neff.end());
    const XXH128_hash_t metadata = XXH3_128bits(rest.data(), rest.size());
    const XXH128_hash_t weights = XXH3_128bits(neff.data() + begin, size);
    header.metadata_hash = {metadata.low64, metadata.high64};
    header.weights_hash = {weights.low64, weights.high64};
  }
  header.header_hash = 0;
  header.header_hash = XXH3_64bits(&header, sizeof(header));
}

// Loads as far as it goes: container, plan, code.
Result<Done> load(std::span<const std::byte> neff) {
  Cores cores({0, 1, 2, 3});
  NEURONC_ASSIGN(auto image, NeffImage::copy(neff, Verify::all));
  NEURONC_TRY(Model::load(std::move(image), cores, -1, 0));
  return Done{};
}

std::string message_of(const Result<Done>& result) { return result ? "" : result.error().message; }

}  // namespace

TEST_CASE("what the writer writes is read back") {
  const std::vector<std::byte> neff = neff_of(parsed_plan(kFourCores));
  auto image = NeffImage::copy(neff, Verify::all);
  REQUIRE(image);
  const NeffHeader& header = (*image)->header();
  CHECK(header.num_cores == 4);
  CHECK(header.num_lanes == 4);
  CHECK(std::string(header.name) == "four");
  CHECK(uuid_text(header).size() == 36);
  CHECK((*image)->isas() == std::vector<std::string>{"x86-64-v2"});
  CHECK((*image)->find("x86-64-v2/code.so")->offset_bytes % 4096 == 0);
  CHECK((*image)->find("weights.bin")->offset_bytes % 4096 == 0);
  CHECK((*image)->weights().size() == 64);
  const auto plan = (*image)->read_plan("x86-64-v2");
  REQUIRE(plan);
  CHECK(plan->channels.size() == 3);
  CHECK_FALSE((*image)->read_plan("x86-64-v9"));
}

TEST_CASE("files: any tar lists them, the bytes are reproducible, nothing is left behind") {
  const std::string path = temporary_path("a.neff");
  const std::vector<std::byte> code = read_bytes(TEST_KERNELS);
  REQUIRE(write_neff(path, contents_of(parsed_plan(kFourCores), code)));
  CHECK(read_bytes(path) == neff_of(parsed_plan(kFourCores)));
  const std::string list = output_of("tail -c +1025 " + path + " | tar t");
  CHECK(list ==
        "neff.json\nx86-64-v2/code.so\nx86-64-v2/sg00/plan\nx86-64-v2/sg01/plan\n"
        "x86-64-v2/sg02/plan\nx86-64-v2/sg03/plan\nweights.bin\n");
  const std::string json = output_of("tail -c +1025 " + path + " | tar xO neff.json");
  CHECK(json == "{\"name\": \"test\"}\n");
  REQUIRE(NeffImage::open(path, Verify::all));
  std::filesystem::remove(path);

  NeffContents incomplete = contents_of(parsed_plan(kOneCore), code);
  incomplete.constants.clear();
  CHECK_FALSE(write_neff(path, incomplete));
  CHECK_FALSE(write_neff("/nonexistent/a.neff", contents_of(parsed_plan(kOneCore), code)));
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::temp_directory_path())) {
    CHECK(entry.path().string().find(path) == std::string::npos);
  }
}

TEST_CASE("equal constants are stored once") {
  plan::Plan plan = parsed_plan(kOneCore);
  plan.constants.push_back(plan.constants[0]);
  plan.constants[1].name = "another";
  auto image = NeffImage::copy(neff_of(plan), Verify::all);
  REQUIRE(image);
  CHECK((*image)->weights().size() == 64);
}

TEST_CASE("versions, features and instruction sets that this runtime has not") {
  std::vector<std::byte> neff = neff_of(parsed_plan(kOneCore));
  SECTION("a newer minor version is accepted") {
    header_of(neff).minor = 9;
    reseal(neff);
    CHECK(load(neff));
  }
  SECTION("a newer major version is refused, before the hash") {
    header_of(neff).major = 2;
    const auto refused = load(neff);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == NRT_UNSUPPORTED_NEFF_VERSION);
    CHECK(message_of(refused).find("use a newer runtime") != std::string::npos);
  }
  SECTION("an unknown required feature is refused") {
    header_of(neff).required_features |= 1ull << 40;
    reseal(neff);
    const auto refused = load(neff);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == NRT_UNSUPPORTED_NEFF_VERSION);
  }
  SECTION("a missing instruction set says what to do") {
    const std::vector<std::byte> code = read_bytes(TEST_KERNELS);
    NeffContents contents = contents_of(parsed_plan(kOneCore), code);
    contents.variants[0].isa = "x86-64-v9,+avx9";
    const auto refused = load(*build_neff(contents));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == NRT_HW_ERROR);
    CHECK(message_of(refused).find("lacks x86-64-v9, avx9; compile") != std::string::npos);
  }
}

TEST_CASE("NEURON_RT_CHECK runs the kernels' text with every access checked") {
  constexpr std::string_view kPlan = R"(plan "one" {
    input 0 "x" f32[4] bytes 16
    output 0 "y" f32[4] bytes 16
    constant 0 "one" bytes 4 offset 0 hash 00000000000000000000000000000000
    kernel 0 @add_scalar buffers 3 tiles 4
    lane 0 core 0 arena 0 {
      block 0 { run @add_scalar tiles 0..4 (r input0+0:16, r constant0+0:4, w output0+0:16) }
    }
  })";
  // Adds twice, which tells it from the native code.
  constexpr std::string_view kKernel = R"(kernel @add_scalar tiles 4 {
  read %x: f32[4]
  read %k: f32[1]
  write %y: f32[4]
  v0 = load %x[%t] : f32
  v1 = load %k[0] : f32
  v2 = add v0, v1 : f32
  v3 = add v2, v1 : f32
  store %y[%t], v3
}
)";
  const std::vector<std::byte> code = read_bytes(TEST_KERNELS);
  NeffContents contents = contents_of(parsed_plan(kPlan), code);
  setenv("NEURON_RT_CHECK", "1", 1);
  const auto without = load(*build_neff(contents));
  contents.variants[0].kernels = kKernel;
  const auto image = NeffImage::copy(*build_neff(contents), Verify::all);
  REQUIRE(image);
  Cores cores({0});
  const auto model = Model::load(*image, cores, -1, 0);
  unsetenv("NEURON_RT_CHECK");
  CHECK(message_of(without).find("no kernels.nki") != std::string::npos);
  INFO((model ? std::string() : model.error().message));
  REQUIRE(model);
  const std::array<float, 4> x{1, 2, 3, 4};
  std::array<float, 4> y{};
  const std::byte* inputs[] = {reinterpret_cast<const std::byte*>(x.data())};
  std::byte* outputs[] = {reinterpret_cast<std::byte*>(y.data())};
  REQUIRE((*model)->choose_executor().run({inputs, outputs, {}, {}}));
  CHECK(y == std::array<float, 4>{3, 4, 5, 6});
}

TEST_CASE("cores beyond those of the plan run requests of their own") {
  const std::vector<std::byte> code = read_bytes(TEST_KERNELS);
  const auto image =
      NeffImage::copy(*build_neff(contents_of(parsed_plan(kOneCore), code)), Verify::all);
  REQUIRE(image);
  Cores cores({0, 1, 2, 3});
  const auto model = Model::load(*image, cores, -1, 3);
  REQUIRE(model);
  CHECK((*model)->info().nc_count == 3);
  // In turns where none is busy.
  std::set<Executor*> chosen;
  for (int i = 0; i < 3; ++i) chosen.insert(&(*model)->choose_executor());
  CHECK(chosen.size() == 3);
  std::vector<std::thread> clients;
  std::atomic<int> num_right{0};
  for (int client = 0; client < 4; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; i < 100; ++i) {
        const auto first = static_cast<float>(client * 100 + i);
        const std::array<float, 4> x{first, 2, 3, 4};
        std::array<float, 4> y{};
        const std::byte* inputs[] = {reinterpret_cast<const std::byte*>(x.data())};
        std::byte* outputs[] = {reinterpret_cast<std::byte*>(y.data())};
        const bool is_run = (*model)->choose_executor().run({inputs, outputs, {}, {}}).has_value();
        num_right += is_run && y[0] == first + 1;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  CHECK(num_right == 400);
  for (Executor* executor : chosen) CHECK(executor->num_requests() == 0);
}

TEST_CASE("code that multiplies BF16 is the last choice where that is slow") {
  const std::vector<NeffTarget> targets{{"plain", {"sse3"}}, {"narrow", {"sse3", "avx512bf16"}}};
  const NeffTarget* fast = best_target(targets, true);
  const NeffTarget* slow = best_target(targets, false);
  const bool has_bf16 = missing_features(targets[1]).empty();
  CHECK(fast == &targets[has_bf16 ? 1 : 0]);
  CHECK(slow == &targets[0]);
  CHECK(best_target({&targets[1], 1}, false) == (has_bf16 ? &targets[1] : nullptr));
}

TEST_CASE("the last target that the machine runs is chosen, or the one asked for") {
  const std::vector<NeffTarget> targets = {{"least", {"x86-64-v2"}},
                                           {"better", {"x86-64-v2", "sse4.2", "popcnt"}},
                                           {"best", {"x86-64-v2", "avx9", "amx-9"}}};
  CHECK(missing_features(targets[1]).empty());
  CHECK(*choose_target(targets, "") == "better");
  CHECK(*choose_target(targets, "least") == "least");
  const auto unknown = choose_target(targets, "other");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code == NRT_INVALID);
  CHECK(unknown.error().message.find("code for least, better, best") != std::string::npos);
  const auto beyond = choose_target(targets, "best");
  REQUIRE_FALSE(beyond);
  CHECK(beyond.error().code == NRT_HW_ERROR);
  CHECK(beyond.error().message.find("lacks avx9, amx-9") != std::string::npos);
  CHECK_FALSE(choose_target(std::span(targets).last(1), ""));
}

TEST_CASE("a NEFF holds several targets over the same weights") {
  const std::vector<std::byte> code = read_bytes(TEST_KERNELS);
  NeffContents contents = contents_of(parsed_plan(kOneCore), code);
  const auto one_target = build_neff(contents);
  contents.variants[0].isa = "plain";
  contents.variants.push_back(contents.variants[0]);
  contents.variants[1].isa = "fast";
  contents.variants.push_back(contents.variants[0]);
  contents.variants[2].isa = "x86-64-v1";  // not in the list: its name says what it needs
  SECTION("the list in neff.json says which is better and what they need") {
    contents.json = R"({"model": {"features": ["no"], "isa": "no", "targets": [{"isa": "no"}]},
      "targets": [{"isa": "plain", "features": ["x86-64-v1"], "more": {"isa": "no"}},
                  {"isa": "fast", "features": ["sse3", "avx9"]},
                  {"isa": "gone", "features": []}],
      "rest": this is not read)";
    const auto image = NeffImage::copy(*build_neff(contents), Verify::all);
    REQUIRE(image);
    const std::vector<NeffTarget> targets = (*image)->targets();
    REQUIRE(targets.size() == 3);
    CHECK(targets[0].isa == "x86-64-v1");
    CHECK(targets[1].isa == "plain");
    CHECK(targets[1].features == std::vector<std::string>{"x86-64-v1"});
    CHECK(targets[2].isa == "fast");
    CHECK(targets[2].features == std::vector<std::string>{"sse3", "avx9"});
    CHECK((*image)->weights().size() == 64);
    Cores cores({0});
    CHECK((*Model::load(*image, cores, -1, 0))->isa() == "plain");
    setenv("NEURON_RT_TARGET", "x86-64-v1", 1);
    CHECK((*Model::load(*image, cores, -1, 0))->isa() == "x86-64-v1");
    unsetenv("NEURON_RT_TARGET");
  }
  SECTION("targets that differ in their signature are refused") {
    contents.variants[1].plan.inputs[0].name = "z";
    CHECK_FALSE(build_neff(contents));
  }
  for (const char* json : {"", "{", "[]", "{\"targets\": 3}", "{\"targets\": [[\"isa\"]]}"}) {
    contents.json = json;
    const auto image = NeffImage::copy(*build_neff(contents), Verify::all);
    if (image) CHECK((*image)->targets().size() == 3);
  }
}

TEST_CASE("a truncated NEFF is refused at every length") {
  const std::vector<std::byte> neff = neff_of(parsed_plan(kFourCores));
  for (size_t size = 0; size < neff.size(); size += 512) {
    std::vector<std::byte> cut(neff.begin(), neff.begin() + static_cast<ptrdiff_t>(size));
    REQUIRE_FALSE(load(cut));
    if (size >= kNeffHeaderBytes) {
      reseal(cut);
      REQUIRE_FALSE(load(cut));
    }
  }
  std::vector<std::byte> longer = neff;
  longer.resize(neff.size() + 512);
  CHECK_FALSE(load(longer));
}

TEST_CASE("a changed byte anywhere is noticed") {
  const std::vector<std::byte> neff = neff_of(parsed_plan(kOneCore));
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> damaged = neff;
    damaged[random() % damaged.size()] ^= std::byte(1u << (random() % 8));
    REQUIRE_FALSE(load(damaged));
  }
}

TEST_CASE("hostile NEFFs with right hashes never crash the reader") {
  const std::vector<std::byte> neff = neff_of(parsed_plan(kFourCores));
  const auto image = NeffImage::copy(neff, Verify::all);
  REQUIRE(image);
  // Code is left alone: it is trusted. Its container, the ELF, is damaged in the next test.
  const uint64_t code_begin = (*image)->find("x86-64-v2/code.so")->offset_bytes;
  const uint64_t code_end = code_begin + (*image)->find("x86-64-v2/code.so")->bytes.size();
  std::mt19937 random(5);
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::byte> hostile = neff;
    for (unsigned n = 0; n <= random() % 4; ++n) {
      const size_t at = random() % hostile.size();
      if (at >= code_begin && at < code_end) continue;
      hostile[at] = std::byte(random());
    }
    reseal(hostile);
    load(hostile);
  }
}

TEST_CASE("ELF objects that are not what they should be") {
  const std::vector<std::byte> elf = read_bytes(TEST_KERNELS);
  auto image = CodeImage::load(elf);
  REQUIRE(image);
  CHECK((*image)->find("add_scalar") != nullptr);
  CHECK((*image)->find("nothing") == nullptr);
  std::mt19937 random(11);
  int num_refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::byte> damaged = elf;
    if (round % 3 == 0) {
      damaged.resize(random() % elf.size());
    } else {
      // The headers, and then anywhere.
      damaged[random() % (round % 3 == 1 ? 1024 : damaged.size())] = std::byte(random());
    }
    if (!CodeImage::load(damaged)) ++num_refused;
  }
  CHECK(num_refused > 1000);
}

TEST_CASE("code with relocations or undefined symbols is refused") {
  const std::string source = temporary_path("bad.c");
  const std::string object = temporary_path("bad.so");
  const auto message = [&](std::string_view text) {
    std::ofstream(source) << text;
    const std::string command = fmt::format(
        "cc -O1 -fPIC -shared -nostdlib -ffreestanding -o {} {} 2>/dev/null", object, source);
    REQUIRE(std::system(command.c_str()) == 0);
    const auto image = CodeImage::load(read_bytes(object));
    return image ? std::string("loaded") : image.error().message;
  };
  CHECK(message("int f(void) { return 1; }") == "loaded");
  CHECK(message("int g(void); int f(void) { return g() + 1; }").find("cannot be loaded") !=
        std::string::npos);
  CHECK(message("int x; int* p = &x; int f(void) { return *p; }").find("relocations") !=
        std::string::npos);
  std::filesystem::remove(source);
  std::filesystem::remove(object);
}
