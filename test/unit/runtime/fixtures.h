// NEFFs for the runtime's tests, made of text plans and the kernels of kernels.c.
#pragma once

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "backend/neff_writer.h"
#include "ir/plan/text.h"
#include "ir/plan/verify.h"

namespace neuronc::test {

inline plan::Plan parsed_plan(std::string_view text) {
  auto plan = plan::parse_plan(text);
  if (!plan) FAIL(plan.error().reason);
  for (const std::string& error : verify(*plan)) FAIL(error);
  return *plan;
}

inline std::vector<std::byte> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> chars{std::istreambuf_iterator<char>(file), {}};
  const auto* data = reinterpret_cast<const std::byte*>(chars.data());
  return {data, data + chars.size()};
}

// The one constant of the plans below: {1.0f}.
inline const std::vector<std::byte>& one_bytes() {
  static const std::vector<std::byte> bytes = [] {
    const float one = 1.0f;
    const auto* data = reinterpret_cast<const std::byte*>(&one);
    return std::vector<std::byte>(data, data + sizeof(one));
  }();
  return bytes;
}

// A NEFF of `plan`, whose constants are all {1.0f}.
inline NeffContents contents_of(plan::Plan plan, const std::vector<std::byte>& code) {
  for (plan::Constant& constant : plan.constants) constant.hash = hash_bytes(one_bytes());
  NeffContents contents;
  contents.name = plan.model_name;
  contents.compiler_version = "test";
  contents.json = "{\"name\": \"test\"}\n";
  contents.variants.push_back({"x86-64-v2", code, std::move(plan)});
  contents.constants.push_back({hash_bytes(one_bytes()), one_bytes()});
  return contents;
}

inline std::vector<std::byte> neff_of(plan::Plan plan) {
  const std::vector<std::byte> code = read_bytes(TEST_KERNELS);
  REQUIRE_FALSE(code.empty());
  auto neff = build_neff(contents_of(std::move(plan), code));
  if (!neff) FAIL(neff.error().reason);
  return *neff;
}

// y = x + 1 on one core.
inline constexpr std::string_view kOneCore = R"(plan "one" {
  input 0 "x" f32[4] bytes 16
  output 0 "y" f32[4] bytes 16
  constant 0 "one" bytes 4 offset 0 hash 00000000000000000000000000000000
  kernel 0 @add_scalar buffers 3 tiles 4
  kernel 1 @check buffers 2 tiles 4
  lane 0 core 0 arena 64 {
    alloc "t" 0:16 steps 0..1
    block 0 {
      run @check tiles 0..4 (r input0+0:16, w arena+0:16)
      run @add_scalar tiles 0..4 (r arena+0:16, r constant0+0:4, w output0+0:16)
    }
  }
})";

// y = x + 4, one core after the other; channel 0 is read by cores 1 and 3 too, with x itself, so
// that slots of different ages are in use: y = (x + 3) + 1, checked against x on core 3.
inline constexpr std::string_view kFourCores = R"(plan "four" {
  input 0 "x" f32[4] bytes 16
  output 0 "y" f32[4] bytes 16
  output 1 "x2" f32[4] bytes 16
  constant 0 "one" bytes 4 offset 0 hash 00000000000000000000000000000000
  kernel 0 @slow_add buffers 3 tiles 4
  kernel 1 @check buffers 2 tiles 4
  channel 0 "a" bytes 16 depth 2 lane 0 -> 1, 3
  channel 1 "b" bytes 16 depth 2 lane 1 -> 2
  channel 2 "c" bytes 16 depth 1 lane 2 -> 3
  lane 0 core 0 arena 64 {
    alloc "t" 0:16 steps 0..2
    block 0 {
      run @check tiles 0..4 (r input0+0:16, w arena+0:16)
      acquire 0
      run @slow_add tiles 0..4 (r arena+0:16, r constant0+0:4, w channel0+0:16)
      send 0
    }
  }
  lane 1 core 1 arena 0 {
    block 0 {
      recv 0 acquire 1
      run @slow_add tiles 0..4 (r channel0+0:16, r constant0+0:4, w channel1+0:16)
      release 0 send 1
    }
  }
  lane 2 core 2 arena 0 {
    block 0 {
      recv 1 acquire 2
      run @slow_add tiles 0..4 (r channel1+0:16, r constant0+0:4, w channel2+0:16)
      release 1 send 2
    }
  }
  lane 3 core 3 arena 0 {
    block 0 {
      recv 2
      run @slow_add tiles 0..4 (r channel2+0:16, r constant0+0:4, w output0+0:16)
      recv 0
      copy (r channel0+0:16, w output1+0:16)
      release 0 release 2
    }
  }
})";

}  // namespace neuronc::test
