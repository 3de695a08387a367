// The comparison of interpreter and native code.
#include "differential.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>

#include "ir/kernel/interpreter.h"
#include "ir/kernel/verify.h"
#include "jit.h"

namespace neuronc::testing {
namespace {

constexpr uint64_t kEdgesF32[] = {
    0,          0x80000000, 0x3f800000, 0xbf800000, 0x3f000000, 0xbf000000, 0x3fc00000,
    0x40200000, 0x7f800000, 0xff800000, 0x7fc00000, 0x00000001, 0x80000001, 0x007fffff,
    0x00800000, 0x7f7fffff, 0xff7fffff, 0x4f000000, 0xcf000000, 0x4effffff, 0x4f800000,
    0x5f000000, 0x477fe000, 0x477ff000, 0x33000000, 0x33000001, 0x387fc000, 0x7f800001,
    0x42b17218, 0xc2aeac50, 0x38ffffff, 0x5effffff, 0x437f0000, 0xbf7fffff};
constexpr uint64_t kEdgesF64[] = {0,
                                  0x8000000000000000,
                                  0x3ff0000000000000,
                                  0xbff0000000000000,
                                  0x3fe0000000000000,
                                  0x3ff8000000000000,
                                  0x7ff0000000000000,
                                  0xfff0000000000000,
                                  0x7ff8000000000000,
                                  1,
                                  0x8000000000000001,
                                  0x000fffffffffffff,
                                  0x0010000000000000,
                                  0x7fefffffffffffff,
                                  0x41dfffffffffffff,
                                  0x41e0000000000000,
                                  0xc1e0000000000000,
                                  0xc1e0000000000001,
                                  0x43e0000000000000,
                                  0xc3e0000000000000,
                                  0x43f0000000000000,
                                  0x40effe0000000000,
                                  0x40effdffffffffff,
                                  0x3fdfffffffffffff,
                                  0x47efffffe0000000,
                                  0x47efffffefffffff};
constexpr int64_t kEdgesInteger[] = {0,
                                     1,
                                     -1,
                                     2,
                                     3,
                                     7,
                                     8,
                                     15,
                                     16,
                                     31,
                                     32,
                                     33,
                                     63,
                                     64,
                                     127,
                                     128,
                                     255,
                                     -128,
                                     32767,
                                     -32768,
                                     65535,
                                     0x7fffffff,
                                     -0x80000000ll,
                                     0x7fffffffffffffffll,
                                     -0x7fffffffffffffffll - 1,
                                     0x7c00,
                                     0x7e00,
                                     0x0400,
                                     0x03ff};

size_t num_edges(DType dtype) {
  if (dtype == DType::f32) return std::size(kEdgesF32);
  if (dtype == DType::f64) return std::size(kEdgesF64);
  return dtype == DType::boolean ? 2 : std::size(kEdgesInteger);
}

uint64_t edge(DType dtype, size_t i) {
  if (dtype == DType::f32) return kEdgesF32[i];
  if (dtype == DType::f64) return kEdgesF64[i];
  return dtype == DType::boolean ? i : static_cast<uint64_t>(kEdgesInteger[i]);
}

// An edge value, any bits, or a number of moderate size.
uint64_t sample(DType dtype, std::mt19937_64& random) {
  const uint64_t bits = random();
  if (dtype == DType::boolean) return bits & 1;
  if (bits % 3 == 0) return edge(dtype, (bits >> 8) % num_edges(dtype));
  if (bits % 3 == 1 || !is_float(dtype) || size_bytes(dtype) < 4) return random();
  const double x = static_cast<double>(static_cast<int64_t>(bits >> 40) - (1 << 23)) / 65536.0;
  return static_cast<uint64_t>(kernel::constant_bits(dtype, x));
}

template <class T>
bool is_nan_at(const std::byte* at) {
  T x;
  std::memcpy(&x, at, sizeof x);
  return std::isnan(x);
}

bool is_nan(DType dtype, const std::byte* at) {
  uint16_t half = 0;
  std::memcpy(&half, at, 2);
  switch (dtype) {
    case DType::f32:
      return is_nan_at<float>(at);
    case DType::f64:
      return is_nan_at<double>(at);
    case DType::f16:
      return (half & 0x7fff) > 0x7c00;
    case DType::bf16:
      return (half & 0x7fff) > 0x7f80;
    default:
      return false;
  }
}

std::string hex(const std::byte* at, size_t size) {
  std::string text;
  for (size_t i = size; i-- > 0;) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(at[i]));
    text += digits;
  }
  return text;
}

std::vector<void*> pointers(std::vector<std::vector<std::byte>>& buffers) {
  std::vector<void*> result;
  for (auto& buffer : buffers) result.push_back(buffer.data());
  return result;
}

