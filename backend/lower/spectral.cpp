// Lowerings of dft and stft: the sums of their definition in f64, with factors from a table, so
// that angles are reduced exactly. Term k of a line of n elements meets the factors 0, k, 2k..
// modulo n.
#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"
#include "ir/kernel/math.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;

constexpr int64_t kMaxLength = 1 << 16;  // factors of a table in the artifact

// A part of a complex number; no imaginary part: real numbers.
struct Complex {
  Register real;
  std::optional<Register> imaginary;
};

enum class Part : uint8_t { real, imaginary };
enum class Direction : uint8_t { forward, inverse };

class Transform {
 public:
  Transform(GroupEmitter& e, int64_t length, Direction direction)
      : e_(e), b_(e.builder()), length_(length), direction_(direction) {
    cosines_ = table("cos", [](double angle) { return kernel::math::cos(angle); });
    sines_ = table("sin", [](double angle) { return kernel::math::sin(angle); });
  }

  // Adds the terms of elements [range) to `carried`: a sum and the place in the table.
  Values add(const kernel::Range& range, const Values& carried, Index k, Part part,
             const std::function<Complex(Index)>& element) {
    return e_.loop(range, carried, [&](Index i, std::span<const Register> state) {
      const Index at = b_.check_index(state[1], length_);
      const Register c = b_.load(cosines_, {at});
      Register s = b_.load(sines_, {at});
      if (direction_ == Direction::inverse) s = b_.neg(s);
      const Complex x = element(i);
      const Register term = part == Part::real ? rotated(x, c, s, false) : rotated(x, s, c, true);
      return Values{b_.add(state[0], term), advanced(state[1], k)};
    });
  }

  // No sum yet, and the beginning of the table.
  Values start() { return {b_.f64(0), b_.i64(0)}; }

  Register finished(Register sum) {
    if (direction_ == Direction::forward) return sum;
    return b_.div(sum, b_.f64(static_cast<double>(length_)));
  }

 private:
  template <class Function>
  BufferId table(const char* name, Function function) {
    return e_.table(name + std::to_string(length_), [&] {
      Tensor values = Tensor::zeros(DType::f64, {length_});
      for (int64_t k = 0; k < length_; ++k) {
        constexpr double kPi = 3.14159265358979323846;
        const double angle = -2 * kPi * static_cast<double>(k) / static_cast<double>(length_);
        values.set_f64(k, function(angle));
      }
      return values;
    });
  }

  // real * p - imaginary * q, or plus for the imaginary part of the product.
  Register rotated(const Complex& x, Register p, Register q, bool is_sum) {
    const Register first = b_.mul(x.real, p);
    if (!x.imaginary) return first;
    const Register second = b_.mul(*x.imaginary, q);
    return is_sum ? b_.add(first, second) : b_.sub(first, second);
  }

  Register advanced(Register place, Index k) {
    const Register next = b_.add(place, b_.index_value(k));
    const Register n = b_.i64(length_);
    return b_.select(b_.ge(next, n), b_.sub(next, n), next);
  }

  GroupEmitter& e_;
  Builder& b_;
  int64_t length_;
  Direction direction_;
  BufferId cosines_, sines_;
};

// The parts of the number that `at`, but for its last index, names.
Complex pull_complex(GroupEmitter& e, ValueId x, std::vector<Index> at) {
  Builder& b = e.builder();
  const int64_t parts = e.shape(x).back();
  const auto part = [&](int64_t i) {
    at.back() = Index(i);
    return b.convert(e.pull(x, LaneIndex::scalar(at)), DType::f64);
  };
  Complex value{part(0), std::nullopt};
  if (parts == 2) value.imaginary = part(1);
  return value;
}

// Calls `body` for each part of a result, lane by lane.
Register by_parts(GroupEmitter& e, const Node& node, const LaneIndex& at,
                  const std::function<Register(const LaneIndex&, Part)>& body) {
  const DType dtype = e.type(node.results[0]).dtype;
  Builder& b = e.builder();
  return by_lanes(e, at, carrier_of(dtype), [&](const LaneIndex& one) {
    const Index part = one.dims.back();
    const auto half = [&](Part which) { return from_f64(b, body(one, which), dtype); };
    return e.choose(
        {{part, 0, 1}}, [&] { return Values{half(Part::real)}; },
        [&] { return Values{half(Part::imaginary)}; })[0];
  });
}

// ---- dft

struct DftShape {
  size_t axis;
  int64_t length;
  bool is_inverse, mirrors;  // mirrors: the second half of the line is the first one's conjugate
};

DftShape dft_shape(const std::vector<int64_t>& x, const std::vector<int64_t>& y, const OpView& op,
                   const Tensor* length, const Tensor* axis) {
  DftShape shape{};
  shape.axis = axis == nullptr ? x.size() - 2 : resolve_axis(axis->i64(0), x.size());
  shape.is_inverse = op.i64("inverse") != 0;
  const bool is_onesided = op.i64("onesided") != 0;
  shape.mirrors = shape.is_inverse && is_onesided;
  shape.length = length != nullptr               ? length->i64(0)
                 : is_onesided && !shape.mirrors ? x[shape.axis]
                                                 : y[shape.axis];
  return shape;
}

