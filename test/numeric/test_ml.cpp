// Forests and tables of labels: exact but for sums of leaf weights.
#include <catch2/catch.hpp>
#include <string>

#include "harness.h"

namespace neuronc::testing {
namespace {

// Two trees: one of depth 2 (nodes 0 to 4), one of a single split (5 to 7).
std::string tables(const std::string& modes, const std::string& dtype) {
  return "%f = constant {1, 0, 0, 2, 0, 2, 0, 0} : i32[8]\n%m = constant {" + modes +
         "} : u8[8]\n%t = constant {0.25, 0, 0, -0.5, 0, 1, 0, 0} : " + dtype +
         "[8]\n%a = constant {3, 1, 2, 1, 4, 6, 6, 7} : i32[8]\n"
         "%b = constant {4, 1, 2, 2, 4, 7, 6, 7} : i32[8]\n"
         "%n = constant {1, 0, 0, 0, 0, 1, 0, 0} : u8[8]\n%r = constant {0, 5} : i32[2]\n"
         "%d = constant {2, 1} : i32[2]\n%l = constant {0, 0, 1, 3, 3, 4, 4, 5, 6} : i32[9]\n"
         "%i = constant {0, 0, 1, 1, 0, 1} : i32[6]\n%w = constant {1, 2, 4, 8, 16, 32} : " +
         dtype + "[6]\n";
}

Problem forest(const std::string& rows, const std::string& modes, const std::string& aggregate,
               const std::string& dtype = "f32") {
  return {"%x : " + dtype + "[" + rows + ",3]",
          tables(modes, dtype) + "%y = tree_ensemble(%x, %f, %m, %t, %a, %b, %n, %r, %d, %l, %i, " +
              "%w) {aggregate = \"" + aggregate + "\", num_targets = 2} : " + dtype + "[" + rows +
              ",2]",
          1e-6};
}

}  // namespace

TEST_CASE("tree_ensemble leads rows to leaves") {
  check({
      forest("1", "0, 0, 0, 0, 0, 0, 0, 0", "sum"),
      forest("19", "1, 1, 1, 1, 1, 1, 1, 1", "sum"),
      forest("19", "0, 0, 0, 3, 0, 2, 0, 0", "sum"),
      forest("9", "4, 0, 0, 5, 0, 1, 0, 0", "average"),
      forest("9", "0, 0, 0, 0, 0, 0, 0, 0", "min"),
      forest("9", "0, 0, 0, 0, 0, 0, 0, 0", "max"),
      forest("11", "0, 0, 0, 0, 0, 0, 0, 0", "sum", "f64"),
  });
}

TEST_CASE("label_encoder looks numbers up") {
  const std::string keys = "%k = constant {2, -1, 2, 0} : ";
  check({
      {"%x : i64[3,7] = -3..3", keys + "i64[4]\n%v = constant {20, 10, 30, 5} : i64[4]\n"
                                       "%o = constant {-7} : i64[1]\n"
                                       "%y = label_encoder(%x, %k, %v, %o) : i64[3,7]"},
      {"%x : i32[19] = -3..3", keys + "i32[4]\n%v = constant {0.5, 1, 2, nan} : f32[4]\n"
                                      "%o = constant {-7} : f32[]\n"
                                      "%y = label_encoder(%x, %k, %v, %o) : f32[19]"},
      {"%x : f32[19]", keys + "f32[4]\n%v = constant {20, 10, 30, 5} : i32[4]\n"
                              "%o = constant {-7} : i32[1]\n"
                              "%y = label_encoder(%x, %k, %v, %o) : i32[19]"},
  });
}

}  // namespace neuronc::testing
