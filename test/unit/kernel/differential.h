// Runs kernels by the interpreter and natively, for every processor level that this machine has, at
// -O0 and -O2, and compares all buffers bit for bit (every NaN is equal to every NaN).
#pragma once

#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "ir/kernel/kernel.h"

namespace neuronc::testing {

struct Case {
  kernel::Kernel kernel;
  std::vector<std::vector<std::byte>> buffers;  // initial contents, in parameter order
};

// A case whose buffers hold edge values and random bits of the parameters' types.
Case make_case(kernel::Kernel kernel, std::mt19937_64& random);

// Values that go wrong first: zeros, limits, infinities, NaN, denormals, halves. The buffers at
// positions 0 and 1 begin with all pairs of them.
void fill(DType dtype, size_t position, std::vector<std::byte>& bytes, std::mt19937_64& random);

// Fails the running test with the kernel's name, buffer and element of the first difference.
void check_same_bits(const std::vector<Case>& cases);

}  // namespace neuronc::testing
