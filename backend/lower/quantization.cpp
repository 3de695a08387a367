// Default lowerings of quantisation and its inverse: one scale per tensor or per index of an axis;
// and of quantisation by the range of the values themselves.
#include "backend/lower/quantization.h"

#include <span>

#include "backend/lower/default_nest.h"
#include "backend/lower/lanes.h"
#include "backend/lower/lowering.h"

namespace neuronc {
namespace {

using kernel::Builder;

// Scale or zero point of the elements at `at`, in all lanes.
Register per_axis(GroupEmitter& e, const Node& node, size_t operand, const LaneIndex& at) {
  const ValueId value = node.operands[operand];
  const std::vector<int64_t> shape = e.shape(value);
  if (num_elements(shape) == 1) {
    // A scalar has no axis.
    return e.builder().splat(e.pull(value, origin(shape.size())), at.lanes);
  }
  const size_t axis = resolve_axis(node.view().i64("axis"), at.dims.size());
  return e.pull(value, at.with_dims({at.dims[axis]}, {at.steps[axis]}));
}

}  // namespace

Register saturated(Builder& b, Register quotient, Register zero_point, DType dtype) {
  const Register rounded = b.add(b.round_even(quotient), zero_point);
  // The conversion saturates.
  return b.convert(b.select(b.ne(quotient, quotient), zero_point, rounded), dtype);
}

namespace {

Register emit_quantize(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const Register quotient = b.div(e.pull(node.operands[0], at), per_axis(e, node, 1, at));
  Register zero_point = b.zero(quotient.type);
  if (node.has_operand(2)) zero_point = b.convert(per_axis(e, node, 2, at), DType::f32);
  return saturated(b, quotient, zero_point, e.type(node.results[0]).dtype);
}

// Differences of 16-bit integers and their products with an f32 scale round once in f32; all else
// is computed in f64, as the result is then rounded.
Register emit_dequantize(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  Builder& b = e.builder();
  const DType dtype = e.type(node.results[0]).dtype;
  const bool is_short = integer_bits(e.type(node.operands[0]).dtype) <= 16;
  const DType wide =
      is_short && dtype == DType::f32 && carrier_of(e.type(node.operands[1]).dtype) == DType::f32
          ? DType::f32
          : DType::f64;
  Register difference = b.convert(e.pull(node.operands[0], at), is_short ? DType::i32 : DType::i64);
  if (node.has_operand(2)) {
    const Register zero_point = per_axis(e, node, 2, at);
    difference = b.sub(difference, b.convert(zero_point, difference.type.dtype));
  }
  const Register scale = b.convert(per_axis(e, node, 1, at), wide);
  const Register product = b.mul(b.convert(difference, wide), scale);
  return b.convert(b.convert(product, dtype), carrier_of(dtype));
}

// ---- dynamic_quantize_linear: the range first, then the elements

class DynamicQuantization {
 public:
  DynamicQuantization(GroupEmitter& e, const Node& node)
      : e_(e), b_(e.builder()), node_(node), lanes_(e.vector_lanes(DType::f32)) {
    nest_.extents = e.shape(node.operands[0]);
    nest_.order = Storage::dense(DType::f32, nest_.extents).order(nest_.extents);
    nest_.lanes = nest_.extents.empty() ? 1 : lanes_;
    low_ = b_.local("low", DType::f32, {lanes_});
    high_ = b_.local("high", DType::f32, {lanes_});
  }

  void run() {
    find_range();
    const Register low = extreme(low_, [&](Register a, Register c) { return b_.min_num(a, c); });
    const Register high = extreme(high_, [&](Register a, Register c) { return b_.max_num(a, c); });
    const Register width = b_.div(b_.sub(high, low), b_.f32(255));
    const Register scale = b_.select(b_.eq(high, low), b_.f32(1), width);
    const Register zero_point =
        saturated(b_, b_.div(b_.sub(b_.f32(0), low), scale), b_.f32(0), DType::u8);
    if (node_.results.size() == 1) {
      quantise(scale, zero_point, [&](const LaneIndex& at, Register y) {
        e_.provide(node_.results[0], at, y);
        e_.store_results(at);
      });
      return;
    }
    // Nothing fuses with several results: they alone are the group's.
    for (size_t i = 0; i < e_.body().outputs().size(); ++i) {
      const ValueId output = e_.body().outputs()[i];
      if (output == node_.results[0]) {
        quantise(scale, zero_point,
                 [&](const LaneIndex& at, Register y) { e_.store_result(i, at, y); });
      } else {
        const bool is_scale = output == node_.results[1];
        e_.store_result(i, LaneIndex::scalar({}), is_scale ? scale : zero_point);
      }
    }
  }

