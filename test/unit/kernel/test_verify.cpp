// The verifier's rules, each by a small kernel that breaks it, and what it is able to prove.
#include <catch2/catch.hpp>

#include "ir/kernel/text.h"
#include "ir/kernel/verify.h"

namespace neuronc::kernel {
namespace {

// The errors of a kernel with this body, over x: read f32[100] and y: write f32[100].
std::vector<std::string> errors_of(const std::string& body, int64_t tiles = 1) {
  const auto kernel = parse("kernel @k tiles " + std::to_string(tiles) +
                            " {\n read %x: f32[100]\n write %y: f32[100]\n"
                            " read %m: f32[10, 10] strides [1, 10]\n local %l: f32[6]\n" +
                            body + "\n}");
  INFO(body << (kernel ? "" : kernel.error().reason));
  REQUIRE(kernel.has_value());
  return verify(*kernel);
}

std::string first_rule(const std::string& body, int64_t tiles = 1) {
  const std::vector<std::string> errors = errors_of(body, tiles);
  return errors.empty() ? "" : errors[0].substr(0, errors[0].find(':'));
}

}  // namespace

TEST_CASE("indices inside the buffer are proven so") {
  CHECK(first_rule("for %i in [0, 100) { v0 = load %x[%i] : f32 }") == "");
  CHECK(first_rule("for %i in [0, 96) step 8 { v0 = load %x[%i + 4] : f32x8 }") == "");
  CHECK(first_rule("for %i in [0, 100) step 8 { if (%i < 93) { v0 = load %x[%i] : f32x8 } }") ==
        "");
  CHECK(first_rule("for %i in [0, 100) step 8 {\n"
                   "v0 = load %x[%i] active min(8, 100 - %i) : f32x8 }") == "");
  // Windows: a guard on the sum of two loop variables.
  CHECK(first_rule("for %i in [0, 100) { for %k in [0, 3) {\n"
                   "if (0 <= %i + %k - 1 < 100) { v0 = load %x[%i + %k - 1] : f32 } } }") == "");
  // Tiles: bounds that depend on the tile, with a step.
  CHECK(first_rule("for %i in [25*%t, 25*%t + 24) step 8 { v0 = load %x[%i] : f32x8 }", 4) == "");
  CHECK(first_rule("for %i in [25*%t, 25*%t + 5) { v0 = load %l[%i - 25*%t] : f32 }", 4) == "");
  CHECK(first_rule("for %i in [30*%t, min(30*%t + 30, 100)) { v0 = load %x[%i] : f32 }", 4) == "");
  CHECK(first_rule("for %i in [0, 100) { v0 = load %m[mod(%i, 10), floordiv(%i, 10)] : f32 }") ==
        "");
  CHECK(first_rule("for %i in [0, 50) { v0 = load %x[99 - 2*%i] : f32 }") == "");
  // A reflection: the smaller of two that sum to 198.
  CHECK(first_rule("for %i in [0, 900) {\n"
                   "v0 = load %x[min(198 - mod(%i, 198), mod(%i, 198))] : f32 }") == "");
  // A guard on a row of pixels, whose quotient by an even width drops a common factor.
  CHECK(first_rule("for %i in [0, 10) { if (60*%t + 6*%i < 91) {\n"
                   "v0 = load %m[5*%t + floordiv(%i, 2) + 2, mod(%i, 2)] : f32 } }",
                   2) == "");
  // A window as large as its stride: the offset inside it may not spoil the quotient's rounding.
  CHECK(first_rule("for %i in [0, 10) { if (60*%t + 6*%i < 95) { for %k in [0, 2) {\n"
                   "v0 = load %m[6*%t + 2*floordiv(3*%i, 10) + %k, 4*mod(%i, 2)] : f32 } } }",
                   2) == "");
  CHECK(first_rule("v0 = constant 7 : i32\nv1 = check_index v0 [100] : i64\n"
                   "v2 = load %x[data(v1)] : f32") == "");
  CHECK(first_rule("for %i in [0, 200) { if (%i < 100) { v0 = load %x[%i] : f32 } else {\n"
                   "v1 = load %x[%i - 100] : f32 } }") == "");
}

TEST_CASE("an index that may leave the buffer is an error") {
  CHECK(first_rule("for %i in [0, 101) { v0 = load %x[%i] : f32 }") == "K7");
  CHECK(first_rule("for %i in [0, 100) { v0 = load %x[%i - 1] : f32 }") == "K7");
  CHECK(first_rule("for %i in [0, 100) step 8 { v0 = load %x[%i] : f32x8 }") == "K7");
  CHECK(first_rule("for %i in [0, 100) step 8 { if (%i < 94) { v0 = load %x[%i] : f32x8 } }") ==
        "K7");
  CHECK(first_rule("for %i in [0, 100) step 8 {\n"
                   "v0 = load %x[%i] active min(8, 101 - %i) : f32x8 }") == "K7");
  CHECK(first_rule("for %i in [0, 10) { if (60*%t + 6*%i < 91) {\n"
                   "v0 = load %m[5*%t + floordiv(%i, 2) + 3, mod(%i, 2)] : f32 } }",
                   2) == "K7");
  CHECK(first_rule("for %i in [0, 10) { if (60*%t + 6*%i < 95) { for %k in [0, 3) {\n"
                   "v0 = load %m[6*%t + 2*floordiv(3*%i, 10) + %k, 0] : f32 } } }",
                   2) == "K7");
  CHECK(first_rule("v0 = load %x[96] active 5 : f32x8") == "K7");
  CHECK(first_rule("for %i in [26*%t, 26*%t + 24) step 8 { v0 = load %x[%i] : f32x8 }", 4) == "K7");
  CHECK(first_rule("v0 = constant 7 : i32\nv1 = check_index v0 [101] : i64\n"
                   "v2 = load %x[data(v1)] : f32") == "K7");
  CHECK(first_rule("for %i in [0, 100) { if (%i < 50) { v0 = constant 0 : i32 } else {\n"
                   "v1 = load %x[%i - 51] : f32 } }") == "K7");
}

TEST_CASE("what no execution reaches need not be in bounds") {
  CHECK(first_rule("if (130 < 129) { v0 = load %x[100] : f32 }") == "");
  CHECK(first_rule("if (%t < 0) { v0 = load %x[100] : f32 }") == "");
  CHECK(first_rule("for %i in [7, 7) { v0 = load %x[%i + 94] : f32 }") == "");
  CHECK(first_rule("if (128 < 129) { v0 = load %x[100] : f32 }") == "K7");
  CHECK(first_rule("if (%t < 0) { v0 = constant 0 : f32 } else { v1 = load %x[100] : f32 }") ==
        "K7");
}

TEST_CASE("a reflection over too small a buffer is an error") {
  CHECK(first_rule("for %i in [0, 900) {\n"
                   "v0 = load %x[min(200 - mod(%i, 200), mod(%i, 200))] : f32 }") == "K7");
}

TEST_CASE("each other rule is enforced") {
  CHECK(first_rule("for %i in [0, 4) { v0 = load %x[%i] : f32 }\nv1 = neg v0 : f32") == "K2");
  CHECK(first_rule("v0 = constant 0 : i32\nv1 = add v0, v0 : i64") == "K4");
  CHECK(first_rule("v0 = constant 0 : f16\nv1 = add v0, v0 : f16") == "K4");
  CHECK(first_rule("v0 = constant 0 : f32x6\nv1 = reduce_add v0 : f32") == "K4");
  CHECK(first_rule("for %i in [0, 4) { v0 = load %x[%i] : f32 }\nv1 = load %x[%i] : f32") == "K6");
  CHECK(first_rule("v0 = load %m[0, 0] : f32x8") == "K8");
  CHECK(first_rule("v0 = load %m[0, 0] dim 0 : f32x8") == "");
  CHECK(first_rule("v0 = load %y[0] : f32") == "K9");
  CHECK(first_rule("v0 = constant 0 : f32\nstore %x[0], v0") == "K9");
  CHECK(first_rule("for %i in [0, 4) unroll 65 { }") == "K11");
  CHECK(first_rule("for %i in [0, 4*%t) unroll full { }", 4) == "K11");
  CHECK(first_rule("v0 = constant 0 : f32\nyield v0") == "K3");
  const auto big = parse("kernel @k tiles 1 { local %l: f32[70000] }");
  REQUIRE(big.has_value());
  REQUIRE(verify(*big).size() == 1);
  CHECK(verify(*big)[0].substr(0, 3) == "K10");
}

TEST_CASE("errors show the operation and the range that could be shown") {
  const std::vector<std::string> errors =
      errors_of("for %i in [0, 101) { v0 = load %x[%i] : f32 }");
  REQUIRE(errors.size() == 1);
  CHECK(errors[0] ==
        "K7: index `%i` is in [0, 100] with 1 lanes; dim 0 of `x` has extent 100\n"
        "  in `v0 = load %x[%i] : f32`");
}

}  // namespace neuronc::kernel
