// The graph evaluator: order, constants, bodies, and what it refuses.
#include <catch2/catch.hpp>

#include "ir/evaluate_graph.h"
#include "ir/parser.h"

namespace neuronc {
namespace {

Module parsed(std::string_view body) {
  Diagnostics diagnostics;
  auto module = parse_module("nir 1\nmodule \"m\" stage fused {\n" + std::string(body) + "}\n",
                             "t.nir", {}, diagnostics);
  INFO(diagnostics.to_text());
  REQUIRE(module);
  return std::move(*module);
}

HostValue f32(std::vector<float> values) {
  const auto size = static_cast<int64_t>(values.size());
  return Tensor::from<float>(DType::f32, {size}, values);
}

}  // namespace

TEST_CASE("a graph of groups, constants and repeated uses is evaluated") {
  const Module module = parsed(
      "  input %x : f32[N]\n"
      "  %c = constant {10, 20} : f32[2]\n"
      "  %g, %h = group(%x, %c) : f32[2], f32[2] {\n"
      "    input %a : f32[N]\n    input %b : f32[2]\n"
      "    %s = add(%a, %b) : f32[2]\n    %n = neg(%s) : f32[2]\n"
      "    output %s\n    output %n\n  }\n"
      "  %p = mul(%g, %g) : f32[2]\n"
      "  output %p\n  output %h\n  output %x\n");
  const std::vector<HostValue> inputs{f32({1, 2})};
  const auto outputs = evaluate_graph(module, module.graph(), inputs);
  REQUIRE(outputs);
  CHECK((*outputs)[0].tensor().to_doubles() == std::vector<double>{121, 484});
  CHECK((*outputs)[1].tensor().to_doubles() == std::vector<double>{-11, -22});
  CHECK((*outputs)[2].tensor().to_doubles() == std::vector<double>{1, 2});
}

TEST_CASE("wrong inputs are refused") {
  const Module module = parsed("  input %x : f32[2]\n  output %x\n");
  const auto reason = [&](std::vector<HostValue> inputs) {
    return evaluate_graph(module, module.graph(), inputs).error().reason;
  };
  CHECK(reason({}) == "the graph takes 1 inputs, not 0");
  CHECK(reason({f32({1})}) == "input 0 `x`: it is f32[1], not f32[2]");
  CHECK(reason({Tensor::zeros(DType::i32, {2})}) == "input 0 `x`: it is i32[2], not f32[2]");
  HostValue sequence;
  sequence.kind = Type::Kind::sequence;
  CHECK(reason({sequence}) == "input 0 `x`: it is a sequence, not a tensor");
}

TEST_CASE("a node that cannot be evaluated is named") {
  const Module module = parsed(
      "  input %x : f32[2]\n  input %i : i64[1]\n"
      "  %0 = gather(%x, %i) : f32[1] host @ \"pick\" Gather 13\n  output %0\n");
  const std::vector<HostValue> inputs{f32({1, 2}), Tensor::scalar(DType::i64, 7).with_shape({1})};
  const auto outputs = evaluate_graph(module, module.graph(), inputs);
  REQUIRE_FALSE(outputs);
  CHECK(outputs.error().reason.find("gather \"pick\": ") == 0);
}

}  // namespace neuronc
