// Plans: text and binary forms round-trip, damaged files are refused, and each verifier rule fires
// on a sound plan with one thing changed.
#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "ir/plan/binary.h"
#include "ir/plan/text.h"
#include "ir/plan/verify.h"

using namespace neuronc;
using namespace neuronc::plan;

namespace {

// Two cores and the host; every kind of step once.
constexpr std::string_view kText = R"(plan "a \"b\" \x01" {
  input 0 "x" f32[4] bytes 16
  input 1 "s" string[2] bytes 0
  output 0 "y" f32[4] bytes 16
  output 1 "z" i64[-1] bytes 0
  constant 0 "w" bytes 64 offset 128 hash 000102030405060708090a0b0c0d0e0f
  kernel 0 @scale buffers 3 tiles 8
  kernel 1 @add.2 buffers 2 tiles 1
  channel 0 "x/y" bytes 64 depth 2 lane 0 -> 0, 1
  channel 1 "y/z" bytes 16 depth 1 lane 1 -> 2
  team 0 lanes 2 from 0 shared 128 {
    alloc "s" 0:64 epochs 0..1
    alloc "v" 64:64 epochs 1..1
  }
  host_slots 1
  lane 0 core 0 arena 192 {
    alloc "t" 0:64 steps 0..5
    alloc "u" 0:64 steps 6..16
    alloc "halo" 64:64 steps 0..5
    block 0 {
      fill (w arena+64:64) 0xff800000:4
      run @scale tiles 0..4 (r input0+0:16, r constant0+0:64, w arena+0:16)
      acquire 0
      copy (r arena+0:16, w channel0+0:16)
      send 0
      run @scale tiles 0..4 (r arena+64:64, r arena+0:16, w shared0+0:64 at 0:8*4/16)
      fill (w arena+0:16) 0x1:8
      if (r arena+0:1) 1 else 2
      loop count (r arena+0:8) trip (w arena+8:8) 3
      recv 0
      copy (r channel0+0:16, w arena+16:16)
      release 0
      barrier 0
      copy (r shared0+0:64, w shared0+64:64)
      barrier 0
    }
    block 1 {
      run @add.2 tiles 0..1 (rw arena+0:16, w arena+16:16)
    }
    block 2 {
      run @add.2 tiles 0..0 (r constant0+0:64, w arena+16:16)
    }
    block 3 {
      fill (w arena+32:8) 0x7:1
    }
  }
  lane 1 core 1 arena 64 {
    block 0 {
      recv 0
      acquire 1
      run @add.2 tiles 0..1 (r channel0+0:16, w channel1+0:16)
      send 1
      copy (r channel0+0:16, w output0+0:16)
      release 0
      run @scale tiles 4..8 (r constant0+0:64, r constant0+0:64, w shared0+0:64 at 8:8 24:8*3/16)
      barrier 0
      barrier 0
    }
  }
  lane 2 host arena 0 {
    block 0 {
      recv 1
      host 3 (r channel1+0:16 f32[4], r input1+0:0 string[2]) -> (w slot0)
      release 1
      host 4 (r slot0) -> (w output1+0:0 i64[-1])
    }
  }
}
)";

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::string sound_text() { return std::string(kText); }

Plan parsed(std::string_view text) {
  auto plan = parse_plan(text);
  if (!plan) FAIL(plan.error().reason);
  return *plan;
}

std::vector<std::span<const std::byte>> spans(const std::vector<std::vector<std::byte>>& files) {
  return {files.begin(), files.end()};
}

}  // namespace

TEST_CASE("text and binary forms round-trip") {
  const Plan plan = parsed(sound_text());
  CHECK(to_text(plan) == sound_text());
  CHECK(plan.model_name == "a \"b\" \x01");
  const auto files = encode(plan);
  REQUIRE(files.size() == 3);
  const auto decoded = decode(spans(files));
  REQUIRE(decoded);
  CHECK(*decoded == plan);
  CHECK(encode(*decoded) == files);
  CHECK(num_cores(plan) == 2);
}

TEST_CASE("a sound plan verifies") {
  for (const std::string& error : verify(parsed(sound_text()))) FAIL(error);
}

TEST_CASE("idle lanes change nothing but the number of cores") {
  Plan plan = parsed(sound_text());
  add_idle_lanes(plan, 2);
  CHECK(plan == parsed(sound_text()));
  add_idle_lanes(plan, 4);
  CHECK(num_cores(plan) == 4);
  CHECK(plan.lanes.size() == 5);
  CHECK(plan.lanes.back().kind == LaneKind::host);
  for (const std::string& error : verify(plan)) FAIL(error);
}

