// Products of few rows with a computed right operand whose k's are consecutive, as the scores of
// one query against cached keys: lanes run along k, and nothing is packed.
//
//   for run of `lanes` columns:  acc[c][l] += a[k + l] * b[k + l, c]      an accumulator per column
//   y[columns] = sums over the lanes of all accumulators, folded together as a tree
//
// Every element of b is loaded once per row. A tile is a batch.
#include <algorithm>

#include "backend/variants/matmul/problem.h"

namespace neuronc {
namespace {

using kernel::Builder;
using kernel::Index;
using kernel::Values;

// Above these, packing b pays.
constexpr int64_t kMaxRows = 4;

// Whether the k's of b will be neighbours in memory: it is declared so, or a transpose makes it a
// view of what is.
bool has_consecutive_k(const GroupContext& context, const MatmulProblem& problem) {
  const ValueId b = context.outer_of(context.anchor_node().operands[1]);
  if (!b) return false;
  const size_t k_dim = problem.b_k_dim(), rank = problem.b_shape.size();
  if (const Storage& storage = context.graph.value(b).storage) return storage.strides[k_dim] == 1;
  const NodeId producer = context.graph.producer(b);
  if (!producer || context.graph.node(producer).op != Op::transpose) return k_dim == rank - 1;
  const std::vector<int64_t> perm = context.graph.node(producer).view().ints("perm");
  return perm.size() == rank && perm[k_dim] == static_cast<int64_t>(rank) - 1;
}

OrRefusal<MatmulProblem> make_problem(const GroupContext& context) {
  NEURONC_ASSIGN(MatmulProblem problem, matmul_problem(context));
  if (problem.m > kMaxRows) return refuse("it has many rows");
  if (context.constant_operand(1) != nullptr) return refuse("the right operand is constant");
  if (carrier_of(context.operand_dtype(1)) != DType::f32) return refuse("b is not f32");
  if (problem.k < context.machine.lanes(4)) return refuse("k does not fill a register");
  return problem;
}

OrRefusal<double> predict_ns(const GroupContext& context) {
  NEURONC_ASSIGN(const MatmulProblem problem, make_problem(context));
  if (!has_consecutive_k(context, problem)) return refuse("the k's of b do not lie together");
  const HardwareModel& hardware = context.machine.hardware;
  const auto loads = static_cast<double>(problem.num_batches() * problem.m * problem.n * problem.k);
  const double bytes = loads * size_bytes(context.operand_dtype(1));
  return hardware.launch_ns +
         std::max(loads / hardware.vector_flops_per_s, bytes / hardware.on_chip_bytes_per_s) * 1e9;
}

class Dots {
 public:
  Dots(GroupEmitter& e, const Node& anchor, const MatmulProblem& problem)
      : e_(e), b_(e.builder()), anchor_(anchor), problem_(problem), lanes_(e.machine().lanes(4)) {}

  void run(const std::vector<Index>& batch) {
    const int64_t whole = problem_.n / lanes_ * lanes_;
    e_.loop({0, problem_.m, 1}, [&](Index row) {
      if (whole > 0) {
        e_.loop({0, whole, lanes_}, [&](Index column) { columns(batch, row, column, lanes_); });
      }
      if (whole < problem_.n) {
        columns(batch, row, Index(whole), static_cast<int>(problem_.n - whole));
      }
    });
  }

 private:
  void columns(const std::vector<Index>& batch, Index row, Index column, int active) {
    const Values zero(static_cast<size_t>(active), b_.f32(0.0f, lanes_));
    const auto add = [&](Index k, int count, std::span<const Register> sums) {
      const Register a = e_.pull(
          anchor_.operands[0],
          LaneIndex::along(problem_.a_at(batch, row, k), problem_.a_k_dim(), lanes_, count));
      Values next;
      for (int c = 0; c < active; ++c) {
        const LaneIndex at = LaneIndex::along(problem_.b_at(batch, k, column + Index(c)),
                                              problem_.b_k_dim(), lanes_, count);
        next.push_back(b_.fma(a, e_.pull(anchor_.operands[1], at), sums[static_cast<size_t>(c)]));
      }
      return next;
    };
    const int64_t whole = problem_.k / lanes_ * lanes_;
    Values sums = e_.loop(
        {0, whole, lanes_}, zero,
        [&](Index k, std::span<const Register> carried) { return add(k, lanes_, carried); });
    if (whole < problem_.k) sums = add(Index(whole), static_cast<int>(problem_.k - whole), sums);
    sums.resize(static_cast<size_t>(lanes_), b_.f32(0.0f, lanes_));
    store_matmul_result(e_, anchor_, problem_, batch, row, column, active, fold(std::move(sums)));
  }

  // Lane l is the sum of the lanes of vector l.
  Register fold(Values vectors) {
    for (int width = lanes_; width > 1; width /= 2) {
      // Every vector holds sums of `width` lanes each; pairs are folded to half as many.
      std::vector<int64_t> low, high;
      for (int from = 0; from < 2 * lanes_; from += width) {
        for (int l = 0; l < width / 2; ++l) {
          low.push_back(from + l);
          high.push_back(from + width / 2 + l);
        }
      }
      Values folded;
      for (size_t i = 0; i < vectors.size(); i += 2) {
        folded.push_back(b_.add(b_.shuffle(vectors[i], vectors[i + 1], low),
                                b_.shuffle(vectors[i], vectors[i + 1], high)));
      }
      vectors = std::move(folded);
    }
    return vectors[0];
  }

  GroupEmitter& e_;
  Builder& b_;
  const Node& anchor_;
  const MatmulProblem& problem_;
  int lanes_;
};

OrRefusal<LoweredKernel> lower(const GroupContext& context) {
  NEURONC_ASSIGN(const MatmulProblem problem, make_problem(context));
  const int64_t num_tiles = problem.num_batches();
  GroupEmitter e(context.module, context.graph, context.group, context.machine,
                 kernel_name(context), num_tiles);
  const Index tile = num_tiles > 1 ? e.builder().tile() : Index(0);
  Dots(e, context.anchor_node(), problem).run(problem.batch_index(tile));
  return std::move(e).finish();
}

}  // namespace

const Variant kMatmulDots = {.name = "matmul.dots",
                             .predict_ns = predict_ns,
                             .lower = lower,
                             .operand_order = no_order,
                             .result_order = no_result_order,
                             .prologue = no_prologue};

}  // namespace neuronc
