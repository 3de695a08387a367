// Native code: what the object promises, and that the register tiles of matrix products stay in
// registers.
#include <catch2/catch.hpp>
#include <cstring>
#include <regex>
#include <sstream>

#include "ir/kernel/builder.h"
#include "jit.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Kernel;
using kernel::Value;
using kernel::Values;

constexpr int64_t kDepth = 512;
constexpr int kRows = 6;

// y[6,16] = a[6,K] * w[K,16]; w holds bf16 columns j and j+8 in one u32.
Kernel make_register_tile(bool has_own_rows) {
  Builder b("tile_6x16", 4);
  std::vector<BufferId> rows;
  if (has_own_rows) {
    for (int r = 0; r < kRows; ++r) {
      rows.push_back(b.input(std::string("a") += std::to_string(r), DType::f32, {kDepth}));
    }
  } else {
    rows.push_back(b.input("a", DType::f32, {kRows, kDepth}));
  }
  const BufferId w = b.input("w", DType::u32, {kDepth, 8});
  const BufferId y = b.output("y", DType::f32, {4, kRows, 16});
  Values zero(2 * kRows, b.f32(0, 8));
  const Values sums = b.for_loop({0, kDepth, 1}, zero, [&](Index k, std::span<const Value> acc) {
    const Value pair = b.load(w, {k, 0}, 8);
    const Value low = b.bf16_low_to_f32(pair), high = b.bf16_high_to_f32(pair);
    Values next;
    for (int r = 0; r < kRows; ++r) {
      const Value a = has_own_rows ? b.load_splat(rows[static_cast<size_t>(r)], {k}, 8)
                                   : b.load_splat(rows[0], {r, k}, 8);
      next.push_back(b.fma(a, low, acc[static_cast<size_t>(2 * r)]));
      next.push_back(b.fma(a, high, acc[static_cast<size_t>(2 * r + 1)]));
    }
    return next;
  });
  for (int r = 0; r < kRows; ++r) {
    b.store(y, {b.tile(), r, 0}, sums[static_cast<size_t>(2 * r)]);
    b.store(y, {b.tile(), r, 8}, sums[static_cast<size_t>(2 * r + 1)]);
  }
  return std::move(b).finish();
}

std::string assembly_of(const Kernel& kernel, std::string_view cpu) {
  const KernelSymbol symbol{&kernel, kernel.name, {}};
  auto text = emit_assembly({&symbol, 1}, CodegenOptions{*describe(cpu), 2});
  REQUIRE(text.has_value());
  return *text;
}

int count(const std::vector<std::string>& lines, const std::string& pattern) {
  int n = 0;
  for (const std::string& line : lines) n += std::regex_search(line, std::regex(pattern)) ? 1 : 0;
  return n;
}

// The lines of the first basic block that has `needle`, up to its branch.
std::vector<std::string> block_with(const std::string& assembly, const std::string& needle) {
  std::vector<std::string> block;
  std::istringstream lines(assembly);
  std::string line;
  while (std::getline(lines, line)) {
    if (line.find(":") != std::string::npos && line[0] == '.') {
      for (const std::string& l : block) {
        if (l.find(needle) != std::string::npos) return block;
      }
      block.clear();
    }
    block.push_back(line);
    if (line.find("\tj") == 0 && count(block, needle) > 0) return block;
  }
  return block;
}

}  // namespace

TEST_CASE("the inner loop of a register tile neither spills nor recomputes addresses") {
  const bool has_own_rows = GENERATE(false, true);
  const Kernel kernel = make_register_tile(has_own_rows);
  const std::string assembly = assembly_of(kernel, "x86-64-v3");
  const std::vector<std::string> loop = block_with(assembly, "vfmadd");
  INFO(assembly);
  CHECK(count(loop, "vfmadd") == 12);
  CHECK(count(loop, "vbroadcastss") == 6);
  CHECK(count(loop, "vpslld|vpand|vandps|vpblendw") == 2);
  CHECK(count(loop, "rsp|rbp") == 0);
  CHECK(count(loop, "^\tv") <= 12 + 6 + 3);
  // A loop counter, a test and a branch are all that may stand beside the vector instructions.
  CHECK(count(loop, "^\t[a-u]") <= 5);
}

TEST_CASE("a register tile computes a product") {
  if (!testing::runs_here("x86-64-v3")) return;
  const Kernel kernel = make_register_tile(false);
  const testing::LoadedCode code(testing::compile_one(kernel, "x86-64-v3", 2));
  CHECK(code.needs() == "");
  std::vector<float> a(kRows * kDepth, 0.5f), y(4 * kRows * 16);
  std::vector<uint32_t> w(kDepth * 8, 0x40003f80u);
  void* const buffers[] = {a.data(), w.data(), y.data()};
  const auto run = code.function("tile_6x16");
  REQUIRE(run(buffers, 0, 4) == 0);
  CHECK(y[0] == 0.5f * kDepth);
  CHECK(y[8] == 2.0f * 0.5f * kDepth);
}

TEST_CASE("equal kernels give equal bytes, and nothing is needed from outside") {
  const Kernel kernel = make_register_tile(true);
  for (const char* cpu : {"x86-64-v2", "x86-64-v3", "x86-64-v4"}) {
    const std::vector<std::byte> first = testing::compile_one(kernel, cpu, 2);
    CHECK(first == testing::compile_one(kernel, cpu, 2));
    CHECK(testing::LoadedCode(first).needs() == "");
  }
}

TEST_CASE("the bytes do not depend on the number of threads, and no kernel is lost") {
  const Kernel kernel = make_register_tile(true);
  std::vector<KernelSymbol> symbols;
  for (int i = 0; i < 20; ++i) {
    symbols.push_back({&kernel, std::string("k").append(std::to_string(i)), {}});
  }
  const auto one = compile_kernels(symbols, CodegenOptions{*describe("x86-64-v3"), 2, 1});
  const auto four = compile_kernels(symbols, CodegenOptions{*describe("x86-64-v3"), 2, 4});
  REQUIRE(one.has_value());
  REQUIRE(four.has_value());
  CHECK(*one == *four);
  CHECK(testing::LoadedCode(*one).num_symbols() == 20);
  CHECK(compile_kernels({}, {}).has_value());
  symbols[19].name = "k3";
  const auto twice = compile_kernels(symbols, {});
  REQUIRE_FALSE(twice.has_value());
  CHECK(twice.error().reason == "two kernels have the symbol `k3`");
}

TEST_CASE("a kernel is exported under its aliases too") {
  const Kernel kernel = make_register_tile(false);
  const KernelSymbol symbol{&kernel, "k", {"node.a", "node.b"}};
  const auto elf = compile_kernels({&symbol, 1}, {});
  REQUIRE(elf.has_value());
  const testing::LoadedCode code(*elf);
  CHECK(code.num_symbols() == 3);
  CHECK(code.function("node.a") == code.function("k"));
}

TEST_CASE("unknown processors are refused with a reason") {
  CHECK_FALSE(describe("pentium").has_value());
  CHECK_FALSE(describe("x86-64-v3,+avx512vnni").has_value());
  const auto native = describe("native");
  REQUIRE(native.has_value());
  CHECK(describe(native->name));
}

}  // namespace neuronc
