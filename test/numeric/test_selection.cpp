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

TEST_CASE("a top_k of one result takes consumers") {
  check({{"%x : f32[3,40]; %z : f32[3,1]",
          "%k = constant {3} : i64[1]\n%v = top_k(%x, %k) : f32[3,3]\n%y = neg(%v) : f32[3,3]"}});
}

}  // namespace neuronc::testing
