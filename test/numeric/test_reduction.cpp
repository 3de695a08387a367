// Reductions, searches and running values. Tolerance of sums: f32 accumulation of n terms of
// magnitude 1 in runs of at most 4096.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

namespace {
std::string axes(const std::string& list) {
  size_t count = list.empty() ? 0 : 1;
  for (char c : list) count += c == ',' ? 1 : 0;
  return "%a = constant {" + list + "} : i64[" + std::to_string(count) + "]\n";
}
}  // namespace

TEST_CASE("sums and means over any axes") {
  check({
      {"%x : f32[6,100]", axes("1") + "%y = reduce_sum(%x, %a) : f32[6,1]", 1e-5},
      {"%x : f32[6,100]", axes("0") + "%y = reduce_sum(%x, %a) : f32[1,100]", 1e-5},
      {"%x : f32[6,100]", axes("-1") + "%y = reduce_mean(%x, %a) {keepdims = 0} : f32[6]", 1e-6},
      {"%x : f32[2,20,7,7]", axes("2, 3") + "%y = reduce_mean(%x, %a) : f32[2,20,1,1]", 1e-6},
      {"%x : f32[2,20,7,7]", axes("1") + "%y = reduce_mean(%x, %a) {keepdims = 0} : f32[2,7,7]",
       1e-6},
      {"%x : f32[13,11]", "%y = reduce_sum(%x) : f32[1,1]", 1e-5},
      {"%x : f32[15000]", "%y = reduce_sum(%x) {keepdims = 0} : f32[]", 1e-4},
      {"%x : f64[6,21]", axes("1") + "%y = reduce_mean(%x, %a) : f64[6,1]", 1e-13},
      {"%x : bf16[6,100]", axes("1") + "%y = reduce_sum(%x, %a) : bf16[6,1]", 1e-2},
      {"%x : i32[6,100]", axes("1") + "%y = reduce_sum(%x, %a) : i32[6,1]"},
      {"%x : i64[6,10]", axes("0") + "%y = reduce_mean(%x, %a) : i64[1,10]"},
      {"%x : f32[4,5]", "%y = reduce_sum(%x) {noop_with_empty_axes = 1} : f32[4,5]"},
      {"%x : f32[6,30]; %z : f32[6,30]",
       axes("1") + "%m = mul(%x, %z) : f32[6,30]\n%y = reduce_sum(%m, %a) : f32[6,1]", 1e-5},
  });
}

TEST_CASE("extremes and products") {
  check({
      {"%x : f32[6,45]", axes("1") + "%y = reduce_max(%x, %a) : f32[6,1]"},
      {"%x : f32[6,45]", axes("0") + "%y = reduce_min(%x, %a) : f32[1,45]"},
      {"%x : u8[6,45]", axes("1") + "%y = reduce_max(%x, %a) : u8[6,1]"},
      {"%x : i64[6,45]", axes("1") + "%y = reduce_min(%x, %a) : i64[6,1]"},
      {"%x : bool[6,45]", axes("1") + "%y = reduce_max(%x, %a) : bool[6,1]"},
      {"%x : f32[6,5]", axes("1") + "%y = reduce_prod(%x, %a) : f32[6,1]", 1e-5},
      {"%x : f32[0,5]", axes("0") + "%y = reduce_max(%x, %a) : f32[1,5]"},
  });
}

TEST_CASE("searches name positions") {
  check({
      {"%x : f32[6,45]", "%y = arg_max(%x) {axis = 1} : i64[6,1]"},
      {"%x : f32[6,45]", "%y = arg_min(%x) {axis = 0, keepdims = 0} : i64[45]"},
      {"%x : i32[6,45]", "%y = arg_max(%x) {axis = 1, select_last_index = 1} : i64[6,1]"},
      {"%x : f32[6,45]", "%y = arg_min(%x) {axis = -1, select_last_index = 1} : i64[6,1]"},
  });
}

TEST_CASE("a search of a long line goes through lanes of its own") {
  check({
      {"%x : f32[1,300]", "%y = arg_max(%x) {axis = 1} : i64[1,1]"},
      {"%x : f32[3,1,77]", "%y = arg_min(%x) {axis = 2, keepdims = 0} : i64[3,1]"},
      {"%x : f32[2,128]; %z : f32[128]",
       "%a = add(%x, %z) : f32[2,128]\n"
       "%y = arg_max(%a) {axis = -1, select_last_index = 1} : i64[2,1]"},
      {"%x : f64[70]", "%y = arg_max(%x) {axis = 0} : i64[1]"},
      {"%x : i64[2,70] = -3..3", "%y = arg_min(%x) {axis = 1, select_last_index = 1} : i64[2,1]"},
      {"%x : i32[1,99] = -3..3", "%y = arg_max(%x) {axis = 1} : i64[1,1]"},
      {"%x : u8[1,300] = 0..255", "%y = arg_max(%x) {axis = 1} : i64[1,1]"},
      {"%x : bf16[1,200]", "%y = arg_max(%x) {axis = 1} : i64[1,1]"},
  });
}

TEST_CASE("running sums") {
  const std::string axis0 = "%a = constant {0} : i64[]\n";
  const std::string axis1 = "%a = constant {-1} : i32[]\n";
  check({
      {"%x : f32[7,19]", axis0 + "%y = cum_sum(%x, %a) : f32[7,19]", 1e-5},
      {"%x : f32[7,19]", axis1 + "%y = cum_sum(%x, %a) {reverse = 1} : f32[7,19]", 1e-5},
      {"%x : i32[7,19]", axis1 + "%y = cum_sum(%x, %a) {exclusive = 1} : i32[7,19]"},
      {"%x : f32[1,19]", axis0 + "%c = cum_sum(%x, %a) : f32[1,19]\n%y = add(%c, %x) : f32[1,19]",
       1e-5},
      {"%x : i64[7,19]", axis0 + "%y = cum_prod(%x, %a) {exclusive = 1, reverse = 1} : i64[7,19]"},
  });
}

}  // namespace neuronc::testing
