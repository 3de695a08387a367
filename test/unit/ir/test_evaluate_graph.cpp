// The graph evaluator: order, constants, bodies, and what it refuses.
#include <catch2/catch.hpp>
#include <set>

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

TEST_CASE("random nodes give other numbers in each trip of the loops around them") {
  const std::string draw = "%r = random_normal() {shape = [2], seed = 3} : f32[2] host\n";
  const Module once = parsed("  " + draw + "  output %r\n");
  const Module nested = parsed(
      "  %n = constant {3} : i64[]\n"
      "  %y = loop(%n, _) {num_carried = 0} : f32[3,3,2] {\n"
      "    input %i : i64[]\n    input %c : bool[]\n"
      "    %m = constant {3} : i64[]\n"
      "    %x = loop(%m, _) {num_carried = 0} : f32[3,2] {\n"
      "      input %j : i64[]\n      input %d : bool[]\n      " +
      draw +
      "      output %d\n      output %r\n    }\n"
      "    output %c\n    output %x\n  }\n"
      "  output %y\n");
  const auto first = evaluate_graph(once, once.graph(), {});
  const auto all = evaluate_graph(nested, nested.graph(), {});
  REQUIRE(first);
  REQUIRE(all);
  const std::vector<double> numbers = (*all)[0].tensor().to_doubles();
  REQUIRE(numbers.size() == 18);
  // The first trip has the numbers of a node without loops.
  CHECK(std::vector<double>(numbers.begin(), numbers.begin() + 2) ==
        (*first)[0].tensor().to_doubles());
  CHECK(std::set<double>(numbers.begin(), numbers.end()).size() == 18);
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
