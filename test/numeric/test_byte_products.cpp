// Products of bytes with constant weights: dot products of unsigned and signed bytes, corrected by
// sums of columns and rows, are exact.
#include <catch2/catch.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "harness.h"

namespace neuronc::testing {

namespace {

// A line of a body: bytes over the whole range of `dtype`, the extremes among them.
std::string bytes(const std::string& name, const std::vector<int>& shape,
                  const std::string& dtype) {
  const int low = dtype == "i8" ? -128 : 0;
  const int count = std::accumulate(shape.begin(), shape.end(), 1, std::multiplies<>());
  std::string type, values;
  for (int extent : shape) type += (type.empty() ? "" : ",") + std::to_string(extent);
  unsigned state = 11;
  for (int i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    const int value = i % 13 == 0 ? 255 : i % 17 == 0 ? 0 : static_cast<int>(state >> 24);
    values += (i == 0 ? "" : ", ") + std::to_string(low + value);
  }
  return name + " = constant {" + values + "} : " + dtype + "[" + type + "]\n";
}

}  // namespace

TEST_CASE("matmul_integer with constant weights is exact in every combination of bytes") {
  // Tails in rows, columns and k; zero points that are constant, of columns, known at run time.
  check({
      {"%a : u8[5,40] = 0..255",
       bytes("%b", {40, 19}, "i8") + "%y = matmul_integer(%a, %b) : i32[5,19]"},
      {"%a : i8[7,37] = -128..127",
       bytes("%b", {37, 33}, "i8") + "%y = matmul_integer(%a, %b) : i32[7,33]"},
      {"%a : u8[1,66] = 0..255; %p : u8[] = 0..255",
       bytes("%b", {66, 130}, "u8") + "%y = matmul_integer(%a, %b, %p) : i32[1,130]"},
      {"%a : i8[2,13,9] = -128..127", bytes("%b", {9, 16}, "u8") + bytes("%q", {16}, "u8") +
                                          "%p = constant {-77} : i8[]\n"
                                          "%y = matmul_integer(%a, %b, %p, %q) : i32[2,13,16]"},
      {"%a : i8[3,11] = -128..127; %p : i8[1] = -128..127",
       bytes("%b", {11, 5}, "i8") + bytes("%q", {5}, "i8") +
           "%y = matmul_integer(%a, %b, %p, %q) : i32[3,5]"},
      // Longer than sums of 32 bits are safe for: they wrap as the operator says.
      {"%a : u8[1,70000] = 0..255",
       "%b = constant {127, ...} : i8[70000,1]\n%y = matmul_integer(%a, %b) : i32[1,1]"},
      {"%a : u8[3,1] = 0..255",
       bytes("%b", {1, 3}, "i8") + "%y = matmul_integer(%a, %b) : i32[3,3]"},
  });
}

TEST_CASE("matmul_integer of two computed operands is exact in every combination of bytes") {
  // Tails in rows, columns and k; batches; zero points that are constant, and known at run time.
  check({
      {"%a : u8[5,40] = 0..255; %b : i8[40,19] = -128..127",
       "%y = matmul_integer(%a, %b) : i32[5,19]"},
      {"%a : i8[3,7,37] = -128..127; %b : u8[3,37,70] = 0..255; %p : i8[] = -128..127; "
       "%q : u8[] = 0..255",
       "%y = matmul_integer(%a, %b, %p, %q) : i32[3,7,70]"},
      {"%a : u8[2,9,66] = 0..255; %b : u8[2,66,21] = 0..255",
       "%z = constant {128} : u8[]\n%y = matmul_integer(%a, %b, %z, %z) : i32[2,9,21]"},
      {"%a : i8[1,64] = -128..127; %b : i8[64,33] = -128..127; %q : i8[1] = -128..127",
       "%z = constant {-5} : i8[]\n%y = matmul_integer(%a, %b, %z, %q) : i32[1,33]"},
  });
}

TEST_CASE("a function of bytes is looked up in its table") {
  std::string squares, wrapped;
  for (int i = 0; i < 256; ++i) {
    squares += (i == 0 ? "" : ", ") + std::to_string(i * i / 255);
    wrapped += (i == 0 ? "" : ", ") + std::to_string((i * 37 + 11) % 256 - 128);
  }
  const auto table = [](const std::string& entries, const std::string& to) {
    return " {table = [" + entries + "], to = " + to + "}";
  };
  check({
      {"%x : u8[3,100] = 0..255", "%y = byte_table(%x)" + table(squares, "u8") + " : u8[3,100]"},
      {"%x : i8[2,77] = -128..127", "%y = byte_table(%x)" + table(wrapped, "i8") + " : i8[2,77]"},
      {"%x : i8[5] = -128..127; %v : f32[7,5] = -9..9",
       "%u = byte_table(%x)" + table(squares, "u8") +
           " : u8[5]\n%f = cast(%u) {to = f32} : f32[5]\n%y = mul(%f, %v) : f32[7,5]",
       1e-6},
  });
}

TEST_CASE("work before and behind a product of bytes is done where it reads and writes") {
  check({
      {"%a : f32[9,24]; %s : f32[] = 1..1",
       bytes("%b", {24, 20}, "i8") + "%z = constant {3} : u8[]\n"
                                     "%t = constant {0.02} : f32[]\n"
                                     "%q = quantize_linear(%a, %t, %z) : u8[9,24]\n"
                                     "%i = matmul_integer(%q, %b, %z) : i32[9,20]\n"
                                     "%f = cast(%i) {to = f32} : f32[9,20]\n"
                                     "%y = mul(%f, %t) : f32[9,20]",
       1e-6},
  });
}

TEST_CASE("conv_integer with constant weights is exact over paddings, strides, groups") {
  check({
      {"%x : u8[1,5,7,7] = 0..255; %p : u8[] = 0..255",
       bytes("%w", {12, 5, 3, 3}, "i8") +
           "%y = conv_integer(%x, %w, %p) {pads = [1, 1, 1, 1]} : i32[1,12,7,7]"},
      {"%x : i8[2,16,9,9] = -128..127",
       bytes("%w", {24, 16, 3, 3}, "i8") +
           "%p = constant {-128} : i8[]\n"
           "%y = conv_integer(%x, %w, %p) {pads = [0, 1, 2, 1], strides = [2, 2]} : "
           "i32[2,24,5,5]"},
      {"%x : u8[1,64,5,6] = 0..255", bytes("%w", {17, 64, 1, 1}, "u8") + bytes("%q", {17}, "u8") +
                                         "%p = constant {255} : u8[]\n"
                                         "%y = conv_integer(%x, %w, %p, %q) : i32[1,17,5,6]"},
      {"%x : i8[1,18,9,9] = -128..127",
       bytes("%w", {10, 9, 3, 3}, "u8") + bytes("%q", {10}, "u8") +
           "%y = conv_integer(%x, %w, _, %q) {dilations = [2, 2], group = 2, "
           "pads = [2, 2, 2, 2]} : i32[1,10,9,9]"},
      {"%x : u8[1,3,20] = 0..255",
       bytes("%w", {5, 3, 4}, "i8") + "%y = conv_integer(%x, %w) {pads = [1, 2]} : i32[1,5,20]"},
  });
}

TEST_CASE("sums of bytes are requantised as the evaluator does, short ones and long ones") {
  const std::string parameters =
      "%s = constant {0.05} : f32[]\n%u = constant {3.7} : f32[]\n%p = constant {120} : u8[]\n"
      "%z = constant {-5} : i8[]\n";
  check({
      {"%a : u8[5,40] = 0..255",
       bytes("%b", {40, 19}, "i8") + parameters +
           "%q = constant {0} : i8[]\n"
           "%y = q_linear_matmul(%a, %s, %p, %b, %s, %q, %u, %z) : i8[5,19]"},
      // Sums past 2^24, which f32 does not hold.
      {"%a : u8[2,900] = 0..255",
       bytes("%b", {900, 18}, "u8") + bytes("%q", {18}, "u8") + parameters +
           "%t = constant {0.0007} : f32[]\n"
           "%y = q_linear_matmul(%a, %s, %p, %b, %t, %q, %u, %z) : i8[2,18]"},
      {"%x : u8[1,6,8,8] = 0..255",
       bytes("%w", {4, 6, 3, 3}, "i8") + parameters +
           "%t = constant {0.01, 0.02, 0.5, 0.001} : f32[4]\n%q = constant {0} : i8[]\n"
           "%b = constant {4000, -90000, 12, 0} : i32[4]\n%v = constant {9} : u8[]\n"
           "%y = q_linear_conv(%x, %s, %p, %w, %t, %q, %u, %v, %b) {pads = [1, 1, 1, 1]} : "
           "u8[1,4,8,8]"},
  });
}

}  // namespace neuronc::testing
