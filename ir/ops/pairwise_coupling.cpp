// Probabilities of classes from those of their pairs.
#include <algorithm>
#include <cmath>

#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr OperandSpec kOperands[] = {{"pairs", kFloats, 'T'}};
constexpr ResultSpec kResults[] = {{"y", kFloats, 'T'}};
constexpr AttributeSpec kAttributes[] = {{"num_classes", AttributeKind::i64, "", true}};

Types infer_pairwise_coupling(const InferInput& input) {
  const int64_t classes = input.op.i64("num_classes");
  if (classes < 2 || classes > 10000) return refuse("`num_classes` is not between 2 and 10000");
  const Type& pairs = input.operands[0];
  if (!pairs.is_ranked) return std::vector<Type>{ranked(pairs.dtype, {Dim(), Dim(classes)})};
  if (pairs.rank() != 2) return refuse("the operand is not of rank 2");
  NEURONC_TRY(same_dim(pairs.dims[1], Dim(classes * (classes - 1) / 2), "the number of pairs"));
  return std::vector<Type>{ranked(pairs.dtype, {pairs.dims[0], Dim(classes)})};
}

// The method of Wu, Lin and Weng (2004), second approach: minimises sum over pairs of
// (r_ji p_i - r_ij p_j)^2 for probabilities p that sum to 1, one coordinate at a time.
std::vector<double> coupled(const std::vector<double>& r, size_t k) {
  std::vector<double> q(k * k, 0), p(k, 1 / static_cast<double>(k)), qp(k);
  for (size_t t = 0; t < k; ++t) {
    for (size_t j = 0; j < k; ++j) {
      if (j == t) continue;
      q[t * k + t] += r[j * k + t] * r[j * k + t];
      q[t * k + j] = -r[j * k + t] * r[t * k + j];
    }
  }
  const double bound = 0.005 / static_cast<double>(k);
  for (int round = 0; round < 100; ++round) {
    double pqp = 0, worst = 0;
    for (size_t t = 0; t < k; ++t) {
      qp[t] = 0;
      for (size_t j = 0; j < k; ++j) qp[t] += q[t * k + j] * p[j];
      pqp += p[t] * qp[t];
    }
    for (size_t t = 0; t < k; ++t) worst = std::max(worst, std::fabs(qp[t] - pqp));
    if (worst < bound) break;
    for (size_t t = 0; t < k; ++t) {
      const double diff = (pqp - qp[t]) / q[t * k + t];
      p[t] += diff;
      pqp = (pqp + diff * (diff * q[t * k + t] + 2 * qp[t])) / (1 + diff) / (1 + diff);
      for (size_t j = 0; j < k; ++j) {
        qp[j] = (qp[j] + diff * q[t * k + j]) / (1 + diff);
        p[j] /= 1 + diff;
      }
    }
  }
  return p;
}

Values evaluate_pairwise_coupling(const EvaluateInput& input) {
  NEURONC_ASSIGN(const Type type, actual_type(input));
  const auto k = static_cast<size_t>(type.shape()[1]);
  const Tensor& pairs = input.tensor(0);
  std::vector<double> y;
  int64_t at = 0;
  for (int64_t row = 0; row < type.shape()[0]; ++row) {
    std::vector<double> r(k * k, 0);
    for (size_t i = 0; i < k; ++i) {
      for (size_t j = i + 1; j < k; ++j) {
        r[i * k + j] = std::clamp(pairs.f64(at++), 1e-7, 1 - 1e-7);
        r[j * k + i] = 1 - r[i * k + j];
      }
    }
    const std::vector<double> p = coupled(r, k);
    y.insert(y.end(), p.begin(), p.end());
  }
  return one(from_doubles(type.dtype, type.shape(), y));
}

}  // namespace

/// The probabilities of classes that fit those of each pair best: pairs[row, (i,j)] is that of
/// class i where it is one of i and j, i < j, pairs in the order (0,1), (0,2) ... (1,2) ... Shapes:
/// pairs [rows, num_classes*(num_classes-1)/2], y [rows, num_classes].   Types: floats. Source:
/// ai.onnx.ml SVMClassifier-1.
NEURONC_OP(pairwise_coupling) = {"pairwise_coupling",
                                 "probabilities of classes from those of pairs",
                                 "ai.onnx.ml SVMClassifier-1",
                                 kOperands,
                                 kAttributes,
                                 kResults,
                                 Trait::host,
                                 Precision::fixed,
                                 infer_pairwise_coupling,
                                 evaluate_pairwise_coupling,
                                 flops_per_result<200>};

}  // namespace neuronc