const Tensor* constant_operand(GroupEmitter& e, const Node& node, size_t i) {
  return node.has_operand(i) ? e.constant_of(node.operands[i]) : nullptr;
}

Register emit_dft(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  const std::vector<int64_t> x = e.shape(node.operands[0]);
  const DftShape shape = dft_shape(x, e.shape(node.results[0]), node.view(),
                                   constant_operand(e, node, 1), constant_operand(e, node, 2));
  Transform transform(e, shape.length, shape.is_inverse ? Direction::inverse : Direction::forward);
  int64_t given = std::min(x[shape.axis], shape.length);
  if (shape.mirrors) given = std::min(given, shape.length / 2 + 1);
  return by_parts(e, node, at, [&](const LaneIndex& one, Part part) {
    const auto element = [&](Index i) {
      std::vector<Index> from = one.dims;
      from[shape.axis] = i;
      return pull_complex(e, node.operands[0], from);
    };
    const Index k = one.dims[shape.axis];
    Values state = transform.add({0, given, 1}, transform.start(), k, part, element);
    if (shape.mirrors) {
      // Elements without a mirror image are 0, but their factors are passed.
      const int64_t first = shape.length - std::min((shape.length - 1) / 2, given - 1);
      const auto zero = [&](Index) { return Complex{e.builder().f64(0), std::nullopt}; };
      state = transform.add({given, first, 1}, state, k, part, zero);
      state = transform.add({first, shape.length, 1}, state, k, part, [&](Index i) {
        Complex mirrored = element(Index(shape.length) - i);
        if (mirrored.imaginary) mirrored.imaginary = e.builder().neg(*mirrored.imaginary);
        return mirrored;
      });
    }
    return transform.finished(state[0]);
  });
}

OrRefusal<void> check_length(int64_t length) {
  if (length < 1) return refuse("it transforms nothing");
  if (length > kMaxLength) return refuse("it transforms more than 65536 elements");
  return {};
}

OrRefusal<void> check_constants(const Module& module, const Graph& graph, const Node& node,
                                std::initializer_list<size_t> operands) {
  for (size_t i : operands) {
    if (node.has_operand(i) && module.constant_of(graph, node.operands[i]) == nullptr) {
      return refuse("its extents are not constant");
    }
  }
  return {};
}

OrRefusal<void> accepts_dft(const Module& module, const Graph& graph, const Node& node) {
  NEURONC_TRY(check_constants(module, graph, node, {1, 2}));
  const auto constant = [&](size_t i) {
    return node.has_operand(i) ? module.constant_of(graph, node.operands[i]) : nullptr;
  };
  const std::vector<int64_t> x = graph.type(node.operands[0]).shape();
  if (num_elements(x) == 0) return refuse("it transforms nothing");
  return check_length(
      dft_shape(x, graph.type(node.results[0]).shape(), node.view(), constant(1), constant(2))
          .length);
}

// ---- stft

Register emit_stft(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const int64_t step = e.constant_of(node.operands[1])->i64(0);
  const int64_t length =
      node.has_operand(3) ? e.constant_of(node.operands[3])->i64(0) : e.shape(node.operands[2])[0];
  Transform transform(e, length, Direction::forward);
  const bool has_parts = e.shape(node.operands[0]).size() == 3;
  return by_parts(e, node, at, [&](const LaneIndex& one, Part part) {
    const auto element = [&](Index i) {
      const Index place = one.dims[1] * Index(step) + i;
      Complex x;
      if (has_parts) {
        x = pull_complex(e, node.operands[0], {one.dims[0], place, Index(0)});
      } else {
        const LaneIndex from = LaneIndex::scalar({one.dims[0], place});
        x.real = b.convert(e.pull(node.operands[0], from), DType::f64);
      }
      if (!node.has_operand(2)) return x;
      const Register weight =
          b.convert(e.pull(node.operands[2], LaneIndex::scalar({i})), DType::f64);
      x.real = b.mul(x.real, weight);
      if (x.imaginary) x.imaginary = b.mul(*x.imaginary, weight);
      return x;
    };
    const Values sums =
        transform.add({0, length, 1}, transform.start(), one.dims[2], part, element);
    return transform.finished(sums[0]);
  });
}

OrRefusal<void> accepts_stft(const Module& module, const Graph& graph, const Node& node) {
  NEURONC_TRY(check_constants(module, graph, node, {1, 3}));
  return check_length(node.has_operand(3) ? module.constant_of(graph, node.operands[3])->i64(0)
                                          : graph.type(node.operands[2]).num_elements());
}

}  // namespace

void add_spectral_lowerings(LoweringTable& t) {
  row(t, Op::dft) = {emit_dft, nullptr, nullptr, accepts_dft};
  row(t, Op::stft) = {emit_stft, nullptr, nullptr, accepts_stft};
}

}  // namespace neuronc
