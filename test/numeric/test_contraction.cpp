// Convolutions and products in their plain forms. Tolerance: f32 sums of at most some hundred
// products of magnitude 1.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

TEST_CASE("conv in every form") {
  check({
      {"%x : f32[1,5,7,7]; %w : f32[12,5,3,3]; %b : f32[12]",
       "%y = conv(%x, %w, %b) {pads = [1, 1, 1, 1]} : f32[1,12,7,7]", 1e-4},
      {"%x : f32[2,6,9,9]; %w : f32[4,3,3,3]",
       "%y = conv(%x, %w) {group = 2, strides = [2, 2]} : f32[2,4,4,4]", 1e-4},
      {"%x : f32[1,8,9,9]; %w : f32[8,1,3,3]",
       "%y = conv(%x, %w) {dilations = [2, 2], group = 8, pads = [2, 2, 2, 2]} : f32[1,8,9,9]",
       1e-4},
      {"%x : f32[1,3,20]; %w : f32[5,3,4]", "%y = conv(%x, %w) {pads = [1, 2]} : f32[1,5,20]",
       1e-4},
      {"%x : f64[1,2,4,4,4]; %w : f64[3,2,2,2,2]", "%y = conv(%x, %w) : f64[1,3,3,3,3]", 1e-12},
      {"%x : bf16[1,4,5,5]; %w : bf16[8,4,1,1]", "%y = conv(%x, %w) : bf16[1,8,5,5]", 1e-2},
  });
}

TEST_CASE("conv_transpose in every form") {
  check({
      {"%x : f32[1,5,4,4]; %w : f32[5,6,3,3]; %b : f32[6]",
       "%y = conv_transpose(%x, %w, %b) {pads = [1, 1, 1, 1], strides = [2, 2]} : f32[1,6,7,7]",
       1e-4},
      {"%x : f32[1,4,5,5]; %w : f32[4,3,2,2]",
       "%y = conv_transpose(%x, %w) {group = 2, output_padding = [1, 1], strides = [3, 3]} : "
       "f32[1,6,15,15]",
       1e-4},
      {"%x : f32[1,3,9]; %w : f32[3,2,3]",
       "%y = conv_transpose(%x, %w) {dilations = [2]} : f32[1,2,13]", 1e-4},
  });
}

TEST_CASE("matmul and gemm in every form") {
  check({
      {"%a : f32[5,7]; %b : f32[7,19]", "%y = matmul(%a, %b) : f32[5,19]", 1e-5},
      {"%a : f32[3,1,5,7]; %b : f32[4,7,9]", "%y = matmul(%a, %b) : f32[3,4,5,9]", 1e-5},
      {"%a : f32[7]; %b : f32[4,7,9]", "%y = matmul(%a, %b) : f32[4,9]", 1e-5},
      {"%a : f32[4,9,7]; %b : f32[7]", "%y = matmul(%a, %b) : f32[4,9]", 1e-5},
      {"%a : f32[7]; %b : f32[7]", "%y = matmul(%a, %b) : f32[]", 1e-5},
      {"%a : i32[5,7]; %b : i32[7,9]", "%y = matmul(%a, %b) : i32[5,9]"},
      {"%a : f64[5,7]; %b : f64[7,9]", "%y = matmul(%a, %b) : f64[5,9]", 1e-13},
      {"%a : bf16[5,7]; %b : bf16[7,9]", "%y = matmul(%a, %b) {result_type = f32} : f32[5,9]",
       1e-5},
      {"%a : f32[7,5]; %b : f32[9,7]; %c : f32[9]",
       "%y = gemm(%a, %b, %c) {alpha = 0.5, beta = 2, transA = 1, transB = 1} : f32[5,9]", 1e-5},
      {"%a : f32[5,7]; %b : f32[7,9]; %c : f32[5,1]", "%y = gemm(%a, %b, %c) : f32[5,9]", 1e-5},
  });
}

TEST_CASE("products of few rows run along k") {
  check({
      {"%a : f32[1,40]; %b : f32[37,40]", "%y = gemm(%a, %b) {transB = 1} : f32[1,37]", 1e-5},
      {"%a : f32[3,19]; %b : f32[9,19]; %c : f32[9]",
       "%y = gemm(%a, %b, %c) {alpha = 0.5, transB = 1} : f32[3,9]\n%r = relu(%y) : f32[3,9]",
       1e-5},
      {"%a : bf16[2,1,64]; %b : bf16[2,64,33]",
       "%y = matmul(%a, %b) {result_type = f32} : f32[2,1,33]", 1e-5},
      {"%a : f32[3,2,23]; %b : f32[1,23,18]", "%y = matmul(%a, %b) : f32[3,2,18]", 1e-5},
  });
}

}  // namespace neuronc::testing
