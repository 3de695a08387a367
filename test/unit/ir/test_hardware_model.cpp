// Hardware models: the built-in ones parse, and a damaged file says which line is wrong.
#include <catch2/catch.hpp>
#include <string>

#include "ir/hardware_model.h"

namespace neuronc {

TEST_CASE("the built-in hardware models parse") {
  for (std::string_view name : builtin_hardware_models()) {
    Diagnostics diagnostics;
    const auto model = load_hardware_model(name, diagnostics);
    CAPTURE(name, diagnostics.to_text());
    REQUIRE(model);
    CHECK(model->name == name);
    CHECK(model->cores_per_chip >= 1);
  }
}

TEST_CASE("inf1 has the published figures and marks the inferred ones") {
  Diagnostics diagnostics;
  const auto model = load_hardware_model("inf1", diagnostics);
  REQUIRE(model);
  CHECK(model->cores_per_chip == 4);
  CHECK(model->cores_per_chip * model->matmul_flops_per_s(DType::bf16) == 64e12);
  CHECK(model->cores_per_chip * model->matmul_flops_per_s(DType::i8) == 128e12);
  CHECK(model->dram_bytes_per_chip == 8.0 * (1 << 30));
  CHECK(model->inferred.front() == "f32_flops_per_s");
}

TEST_CASE("a target's own rates take the place of the general ones") {
  const std::string text =
      std::string(*builtin_hardware_model_text("host")) + "x86-64-v4.f32_flops_per_s = 190e9\n";
  Diagnostics diagnostics;
  const auto model = parse_hardware_model(text, "f.model", diagnostics);
  CAPTURE(diagnostics.to_text());
  REQUIRE(model);
  CHECK(model->for_target("x86-64-v4").f32_flops_per_s == 190e9);
  CHECK(model->for_target("x86-64-v4").i8_flops_per_s == model->i8_flops_per_s);
  CHECK(model->for_target("x86-64-v3").f32_flops_per_s == model->f32_flops_per_s);
}

TEST_CASE("damaged hardware models are refused") {
  const std::string good(*builtin_hardware_model_text("host"));
  const auto errors = [](std::string text) {
    Diagnostics diagnostics;
    CHECK_FALSE(parse_hardware_model(text, "f.model", diagnostics));
    return diagnostics.to_text();
  };
  const auto replaced = [&](std::string from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return errors(text);
  };
  CHECK_THAT(errors(""), Catch::Contains("it is empty"));
  CHECK_THAT(errors("<html>"), Catch::Contains("f.model:1"));
  CHECK_THAT(errors("name = x"), Catch::Contains("does not begin with"));
  CHECK_THAT(replaced("neuronc-hardware-model = 1", "neuronc-hardware-model = 2"),
             Catch::Contains("the format version is 2"));
  CHECK_THAT(replaced("launch_ns = ", "launch_ms = "), Catch::Contains("not a known key"));
  CHECK_THAT(replaced("launch_ns = 200", ""), Catch::Contains("`launch_ns` is missing"));
  CHECK_THAT(replaced("launch_ns = 200", "launch_ns = fast"), Catch::Contains("not a number"));
  CHECK_THAT(replaced("link_bytes_per_s = 10e9", "link_bytes_per_s = 0"),
             Catch::Contains("out of range"));
  CHECK_THAT(replaced("launch_ns = 200", "launch_ns = 200\nx.launch_ns = 1"),
             Catch::Contains("`x.launch_ns` is not a known key"));
  CHECK_THAT(replaced("launch_ns = 200", "launch_ns = nan"), Catch::Contains("out of range"));
  CHECK_THAT(replaced("launch_ns = 200", "hand_off_ns = 1"), Catch::Contains("given twice"));
}

}  // namespace neuronc
