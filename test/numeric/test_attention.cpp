// Attention and what goes with it: f32 sums of some dozen products of magnitude 1, and exp.
#include <catch2/catch.hpp>

#include "harness.h"

namespace neuronc::testing {

TEST_CASE("attention in every form") {
  const std::string qkv = "%q : f32[2,4,5,11]; %k : f32[2,2,7,11]; %v : f32[2,2,7,9]";
  check({
      {qkv, "%y = attention(%q, %k, %v) : f32[2,4,5,9]", 1e-5},
      {qkv, "%y = attention(%q, %k, %v) {is_causal = 1, scale = 0.5} : f32[2,4,5,9]", 1e-5},
      {qkv, "%y = attention(%q, %k, %v) {softcap = 2} : f32[2,4,5,9]", 1e-5},
      {qkv + "; %m : f32[5,7]", "%y = attention(%q, %k, %v, %m) : f32[2,4,5,9]", 1e-5},
      {qkv + "; %m : f32[5,7]", "%y = attention(%q, %k, %v, %m) {softcap = 2} : f32[2,4,5,9]",
       1e-5},
      {qkv + "; %m : bool[5,7]", "%y = attention(%q, %k, %v, %m) {softcap = 2} : f32[2,4,5,9]",
       1e-5},
      {qkv, "%y = attention(%q, %k, %v) {is_causal = 1, softcap = 2} : f32[2,4,5,9]", 1e-5},
      {qkv + "; %n : i64[2] = 0..7",
       "%y = attention(%q, %k, %v, _, _, _, %n) {softcap = 2} : f32[2,4,5,9]", 1e-5},
      {qkv + "; %m : bool[2,1,5,7]", "%y = attention(%q, %k, %v, %m) : f32[2,4,5,9]", 1e-5},
      {qkv + "; %n : i64[2] = 0..7", "%y = attention(%q, %k, %v, _, _, _, %n) : f32[2,4,5,9]",
       1e-5},
      {qkv + "; %n : i64[2] = 0..7",
       "%y = attention(%q, %k, %v, _, _, _, %n) {is_causal = 1} : f32[2,4,5,9]", 1e-5},
      {qkv + "; %p : f32[2,2,3,11]; %r : f32[2,2,3,9]; %n : i64[2] = 0..10",
       "%y = attention(%q, %k, %v, _, %p, %r, %n) {is_causal = 1} : f32[2,4,5,9]", 1e-5},
      {qkv + "; %p : f32[2,2,3,11]; %r : f32[2,2,3,9]",
       "%y = attention(%q, %k, %v, _, %p, %r) {is_causal = 1} : f32[2,4,5,9]", 1e-5},
      {"%q : f32[2,5,24]; %k : f32[2,7,24]; %v : f32[2,7,30]",
       "%y = attention(%q, %k, %v) {kv_num_heads = 3, q_num_heads = 3} : f32[2,5,30]", 1e-5},
      {"%q : f64[1,2,5,16]; %k : f64[1,2,7,16]; %v : f64[1,2,7,16]",
       "%a = attention(%q, %k, %v) : f64[1,2,5,16]\n%y = relu(%a) : f64[1,2,5,16]", 1e-12},
      {"%q : bf16[1,2,5,16]; %k : bf16[1,2,7,16]; %v : bf16[1,2,7,16]",
       "%y = attention(%q, %k, %v) : bf16[1,2,5,16]", 1e-2},
  });
}

TEST_CASE("attention in runs of keys and blocks of queries") {
  const std::string narrow = "%q : bf16[1,2,33,18]; %k : bf16[1,2,70,18]; %v : bf16[1,2,70,20]";
  check({
      // Several runs: by long heads, and by the order of positions, with a rest.
      {"%q : f32[1,1,6,200]; %k : f32[1,1,300,200]; %v : f32[1,1,300,300]",
       "%y = attention(%q, %k, %v) {scale = 0.07} : f32[1,1,6,300]", 2e-5},
      {"%q : f32[1,1,12,16]; %k : f32[1,1,600,16]; %v : f32[1,1,600,16]",
       "%y = attention(%q, %k, %v) {is_causal = 1, causal_offset = 250} : f32[1,1,12,16]", 2e-5},
      {"%q : f32[1,4,6,16]; %k : f32[1,2,520,16]; %v : f32[1,2,520,9]",
       "%y = attention(%q, %k, %v) {is_causal = 1, causal_offset = 300} : f32[1,4,6,9]", 2e-5},
      // Many queries of one head are shared among tiles; values of few numbers.
      {"%q : f32[1,1,101,16]; %k : f32[1,1,43,16]; %v : f32[1,1,43,3]",
       "%y = attention(%q, %k, %v) : f32[1,1,101,3]", 2e-5},
      // Queries that see no key.
      {"%q : f32[1,1,9,8]; %k : f32[1,1,40,8]; %v : f32[1,1,40,8]",
       "%y = attention(%q, %k, %v) {is_causal = 1, causal_offset = -2} : f32[1,1,9,8]", 2e-5},
      {"%q : f32[1,1,9,8]; %k : f32[1,1,40,8]; %v : f32[1,1,40,8]",
       "%y = attention(%q, %k, %v) {is_causal = 1, causal_offset = -2, has_nan_rows = 1} : "
       "f32[1,1,9,8]",
       2e-5},
      // Work on the queries and behind.
      {"%q : f32[1,2,9,8]; %k : f32[1,2,40,8]; %v : f32[1,2,40,24]; %m : bool[40]",
       "%c = constant {0.5} : f32[]\n%s = mul(%q, %c) : f32[1,2,9,8]\n"
       "%a = attention(%s, %k, %v, %m) : f32[1,2,9,24]\n%y = relu(%a) : f32[1,2,9,24]",
       2e-5},
      // Weights are rounded to bf16: 2^-9 of each, and sums of them.
      {narrow, "%y = attention(%q, %k, %v) {result_type = f32} : f32[1,2,33,20]", 1e-2},
      {narrow + "; %m : f32[1,2,33,70]",
       "%y = attention(%q, %k, %v, %m) {is_causal = 1, result_type = f32} : f32[1,2,33,20]", 1e-2},
      {"%q : bf16[1,1,20,31]; %k : bf16[1,1,600,31]; %v : bf16[1,1,600,33]",
       "%y = attention(%q, %k, %v) {is_causal = 1, causal_offset = 580, result_type = f32} : "
       "f32[1,1,20,33]",
       1e-2},
      // Copied queries of which the last tile has less than a matrix of rows.
      {"%q : bf16[1,4,33,32]; %k : bf16[1,4,40,32]; %v : bf16[1,4,40,32]",
       "%c = constant {0.5} : bf16[]\n%s = mul(%q, %c) : bf16[1,4,33,32]\n"
       "%y = attention(%s, %k, %v) {result_type = f32} : f32[1,4,33,32]",
       1e-2},
  });
}

TEST_CASE("rotary_embedding turns pairs") {
  check({
      {"%x : f32[2,3,5,16]; %c : f32[2,5,8]; %s : f32[2,5,8]",
       "%y = rotary_embedding(%x, %c, %s) : f32[2,3,5,16]", 1e-6},
      {"%x : f32[2,3,5,16]; %c : f32[9,8]; %s : f32[9,8]; %p : i64[2,5] = 0..8",
       "%y = rotary_embedding(%x, %c, %s, %p) {interleaved = 1} : f32[2,3,5,16]", 1e-6},
      {"%x : f32[2,5,36]; %c : f32[9,4]; %s : f32[9,4]; %p : i64[2,5] = 0..8",
       "%y = rotary_embedding(%x, %c, %s, %p) {num_heads = 3, rotary_embedding_dim = 8} : "
       "f32[2,5,36]",
       1e-6},
      {"%x : bf16[1,2,5,40]; %c : bf16[1,5,16]; %s : bf16[1,5,16]",
       "%y = rotary_embedding(%x, %c, %s) {rotary_embedding_dim = 32} : bf16[1,2,5,40]", 1e-2},
  });
}

TEST_CASE("linear_attention carries a state") {
  const std::string qkv = "%q : f32[2,5,12]; %k : f32[2,5,6]; %v : f32[2,5,22]";
  const std::string heads = "kv_num_heads = 2, q_num_heads = 4";
  const std::string small = "{kv_num_heads = 1, q_num_heads = 1, scale = 0.5, ";
  check({
      {qkv,
       "%y = linear_attention(%q, %k, %v) {" + heads + ", update_rule = \"linear\"} : f32[2,5,44]",
       1e-5},
      {qkv + "; %s : f32[2,2,3,11]; %d : f32[2,5,2]; %b : f32[2,5,1]",
       "%y, %p = linear_attention(%q, %k, %v, %s, %d, %b) {" + heads +
           "} : f32[2,5,44], f32[2,2,3,11]\noutput %p : f32[2,2,3,11]",
       1e-4},
      {qkv + "; %s : f32[2,2,3,11]; %d : f32[2,5,6]; %b : f32[2,5,2]; %e : f32[2,5,6]",
       "%y = linear_attention(%q, %k, %v, %s, %d, %b, %e) {" + heads + "} : f32[2,5,44]", 1e-4},
      {"%q : bf16[1,3,4]; %k : bf16[1,3,4]; %v : bf16[1,3,5]; %b : bf16[1,3,1]",
       "%y = linear_attention(%q, %k, %v, _, _, %b) " + small +
           "update_rule = \"delta\"} : bf16[1,3,5]",
       2e-2},
  });
}

TEST_CASE("tensor_scatter writes new entries") {
  check({
      {"%x : f32[2,3,6,5]; %u : f32[2,3,2,5]; %i : i64[2] = 0..4",
       "%y = tensor_scatter(%x, %u, %i) : f32[2,3,6,5]"},
      {"%x : i32[2,6,19]; %u : i32[2,4,19]; %i : i64[2] = 0..5",
       "%y = tensor_scatter(%x, %u, %i) {mode = \"circular\"} : i32[2,6,19]"},
      {"%x : bf16[2,7,6]; %u : bf16[2,7,3]; %i : i64[2] = 0..3",
       "%y = tensor_scatter(%x, %u, %i) {axis = -1} : bf16[2,7,6]"},
      {"%x : f32[2,6]; %u : f32[2,2]", "%y = tensor_scatter(%x, %u) {axis = 1} : f32[2,6]"},
  });
}

TEST_CASE("einsum sums over labels") {
  check({
      {"%a : f32[5,7]; %b : f32[7,19]",
       "%y = einsum(%a, %b) {equation = \"ij,jk->ik\"} : f32[5,19]", 1e-5},
      {"%a : f32[3,5,7]; %b : f32[3,9,7]",
       "%y = einsum(%a, %b) {equation = \"bij, bkj\"} : f32[5,9]", 1e-5},
      {"%a : f32[7,7]", "%y = einsum(%a) {equation = \"ii->i\"} : f32[7]", 1e-9},
      {"%a : i32[7,7]", "%y = einsum(%a) {equation = \"ii\"} : i32[]"},
      {"%a : f32[5,7]", "%y = einsum(%a) {equation = \"ij->ji\"} : f32[7,5]", 1e-9},
      {"%a : f32[2,5,7]; %b : f32[1,7,9]",
       "%y = einsum(%a, %b) {equation = \"...ij,...jk->...ik\"} : f32[2,5,9]", 1e-5},
      {"%a : i64[4,5]; %b : i64[5]; %c : i64[4,6]",
       "%y = einsum(%a, %b, %c) {equation = \"ij,j,ik->k\"} : i64[6]"},
      {"%a : u8[4] = 0..255; %b : u8[5] = 0..255",
       "%y = einsum(%a, %b) {equation = \"i,j->ij\"} : u8[4,5]"},
      {"%a : bf16[4,9]; %b : bf16[9,8]",
       "%y = einsum(%a, %b) {equation = \"ab,bc->ca\"} : bf16[8,4]", 2e-2},
  });
}

}  // namespace neuronc::testing
