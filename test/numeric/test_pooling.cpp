// Pools: maxima are exact, means within a few units of the last place.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

TEST_CASE("max_pool takes the greatest element") {
  check({
      {"%x : f32[1,5,4,2]",
       "%y = max_pool(%x) {ceil_mode = 1, kernel_shape = [3, 3], strides = [2, 2]} : "
       "f32[1,5,2,1]"},
      {"%x : f32[1,16,9,9]",
       "%y = max_pool(%x) {kernel_shape = [3, 3], strides = [2, 2]} : f32[1,16,4,4]"},
      {"%x : f32[2,19,8,8]",
       "%y = max_pool(%x) {kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]} : "
       "f32[2,19,4,4]"},
      {"%x : f32[1,8,7,7]",
       "%y = max_pool(%x) {ceil_mode = 1, kernel_shape = [2, 2], strides = [2, 2]} : "
       "f32[1,8,4,4]"},
      {"%x : f32[1,3,11,11]",
       "%y = max_pool(%x) {dilations = [2, 2], kernel_shape = [3, 3], pads = [2, 2, 2, 2]} : "
       "f32[1,3,11,11]"},
      {"%x : f32[1,3,20]", "%y = max_pool(%x) {kernel_shape = [5], pads = [2, 2]} : f32[1,3,20]"},
      {"%x : u8[1,3,6,6]", "%y = max_pool(%x) {kernel_shape = [2, 2]} : u8[1,3,5,5]"},
      {"%x : bf16[1,8,6,6]", "%y = max_pool(%x) {kernel_shape = [2, 2]} : bf16[1,8,5,5]"},
      {"%x : f32[1,2,4,4,4]", "%y = max_pool(%x) {kernel_shape = [2, 2, 2]} : f32[1,2,3,3,3]"},
      {"%x : f32[1,8,3,3]",
       "%y = max_pool(%x) {kernel_shape = [5, 5], pads = [2, 2, 2, 2]} : f32[1,8,3,3]"},
  });
}

TEST_CASE("average_pool counts what it averages") {
  check({
      {"%x : f32[1,16,9,9]",
       "%y = average_pool(%x) {kernel_shape = [3, 3], strides = [2, 2]} : f32[1,16,4,4]", 1e-6},
      {"%x : f32[1,9,8,8]",
       "%y = average_pool(%x) {kernel_shape = [3, 3], pads = [1, 1, 1, 1]} : f32[1,9,8,8]", 1e-6},
      {"%x : f32[1,9,8,8]",
       "%y = average_pool(%x) {count_include_pad = 1, kernel_shape = [3, 3], pads = [1, 1, 1, 1]} "
       ": f32[1,9,8,8]",
       1e-6},
      {"%x : f32[1,9,8,8]",
       "%y = average_pool(%x) {ceil_mode = 1, count_include_pad = 1, kernel_shape = [3, 3], pads = "
       "[0, 0, 1, 1], strides = [2, 2]} : f32[1,9,4,4]",
       1e-6},
      {"%x : f32[1,9,9,9]",
       "%y = average_pool(%x) {dilations = [2, 2], kernel_shape = [2, 2], pads = [1, 1, 1, 1]} : "
       "f32[1,9,9,9]",
       1e-6},
  });
}

TEST_CASE("large windows fold columns, then rows") {
  check({
      {"%x : f32[1,18,20,37]",
       "%y = max_pool(%x) {kernel_shape = [9, 9], pads = [4, 4, 4, 4]} : f32[1,18,20,37]"},
      {"%x : f32[1,2,24,70]",
       "%y = max_pool(%x) {kernel_shape = [3, 3], pads = [1, 1, 0, 1], strides = [2, 2]} : "
       "f32[1,2,12,35]"},
      {"%x : f64[2,3,9,41]",
       "%y = max_pool(%x) {kernel_shape = [4, 5], pads = [0, 1, 0, 0], strides = [3, 3]} : "
       "f64[2,3,2,13]"},
      {"%x : i8[1,17,9,40]",
       "%y = max_pool(%x) {dilations = [1, 3], kernel_shape = [2, 5], strides = [1, 2]} : "
       "i8[1,17,8,14]"},
      {"%x : f32[1,17,5,6,19]",
       "%y = max_pool(%x) {kernel_shape = [3, 3, 3], pads = [1, 1, 1, 1, 1, 1]} : "
       "f32[1,17,5,6,19]"},
      {"%x : f32[1,3,90]",
       "%y = average_pool(%x) {kernel_shape = [31], pads = [15, 15]} : f32[1,3,90]\n"
       "%r = exp(%y) : f32[1,3,90]",
       1e-5},
      {"%x : f32[2,17,13,35]",
       "%y = average_pool(%x) {kernel_shape = [5, 5], pads = [2, 2, 2, 2]} : f32[2,17,13,35]",
       1e-6},
      {"%x : bf16[1,16,8,33]",
       "%y = average_pool(%x) {ceil_mode = 1, count_include_pad = 1, kernel_shape = [3, 4], pads = "
       "[1, 1, 1, 1], strides = [1, 2]} : bf16[1,16,8,17]",
       1e-2},
      {"%x : f32[1,4,12,30]",
       "%y = lp_pool(%x) {kernel_shape = [3, 3], strides = [1, 2]} : f32[1,4,10,14]", 1e-5},
      {"%x : f32[1,4,12,30]", "%y = lp_pool(%x) {kernel_shape = [6, 6], p = 1} : f32[1,4,7,25]",
       1e-5},
  });
}

TEST_CASE("global pools fold whole planes") {
  check({
      {"%x : f32[2,20,7,7]", "%y = global_average_pool(%x) : f32[2,20,1,1]", 1e-6},
      {"%x : f32[2,20,7,7]", "%y = global_max_pool(%x) : f32[2,20,1,1]"},
      {"%x : f32[1,3,50]", "%y = global_average_pool(%x) : f32[1,3,1]", 1e-6},
  });
}

TEST_CASE("resize samples at other positions") {
  const std::string twice = "%s = constant {1, 1, 2, 2} : f32[4]\n";
  const std::string sizes = "%s = constant {1, 9, 7, 5} : i64[4]\n";
  check({
      {"%x : f32[1,9,4,5]",
       twice + "%y = resize(%x, _, %s) {coordinate_transformation_mode = \"asymmetric\", "
               "nearest_mode = \"floor\"} : f32[1,9,8,10]"},
      {"%x : u8[1,9,4,8]", sizes + "%y = resize(%x, _, _, %s) : u8[1,9,7,5]"},
      {"%x : f32[1,9,4,5]", twice + "%y = resize(%x, _, %s) {mode = \"linear\"} : f32[1,9,8,10]",
       1e-5},
      {"%x : f32[1,9,4,8]",
       sizes + "%y = resize(%x, _, _, %s) {coordinate_transformation_mode = "
               "\"align_corners\", mode = \"cubic\"} : f32[1,9,7,5]",
       1e-5},
  });
}

}  // namespace neuronc::testing
