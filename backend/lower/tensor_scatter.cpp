// The lowering of tensor_scatter: an element comes from the update where its place along the axis
// is one that the update covers, and from the cache elsewhere.
#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"
#include "backend/lower/reduce.h"

namespace neuronc {
namespace {

using kernel::Builder;

Register emit_tensor_scatter(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const std::vector<int64_t> past = e.shape(node.operands[0]);
  const size_t axis = resolve_axis(node.view().i64("axis"), past.size());
  const int64_t length = e.shape(node.operands[1])[axis];
  const bool is_circular = node.view().string("mode") == "circular";
  const DType carrier = carrier_of(e.type(node.operands[0]).dtype);
  if (at.varies(axis) || at.varies(0)) {
    return by_lanes(e, at, carrier,
                    [&](const LaneIndex& one) { return emit_tensor_scatter(e, node, 0, one); });
  }
  const Register old = e.pull(node.operands[0], at);
  if (length == 0) return old;
  Register begin = b.i64(0);
  if (node.has_operand(2)) {
    const Register given = e.pull(node.operands[2], LaneIndex::scalar({at.dims[0]}));
    const int64_t num_places = is_circular ? past[axis] : past[axis] - length + 1;
    begin = b.index_value(b.check_index(given, num_places));
  }
  Register place = b.sub(b.index_value(at.dims[axis]), begin);
  if (is_circular) {
    place = b.select(b.lt(place, b.i64(0)), b.add(place, b.i64(past[axis])), place);
  }
  const Register is_new = b.bit_and(b.ge(place, b.i64(0)), b.lt(place, b.i64(length)));
  LaneIndex from = at;
  from.dims[axis] = b.check_index(b.select(is_new, place, b.i64(0)), length);
  const Register fresh = e.pull(node.operands[1], from);
  return b.select(at.is_scalar() ? is_new : b.splat(is_new, at.lanes), fresh, old);
}

}  // namespace

void add_tensor_scatter_lowerings(LoweringTable& t) {
  row(t, Op::tensor_scatter) = {emit_tensor_scatter};
}

}  // namespace neuronc
