// Small modules of each kind go the whole way, on 1, 2 and 4 cores with the same bits.
#include <catch2/catch.hpp>

#include "rig.h"

using neuronc::test::check_model;

TEST_CASE("a chain of products and elementwise work") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : f32[3,8]
  %w = constant {0.25, ...} : f32[8,16] core
  %v = constant {-0.125, ...} : f32[16,8] core
  %0 = matmul(%x, %w) : f32[3,16] core
  %1 = relu(%0) : f32[3,16] core
  %2 = matmul(%1, %v) : f32[3,8] core
  %3 = add(%2, %x) : f32[3,8] core
  %4 = matmul(%3, %w) : f32[3,16] core
  %5 = mul(%4, %1) : f32[3,16] core
  output %5 as "y"
})");
}

TEST_CASE("convolutions, branches written into one concat, a residual") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : f32[1,4,6,6]
  %w = constant {0.125, ...} : f32[8,4,3,3] core
  %v = constant {-0.25, ...} : f32[8,8,1,1] core
  %b = constant {0.5, ...} : f32[8] core
  %0 = conv(%x, %w, %b) {pads = [1, 1, 1, 1]} : f32[1,8,6,6] core
  %1 = relu(%0) : f32[1,8,6,6] core
  %2 = conv(%1, %v, %b) : f32[1,8,6,6] core
  %3 = conv(%1, %v, _) : f32[1,8,6,6] core
  %4 = concat(%2, %3, %1) {axis = 1} : f32[1,24,6,6] core
  %5 = add(%2, %3) : f32[1,8,6,6] core
  output %4 as "y"
  output %5 as "z"
})");
}

TEST_CASE("views and copies between memory orders") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : f32[4,6]
  %one = constant {1} : i64[1] core
  %three = constant {3} : i64[1] core
  %shape = constant {2, 12} : i64[2] core
  %0 = relu(%x) : f32[4,6] core
  %1 = transpose(%0) {perm = [1, 0]} : f32[6,4] core
  %2 = slice(%1, %one, %three, _, _) : f32[2,4] core
  %3 = reshape(%0, %shape) : f32[2,12] core
  %4 = concat(%2, %3) {axis = 1} : f32[2,16] core
  %5 = neg(%4) : f32[2,16] core
  output %5 as "y"
  output %1 as "t"
  output %x as "same"
})");
}

TEST_CASE("host nodes between cores' nodes") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : f32[4,6]
  %0 = abs(%x) : f32[4,6] core
  %1 = transpose(%0) {perm = [1, 0]} : f32[6,4] core
  %2 = neg(%1) : f32[6,4] host
  %3 = relu(%2) : f32[6,4] host
  %4 = add(%2, %1) : f32[6,4] core
  %5 = sub(%4, %3) : f32[6,4] core
  %6 = mul(%5, %2) : f32[6,4] host
  output %6 as "y"
  output %2 as "h"
  output %5 as "c"
})");
}

TEST_CASE("a model that the host runs alone") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : f32[4]
  %w = constant {1, 2, 3, 4} : f32[4] core
  %0 = neg(%x) : f32[4] host
  %1 = mul(%0, %w) : f32[4] host
  output %1 as "y"
  output %w as "w"
})");
}

TEST_CASE("values without elements between cores, the host and the outputs") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : f32[0,6]
  %0 = abs(%x) : f32[0,6] core
  %1 = neg(%0) : f32[0,6] host
  %2 = exp(%1) : f32[0,6] core
  %3 = relu(%2) : f32[0,6] host
  %4 = reduce_sum(%3) {keepdims = 0} : f32[] host
  output %4 as "sum"
  output %2 as "y"
})");
}

TEST_CASE("parts without elements lie nowhere in their concat") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : f32[2,0,8]
  %0 = abs(%x) : f32[2,0,8] core
  %1 = softmax(%0) {axis = 0} : f32[2,0,8] core
  %2 = concat(%1, %0) {axis = 2} : f32[2,0,16] core
  output %2 as "y"
})");
}

TEST_CASE("integers and booleans come out exactly") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : i64[5]
  input %y : i64[5]
  %0 = add(%x, %y) : i64[5] core
  %1 = less(%x, %y) : bool[5] core
  %2 = where(%1, %0, %x) : i64[5] core
  output %2 as "z"
  output %1 as "b"
})",
              0);
}
