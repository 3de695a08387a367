// Elementwise operators. Arithmetic of one rounding is exact, as are comparisons and bits;
// formulas of several roundings and the expansions of kernel/math.h (at most 2.5 units of the last
// place, see test_math.cpp) are within a few units of f32.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

namespace {

constexpr double kFewUnits = 1e-6;

Problem unary(const std::string& op, const std::string& dtype, double tolerance = 0,
              const std::string& attributes = "") {
  const std::string type = dtype + "[3,19]";
  return {"%x : " + type, "%y = " + op + "(%x)" + attributes + " : " + type, tolerance};
}

// With broadcasting.
Problem binary(const std::string& op, const std::string& dtype, const std::string& result,
               const std::string& attributes = "", double tolerance = 0) {
  return {"%a : " + dtype + "[3,19]; %b : " + dtype + "[19]",
          "%y = " + op + "(%a, %b)" + attributes + " : " + result + "[3,19]", tolerance};
}

}  // namespace

TEST_CASE("arithmetic rounds once") {
  for (const std::string op : {"add", "sub", "mul", "div", "min", "max"}) {
    for (const std::string dtype : {"f32", "f64", "bf16", "i32", "i64", "u8"}) {
      check({binary(op, dtype, dtype)});
    }
  }
  check({
      {"%x : f32[3,1]; %z : f32[2,1,19]", "%y = add(%x, %z) : f32[2,3,19]"},
      binary("mod", "i32", "i32"),
      binary("mod", "i8", "i8"),
      binary("mod", "u8", "u8"),
      {"%a : i8[400] = -128..-126; %b : i8[400] = -1..1", "%y = mod(%a, %b) : i8[400]"},
      binary("mod", "i64", "i64", " {fmod = 1}"),
  });
  for (const std::string dtype : {"f32", "f64", "f16", "i32", "i8"}) {
    check({unary("abs", dtype), unary("neg", dtype), unary("sign", dtype), unary("relu", dtype)});
  }
  for (const std::string op : {"ceil", "floor", "round", "sqrt", "reciprocal"}) {
    check({unary(op, "f32"), unary(op, "f64")});
  }
}

TEST_CASE("powers by multiplication and by expansion") {
  check({
      {"%x : f32[3,19]", "%p = constant {2} : f32[]\n%y = pow(%x, %p) : f32[3,19]", kFewUnits},
      {"%x : f32[3,19]", "%p = constant {3} : f32[]\n%y = pow(%x, %p) : f32[3,19]", kFewUnits},
      {"%x : f32[3,19]", "%p = constant {0.5} : f32[]\n%y = pow(%x, %p) : f32[3,19]", kFewUnits},
      {"%x : f32[3,19]; %p : f32[19]", "%y = pow(%x, %p) : f32[3,19]", 1e-5},
  });
}

TEST_CASE("clip, shrink and where choose") {
  const std::string limits = "%l = constant {-1} : f32[]\n%h = constant {0.5} : f32[]\n";
  check({
      {"%x : f32[3,19]", limits + "%y = clip(%x, %l, %h) : f32[3,19]"},
      {"%x : f32[3,19]", limits + "%y = clip(%x, %l) : f32[3,19]"},
      {"%x : f32[3,19]", limits + "%y = clip(%x, _, %h) : f32[3,19]"},
      {"%x : i32[3,19]; %l : i32[] = -2..0; %h : i32[] = 0..2",
       "%y = clip(%x, %l, %h) : i32[3,19]"},
      // A bound that is no number gives none, as minimum and maximum do.
      {"%x : f32[3,19]; %l : f32[]; %h : f32[]", "%y = clip(%x, %l, %h) : f32[3,19]"},
      {"%x : f16[3,19]", "%l = constant {nan} : f16[]\n%y = clip(%x, %l) : f16[3,19]"},
      {"%x : f32[3,19]", "%h = constant {nan} : f32[]\n%y = clip(%x, _, %h) : f32[3,19]"},
      unary("shrink", "f32", 0, " {bias = 0.25, lambd = 0.5}"),
      unary("shrink", "f64", 0, " {bias = 1.5}"),
      unary("shrink", "bf16", 0, " {bias = 0.25, lambd = 1}"),
      unary("thresholded_relu", "f32", 0, " {alpha = 0.5}"),
      {"%c : bool[3,19]; %a : f32[19]; %b : f32[3,1]", "%y = where(%c, %a, %b) : f32[3,19]"},
      {"%c : bool[3,1]; %a : i64[3,19]; %b : i64[]", "%y = where(%c, %a, %b) : i64[3,19]"},
  });
}

TEST_CASE("comparisons know NaN") {
  for (const std::string op : {"equal", "greater", "greater_or_equal", "less", "less_or_equal"}) {
    for (const std::string dtype : {"f32", "f64", "bf16", "i32", "u8"}) {
      check({binary(op, dtype, "bool")});
    }
  }
  for (const std::string dtype : {"f32", "f64", "bf16", "f16"}) {
    const std::string x = "%x : " + dtype + "[3,19]";
    check({
        {x, "%y = is_nan(%x) : bool[3,19]"},
        {x, "%y = is_inf(%x) : bool[3,19]"},
        {x, "%y = is_inf(%x) {detect_negative = 0} : bool[3,19]"},
        {x, "%y = is_inf(%x) {detect_positive = 0} : bool[3,19]"},
        {x, "%y = is_inf(%x) {detect_negative = 0, detect_positive = 0} : bool[3,19]"},
    });
  }
}