void compare(const Case& c, const std::vector<std::vector<std::byte>>& expected,
             const std::vector<std::vector<std::byte>>& actual, const std::string& how) {
  const auto parameters = c.kernel.parameters();
  for (size_t p = 0; p < parameters.size(); ++p) {
    const kernel::Buffer& buffer = c.kernel.buffer(parameters[p]);
    const size_t size = static_cast<size_t>(size_bytes(buffer.dtype));
    for (size_t at = 0; at + size <= expected[p].size(); at += size) {
      const std::byte* x = expected[p].data() + at;
      const std::byte* y = actual[p].data() + at;
      if (std::memcmp(x, y, size) == 0) continue;
      if (is_nan(buffer.dtype, x) && is_nan(buffer.dtype, y)) continue;
      std::string inputs;
      for (size_t q = 0; q < parameters.size(); ++q) {
        const size_t s = static_cast<size_t>(size_bytes(c.kernel.buffer(parameters[q]).dtype));
        if ((at / size + 1) * s <= c.buffers[q].size()) {
          inputs += " " + hex(c.buffers[q].data() + at / size * s, s);
        }
      }
      FAIL_CHECK(c.kernel.name << " " << how << ": `" << buffer.name << "`[" << at / size << "] is "
                               << hex(y, size) << ", interpreted " << hex(x, size)
                               << "; same element of the buffers before:" << inputs);
      return;
    }
  }
}

}  // namespace

void fill(DType dtype, size_t position, std::vector<std::byte>& bytes, std::mt19937_64& random) {
  const size_t size = static_cast<size_t>(size_bytes(dtype));
  const size_t n = num_edges(dtype);
  for (size_t i = 0; (i + 1) * size <= bytes.size(); ++i) {
    uint64_t bits = sample(dtype, random);
    if (position == 0 && i < n * n) bits = edge(dtype, i % n);
    if (position == 1 && i < n * n) bits = edge(dtype, i / n);
    std::memcpy(bytes.data() + i * size, &bits, size);
  }
}

Case make_case(kernel::Kernel kernel, std::mt19937_64& random) {
  Case c{std::move(kernel), {}};
  for (kernel::BufferId id : c.kernel.parameters()) {
    const kernel::Buffer& buffer = c.kernel.buffer(id);
    c.buffers.emplace_back(static_cast<size_t>(buffer.span_bytes()));
    fill(buffer.dtype, c.buffers.size() - 1, c.buffers.back(), random);
  }
  return c;
}

void check_same_bits(const std::vector<Case>& cases) {
  std::vector<std::vector<std::vector<std::byte>>> expected;
  std::vector<int32_t> statuses;
  std::vector<KernelSymbol> symbols;
  for (size_t i = 0; i < cases.size(); ++i) {
    const std::vector<std::string> errors = kernel::verify(cases[i].kernel);
    INFO(cases[i].kernel.name << ": " << (errors.empty() ? "" : errors[0]));
    REQUIRE(errors.empty());
    expected.push_back(cases[i].buffers);
    std::vector<int64_t> sizes;
    for (const auto& buffer : expected.back()) sizes.push_back(static_cast<int64_t>(buffer.size()));
    const auto status =
        kernel::Interpreter(cases[i].kernel)
            .run_checked(pointers(expected.back()).data(), sizes, 0, cases[i].kernel.num_tiles);
    INFO(cases[i].kernel.name << ": " << (status ? "" : status.error().reason));
    REQUIRE(status.has_value());
    statuses.push_back(*status);
    symbols.push_back({&cases[i].kernel, "k" + std::to_string(i), {}});
  }
  for (const char* cpu : {"x86-64-v2", "x86-64-v3", "x86-64-v4", "native"}) {
    if (!runs_here(cpu)) continue;
    for (int opt_level : {0, 2}) {
      const auto elf = compile_kernels(symbols, CodegenOptions{*describe(cpu), opt_level, 1});
      INFO(cpu << " -O" << opt_level << ": " << (elf ? "" : elf.error().reason));
      REQUIRE(elf.has_value());
      const LoadedCode code(*elf);
      CHECK(code.needs() == "");
      for (size_t i = 0; i < cases.size(); ++i) {
        std::vector<std::vector<std::byte>> actual = cases[i].buffers;
        const int32_t status =
            code.function(symbols[i].name)(pointers(actual).data(), 0, cases[i].kernel.num_tiles);
        INFO(cases[i].kernel.name);
        CHECK(status == statuses[i]);
        compare(cases[i], expected[i], actual,
                std::string(cpu) + " -O" + std::to_string(opt_level));
      }
    }
  }
}

}  // namespace neuronc::testing
