// Losses of classifiers. That of softmax is one of log_softmax: import takes it apart.
#include <fmt/format.h>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kNllOperands[] = {{"log_probabilities", kFloats, 'T'},
                                        {"target", kIndices},
                                        {"weight", kFloats, 'T', Arity::optional}};
constexpr ResultSpec kNllResults[] = {{"loss", kFloats, 'T'}};
constexpr AttributeSpec kAttributes[] = {{"ignore_index", AttributeKind::i64, ""},
                                         {"reduction", AttributeKind::string, "\"mean\""}};

Types infer_loss(const InferInput& input) {
  const Type& scores = input.operands[0];
  const Type& target = input.operands[1];
  const std::string& reduction = input.op.string("reduction");
  if (reduction != "none" && reduction != "mean" && reduction != "sum") {
    return refuse(fmt::format("`reduction` is `{}`", reduction));
  }
  if (scores.is_ranked && (scores.rank() < 2 || scores.dims[1] == Dim(0))) {
    return refuse("the scores have no classes");
  }
  if (scores.is_static() && target.is_static()) {
    Shape expected = scores.shape();
    expected.erase(expected.begin() + 1);
    if (expected != target.shape()) return refuse("the target does not have the scores' shape");
  }
  if (input.has(2) && input.operands[2].is_static() && scores.is_ranked &&
      scores.dims[1].is_number() && input.operands[2].shape() != Shape{scores.dims[1].number()}) {
    return refuse("the weights are not one per class");
  }
  Type loss = reduction == "none" ? target : ranked(scores.dtype, {});
  loss.dtype = scores.dtype;
  return std::vector<Type>{std::move(loss)};
}

// The loss for log probabilities of shape [N,C,..] seen as [outer, classes, inner].
OrRefusal<Tensor> loss_of(const EvaluateInput& input, const Type& type, const AxisView& view,
                          const std::vector<double>& log_probabilities) {
  const std::vector<int64_t> target = ints(input.tensor(1));
  std::vector<double> weights(static_cast<size_t>(view.extent), 1);
  if (input.has(2)) weights = doubles(input.tensor(2));
  std::vector<double> losses;
  double total = 0;
  double total_weight = 0;
  for (int64_t i = 0; i < static_cast<int64_t>(target.size()); ++i) {
    const int64_t label = target[static_cast<size_t>(i)];
    const bool is_ignored = input.op.has("ignore_index") && label == input.op.i64("ignore_index");
    if (!is_ignored && (label < 0 || label >= view.extent)) {
      return refuse(fmt::format("label {} is none of {} classes", label, view.extent));
    }
    const double weight = is_ignored ? 0 : weights[static_cast<size_t>(label)];
    const int64_t at =
        (i / view.inner * view.extent + (is_ignored ? 0 : label)) * view.inner + i % view.inner;
    losses.push_back(is_ignored ? 0 : -weight * log_probabilities[static_cast<size_t>(at)]);
    total += losses.back();
    total_weight += weight;
  }
  const std::string& reduction = input.op.string("reduction");
  if (reduction == "none") return from_doubles(type.dtype, type.shape(), losses);
  return Tensor::scalar(type.dtype, reduction == "mean" ? total / total_weight : total);
}

Values evaluate_nll(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const AxisView view = axis_view(input.tensor(0).shape(), 1);
  NEURONC_ASSIGN(Tensor loss, loss_of(input, type, view, doubles(input.tensor(0))));
  return one(std::move(loss));
}

}  // namespace

/// loss[n,..] = -weight[t] * log_probabilities[n,t,..] with t = target[n,..], 0 where t is
/// `ignore_index`; summed, or divided by the sum of the weights used (reduction "mean").
/// Shapes: log_probabilities [N,C,D...], target [N,D...], weight [C].   Types: floats.
/// Errors: a target that is no class.   Source: ONNX NegativeLogLikelihoodLoss-22.
NEURONC_OP(negative_log_likelihood_loss) = {"negative_log_likelihood_loss",
                                            "minus the log probabilities of the targets",
                                            "ONNX NegativeLogLikelihoodLoss-22",
                                            kNllOperands,
                                            kAttributes,
                                            kNllResults,
                                            Trait::reduction,
                                            Precision::statistic,
                                            infer_loss,
                                            evaluate_nll,
                                            flops_per_operand<1>};

}  // namespace neuronc
