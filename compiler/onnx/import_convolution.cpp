// Import rules of convolutions and pools: paddings given by a rule become numbers.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Ints = std::vector<int64_t>;

// What a sliding window is described by, one entry per spatial axis.
struct Window {
  Ints kernel, strides, dilations, pads;  // pads: all begins, then all ends
  size_t num_axes() const { return kernel.size(); }
};

bool all_equal(const Ints& values, int64_t number) {
  return std::all_of(values.begin(), values.end(), [&](int64_t v) { return v == number; });
}

Ints checked_list(NodeContext& node, std::string_view name, size_t count, int64_t fallback,
                  int64_t least) {
  Ints values = node.ints(name);
  if (values.empty()) values.assign(count, fallback);
  const bool is_wrong = values.size() != count || std::any_of(values.begin(), values.end(),
                                                              [&](auto v) { return v < least; });
  if (is_wrong && !node.failed()) {
    node.invalid(fmt::format("attribute `{}` needs {} numbers of at least {}", name, count, least));
    values.assign(count, fallback);
  }
  return values;
}

// Spatial extents of an operand [N,C,D...].
Ints spatial_extents(NodeContext& node, ValueId value) {
  Ints shape = node.shape(value);
  if (shape.size() < 2) return {};
  return Ints(shape.begin() + 2, shape.end());
}

// begin and end of a total padding; the odd element goes to the end for SAME_UPPER.
void add_same_pads(Ints& pads, size_t axis, size_t num_axes, int64_t total, bool is_upper) {
  const int64_t small = total / 2;
  pads[axis] = is_upper ? small : total - small;
  pads[axis + num_axes] = total - pads[axis];
}

// Pads as numbers. SAME: as many windows as strides fit into the input.
void resolve_pads(NodeContext& node, Window& window, ValueId x) {
  const size_t n = window.num_axes();
  const std::string auto_pad = node.string("auto_pad", "NOTSET");
  window.pads.assign(2 * n, 0);
  if (auto_pad == "NOTSET" || auto_pad.empty()) {
    window.pads = node.ints("pads");
    if (window.pads.empty()) window.pads.assign(2 * n, 0);
    if (window.pads.size() != 2 * n) node.invalid(fmt::format("`pads` needs {} numbers", 2 * n));
    return;
  }
  if (auto_pad == "VALID") return;
  if (auto_pad != "SAME_UPPER" && auto_pad != "SAME_LOWER") {
    return node.invalid(fmt::format("attribute `auto_pad` is `{}`", auto_pad));
  }
  const Ints extents = spatial_extents(node, x);
  if (node.failed()) return;
  for (size_t i = 0; i < n && i < extents.size(); ++i) {
    const int64_t covered = (window.kernel[i] - 1) * window.dilations[i] + 1;
    const int64_t num_windows = (extents[i] + window.strides[i] - 1) / window.strides[i];
    const int64_t needed = (num_windows - 1) * window.strides[i] + covered;
    add_same_pads(window.pads, i, n, std::max<int64_t>(needed - extents[i], 0),
                  auto_pad == "SAME_UPPER");
  }
}

// Attributes of the window that are not the IR's defaults.
std::vector<NamedAttribute> window_attributes(const Window& window) {
  std::vector<NamedAttribute> attributes;
  if (!all_equal(window.dilations, 1)) attributes.push_back({"dilations", window.dilations});
  if (!all_equal(window.pads, 0)) attributes.push_back({"pads", window.pads});
  if (!all_equal(window.strides, 1)) attributes.push_back({"strides", window.strides});
  return attributes;
}

// The window of a convolution whose weight is input `weight`.
Window convolution_window(NodeContext& node, size_t weight = 1) {
  Window window;
  window.kernel = spatial_extents(node, node.input(weight));
  const Ints declared = node.ints("kernel_shape");
  if (!declared.empty() && declared != window.kernel && !node.failed()) {
    node.invalid("attribute `kernel_shape` contradicts the weight's shape");
  }
  const size_t n = window.num_axes();
  window.strides = checked_list(node, "strides", n, 1, 1);
  window.dilations = checked_list(node, "dilations", n, 1, 1);
  return window;
}

}  // namespace

ValueId emit_conv(NodeContext& node, std::vector<ValueId> operands) {
  if (!operands[0] || !node.has_input(1)) {
    node.invalid("it needs two inputs");
    return {};
  }
  Window window = convolution_window(node);
  resolve_pads(node, window, operands[0]);
  auto attributes = window_attributes(window);
  attributes.push_back({"group", node.i64("group", 1)});
  return node.emit(Op::conv, std::move(operands), std::move(attributes));
}

void import_conv(NodeContext& node, const Rule&) {
  if (!node.has_input(0)) return node.invalid("it needs two inputs");
  node.set_output(0, emit_conv(node, node.inputs()));
}

