// The lowering of label_encoder for numbers: keys are tried from the last to the first.
#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;
using kernel::Values;

constexpr int64_t kMostKeys = 4096;

Register emit_label_encoder(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const DType carrier = carrier_of(e.type(node.results[0]).dtype);
  if (!at.is_scalar()) {
    return by_lanes(e, at, carrier,
                    [&](const LaneIndex& one) { return emit_label_encoder(e, node, 0, one); });
  }
  const Register x = e.pull(node.operands[0], at);
  const Register otherwise = e.pull(node.operands[3], origin(e.shape(node.operands[3]).size()));
  const int64_t num_keys = e.shape(node.operands[1])[0];
  if (num_keys == 0) return otherwise;
  return e.loop({0, num_keys, 1}, Values{otherwise}, [&](Index i, std::span<const Register> found) {
    const LaneIndex place = LaneIndex::scalar({Index(num_keys - 1) - i});
    const Register key = e.pull(node.operands[1], place);
    Register is_key = b.eq(x, key);
    if (is_float(x.type.dtype)) {
      is_key = b.bit_or(is_key, b.bit_and(b.ne(x, x), b.ne(key, key)));
    }
    return Values{b.select(is_key, e.pull(node.operands[2], place), found[0])};
  })[0];
}

OrRefusal<void> accepts_label_encoder(const Module&, const Graph& graph, const Node& node) {
  const std::vector<int64_t> keys = graph.type(node.operands[1]).shape();
  if (keys.size() != 1 || graph.type(node.operands[2]).shape() != keys) {
    return refuse("its keys are not of rank 1");
  }
  if (keys[0] > kMostKeys) return refuse("it has more than 4096 keys");
  return {};
}

}  // namespace

void add_label_encoder_lowerings(LoweringTable& t) {
  row(t, Op::label_encoder) = {emit_label_encoder, nullptr, nullptr, accepts_label_encoder};
}

}  // namespace neuronc
