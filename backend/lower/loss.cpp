// The lowering of negative_log_likelihood_loss: an element of a loss reads where its target says; a
// sum of losses is one element that reads all targets, in f64.
#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;
using kernel::Values;

struct Loss {
  Register loss, weight;  // f64
};

// The loss of the target at `place`.
Loss loss_at(GroupEmitter& e, const Node& node, const std::vector<Index>& place) {
  Builder& b = e.builder();
  const int64_t num_classes = e.shape(node.operands[0])[1];
  const Register target = b.convert(e.pull(node.operands[1], LaneIndex::scalar(place)), DType::i64);
  Register is_ignored = b.boolean(false);
  if (node.view().has("ignore_index")) {
    is_ignored = b.eq(target, b.i64(node.view().i64("ignore_index")));
  }
  // A target that is no class ends the request.
  const Index label = b.check_index(b.select(is_ignored, b.i64(0), target), num_classes);
  std::vector<Index> from = place;
  from.insert(from.begin() + 1, label);
  const auto f64_of = [&](size_t operand, std::vector<Index> at) {
    return b.convert(e.pull(node.operands[operand], LaneIndex::scalar(std::move(at))), DType::f64);
  };
  Register weight = node.has_operand(2) ? f64_of(2, {label}) : b.f64(1);
  weight = b.select(is_ignored, b.f64(0), weight);
  const Register loss = b.mul(b.neg(weight), f64_of(0, from));
  return {b.select(is_ignored, b.f64(0), loss), weight};
}

Values sum_losses(GroupEmitter& e, const Node& node, const std::vector<Index>& place,
                  const Values& carried) {
  Builder& b = e.builder();
  const std::vector<int64_t> shape = e.shape(node.operands[1]);
  if (place.size() == shape.size()) {
    const Loss one = loss_at(e, node, place);
    return {b.add(carried[0], one.loss), b.add(carried[1], one.weight)};
  }
  return e.loop({0, shape[place.size()], 1}, carried, [&](Index i, std::span<const Register> sums) {
    std::vector<Index> next = place;
    next.push_back(i);
    return sum_losses(e, node, next, {sums[0], sums[1]});
  });
}

Register emit_loss(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const DType dtype = e.type(node.results[0]).dtype;
  const std::string& reduction = node.view().string("reduction");
  if (reduction == "none") {
    return by_lanes(e, at, carrier_of(dtype), [&](const LaneIndex& one) {
      return from_f64(b, loss_at(e, node, one.dims).loss, dtype);
    });
  }
  const Values sums = sum_losses(e, node, {}, {b.f64(0), b.f64(0)});
  const Register loss = reduction == "mean" ? b.div(sums[0], sums[1]) : sums[0];
  return b.splat(from_f64(b, loss, dtype), at.lanes);
}

OrRefusal<void> accepts_loss(const Module&, const Graph& graph, const Node& node) {
  if (graph.type(node.operands[0]).num_elements() == 0) return refuse("it has no classes");
  return {};
}

}  // namespace

void add_loss_lowerings(LoweringTable& t) {
  row(t, Op::negative_log_likelihood_loss) = {emit_loss, nullptr, nullptr, accepts_loss};
}

}  // namespace neuronc