TEST_CASE("text errors name the line") {
  const auto error = parse_plan("plan \"x\" {\n  lane 0 core 0 arena 0 {\n block 0 { jump }\n");
  REQUIRE_FALSE(error);
  CHECK(error.error().reason == "line 3: expected a step");
  CHECK_FALSE(parse_plan(""));
  CHECK_FALSE(parse_plan(replaced(sound_text(), "f32[4]", "f99[4]")));
  CHECK_FALSE(parse_plan(replaced(sound_text(), "run @scale", "run @nothing")));
}

TEST_CASE("every rule of the verifier fires") {
  struct Row {
    std::string_view from, to, error;
  };
  const Row rows[] = {
      {"\"s\" string[2]", "\"x\" string[2]", "is there twice"},
      {"f32[4] bytes 16", "f32[4] bytes 12", "size that is not that of its dims"},
      {"i64[-1] bytes 0", "i64[-1] bytes 8", "states a size"},
      {"offset 128", "offset 129", "wrong offset"},
      {"lane 1 core 1", "lane 1 core 2", "out of order"},
      {"depth 2", "depth 0", "depth outside"},
      {"-> 0, 1", "-> 1, 0", "do not ascend"},
      {"lane 1 -> 2", "lane 7 -> 2", "producer that is no lane"},
      {"lane 1 -> 2", "lane 1, 2 -> 2", "several producers that are no team"},
      {"lanes 2 from 0", "lanes 1 from 0", "two or more core lanes"},
      {"lanes 2 from 0", "lanes 2 from 1", "two or more core lanes"},
      {"r constant0+0:64", "r constant0+8:64", "lies outside its space"},
      {"r constant0+0:64", "w constant0+0:64", "may only be read"},
      {"r input0+0:16", "r input5+0:16", "does not exist"},
      {"run @scale tiles 0..4 (r input0+0:16, ", "run @scale tiles 0..4 (", "takes 3 buffers"},
      {"tiles 0..4", "tiles 0..9", "has 8 tiles"},
      {"alloc \"halo\" 64:64", "alloc \"halo\" 32:64", "does not start on 64 bytes"},
      {"alloc \"halo\" 64:64", "alloc \"halo\" 0:128", "live together"},
      {"steps 6..16", "steps 5..16", "live together"},
      {"steps 6..16", "steps 6..40", "steps that are not there"},
      {"\"t\" 0:64 steps 0..5", "\"t\" 0:64 steps 2..5", "lies in no live allocation"},
      {"\"v\" 64:64 epochs 1..1", "\"v\" 0:64 epochs 1..1", "live together"},
      {"\"v\" 64:64 epochs 1..1", "\"v\" 64:64 epochs 0..3", "steps that are not there"},
      {"\"s\" 0:64 epochs 0..1", "\"s\" 0:64 epochs 1..1", "lies in no live allocation"},
      {"\"s\" 0:64 epochs 0..1", "\"s\" 0:64 epochs 0..0", "lies in no live allocation"},
      {"fill (w arena+64:64) 0xff800000:4", "fill (w arena+64:32) 0xff800000:4",
       "read before it is written"},
      {"copy (r arena+0:16, w channel0+0:16)", "copy (r arena+0:8, w channel0+0:8)",
       "read before it is written"},
      {"at 0:8*4/16", "at 0:8*5/16", "touches what is not inside it"},
      {"at 0:8*4/16", "at 0:8*4/8", "touches what is not inside it"},
      {"at 0:8*4/16", "at 0:8*3/16", "read before it is written"},
      {"at 0:8*4/16", "at 0:12*4/16", "same memory between barriers"},
      {"at 8:8 24:8*3/16", "at 8:8", "read before it is written"},
      {"      barrier 0\n      copy (r shared0+0:64", "      copy (r shared0+0:64",
       "read before it is written"},
      {"barrier 0\n      barrier 0\n    }\n  }\n  lane 2", "barrier 0\n    }\n  }\n  lane 2",
       "waits for ever"},
      {"      acquire 0\n", "", "outside its acquire and send"},
      {"send 0\n", "acquire 0\n", "acquired twice"},
      {"send 1\n", "", "waits for ever"},
      {"acquire 1\n", "acquire 0\n", "not a producer of the channel"},
      {"recv 0\n      acquire 1", "acquire 1", "outside its acquire and send"},
      {"      release 1\n", "", "does not receive and release channel 1"},
      {"w output0+0:16", "w arena+0:16", "lies in no live allocation"},
      {"copy (r channel0+0:16, w output0+0:16)", "", "`y` is not written as a whole"},
      {" -> (w output1+0:0 i64[-1])", " -> (w slot0)", "`z` is not written as a whole"},
      {"w shared0+64:64)\n      barrier 0",
       "w shared0+64:64)\n      barrier 0 copy (r shared0+0:8, w arena+0:8)",
       "lies in no live allocation"},
      {"r shared0+0:64", "r shared1+0:64", "does not exist"},
      {"r slot0", "r slot4", "does not exist"},
      {"      recv 1\n", "      recv 1\n barrier 0\n", "not of the lane's team"},
      {"else 2", "else 0", "does not exist later"},
      {"else 2", "else 1", "belongs to two steps"},
      {"fill (w arena+32:8) 0x7:1", "recv 0", "block 0 only"},
      {"fill (w arena+32:8) 0x7:1", "fill (w arena+32:8) 0x7:3", "1, 2, 4 or 8"},
      {"copy (r arena+0:16,", "copy (r arena+0:8,", "differ in size"},
      {"r channel1+0:16 f32[4]", "r channel1+0:16 f32[5]", "size of its dims and dtype"},
      // A value written in one branch only is not there afterwards.
      {"run @add.2 tiles 0..0 (r constant0+0:64, w arena+16:16)\n    }\n    block 3 {\n      ",
       "}\n    block 3 {\n      copy (r arena+16:8, w arena+40:8) ", "read before it is written"},
  };
  for (const Row& row : rows) {
    INFO(row.from << " -> " << row.to);
    const auto errors = verify(parsed(replaced(sound_text(), row.from, row.to)));
    std::string all;
    for (const std::string& error : errors) all += error + "\n";
    INFO(all);
    CHECK(all.find(row.error) != std::string::npos);
  }
}

