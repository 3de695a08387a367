// The lowerings of det and inverse: elimination with partial pivoting on an f64 copy, a matrix at a
// time.
#include "backend/lower/default_nest.h"
#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;

class Elimination {
 public:
  // `width`: how many columns the copy has, those of the matrix first.
  Elimination(GroupEmitter& e, const Node& node, int64_t width)
      : e_(e),
        b_(e.builder()),
        x_(node.operands[0]),
        n_(e.shape(node.operands[0]).back()),
        width_(width) {
    m_ = e.workspace("matrix", DType::f64, {n_, width_});
  }

  // The determinant of the matrix that `batch` names.
  Register determinant(const std::vector<Index>& batch) {
    load(batch);
    // A column without a pivot makes the result 0, whatever follows.
    const Values initial{b_.f64(1), b_.boolean(false)};
    const Values result =
        e_.loop({0, n_, 1}, initial, [&](Index k, std::span<const Register> carried) {
          const Index pivot = find_pivot(k);
          const Register sign = swap(k, pivot);
          const Register head = b_.load(m_, {k, k});
          eliminate(k, head);
          const Register product = b_.mul(b_.mul(carried[0], sign), head);
          return Values{product, b_.bit_or(carried[1], b_.eq(head, b_.f64(0)))};
        });
    return b_.select(result[1], b_.f64(0), result[0]);
  }

  // Leaves the inverse in the columns behind the matrix.
  void invert(const std::vector<Index>& batch) {
    load(batch);
    each(0, [&](Index i) {
      each(0, [&](Index j) { b_.store(m_, {i, j + Index(n_)}, b_.f64(0)); });
      b_.store(m_, {i, i + Index(n_)}, b_.f64(1));
    });
    each(0, [&](Index k) {
      swap(k, find_pivot(k));
      const Register head = b_.load(m_, {k, k});
      columns(k, [&](Index j) { b_.store(m_, {k, j}, b_.div(b_.load(m_, {k, j}), head)); });
      const auto subtract = [&](Index i) {
        const Register factor = b_.load(m_, {i, k});
        columns(k, [&](Index j) {
          const Register less = b_.mul(factor, b_.load(m_, {k, j}));
          b_.store(m_, {i, j}, b_.sub(b_.load(m_, {i, j}), less));
        });
      };
      e_.loop({0, k, 1}, subtract);
      each(k + Index(1), subtract);
    });
  }
  Register inverted(Index i, Index j) { return b_.load(m_, {i, j + Index(n_)}); }

 private:
  void load(const std::vector<Index>& batch) {
    each(0, [&](Index i) {
      each(0, [&](Index j) {
        std::vector<Index> at = batch;
        at.insert(at.end(), {i, j});
        const Register value = e_.pull(x_, LaneIndex::scalar(std::move(at)));
        b_.store(m_, {i, j}, b_.convert(value, DType::f64));
      });
    });
  }

  void columns(Index from, const std::function<void(Index)>& body) {
    e_.loop({from, width_, 1}, body);
  }
  void each(Index from, const std::function<void(Index)>& body) { e_.loop({from, n_, 1}, body); }

  // The row at or below k with the greatest element of column k.
  Index find_pivot(Index k) {
    const Values initial{b_.abs(b_.load(m_, {k, k})), b_.index_value(k)};
    const Values best =
        e_.loop({k + Index(1), n_, 1}, initial, [&](Index i, std::span<const Register> carried) {
          const Register size = b_.abs(b_.load(m_, {i, k}));
          const Register is_greater = b_.gt(size, carried[0]);
          return Values{b_.select(is_greater, size, carried[0]),
                        b_.select(is_greater, b_.index_value(i), carried[1])};
        });
    return b_.check_index(best[1], n_);
  }

  // Exchanges two rows; -1 if they are different ones.
  Register swap(Index k, Index pivot) {
    columns(0, [&](Index j) {
      const Register upper = b_.load(m_, {k, j}), lower = b_.load(m_, {pivot, j});
      b_.store(m_, {pivot, j}, upper);
      b_.store(m_, {k, j}, lower);
    });
    const Register is_same = b_.eq(b_.index_value(k), b_.index_value(pivot));
    return b_.select(is_same, b_.f64(1), b_.f64(-1));
  }

  void eliminate(Index k, Register head) {
    each(k + Index(1), [&](Index i) {
      const Register factor = b_.div(b_.load(m_, {i, k}), head);
      each(k, [&](Index j) {
        const Register less = b_.mul(factor, b_.load(m_, {k, j}));
        b_.store(m_, {i, j}, b_.sub(b_.load(m_, {i, j}), less));
      });
    });
  }

  GroupEmitter& e_;
  Builder& b_;
  ValueId x_;
  int64_t n_;
  int64_t width_;
  BufferId m_;
};

void nest_det(GroupEmitter& e, const Node& node) {
  const std::vector<int64_t> y = e.shape(node.results[0]);
  const DType dtype = e.type(node.results[0]).dtype;
  Elimination elimination(e, node, e.shape(node.operands[0]).back());
  NestShape nest;
  nest.extents = y;
  nest.order = Storage::dense(DType::f32, y).order(y);
  emit_nest(e, nest, [&](const LaneIndex& at) {
    const Register value = elimination.determinant(at.dims);
    e.provide(node.results[0], at, from_f64(e.builder(), value, dtype));
    e.store_results(at);
  });
}

void nest_inverse(GroupEmitter& e, const Node& node) {
  std::vector<int64_t> batch = e.shape(node.results[0]);
  const int64_t n = batch.back();
  batch.resize(batch.size() - 2);
  const DType dtype = e.type(node.results[0]).dtype;
  Elimination elimination(e, node, 2 * n);
  NestShape nest;
  nest.extents = batch;
  nest.order = Storage::dense(DType::f32, batch).order(batch);
  emit_nest(e, nest, [&](const LaneIndex& at) {
    elimination.invert(at.dims);
    e.loop({0, n, 1}, [&](Index i) {
      e.loop({0, n, 1}, [&](Index j) {
        std::vector<Index> dims = at.dims;
        dims.insert(dims.end(), {i, j});
        const LaneIndex element = LaneIndex::scalar(std::move(dims));
        e.provide(node.results[0], element,
                  from_f64(e.builder(), elimination.inverted(i, j), dtype));
        e.store_results(element);
      });
    });
  });
}

// The copy is one for all matrices.
int64_t one_tile(const Graph&, const Node&) { return 1; }

OrRefusal<void> accepts_matrices(const Module&, const Graph& graph, const Node& node) {
  if (graph.type(node.operands[0]).num_elements() == 0) return refuse("its matrices are empty");
  return {};
}

}  // namespace

void add_linear_algebra_lowerings(LoweringTable& t) {
  row(t, Op::det) = {nullptr, nest_det, one_tile, accepts_matrices};
  row(t, Op::inverse) = {nullptr, nest_inverse, one_tile, accepts_matrices};
}

}  // namespace neuronc