 private:
  // 0 is in every range, so inactive lanes may be 0. NaN is left out.
  void find_range() {
    for (kernel::BufferId buffer : {low_, high_}) {
      b_.store(buffer, {0}, b_.zero({DType::f32, lanes_}));
    }
    emit_nest(e_, nest_, [&](const LaneIndex& at) {
      Register x = e_.pull(node_.operands[0], at);
      if (at.active < at.lanes) {
        x = b_.select(active_lanes(b_, at.lanes, at.active), x, b_.zero(x.type));
      }
      b_.store(low_, {0}, b_.min_num(x, b_.load(low_, {0}, at.lanes)));
      b_.store(high_, {0}, b_.max_num(x, b_.load(high_, {0}, at.lanes)));
    });
  }

  template <class Combine>
  Register extreme(kernel::BufferId buffer, Combine combine) {
    Register result = b_.load(buffer, {0});
    for (int lane = 1; lane < lanes_; ++lane) result = combine(b_.load(buffer, {lane}), result);
    return result;
  }

  template <class Store>
  void quantise(Register scale, Register zero_point, Store store) {
    emit_nest(e_, nest_, [&](const LaneIndex& at) {
      const Register quotient = b_.div(e_.pull(node_.operands[0], at), b_.splat(scale, at.lanes));
      const Register shift = b_.splat(b_.convert(zero_point, DType::f32), at.lanes);
      store(at, saturated(b_, quotient, shift, DType::u8));
    });
  }

  GroupEmitter& e_;
  Builder& b_;
  const Node& node_;
  int lanes_;
  NestShape nest_;
  kernel::BufferId low_, high_;
};

// A quarter of the table as a value.
Register table_quarter(kernel::Builder& b, std::span<const int64_t> table, DType dtype) {
  std::vector<int64_t> bits;
  for (int64_t entry : table) bits.push_back(entry & 0xff);
  return b.constant_lanes({dtype, kernel::kTableLanes}, bits);
}

Register emit_byte_table(GroupEmitter& e, const Node& node, size_t, const LaneIndex& at) {
  kernel::Builder& b = e.builder();
  const std::span<const int64_t> table = node.view().ints("table");
  const DType to = e.type(node.results[0]).dtype;
  Register x = e.pull(node.operands[0], at);
  if (x.type.dtype != DType::u8) x = b.bitcast(x, DType::u8);
  const auto half = [&](size_t first) {
    constexpr auto kLanes = static_cast<size_t>(kernel::kTableLanes);
    return b.lookup(x, table_quarter(b, table.subspan(first, kLanes), to),
                    table_quarter(b, table.subspan(first + kLanes, kLanes), to));
  };
  const Register low = half(0), high = half(table.size() / 2);
  const Register middle = b.constant_bits(x.type, 128);
  return b.select(b.lt(x, middle), low, high);
}

void nest_dynamic_quantize(GroupEmitter& e, const Node& node) {
  DynamicQuantization(e, node).run();
}

// The range is of the whole tensor.
int64_t one_tile(const Graph&, const Node&) { return 1; }

OrRefusal<void> accepts_scales(const Graph& graph, const Node& node, size_t quantised) {
  if (node.view().i64("block_size") != 0) return refuse("its scales are per block");
  const DType dtype = graph.type(quantised == 0 ? node.operands[0] : node.results[0]).dtype;
  if (!is_integer(dtype) || integer_bits(dtype) < 8) {
    return refuse("it quantises to a type narrower than 8 bits, or to small floats");
  }
  if (!is_float(graph.type(node.operands[1]).dtype)) return refuse("its scale is an integer");
  return {};
}

OrRefusal<void> accepts_quantize(const Module&, const Graph& graph, const Node& node) {
  for (size_t i : {0, 1}) {
    if (graph.type(node.operands[i]).dtype != DType::f32)
      return refuse("it works on other than f32");
  }
  return accepts_scales(graph, node, 1);
}

OrRefusal<void> accepts_dequantize(const Module&, const Graph& graph, const Node& node) {
  return accepts_scales(graph, node, 0);
}

}  // namespace

void add_quantization_lowerings(LoweringTable& t) {
  row(t, Op::quantize_linear) = {emit_quantize, nullptr, nullptr, accepts_quantize};
  row(t, Op::dequantize_linear) = {emit_dequantize, nullptr, nullptr, accepts_dequantize};
  row(t, Op::byte_table) = {emit_byte_table};
  row(t, Op::dynamic_quantize_linear) = {nullptr, nest_dynamic_quantize, one_tile};
}

}  // namespace neuronc