TEST_CASE("every rule on loops fires") {
  constexpr std::string_view kLoops = R"(plan "loops" {
  input 0 "x" f32[4,4] bytes 64
  output 0 "y" f32[4,4] bytes 64
  kernel 0 @k buffers 2 tiles 1
  host_slots 0
  lane 0 core 0 arena 448 {
    alloc "goes" 0:1 steps 0..4
    alloc "trip" 64:8 steps 1..10
    alloc "state" 128:16 steps 2..10
    alloc "new" 192:16 steps 4..4
    alloc "row" 256:16 steps 6..8
    alloc "inner" 320:8 steps 9..10
    alloc "other" 384:16 steps 9..10
    block 0 {
      fill (w arena+0:1) 0x1:1
      fill (w arena+64:8) 0x3:8
      copy (r input0+0:16, w arena+128:16)
      loop most 9 count (r arena+64:8) while (r arena+0:1) trip (w arena+64:8) 1
      loop most 4 trip (w arena+64:8) 2
    }
    block 1 {
      run @k tiles 0..1 (r arena+128:16, w arena+192:16)
    }
    block 2 {
      copy (r input0+0:16 step 16, w arena+256:16)
      run @k tiles 0..1 (r arena+256:16, w output0+48:16 step -16)
      copy (r output0+48:16 step -16, w arena+256:16)
      loop most 2 trip (w arena+320:8) 3
    }
    block 3 {
      run @k tiles 0..1 (r arena+128:16, w arena+384:16)
    }
  }
}
)";
  const Plan sound = parsed(kLoops);
  for (const std::string& error : verify(sound)) FAIL(error);
  CHECK(to_text(sound) == kLoops);
  const auto decoded = decode(spans(encode(sound)));
  REQUIRE(decoded);
  CHECK(*decoded == sound);
  struct Row {
    std::string_view from, to, error;
  };
  const Row rows[] = {
      {"most 9 count (r arena+64:8) while (r arena+0:1) ", "", "nothing ends the loop"},
      {"count (r arena+64:8)", "count (r arena+64:4)", "8 bytes each"},
      {"while (r arena+0:1)", "while (r arena+0:2)", "one byte that is read"},
      {"while (r arena+0:1)", "while (r arena+192:1)", "lies in no live allocation"},
      // Beyond the last row, before the first one, and by trips that only the data know.
      {"r input0+0:16 step 16", "r input0+0:16 step 32", "moves out of its space"},
      {"w output0+48:16 step -16", "w output0+32:16 step -16", "moves out of its space"},
      {"r arena+128:16, w arena+192:16)\n    }\n    block 2",
       "r input0+0:16 step 0, w arena+192:16 step 1)\n    }\n    block 2",
       "lies in no live allocation"},
      {"loop most 4 trip", "loop count (r arena+64:8) trip", "that no loop bounds"},
      // A row that is not written in the trip, and rows that are not all of the output.
      {"copy (r output0+48:16 step -16", "copy (r output0+48:16", "read before it is written"},
      {"most 4 trip", "most 3 trip", "`y` is not written as a whole"},
      {"most 4 trip", "most 4 count (r arena+64:8) trip", "`y` is not written as a whole"},
      {"most 4 trip", "most 4 while (r input0+0:1) trip", "`y` is not written as a whole"},
      // What is in use before a loop is so until its end, and each trip begins anew.
      {"\"state\" 128:16 steps 2..10", "\"state\" 128:16 steps 2..9", "steps that are not there"},
      {"\"new\" 192:16 steps 4..4", "\"new\" 128:16 steps 4..4", "live together"},
      {"\"new\" 192:16 steps 4..4", "\"new\" 192:16 steps 5..10", "lies in no live allocation"},
      {"copy (r input0+0:16 step 16, w arena+256:16)", "fill (w arena+256:8) 0x0:1",
       "read before it is written"},
      {"w arena+384:16)", "w arena+384:16 step 16)", "lies in no live allocation"},
      {"trip (w arena+320:8) 3", "trip (w arena+320:8 step 8) 3", "does not move"},
  };
  for (const Row& row : rows) {
    INFO(row.from << " -> " << row.to);
    std::string all;
    for (const std::string& error :
         verify(parsed(replaced(std::string(kLoops), row.from, row.to)))) {
      all += error + "\n";
    }
    INFO(all);
    CHECK(all.find(row.error) != std::string::npos);
  }
}