TEST_CASE("logic and bits") {
  for (const std::string op : {"logical_and", "logical_or", "logical_xor"}) {
    check({binary(op, "bool", "bool")});
  }
  for (const std::string op : {"bitwise_and", "bitwise_or", "bitwise_xor"}) {
    check({binary(op, "i32", "i32"), binary(op, "u8", "u8")});
  }
  check({
      unary("logical_not", "bool"),
      unary("bitwise_not", "i32"),
      unary("bitwise_not", "u8"),
      {"%a : u32[3,19] = 0..4000000000; %b : u32[19] = 0..40",
       "%y = bit_shift(%a, %b) {direction = \"LEFT\"} : u32[3,19]"},
      {"%a : u8[3,19] = 0..255; %b : u8[19] = 0..9",
       "%y = bit_shift(%a, %b) {direction = \"RIGHT\"} : u8[3,19]"},
  });
}

TEST_CASE("bit_cast keeps the bits") {
  check({
      {"%x : bool[3,19]", "%y = bit_cast(%x) {to = i8} : i8[3,19]"},
      {"%x : f32[3,19]", "%y = bit_cast(%x) {to = i32} : i32[3,19]"},
      {"%x : i32[3,19]", "%y = bit_cast(%x) {to = f32} : f32[3,19]"},
      {"%x : u16[3,19] = 0..65535", "%y = bit_cast(%x) {to = bf16} : bf16[3,19]"},
      {"%x : f64[3,19]", "%y = bit_cast(%x) {to = u64} : u64[3,19]"},
      {"%x : i8[3,19] = -128..127", "%y = bit_cast(%x) {to = u8} : u8[3,19]"},
  });
}

TEST_CASE("transcendental functions") {
  for (const std::string op : {"exp", "log", "erf", "tanh", "sigmoid", "softplus", "sin", "cos",
                               "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh"}) {
    check({unary(op, "f32", kFewUnits), unary(op, "f64", 1e-13), unary(op, "bf16", 1e-2)});
  }
  check({unary("tan", "f32", 1e-4)});
}

TEST_CASE("activations") {
  check({
      unary("leaky_relu", "f32", kFewUnits, " {alpha = 0.1}"),
      binary("prelu", "f32", "f32"),
      unary("elu", "f32", kFewUnits, " {alpha = 1.5}"),
      unary("selu", "f32", kFewUnits),
      unary("celu", "f32", kFewUnits, " {alpha = 2}"),
      unary("hard_sigmoid", "f32", kFewUnits),
      unary("hard_swish", "f32", kFewUnits),
      unary("softsign", "f32", kFewUnits),
      unary("gelu", "f32", kFewUnits),
      unary("gelu", "f32", kFewUnits, " {approximate = \"tanh\"}"),
      unary("swish", "f32", kFewUnits, " {alpha = 1.5}"),
      unary("mish", "f32", kFewUnits),
  });
}

// Tolerance: some units in the last place (kernel/math.h), beside the elements' own size.
TEST_CASE("functions of infinities, NaN, denormals and the ends of the range") {
  check({
      {"%x : f32[40]", "%y = exp(%x) : f32[40]", 1e-6, Edges::yes},
      {"%x : f32[40]", "%y = tanh(%x) : f32[40]", 1e-6, Edges::yes},
      {"%x : f32[40]", "%y = sigmoid(%x) : f32[40]", 1e-6, Edges::yes},
      {"%x : f32[40]", "%y = erf(%x) : f32[40]", 1e-6, Edges::yes},
      {"%x : f32[40]", "%y = log(%x) : f32[40]", 1e-6, Edges::yes},
      {"%x : f32[40]", "%y = sin(%x) : f32[40]", 1e-6, Edges::yes},
      {"%x : f32[40]", "%y = cos(%x) : f32[40]", 1e-6, Edges::yes},
      {"%x : f32[40]", "%y = tan(%x) : f32[40]", 1e-6, Edges::yes},
      {"%x : f32[40]", "%y = atan(%x) : f32[40]", 1e-6, Edges::yes},
      {"%x : f32[40]", "%y = sqrt(%x) : f32[40]", 1e-6, Edges::yes},
      {"%x : f32[40]", "%y = softplus(%x) : f32[40]", 1e-6, Edges::yes},
      {"%x : f32[40]", "%y = sinh(%x) : f32[40]", 1e-6, Edges::yes},
      {"%x : f32[40]", "%y = cosh(%x) : f32[40]", 1e-6, Edges::yes},
      {"%x : f32[40]", "%y = asinh(%x) : f32[40]", 1e-6, Edges::yes},
      {"%x : f32[40]", "%y = reciprocal(%x) : f32[40]", 1e-6, Edges::yes},
  });
}

}  // namespace neuronc::testing
