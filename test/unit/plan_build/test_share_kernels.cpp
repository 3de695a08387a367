// Kernels that differ in scalars alone become one, which gives what each of them gave.
#include <catch2/catch.hpp>

#include "backend/plan/share_kernels.h"
#include "ir/kernel/builder.h"
#include "ir/kernel/interpreter.h"
#include "ir/kernel/verify.h"

using namespace neuronc;

namespace {

// y[i] = x[i] * factor + 1, four at a time, and the last two one by one.
kernel::Kernel scaled(float factor, int64_t tiles) {
  kernel::Builder b("scaled", tiles);
  const auto x = b.input("x", DType::f32, {6});
  const auto y = b.output("y", DType::f32, {6});
  const auto one_by = [&](kernel::Index i, int lanes) {
    const kernel::Value f = b.constant({DType::f32, lanes}, factor);
    const kernel::Value one = b.constant({DType::f32, lanes}, 1);
    b.store(y, {i}, b.add(b.mul(b.load(x, {i}, lanes), f), one));
  };
  one_by(0, 4);
  b.for_loop({4, 6, 1}, [&](kernel::Index i) { one_by(i, 1); });
  return std::move(b).finish();
}

LoweredModule module_of(const std::vector<float>& factors, int64_t tiles = 1) {
  LoweredModule module;
  for (size_t i = 0; i < factors.size(); ++i) {
    LoweredNode node;
    node.node = NodeId(i);
    node.buffers.resize(2);
    node.packed_constants.resize(2);
    node.kernel = module.kernels.add(scaled(factors[i], tiles), 2);
    module.kernels.add_alias(node.kernel, "n" + std::to_string(i));
    module.nodes.push_back(std::move(node));
  }
  return module;
}

}  // namespace

TEST_CASE("kernels that differ in a scalar become one with a parameter") {
  const std::vector<float> factors{2, 3, 0.5f, -7, 2};
  LoweredModule module = module_of(factors);
  REQUIRE(module.kernels.entries().size() == 4);
  share_kernels(module);
  REQUIRE(module.kernels.entries().size() == 1);
  const KernelTable::Entry& entry = module.kernels.entries()[0];
  REQUIRE(kernel::verify(entry.kernel, 10) == std::vector<std::string>());
  CHECK(entry.num_buffers == 3);
  CHECK(entry.symbol == "scaled");
  CHECK(entry.aliases.size() == 5);
  for (size_t i = 0; i < factors.size(); ++i) {
    const LoweredNode& node = module.nodes[i];
    CHECK(node.kernel == plan::KernelId(0));
    REQUIRE(node.buffers.size() == 3);
    CHECK(node.buffers[2].kind == KernelBuffer::Kind::packed);
    // The vector's factor and the scalar's; the ones, on which all agree, stay in the code.
    const Tensor& scalars = module.constants.tensors()[node.packed_constants[2]];
    CHECK(scalars.to_doubles() == std::vector<double>{factors[i], factors[i]});
    std::vector<float> x{1, 2, 3, 4, 5, 6}, y(6);
    std::vector<std::byte> parameter(scalars.bytes().begin(), scalars.bytes().end());
    void* const buffers[] = {x.data(), y.data(), parameter.data()};
    REQUIRE(kernel::Interpreter(entry.kernel).run(buffers, 0, 1) == kernel::kStatusOk);
    for (size_t k = 0; k < 6; ++k) CHECK(y[k] == x[k] * factors[i] + 1);
  }
}

TEST_CASE("a few kernels keep their scalars, and those of other sizes too") {
  LoweredModule few = module_of({2, 3, 5});
  share_kernels(few);
  CHECK(few.kernels.entries().size() == 3);
  CHECK(few.nodes[0].buffers.size() == 2);

  LoweredModule mixed = module_of({2, 3, 5, 7});
  const plan::KernelId wide = mixed.kernels.add(scaled(2, 8), 2);
  mixed.nodes.push_back({nullptr, NodeId(4), wide, 8, std::vector<KernelBuffer>(2), {0, 0}});
  share_kernels(mixed);
  REQUIRE(mixed.kernels.entries().size() == 2);
  CHECK(mixed.nodes[4].kernel == plan::KernelId(1));
  CHECK(mixed.nodes[4].buffers.size() == 2);
}
