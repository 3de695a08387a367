// Peak rates of one processor's arithmetic. Private to calibrate.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/tools/calibrate.h"

namespace neuronc::tools {

// Of every target that this machine runs.
std::vector<TargetRates> measure_rates();

// Additions and maxima over arrays of the second-level cache, as elementwise kernels do them.
double measure_vector_flops_per_s();

// Reads all words, as fast as the memory that they are in gives them, into a sum.
uint64_t read_words(const uint64_t* words, size_t num_words);

}  // namespace neuronc::tools
