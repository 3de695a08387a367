// Reverse-mode differentiation of IR nodes: what `Gradient` of ai.onnx.preview.training is made of.
//
// Each operator that can be differentiated has one adjoint: a function that, given the gradient of
// a node's results, makes those of its operands out of ordinary operators. Nodes that adjoints make
// have adjoints themselves, so that gradients of gradients work.
#pragma once

#include <string>
#include <vector>

#include "compiler/onnx/node_context.h"

namespace neuronc::onnx {

// One node as its adjoint sees it. Values are those of the graph under construction.
class AdjointNode {
 public:
  AdjointNode(NodeContext& context, OpView view, std::vector<ValueId> operands,
              std::vector<ValueId> results, std::vector<ValueId> gradients,
              std::vector<bool> is_wanted)
      : context_(context),
        view_(view),
        operands_(std::move(operands)),
        results_(std::move(results)),
        gradients_(std::move(gradients)),
        is_wanted_(std::move(is_wanted)),
        operand_gradients_(operands_.size()) {}

  NodeContext& context() { return context_; }
  const OpView& op() const { return view_; }
  size_t num_operands() const { return operands_.size(); }
  bool has(size_t i) const { return i < operands_.size() && operands_[i]; }
  ValueId operand(size_t i) const { return i < operands_.size() ? operands_[i] : ValueId(); }
  ValueId result(size_t i = 0) const { return results_[i]; }
  size_t num_results() const { return results_.size(); }
  // Of result `i`; none: it has no influence.
  ValueId gradient(size_t i = 0) const { return gradients_[i]; }
  // Whether the gradient of operand `i` is asked for.
  bool wants(size_t i) const { return i < operands_.size() && is_wanted_[i]; }
  ValueId operand_gradient(size_t i) const { return operand_gradients_[i]; }
  // The gradient of operand `i`; summed over the axes along which the operand was broadcast.
  void set(size_t i, ValueId value);
  // The same, of the operand's very shape.
  void set_exact(size_t i, ValueId value) { operand_gradients_[i] = value; }

  // --- Arithmetic; numbers are of the type of `like` -------------------------------------------
  std::vector<int64_t> shape(ValueId x) { return context_.shape(x); }
  ValueId emit(Op op, std::vector<ValueId> operands, std::vector<NamedAttribute> attributes = {}) {
    return context_.emit(op, std::move(operands), std::move(attributes));
  }
  ValueId number(ValueId like, double value) { return context_.scalar_like(like, value); }
  ValueId add(ValueId a, ValueId b) { return emit(Op::add, {a, b}); }
  ValueId sub(ValueId a, ValueId b) { return emit(Op::sub, {a, b}); }
  ValueId mul(ValueId a, ValueId b) { return emit(Op::mul, {a, b}); }
  ValueId div(ValueId a, ValueId b) { return emit(Op::div, {a, b}); }
  ValueId neg(ValueId a) { return emit(Op::neg, {a}); }
  ValueId square(ValueId a) { return mul(a, a); }
  ValueId scaled(double factor, ValueId a) { return mul(number(a, factor), a); }
  ValueId plus(ValueId a, double value) { return add(a, number(a, value)); }
  // `a` where the condition holds, 0 elsewhere.
  ValueId where(ValueId condition, ValueId a) {
    return emit(Op::where, {condition, a, number(a, 0)});
  }
  ValueId sum(ValueId a, const std::vector<int64_t>& axes, bool keeps_axes);
  // `a` with its last two axes exchanged.
  ValueId transposed(ValueId a);
  void unsupported(std::string reason) { context_.unsupported(std::move(reason)); }

 private:
  NodeContext& context_;
  OpView view_;
  std::vector<ValueId> operands_, results_, gradients_;
  std::vector<bool> is_wanted_;
  std::vector<ValueId> operand_gradients_;
};

using AdjointFn = void (*)(AdjointNode& node);

struct Adjoint {
  Op op;
  AdjointFn make;
};

// By family: gradient_elementwise.cpp, gradient_shape.cpp, gradient_product.cpp.
std::span<const Adjoint> elementwise_adjoints();
std::span<const Adjoint> shape_adjoints();
std::span<const Adjoint> product_adjoints();

// nullptr: the operator cannot be differentiated.
AdjointFn find_adjoint(Op op);

}  // namespace neuronc::onnx
