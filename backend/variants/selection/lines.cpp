// Implements lines.h.
#include "backend/variants/selection/lines.h"

#include "backend/lower/lanes.h"

namespace neuronc {

using kernel::Builder;
using kernel::Index;

namespace {

// Short lines are found by passes, with a line in each lane.
constexpr int64_t kMinLine = 64;
// An element of as many lines as a register has lanes, in one of the passes of the default (measured on
// Zen 4).
constexpr double kPassNs = 2;

}  // namespace

int64_t SelectionLine::num_lines() const { return num_elements(shape) / n; }

OrRefusal<SelectionLine> selection_line(const GroupContext& context) {
  SelectionLine line;
  line.shape = context.operand_shape(0);
  line.axis = resolve_axis(context.anchor_node().view().i64("axis"), line.shape.size());
  line.n = line.shape[line.axis];
  line.k = context.result_shape()[line.axis];
  if (line.n < kMinLine) return refuse("its lines are short");
  if (line.k == 0 || num_elements(line.shape) == 0) return refuse("it has no elements");
  if (line.n > INT32_MAX / 2) return refuse("its lines are longer than 2^30");
  return line;
}

OrRefusal<double> faster_than_passes(const GroupContext& context, const SelectionLine& line,
                                     double line_ns) {
  const auto lines = static_cast<double>(line.num_lines());
  int64_t beside = 1;
  for (size_t d = line.axis + 1; d < line.shape.size(); ++d) beside *= line.shape[d];
  const int64_t lanes = context.machine.lanes(8);
  const double steps = static_cast<double>(line.n * line.k) * lines / static_cast<double>(lanes);
  if (beside >= lanes && steps * kPassNs < lines * line_ns) return refuse("its lines go by lanes");
  return context.machine.hardware.launch_ns + lines * line_ns;
}

DType selection_key(DType carrier) { return size_bytes(carrier) > 4 ? DType::i64 : DType::i32; }

Register selection_key_of(Builder& b, const Node& top_k, Register x) {
  const DType dtype = x.type.dtype, key_type = selection_key(dtype);
  const bool is_wide = key_type == DType::i64;
  Register key;
  if (dtype == DType::f32 || dtype == DType::f64) {
    const int bits = 8 * size_bytes(dtype);
    const Register number = b.bitcast(b.add(x, b.zero(x.type)), key_type);
    const Register magnitude_flips = b.lshr(b.ashr(number, bits - 1), 1);
    const Register greatest = b.constant_bits(number.type, is_wide ? INT64_MAX : INT32_MAX);
    key = b.select(b.eq(x, x), b.bit_xor(number, magnitude_flips), greatest);
  } else if (dtype == DType::u32 || dtype == DType::u64) {
    const Register bits = b.bitcast(x, key_type);
    key = b.bit_xor(bits, b.constant_bits(bits.type, is_wide ? INT64_MIN : INT32_MIN));
  } else {
    key = b.convert(x, key_type);
  }
  return top_k.view().i64("largest") != 0 ? key : b.bit_not(key);
}

std::vector<Index> begin_of_line(const SelectionLine& line, Index number) {
  std::vector<Index> dims(line.shape.size(), Index(0));
  for (size_t d = dims.size(); d-- > 0;) {
    if (d == line.axis || line.shape[d] == 1) continue;
    dims[d] = kernel::mod(number, line.shape[d]);
    number = kernel::floor_div(number, line.shape[d]);
  }
  return dims;
}

void store_selected(GroupEmitter& e, const Node& top_k, const SelectionLine& line,
                    std::vector<Index> dims, Index j, Index position) {
  dims[line.axis] = position;
  const Register value = e.pull(top_k.operands[0], LaneIndex::scalar(dims));
  dims[line.axis] = j;
  const LaneIndex at = LaneIndex::scalar(dims);
  e.provide(top_k.results[0], at, value);
  if (top_k.results.size() > 1) {
    e.provide(top_k.results[1], at, e.builder().index_value(position));
  }
  e.store_results(at);
}

}  // namespace neuronc