// ConvInteger, and QLinearConv, whose weight stands behind the scale and zero point of x.
ValueId emit_conv_quantised(NodeContext& node, Op op, std::vector<ValueId> operands) {
  const size_t weight = op == Op::q_linear_conv ? 3 : 1;
  if (operands.empty() || !operands[0] || !node.has_input(weight)) {
    node.invalid("an input is missing");
    return {};
  }
  Window window = convolution_window(node, weight);
  resolve_pads(node, window, operands[0]);
  auto attributes = window_attributes(window);
  attributes.push_back({"group", node.i64("group", 1)});
  return node.emit(op, std::move(operands), std::move(attributes));
}

void import_conv_quantised(NodeContext& node, const Rule& rule) {
  node.set_output(0, emit_conv_quantised(node, rule.op, node.inputs()));
}

// `output_shape` and SAME give the output's extents; the padding follows from them.
void import_conv_transpose(NodeContext& node, const Rule&) {
  if (!node.has_input(0) || !node.has_input(1)) return node.invalid("it needs two inputs");
  Window window = convolution_window(node);
  const size_t n = window.num_axes();
  Ints output_padding = checked_list(node, "output_padding", n, 0, 0);
  Ints output_shape = node.ints("output_shape");
  const std::string auto_pad = node.string("auto_pad", "NOTSET");
  const bool is_same = auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER";
  if (output_shape.size() > n) {
    output_shape.erase(output_shape.begin(),
                       output_shape.begin() + static_cast<std::ptrdiff_t>(output_shape.size() - n));
  }
  if (output_shape.empty() && !is_same) {
    resolve_pads(node, window, node.input(0));
  } else {
    const Ints extents = spatial_extents(node, node.input(0));
    window.pads.assign(2 * n, 0);
    if (!output_shape.empty() && output_shape.size() != n) {
      node.invalid("attribute `output_shape` has the wrong length");
    }
    for (size_t i = 0; i < n && i < extents.size() && !node.failed(); ++i) {
      const int64_t wanted =
          output_shape.empty() ? extents[i] * window.strides[i] : output_shape[i];
      const int64_t natural = window.strides[i] * (extents[i] - 1) + output_padding[i] +
                              (window.kernel[i] - 1) * window.dilations[i] + 1;
      if (natural < wanted) output_padding[i] += wanted - natural;
      add_same_pads(window.pads, i, n, std::max<int64_t>(natural - wanted, 0),
                    auto_pad == "SAME_UPPER");
    }
  }
  auto attributes = window_attributes(window);
  attributes.push_back({"group", node.i64("group", 1)});
  if (!all_equal(output_padding, 0)) attributes.push_back({"output_padding", output_padding});
  node.set_output(0, node.emit(Op::conv_transpose, node.inputs(), std::move(attributes)));
}

namespace {

std::vector<ValueId> emit_pools(NodeContext& node, Op op, ValueId x, size_t num_results,
                                std::vector<std::string_view> handled) {
  Window window;
  window.kernel = node.ints("kernel_shape");
  const size_t n = window.num_axes();
  if (n == 0) {
    node.invalid("attribute `kernel_shape` is missing");
    return std::vector<ValueId>(num_results);
  }
  window.strides = checked_list(node, "strides", n, 1, 1);
  window.dilations = checked_list(node, "dilations", n, 1, 1);
  resolve_pads(node, window, x);
  for (const char* name : {"auto_pad", "dilations", "pads", "strides", "p"}) {
    handled.emplace_back(name);
  }
  auto attributes = direct_attributes(node, op, std::move(handled));
  for (NamedAttribute& attribute : window_attributes(window)) {
    attributes.push_back(std::move(attribute));
  }
  // The exponent of LpPool was a float at first.
  if (node.has("p")) {
    const bool is_float = node.version() < 2;
    attributes.push_back(
        {"p", is_float ? static_cast<int64_t>(node.f64("p", 2)) : node.i64("p", 2)});
  }
  return node.emit_many(op, {x}, std::move(attributes), num_results);
}

}  // namespace

ValueId emit_pool(NodeContext& node, Op op, ValueId x, std::vector<std::string_view> handled) {
  return emit_pools(node, op, x, 1, std::move(handled))[0];
}

void import_pool(NodeContext& node, const Rule& rule) {
  const auto results =
      emit_pools(node, rule.op, node.input(0), std::max<size_t>(node.num_outputs(), 1), {});
  for (size_t i = 0; i < results.size(); ++i) node.set_output(i, results[i]);
}

// The exponent was a float at first.
void import_global_lp_pool(NodeContext& node, const Rule& rule) {
  const int64_t p = node.version() < 2 ? static_cast<int64_t>(node.f64("p", 2)) : node.i64("p", 2);
  node.set_output(0, node.emit(rule.op, {node.input(0)}, {{"p", p}}));
}

}  // namespace neuronc::onnx
