// The verifier's rules of structure, on graphs that no text can express.
#include <catch2/catch.hpp>

#include "ir/edit.h"
#include "ir/parser.h"
#include "ir/verifier.h"

namespace neuronc {
namespace {

Module parsed(std::string_view body) {
  Diagnostics diagnostics;
  auto module =
      parse_module("nir 1\nmodule \"m\" {\n" + std::string(body) + "}\n", "t.nir", {}, diagnostics);
  INFO(diagnostics.to_text());
  REQUIRE(module);
  return std::move(*module);
}

std::string problems(const Module& module) {
  Diagnostics diagnostics;
  (void)verify(module, diagnostics);
  std::string text;
  for (const Diagnostic& d : diagnostics.all()) {
    text += std::string(d.code) + " " + d.message + "\n";
  }
  return text;
}

constexpr std::string_view kChain =
    "  input %x : f32[2]\n  %a = relu(%x) : f32[2]\n  %b = abs(%a) : f32[2]\n  output %b\n";

}  // namespace

TEST_CASE("a sound module verifies") { CHECK(problems(parsed(kChain)).empty()); }

TEST_CASE("an operand must be defined before its use") {
  Module module = parsed(kChain);
  GraphEditor edit(module.graph());
  edit.move_before(module.graph().last_node(), module.graph().first_node());
  CHECK(problems(module) ==
        "NEU0420 operand %a is used before it is defined, in `%b = abs(%a) : f32[2]`\n");
}

TEST_CASE("an operand must be a value of the graph") {
  Module module = parsed(kChain);
  GraphEditor edit(module.graph());
  // Beside the editor, as only a bug would.
  edit.mutable_node(module.graph().last_node()).operands[0] = ValueId(99);
  CHECK(problems(module) ==
        "NEU0420 operand 0 is no value of this graph, in `%b = abs(%<invalid>) : f32[2]`\n"
        "NEU0420 its list of uses is wrong, in `%a`\n");
}

TEST_CASE("a result must name its node") {
  Module module = parsed(kChain);
  GraphEditor edit(module.graph());
  edit.mutable_node(module.graph().last_node()).results[0] =
      module.graph().node(module.graph().first_node()).results[0];
  CHECK(problems(module).find("NEU0420 result 0 does not name this node") != std::string::npos);
}

TEST_CASE("the order of nodes must be one list") {
  Module module = parsed(kChain);
  GraphEditor edit(module.graph());
  edit.mutable_node(module.graph().last_node()).next = module.graph().first_node();
  CHECK(problems(module) == "NEU0420 the list of nodes is not linked, in `the order of nodes`\n");
}

TEST_CASE("attributes must be complete and of their kind") {
  Module module =
      parsed("  input %x : f32[2]\n  %a = concat(%x) {axis = 0} : f32[2]\n  output %a\n");
  GraphEditor edit(module.graph());
  edit.set_attribute(module.graph().first_node(), "axis", std::string("one"));
  CHECK(problems(module).find("NEU0421 attribute `axis` is of the wrong kind") !=
        std::string::npos);
  edit.set_attribute(module.graph().first_node(), "axis", std::monostate());
  CHECK(problems(module).find("NEU0421 attribute `axis` is missing") != std::string::npos);
}

}  // namespace neuronc
