// Recurrent layers: f32 sums of some dozen products over a few steps.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

namespace {

std::string weights(int directions, int gates, int hidden, int inputs) {
  return random_constant("%w", {directions, gates * hidden, inputs}) +
         random_constant("%r", {directions, gates * hidden, hidden}) +
         random_constant("%b", {directions, 2 * gates * hidden});
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

TEST_CASE("recurrent layers of many units, long or narrow") {
  const auto narrow = [](int directions, int gates, int hidden, int inputs) {
    return random_constant("%w", {directions, gates * hidden, inputs}, "bf16") +
           random_constant("%r", {directions, gates * hidden, hidden}, "bf16") +
           random_constant("%b", {directions, 2 * gates * hidden});
  };
  check({
      {"%x : f32[5,1,20]",
       weights(1, 4, 40, 20) + "%y = lstm(%x, %w, %r, %b) {hidden_size = 40} : f32[5,1,1,40]",
       1e-5},
      {"%x : f32[3,13,5]",
       weights(1, 4, 17, 5) + "%y = lstm(%x, %w, %r, %b) {hidden_size = 17} : f32[3,1,13,17]",
       1e-5},
      {"%x : bf16[4,3,7]; %h0 : f32[2,3,21]",
       narrow(2, 3, 21, 7) + "%y = gru(%x, %w, %r, %b, _, %h0) {direction = \"bidirectional\", "
                             "hidden_size = 21, result_type = f32} : f32[4,2,3,21]",
       1e-5},
      {"%x : bf16[4,1,8]",
       narrow(1, 3, 32, 8) + "%y = gru(%x, %w, %r, %b) {hidden_size = 32, linear_before_reset = "
                             "1, result_type = f32} : f32[4,1,1,32]",
       1e-5},
      {"%x : bf16[4,2,6]",
       narrow(1, 4, 18, 6) + "%y = lstm(%x, %w, %r, %b) {direction = \"reverse\", hidden_size = "
                             "18, result_type = f32} : f32[4,1,2,18]",
       1e-5},
      {"%x : f32[13,700,3]",
       weights(1, 1, 6, 3) + "%y = rnn(%x, %w, %r, %b) {hidden_size = 6} : f32[13,1,700,6]", 1e-4},
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
