// Products of bf16 that come as such: by pairs, and by matrices of 16 rows and 64 bytes of k. Sums
// of exact products in another order than the evaluator's, hence the tolerance of f32.
#include <catch2/catch.hpp>
#include <cstdlib>

#include "harness.h"

namespace neuronc::testing {

TEST_CASE("products of bf16 have tails in rows, columns and k") {
  const int before = num_matrix_kernels();
  check({
      // Whole matrices where they lie; rows that are not; more rows and columns than one tile has.
      {"%a : bf16[16,64]",
       random_constant("%b", {64, 32}, "bf16") +
           "%y = matmul(%a, %b) {result_type = f32} : f32[16,32]",
       1e-5},
      {"%a : bf16[37,64]",
       random_constant("%b", {64, 50}, "bf16") +
           "%y = matmul(%a, %b) {result_type = f32} : f32[37,50]",
       1e-5},
      {"%a : bf16[70,512]",
       random_constant("%b", {512, 40}, "bf16") +
           "%y = matmul(%a, %b) {result_type = f32} : f32[70,40]",
       1e-5},
      // Copied rows: k is odd, shorter than a matrix, or has a tail behind whole ones.
      {"%a : bf16[5,7]",
       random_constant("%b", {7, 9}, "bf16") + "%y = matmul(%a, %b) {result_type = f32} : f32[5,9]",
       1e-5},
      {"%a : bf16[2,19,101]",
       random_constant("%b", {101, 17}, "bf16") +
           "%y = matmul(%a, %b) {result_type = f32} : f32[2,19,17]",
       1e-5},
      {"%a : bf16[1,33,97]; %c : f32[34]",
       random_constant("%b", {97, 34}, "bf16") +
           "%y = matmul(%a, %b) {result_type = f32} : f32[1,33,34]\n"
           "%s = add(%y, %c) : f32[1,33,34]\n%r = relu(%s) : f32[1,33,34]",
       1e-5},
  });
  // Each of the six goes by matrices where a target has them.
  const bool has_all_targets = std::getenv("NEURONC_TEST_TARGET") == nullptr;
  CHECK((!has_all_targets || num_matrix_kernels() - before >= 6));
}

TEST_CASE("work on the rows of a product of bf16 is done where they are copied") {
  check({
      {"%a : bf16[40,96]",
       random_constant("%b", {96, 33}, "bf16") +
           "%n = neg(%a) : bf16[40,96]\n"
           "%y = matmul(%n, %b) {result_type = f32} : f32[40,33]",
       1e-5},
      {"%a : bf16[64,20]; %c : bf16[20,48]", "%y = gemm(%a, %c) {alpha = 0.5} : bf16[64,48]", 1e-2},
  });
}

TEST_CASE("products of two computed bf16 operands") {
  check({
      {"%a : bf16[2,3,24,64]; %b : bf16[2,3,64,24]",
       "%y = matmul(%a, %b) {result_type = f32} : f32[2,3,24,24]", 1e-5},
      {"%a : bf16[3,21,37]; %b : bf16[3,37,45]",
       "%y = matmul(%a, %b) {result_type = f32} : f32[3,21,45]", 1e-5},
  });
}

TEST_CASE("convolutions of bf16 over paddings, strides and groups") {
  check({
      {"%x : bf16[1,32,9,9]",
       random_constant("%w", {40, 32, 3, 3}, "bf16") +
           "%y = conv(%x, %w) {pads = [1, 1, 1, 1], result_type = f32} : f32[1,40,9,9]",
       1e-5},
      {"%x : bf16[1,3,20,20]",
       random_constant("%w", {18, 3, 7, 7}, "bf16") +
           "%y = conv(%x, %w) {pads = [3, 3, 3, 3], strides = [2, 2], result_type = f32} : "
           "f32[1,18,10,10]",
       1e-5},
      {"%x : bf16[2,64,5,6]",
       random_constant("%w", {33, 64, 1, 1}, "bf16") +
           "%y = conv(%x, %w) {result_type = f32} : f32[2,33,5,6]",
       1e-5},
      {"%x : bf16[1,12,8,8]; %b : f32[8]",
       random_constant("%w", {8, 6, 3, 3}, "bf16") +
           "%y = conv(%x, %w, %b) {group = 2, dilations = [2, 2], result_type = f32} : "
           "f32[1,8,4,4]",
       1e-5},
  });
}

}  // namespace neuronc::testing
