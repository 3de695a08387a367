// Sorting: exact, ties in order, NaN the greatest.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

namespace {
// One problem for each result of `operation`, whose type is that of x but for the shape.
std::vector<Problem> both_results(const std::string& inputs, int k, const std::string& attributes,
                                  const std::string& dtype, const std::string& shape) {
  const std::string values = dtype + shape, indices = "i64" + shape;
  const std::string body = "%k = constant {" + std::to_string(k) +
                           "} : i64[1]\n%v, %i = top_k(%x, %k)" + attributes + " : " + values +
                           ", " + indices + "\n";
  return {{inputs, body + "output %v : " + values}, {inputs, body + "output %i : " + indices}};
}
}  // namespace

TEST_CASE("top_k takes the best in order") {
  check(both_results("%x : f32[3,40]", 5, "", "f32", "[3,5]"));
  check(both_results("%x : f32[3,11,19]", 4, " {axis = 1}", "f32", "[3,4,19]"));
  check(both_results("%x : f32[9,13]", 9, " {axis = 0, largest = 0}", "f32", "[9,13]"));
  check(both_results("%x : f64[30]", 7, " {largest = 0}", "f64", "[7]"));
  check(both_results("%x : bf16[2,30]", 3, " {sorted = 0}", "bf16", "[2,3]"));
  check(both_results("%x : u8[5,30] = 0..255", 6, "", "u8", "[5,6]"));
  check(both_results("%x : i64[5,30] = -3..3", 6, " {largest = 0}", "i64", "[5,6]"));
}

TEST_CASE("top_k of long lines is a tournament") {
  check(both_results("%x : f32[2,300]", 7, "", "f32", "[2,7]"));
  check(both_results("%x : f32[150]", 150, " {largest = 0}", "f32", "[150]"));
  check(both_results("%x : f64[2,70,2]", 9, " {axis = 1}", "f64", "[2,9,2]"));
  check(both_results("%x : i32[3,90] = -3..3", 40, "", "i32", "[3,40]"));
  check(both_results("%x : i64[90] = -9223372036854775808..-9223372036854775806", 80, "", "i64",
                     "[80]"));
  check(both_results("%x : u32[90] = 0..9", 20, " {largest = 0}", "u32", "[20]"));
  check(both_results("%x : f16[1,80]", 11, "", "f16", "[1,11]"));
}

TEST_CASE("top_k of lines that lie beside one another takes a line for each lane") {
  const auto num_others = [] {
    return num_kernels_of("top_k.tournament") + num_kernels_of("top_k.radix");
  };
  const int before = num_others();
  check(both_results("%x : f32[2,80,33]", 2, " {axis = 1}", "f32", "[2,2,33]"));
  CHECK(num_others() == before);
}

TEST_CASE("top_k of much of a line sorts it") {
  const int before = num_kernels_of("top_k.radix");
  check(both_results("%x : f32[2,300]", 200, "", "f32", "[2,200]"));
  check(both_results("%x : f32[3,77]", 77, " {largest = 0}", "f32", "[3,77]"));
  check(both_results("%x : f32[2,70,3] = -3..3", 70, " {axis = 1}", "f32", "[2,70,3]"));
  check(both_results("%x : i32[90] = -2147483648..-2147483640", 90, "", "i32", "[90]"));
  check(both_results("%x : u32[90] = 0..4294967295", 85, " {largest = 0}", "u32", "[85]"));
  check(both_results("%x : u8[3,99] = 0..255", 90, "", "u8", "[3,90]"));
  check(both_results("%x : bf16[1,80]", 80, "", "bf16", "[1,80]"));
  check(both_results("%x : f64[2,90]", 90, "", "f64", "[2,90]"));
  check(both_results("%x : i64[3,90] = -70000..70000", 50, " {largest = 0}", "i64", "[3,50]"));
  check(both_results("%x : i64[130] = 7..7", 130, "", "i64", "[130]"));
  CHECK(num_kernels_of("top_k.radix") - before >= 20);
}

TEST_CASE("a top_k of one result takes consumers") {
  check({{"%x : f32[3,40]; %z : f32[3,1]",
          "%k = constant {3} : i64[1]\n%v = top_k(%x, %k) : f32[3,3]\n%y = neg(%v) : f32[3,3]"}});
}

}  // namespace neuronc::testing
