// Kernels in text form, for tests under lit: NEURONC_KERNEL names the file. Prints what the
// interpreter makes of inputs that count 0, 1, 2..., and compares it with native code on them and on
// edge values.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "differential.h"
#include "ir/kernel/interpreter.h"
#include "ir/kernel/text.h"

namespace neuronc::testing {
namespace {

constexpr int64_t kMaxPrinted = 20;

kernel::Kernel read_kernel(const char* path) {
  std::ifstream file(path);
  REQUIRE(file);
  std::stringstream text;
  text << file.rdbuf();
  OrRefusal<kernel::Kernel> kernel = kernel::parse(text.str());
  if (!kernel) FAIL(path << ": " << kernel.error().reason);
  return *std::move(kernel);
}

void print_results(const Case& counting) {
  std::vector<std::vector<std::byte>> buffers = counting.buffers;
  std::vector<void*> pointers;
  for (auto& buffer : buffers) pointers.push_back(buffer.data());
  kernel::Interpreter(counting.kernel).run(pointers.data(), 0, counting.kernel.num_tiles);
  for (size_t i = 0; i < buffers.size(); ++i) {
    const kernel::Buffer& buffer = counting.kernel.buffer(counting.kernel.parameters()[i]);
    if (buffer.access == kernel::Access::read) continue;
    const int64_t count = buffer.span_bytes() / size_bytes(buffer.dtype);
    std::cout << buffer.name << " =";
    for (int64_t k = 0; k < std::min(count, kMaxPrinted); ++k) {
      std::cout << ' ' << load_as_f64(buffer.dtype, buffers[i].data(), k);
    }
    std::cout << '\n';
  }
}

}  // namespace

TEST_CASE("a kernel file", "[.file]") {
  const char* path = std::getenv("NEURONC_KERNEL");
  REQUIRE(path != nullptr);
  std::mt19937_64 random(9);
  std::vector<Case> cases;
  for (int i = 0; i < 2; ++i) cases.push_back(make_case(read_kernel(path), random));
  Case& counting = cases[0];
  for (size_t i = 0; i < counting.buffers.size(); ++i) {
    const kernel::Buffer& buffer = counting.kernel.buffer(counting.kernel.parameters()[i]);
    const int64_t count = buffer.span_bytes() / size_bytes(buffer.dtype);
    for (int64_t k = 0; k < count; ++k) {
      store_from_f64(buffer.dtype, counting.buffers[i].data(), k, static_cast<double>(k));
    }
  }
  print_results(counting);
  check_same_bits(cases);
}

}  // namespace neuronc::testing
