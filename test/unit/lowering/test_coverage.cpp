// Every operator that cores can be asked to run has a lowering.
#include <catch2/catch.hpp>

#include "backend/lower/limits.h"
#include "backend/lower/lowering.h"
#include "ir/op.h"

namespace neuronc {
namespace {

// What a group is made of, not what it computes: a constant is read by whoever pulls it
// (GroupEmitter::pull), and a group is what lower_group takes apart. All other operators go by
// their row of the table: CpuTarget::can_lower asks it, and nothing else lowers.
bool is_structure(Op op) { return op == Op::constant || op == Op::group; }

// Random numbers are drawn by the host.
bool runs_on_cores(Op op) {
  const OpDef& def = op_def(op);
  return !is_structure(op) && !def.has(Trait::host) && !def.has(Trait::random);
}

TEST_CASE("every operator is lowered or belongs to the host", "[lowering]") {
  for (size_t i = 0; i < kNumOps; ++i) {
    const Op op = static_cast<Op>(i);
    INFO(name(op));
    if (runs_on_cores(op)) {
      CHECK(lowering_of(op));
    } else {
      CHECK_FALSE(lowering_of(op));
    }
  }
}

TEST_CASE("what a lowering does not take is said in words", "[lowering]") {
  for (size_t i = 0; i < kNumOps; ++i) {
    const Op op = static_cast<Op>(i);
    INFO(name(op));
    CHECK((lowering_of(op).accepts != nullptr) == !lowering_limits(op).empty());
  }
}

}  // namespace
}  // namespace neuronc
