// The whole way for a module in text form: passes, kernels, NEFF in memory, nrt; and the evaluator
// as the oracle.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "ir/tensor.h"

namespace neuronc::test {

// A module at stage `cast`, placed as the text says. Fails the test if it does not parse or verify.
Module parse_for_test(std::string_view text);

// Inputs of the graph's types, the same for the same seed.
std::vector<HostValue> seeded_inputs(const Module& module, uint32_t seed);

// Outputs by the evaluator.
std::vector<HostValue> evaluate(const Module& module, const std::vector<HostValue>& inputs);

// The NEFF of the module for some cores.
std::vector<std::byte> compile_to_neff(const Module& module, int num_cores, int opt_level = 2);

// Outputs through the runtime: each request's, run from `num_threads` threads.
using Bytes = std::vector<std::byte>;
std::vector<std::vector<Bytes>> run_neff(const std::vector<std::byte>& neff,
                                         const std::vector<std::vector<HostValue>>& requests,
                                         int num_threads = 1);

// Compiles for 1, 2 and 4 cores and compares: with the evaluator within `tolerance` (absolute and
// relative), between numbers of cores bit for bit, with eight requests in flight.
void check_model(std::string_view text, double tolerance = 1e-4);

}  // namespace neuronc::test
