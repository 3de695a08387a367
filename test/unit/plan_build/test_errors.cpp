// What the planner refuses, and that it says so.
#include <catch2/catch.hpp>

#include "backend/compile_module.h"
#include "backend/plan/build_plan.h"
#include "ir/edit.h"
#include "ir/kernel/builder.h"

using namespace neuronc;

namespace {

// One group from the input to the output, or a host node of any result type.
Module one_node(Op op, Placement placement, const Type& result,
                const Type& input_type = Type::tensor(DType::f32, std::vector<int64_t>{4})) {
  Module module;
  module.name = "one";
  module.stage = Stage::partitioned;
  GraphEditor edit(module.graph());
  const ValueId input = edit.add_input(input_type, "x");
  edit.set_storage(input, Storage::dense(DType::f32, {4}));
  NodeSpec spec;
  spec.op = op;
  spec.operands = {input};
  spec.result_types = {result};
  spec.placement = placement;
  const NodeId node = edit.append(std::move(spec));
  edit.set_placement(node, placement,
                     placement == Placement::core ? CoreRange::one(0) : CoreRange());
  const ValueId output = module.graph().node(node).results[0];
  if (placement == Placement::core) edit.set_storage(output, Storage::dense(DType::f32, {4}));
  edit.add_output(output, "y");
  return module;
}

const Type kFour = Type::tensor(DType::f32, std::vector<int64_t>{4});

bool has_code(const Diagnostics& diagnostics, std::string_view code) {
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    if (diagnostic.code == code) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("a group without lowering is reported") {
  const Module module = one_node(Op::group, Placement::core, kFour);
  Diagnostics diagnostics;
  const auto refuse_all = [](const Module&, const Graph&, NodeId,
                             size_t) -> OrRefusal<LoweredKernel> {
    return refuse("there is no such machine");
  };
  REQUIRE(!lower_module(module, refuse_all, diagnostics));
  REQUIRE(has_code(diagnostics, "NEU0701"));
  REQUIRE(diagnostics.to_text().find("there is no such machine") != std::string::npos);
}

TEST_CASE("a kernel that reads past an input makes no plan") {
  const Module module = one_node(Op::group, Placement::core, kFour);
  Diagnostics diagnostics;
  const auto lower = [](const Module&, const Graph&, NodeId, size_t) -> OrRefusal<LoweredKernel> {
    LoweredKernel lowered;
    lowered.kernel = kernel::Builder("k", 1).finish();
    lowered.buffers.resize(2);
    lowered.buffers[0].size_bytes = 20;
    lowered.buffers[1].kind = KernelBuffer::Kind::result;
    lowered.buffers[1].size_bytes = 16;
    return lowered;
  };
  auto lowered = lower_module(module, lower, diagnostics);
  REQUIRE(lowered);
  REQUIRE(!build_plan(module, *lowered, diagnostics));
  REQUIRE(has_code(diagnostics, "NEU0703"));
}

namespace {

// A kernel that copies four elements from `first` on.
LoweredKernel copy_from(int64_t first) {
  kernel::Builder b("copy_from_" + std::to_string(first), 1);
  const auto x = b.input("x", DType::f32, {4});
  const auto y = b.output("y", DType::f32, {4});
  b.for_loop({0, 4, 1}, [&](kernel::Index i) { b.store(y, {i}, b.load(x, {i + first})); });
  LoweredKernel lowered;
  lowered.kernel = std::move(b).finish();
  lowered.buffers.resize(2);
  for (KernelBuffer& buffer : lowered.buffers) buffer.size_bytes = 16;
  lowered.buffers[1].kind = KernelBuffer::Kind::result;
  return lowered;
}

}  // namespace

TEST_CASE("a variant whose kernel cannot be proven gives way to the next one, with a warning") {
  const Module module = one_node(Op::group, Placement::core, kFour);
  Diagnostics diagnostics;
  const auto lower = [](const Module&, const Graph&, NodeId,
                        size_t pass) -> OrRefusal<LoweredKernel> {
    return copy_from(pass == 0 ? 1 : 0);
  };
  const auto lowered = lower_module(module, lower, diagnostics);
  REQUIRE(lowered);
  REQUIRE(lowered->kernels.entries()[0].symbol == "copy_from_0");
  REQUIRE(has_code(diagnostics, "NEU0707"));
  REQUIRE(diagnostics.to_text().find("warning[NEU0707]: kernel `copy_from_1`") !=
          std::string::npos);
}

TEST_CASE("a kernel that cannot be proven and has no successor is reported") {
  const Module module = one_node(Op::group, Placement::core, kFour);
  Diagnostics diagnostics;
  const auto lower = [](const Module&, const Graph&, NodeId,
                        size_t pass) -> OrRefusal<LoweredKernel> {
    if (pass > 0) return refuse("there is no further variant");
    return copy_from(1);
  };
  REQUIRE(!lower_module(module, lower, diagnostics));
  REQUIRE(has_code(diagnostics, "NEU0701"));
  REQUIRE(diagnostics.to_text().find("is in [1, 4]") != std::string::npos);
}

TEST_CASE("an input tensor of unknown rank is refused") {
  const Type unranked = Type::unranked(DType::f32);
  const Module module = one_node(Op::identity, Placement::host, unranked, unranked);
  Diagnostics diagnostics;
  LoweredModule lowered;
  REQUIRE(!build_plan(module, lowered, diagnostics));
  REQUIRE(has_code(diagnostics, "NEU0705"));
}

TEST_CASE("unfinished modules are refused") {
  Module module = one_node(Op::identity, Placement::host, kFour);
  Diagnostics diagnostics;
  module.stage = Stage::fused;
  REQUIRE(!compile_module(module, Machine{*describe("x86-64-v3"), {}, {}}, {}, diagnostics));
  REQUIRE(has_code(diagnostics, "NEU0706"));
}
