// Control flow on the cores, as blocks of the plan, among other work: on 1, 2 and 4 cores with the
// same bits, eight requests at a time.
#include <catch2/catch.hpp>

#include "rig.h"

using neuronc::test::check_model;

TEST_CASE("a loop of a number of trips that data decide, between products") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : f32[8,16]
  %w = constant {0.25, ...} : f32[16,16] core
  %zero = constant {0} : f32[] core
  %true = constant {true} : bool[] core
  %0 = matmul(%x, %w) : f32[8,16] core
  %p = greater(%0, %zero) : bool[8,16] core
  %i = cast(%p) {to = i64} : i64[8,16] core
  %n = reduce_sum(%i) {keepdims = 0} : i64[] core
  %y, %z = loop(%n, %true, %0, %x, %w) {num_carried = 2} : f32[8,16], f32[8,16] core {
    input %t : i64[]
    input %c : bool[]
    input %h : f32[8,16]
    input %g : f32[8,16]
    input %v : f32[16,16]
    %1 = matmul(%h, %v) : f32[8,16] core
    %2 = add(%1, %g) : f32[8,16] core
    %3 = tanh(%2) : f32[8,16] core
    %f = cast(%t) {to = f32} : f32[] core
    %4 = add(%g, %f) : f32[8,16] core
    %5 = sigmoid(%4) : f32[8,16] core
    output %c
    output %3
    output %5
  }
  %6 = matmul(%y, %w) : f32[8,16] core
  %7 = add(%6, %z) : f32[8,16] core
  output %7 as "y"
  output %z as "z"
})");
}

TEST_CASE("a loop that its condition ends, and values that change places") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : f32[4,8]
  input %y : f32[4,8]
  %one = constant {1} : f32[] core
  %far = constant {40} : f32[] core
  %zero = constant {0} : f32[] core
  %n, %a, %b = loop(_, _, %zero, %x, %y) {num_carried = 3} : f32[], f32[4,8], f32[4,8] core {
    input %t : i64[]
    input %c : bool[]
    input %k : f32[]
    input %p : f32[4,8]
    input %q : f32[4,8]
    %one = constant {1.5} : f32[] core
    %far = constant {40} : f32[] core
    %1 = add(%k, %one) : f32[] core
    %2 = less(%1, %far) : bool[] core
    output %2
    output %1
    output %q
    output %p
  }
  %s = sub(%a, %b) : f32[4,8] core
  output %s as "s"
  output %n as "n"
  output %a as "a"
})");
}

TEST_CASE("branches that give a view, an operand and a constant") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : f32[4,4]
  %w = constant {0.5, ...} : f32[4,4] core
  %zero = constant {0} : f32[] core
  %0 = matmul(%x, %w) : f32[4,4] core
  %s = reduce_sum(%0) {keepdims = 0} : f32[] core
  %c = greater(%s, %zero) : bool[] core
  %y, %z = if_else(%c, %0, %x) : f32[4,4], f32[4,4] core {
    input %a : f32[4,4]
    input %b : f32[4,4]
    %1 = transpose(%a) {perm = [1, 0]} : f32[4,4] core
    output %1
    output %b
  } {
    input %a : f32[4,4]
    input %b : f32[4,4]
    %k = constant {2, ...} : f32[4,4] core
    %2 = matmul(%a, %b) : f32[4,4] core
    output %2
    output %k
  }
  %7 = matmul(%y, %w) : f32[4,4] core
  output %7 as "y"
  output %z as "z"
})");
}

TEST_CASE("a scan backwards that reads slices and stacks rows, in a loop that stacks its results") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : f32[5,2,8]
  input %h : f32[2,8]
  %three = constant {3} : i64[] core
  %true = constant {true} : bool[] core
  %r = relu(%x) : f32[5,2,8] core
  %e, %y = loop(%three, %true, %h, %r) {num_carried = 1} : f32[2,8], f32[3,5,2,8] core {
    input %t : i64[]
    input %c : bool[]
    input %g : f32[2,8]
    input %x : f32[5,2,8]
    %k, %o = scan(%g, %x) {num_states = 1, num_scan_inputs = 1, scan_input_directions = [1]} : f32[2,8], f32[5,2,8] core {
      input %s : f32[2,8]
      input %v : f32[2,8]
      %w = constant {0.125, ...} : f32[8,8] core
      %1 = matmul(%s, %w) : f32[2,8] core
      %2 = add(%1, %v) : f32[2,8] core
      %3 = tanh(%2) : f32[2,8] core
      output %3
      output %3
    }
    output %c
    output %k
    output %o
  }
  output %e as "e"
  output %y as "y"
})");
}

TEST_CASE("no trips: what is carried comes out as it went in") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : f32[4]
  %count = constant {-3} : i64[] core
  %false = constant {false} : bool[] core
  %y = loop(%count, _, %x) {num_carried = 1} : f32[4] core {
    input %t : i64[]
    input %c : bool[]
    input %g : f32[4]
    %1 = neg(%g) : f32[4] core
    output %c
    output %1
  }
  %z = loop(_, %false, %y) {num_carried = 1} : f32[4] core {
    input %t : i64[]
    input %c : bool[]
    input %g : f32[4]
    %1 = exp(%g) : f32[4] core
    output %c
    output %1
  }
  output %z as "z"
})");
}

TEST_CASE("a branch in a trip writes a row of what is stacked") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : f32[6,4]
  input %h : f32[4]
  %e, %y = scan(%h, %x) {num_states = 1, num_scan_inputs = 1} : f32[4], f32[6,4] core {
    input %s : f32[4]
    input %v : f32[4]
    %zero = constant {0} : f32[] core
    %m = reduce_sum(%v) {keepdims = 0} : f32[] core
    %c = greater(%m, %zero) : bool[] core
    %n = add(%s, %v) : f32[4] core
    %r = if_else(%c, %n, %v) : f32[4] core {
      input %a : f32[4]
      input %b : f32[4]
      %1 = exp(%b) : f32[4] core
      output %1
    } {
      input %a : f32[4]
      input %b : f32[4]
      output %a
    }
    output %n
    output %r
  }
  output %e as "e"
  output %y as "y"
})");
}

TEST_CASE("results that nobody reads") {
  check_model(R"(nir 1
module "m" stage cast {
  input %x : f32[6,4]
  input %h : f32[4]
  %e, %y = scan(%h, %x) {num_states = 1, num_scan_inputs = 1} : f32[4], f32[6,4] core {
    input %s : f32[4]
    input %v : f32[4]
    %n = add(%s, %v) : f32[4] core
    %r = exp(%v) : f32[4] core
    output %n
    output %r
  }
  %zero = constant {0} : f32[] core
  %m = reduce_sum(%e) {keepdims = 0} : f32[] core
  %c = greater(%m, %zero) : bool[] core
  %a, %b = if_else(%c, %e) : f32[4], f32[4] core {
    input %a : f32[4]
    %1 = exp(%a) : f32[4] core
    %2 = neg(%a) : f32[4] core
    output %1
    output %2
  } {
    input %a : f32[4]
    %1 = abs(%a) : f32[4] core
    output %a
    output %1
  }
  output %b as "b"
})");
}
