// Softmax and its kin. Tolerance: exp of kernel/math.h (1.5 ulp) and sums of some hundred terms; of
// 20,000 terms in eight lanes the sum is good to sqrt(2500) roundings of 2^-24, 3e-6.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

TEST_CASE("softmax along any axis") {
  check({
      {"%x : f32[5,100]", "%y = softmax(%x) : f32[5,100]", 1e-6},
      {"%x : f32[20,3]", "%y = softmax(%x) : f32[20,3]", 1e-6},
      {"%x : f32[2,21,4,9]", "%y = softmax(%x) {axis = 1} : f32[2,21,4,9]", 1e-6},
      {"%x : f32[19,7]", "%y = softmax(%x) {axis = 0} : f32[19,7]", 1e-6},
      {"%x : f64[5,10]", "%y = softmax(%x) : f64[5,10]", 1e-14},
      {"%x : bf16[5,30]", "%y = softmax(%x) : bf16[5,30]", 1e-2},
      {"%x : f32[5,100]", "%y = log_softmax(%x) : f32[5,100]", 1e-5},
      {"%x : f32[5,100]; %z : f32[1,100]",
       "%a = add(%x, %z) : f32[5,100]\n%y = softmax(%a) : f32[5,100]", 1e-6},
      {"%x : f32[5,20000]", "%n = neg(%x) : f32[5,20000]\n%y = softmax(%n) : f32[5,20000]", 5e-6},
      // bf16 rounds to 2^-9 of each element, however small all of them are.
      {"%x : bf16[2,20000]", "%y = softmax(%x) : bf16[2,20000]", 0x1p-8},
      {"%x : f32[5,13]", "%y = hardmax(%x) : f32[5,13]", 1e-9},
      {"%x : f32[5,13]", "%y = hardmax(%x) {axis = 0} : f32[5,13]", 1e-9},
  });
}

TEST_CASE("norms along an axis and among channels") {
  check({
      {"%x : f32[5,30]", "%y = lp_normalization(%x) : f32[5,30]", 1e-6},
      {"%x : f32[5,30]", "%y = lp_normalization(%x) {axis = 0, p = 1} : f32[5,30]", 1e-6},
      {"%x : f32[1,9,4,5]", "%y = lrn(%x) {size = 5} : f32[1,9,4,5]", 1e-5},
      {"%x : f32[1,9,4,5]", "%y = lrn(%x) {beta = 0.6, size = 2} : f32[1,9,4,5]", 1e-5},
      {"%x : f32[1,9,8,8]", "%y = lp_pool(%x) {kernel_shape = [3, 3]} : f32[1,9,6,6]", 1e-5},
      {"%x : f32[1,9,8,8]", "%y = global_lp_pool(%x) : f32[1,9,1,1]", 1e-5},
  });
}

}  // namespace neuronc::testing
