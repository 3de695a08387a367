// The text form of modules: what is printed reads back as the same module.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "ir/edit.h"
#include "ir/module_file.h"
#include "ir/parser.h"
#include "ir/printer.h"
#include "ir/tensor_text.h"

namespace neuronc {
namespace {

// Parses, and gives the printed module or the diagnostics.
std::string reprint(std::string_view text) {
  Diagnostics diagnostics;
  const auto module = parse_module(text, "t.nir", {}, diagnostics);
  return module ? to_text(*module) : diagnostics.to_text();
}

std::string in_module(std::string_view body) {
  return "nir 1\nmodule \"m\" stage imported {\n" + std::string(body) + "}\n";
}

void require_stable(std::string_view body) {
  const std::string text = in_module(body);
  REQUIRE(reprint(text) == text);
}

}  // namespace

TEST_CASE("a module prints as it was written") {
  require_stable("");
  require_stable("  input %x : f32[1,N,?,\"batch size\"]\n  output %x as \"y\"\n");
  require_stable(
      "  input %\"a:0\" : f32[*]\n"
      "  input %a/b.c : seq(i64[?])\n"
      "  input %\"2x\" : none\n"
      "  input %o : opt(seq(string[]))\n"
      "  output %\"a:0\"\n");
}

TEST_CASE("numbered values are numbered again in printing order") {
  REQUIRE(reprint(in_module("  input %7 : f32[2]\n  %3 = identity(%7) : f32[2]\n  output %3\n")) ==
          in_module("  input %0 : f32[2]\n  %1 = identity(%0) : f32[2]\n  output %1\n"));
}

TEST_CASE("repeated names, placements, sources and storages survive") {
  require_stable(
      "  input %x : f32[2,3]\n"
      "  %x#2 = identity(%x) : f32[2,3] core(3) @ \"a \\\"b\\\"\" Identity 13\n"
      "  %0 = identity(%x#2) : f32[2,3] host @ \"\" \"com.x::Y\" 1\n"
      "  %1 = identity(%0) : f32[2,3] in bf16 core\n"
      "  %2 = identity(%0) : f32[2,3] in f32 strides [1, 2] offset 5 of %3\n"
      "  %3 = identity(%2) : f32[2,3] in f32 strides [8, 8] block 8 dim 1 size 16\n"
      "  %4 = group(%3) {variant = \"v\"} : f32[2,3] core(0) {\n"
      "    input %x : f32[2,3]\n"
      "    output %x\n"
      "  }\n"
      "  output %4 as \"y\"\n");
}

TEST_CASE("constants stand in line with their exact bits") {
  require_stable(
      "  %0 = constant {1, -2} : i64[2]\n"
      "  %1 = constant {0.1, -0, inf, -inf, nan, 0x7fc00001, 1e-45, 3.4028235e+38} : f32[8]\n"
      "  %2 = constant {18446744073709551615} : u64[]\n"
      "  %3 = constant {true, false} : bool[2]\n"
      "  %4 = constant {\"a\\n\", \"\\x01é\"} : string[2]\n"
      "  %5 = constant {0.5, ...} : f16[100,3]\n"
      "  %6 = constant {} : f32[0,4]\n"
      "  %7 = constant {1.5, 448} : f8e4m3fn[2]\n");
}

TEST_CASE("every bit pattern of the narrow types reads back") {
  for (DType dtype : {DType::f16, DType::bf16, DType::f8e4m3fn, DType::f8e5m2, DType::f8e4m3fnuz,
                      DType::f8e5m2fnuz, DType::f8e8m0, DType::i8, DType::u16, DType::boolean}) {
    const int num_bits = 8 * size_bytes(dtype);
    for (uint32_t bits = 0; bits < (1u << num_bits); ++bits) {
      Tensor tensor = Tensor::zeros(dtype, {}), copy = Tensor::zeros(dtype, {});
      std::memcpy(tensor.mutable_data(), &bits, static_cast<size_t>(size_bytes(dtype)));
      const std::string text = element_to_text(tensor, 0);
      const bool is_same = element_from_text(text, copy, 0) && copy.hash() == tensor.hash();
      if (!is_same) FAIL(name(dtype) << " " << bits << " prints as " << text);
    }
  }
}

TEST_CASE("large constants go to the sidecar and come back") {
  Module module;
  Tensor tensor = Tensor::zeros(DType::f32, {5, 7});
  for (int64_t i = 0; i < 35; ++i) tensor.set_f64(i, 0.1 * static_cast<double>(i));
  const ConstantId id = module.add_constant(tensor);
  GraphEditor edit(module.graph());
  const NodeId node =
      edit.append({.op = Op::constant, .result_types = {tensor.type()}, .attributes = {id}});
  edit.add_output(module.graph().node(node).results[0], "w");
  const std::string text = to_text(module);
  CHECK(text.find("constant #" + to_hex(module.constant_hash(id))) != std::string::npos);

  Diagnostics diagnostics;
  const std::string bytes = constants_to_bytes(module, sidecar_constants(module));
  const auto pool = constants_from_bytes(bytes, "t.nirc", diagnostics);
  REQUIRE(pool);
  const auto again = parse_module(text, "t.nir", *pool, diagnostics);
  REQUIRE(again);
  CHECK(to_text(*again) == text);
  CHECK(again->constant(ConstantId(0)).hash() == tensor.hash());

  CHECK_FALSE(parse_module(text, "t.nir", {}, diagnostics));
  CHECK(diagnostics.all().back().code == "NEU0406");
  for (size_t size = 0; size < bytes.size(); ++size) {
    Diagnostics damaged;
    REQUIRE_FALSE(constants_from_bytes(std::string_view(bytes).substr(0, size), "t", damaged));
    REQUIRE(damaged.all().back().code == "NEU0409");
  }
}

TEST_CASE("wrong texts are located") {
  const auto says = [](std::string_view body, std::string_view expected) {
    INFO(body);
    const std::string message = reprint(in_module(body));
    CHECK(message.substr(0, message.find('\n')) == expected);
  };
  says("  %0 = conv3(%1) : f32[2]\n", "t.nir:3:8: error[NEU0402]: unknown operator `conv3`");
  says("  %0 = identity(%1) : f32[2]\n",
       "t.nir:3:17: error[NEU0403]: `%1` is not defined before it is used");
  says("  input %x : f32[2]\n  input %x : f32[2]\n",
       "t.nir:4:9: error[NEU0404]: `%x` is defined twice");
  says("  input %x : f32[2]\n  %0 = identity(%x) {axis = 1} : f32[2]\n",
       "t.nir:4:22: error[NEU0405]: `identity` has no attribute `axis`");
  says("  %0 = constant #12 : f32[2]\n",
       "t.nir:3:17: error[NEU0406]: the constant `#12` is not in the sidecar");
  says("  %0 = constant {1} : f32[2]\n",
       "t.nir:3:17: error[NEU0407]: the constant needs 2 elements, as its type is f32[2]");
  says("  %0 = constant {1, ...} : f32[99999999,99999]\n",
       "t.nir:3:17: error[NEU0408]: the size of a repeated constant is over the limit of "
       "1073741824");
  says("  %0 = constant {300} : u8[1]\n",
       "t.nir:3:18: error[NEU0401]: expected an element of type u8, found `300`");
  says("  input %x f32[2]\n", "t.nir:3:12: error[NEU0401]: expected `:`, found `f32`");
  says("  input %x : f33[2]\n",
       "t.nir:3:14: error[NEU0401]: expected an element type, found `f33`");
  says("  input %\"x : f32[2]\n",
       "t.nir:3:9: error[NEU0401]: expected the input's name, found a name that is not closed");
}

TEST_CASE("nesting is limited") {
  std::string body;
  for (int i = 0; i < 1000; ++i) body += "%0 = group() : f32[] {\n";
  CHECK(reprint(in_module(body)).find("error[NEU0408]: the nesting of bodies") !=
        std::string::npos);
}

TEST_CASE("every prefix of a text and every changed byte gives a diagnostic or a module") {
  const std::string text = in_module(
      "  input %x : f32[2,N]\n"
      "  %\"a:0\", %b = group(%x, _) {variant = \"v\"} : f32[2,?] in f32 strides [1] of %b, i64[*] "
      "core(1) @ \"n\" Op 3 {\n    output %x\n  }\n"
      "  %0 = constant {1, 0x7f} : i8[2]\n  output %0 as \"y\"\n");
  for (size_t size = 0; size <= text.size(); ++size) reprint(text.substr(0, size));
  for (size_t i = 0; i < text.size(); ++i) {
    for (char c : {'\0', '"', '{', '}', '%', '9', '#', '.', '-', '\xff'}) {
      std::string changed = text;
      changed[i] = c;
      reprint(changed);
    }
  }
}

TEST_CASE("a chain of 100,000 nodes prints and parses") {
  std::string body = "  input %0 : f32[2]\n";
  for (int i = 1; i <= 100000; ++i) {
    body += "  %" + std::to_string(i) + " = identity(%" + std::to_string(i - 1) + ") : f32[2]\n";
  }
  require_stable(body + "  output %100000\n");
}

}  // namespace neuronc