TEST_CASE("blocks that nest too deep are refused") {
  Plan plan = parsed(R"(plan "deep" {
    input 0 "c" bool[] bytes 1
    lane 0 core 0 arena 0 { block 0 { } }
  })");
  for (const std::string& error : verify(plan)) FAIL(error);
  Lane& lane = plan.lanes[0];
  for (int depth = 0; depth < 100000; ++depth) {
    const BlockId next(lane.blocks.size());
    lane.blocks.back().steps.emplace_back(If{{Space::input, Access::read, 0, 0, 1}, next, {}});
    lane.blocks.emplace_back();
  }
  std::string all;
  for (const std::string& error : verify(plan)) all += error + "\n";
  CHECK(all.find("blocks nest too deep") != std::string::npos);
}

TEST_CASE("what a branch or a loop may write is in another lane's way") {
  const auto errors = verify(parsed(R"(plan "race" {
    input 0 "c" bool[] bytes 1
    output 0 "y" f32[4] bytes 16
    team 0 lanes 2 from 0 shared 64 { alloc "s" 0:16 epochs 0..1 }
    lane 0 core 0 arena 64 {
      alloc "trip" 0:8 steps 1..2
      block 0 {
        fill (w shared0+0:16) 0x0:1
        loop most 0 trip (w arena+0:8) 1
        barrier 0
        copy (r shared0+0:16, w output0+0:16)
        barrier 0
      }
      block 1 { fill (w shared0+0:8) 0x1:1 }
    }
    lane 1 core 1 arena 64 {
      alloc "mine" 0:16 steps 0..2
      block 0 {
        fill (w arena+0:16) 0x0:1
        if (r input0+0:1) 1
        barrier 0
        barrier 0
      }
      block 1 { copy (r arena+0:16, w shared0+0:16) }
    }
  })"));
  REQUIRE(errors.size() == 1);
  CHECK(errors[0] == "lanes 0 and 1 touch the same memory between barriers");
}

TEST_CASE("lanes that wait for each other are refused") {
  const auto errors = verify(parsed(R"(plan "deadlock" {
    channel 0 "a" bytes 0 depth 1 lane 0 -> 1
    channel 1 "b" bytes 0 depth 1 lane 1 -> 0
    lane 0 core 0 arena 0 { block 0 { recv 1 release 1 acquire 0 send 0 } }
    lane 1 core 1 arena 0 { block 0 { recv 0 release 0 acquire 1 send 1 } }
  })"));
  REQUIRE(errors.size() == 2);
  CHECK(errors[0] == "lane 0 step 0 (`recv 1`): waits for ever");
}

TEST_CASE("a damaged plan is refused or differs, and never crashes") {
  const auto files = encode(parsed(sound_text()));
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    auto damaged = files;
    auto& file = damaged[random() % damaged.size()];
    if (round % 4 == 0) {
      file.resize(random() % file.size());
    } else {
      for (unsigned n = 0; n <= random() % 3; ++n) {
        file[random() % file.size()] ^= std::byte(1u << (random() % 8));
      }
    }
    const auto plan = decode(spans(damaged));
    if (plan) verify(*plan);
  }
  auto newer = files;
  newer[0][4] = std::byte{2};
  const auto refused = decode(spans(newer));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().reason.find("format version 2.1") != std::string::npos);
  auto newer_minor = files;
  newer_minor[0][6] = std::byte{9};
  CHECK(decode(spans(newer_minor)));
}
