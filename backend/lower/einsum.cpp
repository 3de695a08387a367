// The plain lowering of einsum: a sum over the labels that the result does not have, for every
// result. What is a matrix product was made one before.
#include "ir/ops/einsum.h"

#include <algorithm>

#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;
using kernel::Values;

class Contraction {
 public:
  Contraction(GroupEmitter& e, const Node& node, const LaneIndex& at)
      : e_(e), b_(e.builder()), node_(node), at_(at) {
    std::vector<Type> types;
    for (ValueId operand : node.operands) types.push_back(e.type(operand));
    equation_ = *parse_einsum(node.view().string("equation"), types);
    const auto extents = einsum_extents(equation_, types);
    for (const auto& [label, dim] : *extents) {
      const auto in_result = std::find(equation_.result.begin(), equation_.result.end(), label);
      if (in_result == equation_.result.end()) {
        summed_.emplace_back(label, dim.number());
      } else {
        const auto d = static_cast<size_t>(in_result - equation_.result.begin());
        places_[label] = {at.dims[d], at.steps[d]};
      }
    }
    carrier_ = carrier_of(e.type(node.results[0]).dtype);
  }

  Register run() { return sum_over(0, b_.zero({carrier_, at_.lanes})); }

 private:
  struct Place {
    Index index;
    int64_t step = 0;
  };

  Register sum_over(size_t depth, Register sum) {
    if (depth == summed_.size()) return with_product(sum);
    const auto [label, extent] = summed_[depth];
    return e_.loop({0, extent, 1}, Values{sum}, [&](Index i, std::span<const Register> carried) {
      places_[label] = {i, 0};
      return Values{sum_over(depth + 1, carried[0])};
    })[0];
  }

  Register element(size_t operand) {
    const std::vector<int64_t> shape = e_.shape(node_.operands[operand]);
    std::vector<Index> dims;
    std::vector<int64_t> steps;
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      const Place place =
          shape[axis] == 1 ? Place{Index(0), 0} : places_.at(equation_.terms[operand][axis]);
      dims.push_back(place.index);
      steps.push_back(place.step);
    }
    return e_.pull(node_.operands[operand], at_.with_dims(std::move(dims), std::move(steps)));
  }

  // `sum` and the product of the operands' elements.
  Register with_product(Register sum) {
    Register product = element(0);
    const size_t last = node_.operands.size() - 1;
    for (size_t i = 1; i < last; ++i) product = b_.mul(product, element(i));
    if (last == 0) return b_.add(sum, product);
    const Register factor = element(last);
    return is_carried_float(sum) ? b_.fma(product, factor, sum)
                                 : b_.add(sum, b_.mul(product, factor));
  }

  GroupEmitter& e_;
  Builder& b_;
  const Node& node_;
  LaneIndex at_;
  EinsumEquation equation_;
  std::vector<std::pair<int, int64_t>> summed_;
  std::map<int, Place> places_;
  DType carrier_;
};

Register emit_einsum(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  return e.rounded(Contraction(e, node, at).run(), e.type(node.results[0]).dtype);
}

}  // namespace

void add_einsum_lowerings(LoweringTable& t) { row(t, Op::einsum) = {emit_einsum}; }

}  // namespace neuronc
