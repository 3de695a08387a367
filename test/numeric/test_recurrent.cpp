// Recurrent layers: f32 sums of some dozen products over a few steps.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

namespace {

// A constant of pseudo-random numbers in [-0.5, 0.5).
std::string constant(const std::string& name, const std::vector<int>& shape) {
  std::string type;
  int count = 1;
  for (int extent : shape) {
    type += (type.empty() ? "" : ",") + std::to_string(extent);
    count *= extent;
  }
  std::string values;
  unsigned state = 7;
  for (int i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    values += (i == 0 ? "" : ", ") + std::to_string(static_cast<double>(state >> 20) / 4096 - 0.5);
  }
  return name + " = constant {" + values + "} : f32[" + type + "]\n";
}

std::string weights(int directions, int gates, int hidden, int inputs) {
  return constant("%w", {directions, gates * hidden, inputs}) +
         constant("%r", {directions, gates * hidden, hidden}) +
         constant("%b", {directions, 2 * gates * hidden});
}

}  // namespace

TEST_CASE("lstm, gru and rnn run step by step") {
  const std::string lstm =
      "%y, %h, %c = lstm(%x, %w, %r, %b, _, %h0, %c0) {hidden_size = 9} : "
      "f32[4,1,2,9], f32[1,2,9], f32[1,2,9]\n";
  const std::string state = "; %h0 : f32[1,2,9]; %c0 : f32[1,2,9]";
  check({
      {"%x : f32[4,2,3]" + state, weights(1, 4, 9, 3) + lstm + "output %y : f32[4,1,2,9]", 1e-5},
      {"%x : f32[4,2,3]" + state, weights(1, 4, 9, 3) + lstm + "output %c : f32[1,2,9]", 1e-5},
      {"%x : f32[4,2,3]",
       weights(2, 3, 9, 3) +
           "%y, %h = gru(%x, %w, %r, %b) {direction = \"bidirectional\", hidden_size = 9} : "
           "f32[4,2,2,9], f32[2,2,9]\noutput %y : f32[4,2,2,9]",
       1e-5},
      {"%x : f32[4,1,3]",
       weights(1, 3, 8, 3) +
           "%y, %h = gru(%x, %w, %r, %b) {direction = \"reverse\", hidden_size = 8, "
           "linear_before_reset = 1} : f32[4,1,1,8], f32[1,1,8]\n"
           "output %h : f32[1,1,8]",
       1e-5},
      {"%x : f32[4,2,3]",
       weights(1, 1, 5, 3) + "%y, %h = rnn(%x, %w, %r) {hidden_size = 5} : f32[4,1,2,5], "
                             "f32[1,2,5]\noutput %y : f32[4,1,2,5]",
       1e-5},
  });
}

TEST_CASE("elementwise work on a recurrent layer joins its kernel") {
  check({
      {"%x : f32[4,2,3]; %z : f32[4,1,2,5]",
       weights(1, 1, 5, 3) + "%y = rnn(%x, %w, %r, %b) {hidden_size = 5} : f32[4,1,2,5]\n"
                             "%s = add(%y, %z) : f32[4,1,2,5]",
       1e-5},
      {"%x : f32[4,1,3]",
       weights(1, 4, 8, 3) + "%y = lstm(%x, %w, %r, %b) {hidden_size = 8} : f32[4,1,1,8]\n"
                             "%s = mul(%y, %y) : f32[4,1,1,8]\n%t = neg(%s) : f32[4,1,1,8]",
       1e-5},
  });
}

}  // namespace neuronc::testing
