// Adjoints of products, convolutions, pools and normalisations.
#include <numeric>

#include "compiler/onnx/gradient.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

using Node = AdjointNode;
using Ints = std::vector<int64_t>;

ValueId product(Node& node, ValueId a, ValueId b) { return node.emit(Op::matmul, {a, b}); }

void make_matmul(Node& node) {
  NodeContext& context = node.context();
  const Ints a_shape = node.shape(node.operand(0)), b_shape = node.shape(node.operand(1));
  if (context.failed()) return;
  // A vector is a row on the left and a column on the right.
  Ints g_shape = node.shape(node.result());
  ValueId a = node.operand(0), b = node.operand(1);
  if (b_shape.size() == 1) {
    b = reshape_to(context, b, {b_shape[0], 1});
    g_shape.push_back(1);
  }
  if (a_shape.size() == 1) {
    a = reshape_to(context, a, {1, a_shape[0]});
    g_shape.insert(g_shape.end() - 1, 1);
  }
  const ValueId g = reshape_to(context, node.gradient(), g_shape);
  const auto set = [&](size_t i, ValueId value, const Ints& shape) {
    if (shape.size() > 1) return node.set(i, value);
    // What is left of a vector's gradient behind the sum over the other's matrices.
    const Ints all = node.shape(value);
    Ints outer(all.size() - 2);
    std::iota(outer.begin(), outer.end(), 0);
    node.set_exact(i, reshape_to(context, node.sum(value, outer, false), shape));
  };
  if (node.wants(0)) set(0, product(node, g, node.transposed(b)), a_shape);
  if (node.wants(1)) set(1, product(node, node.transposed(a), g), b_shape);
}

void make_gemm(Node& node) {
  const ValueId g = node.gradient();
  const bool is_a_turned = node.op().i64("transA") != 0;
  const bool is_b_turned = node.op().i64("transB") != 0;
  const auto turned = [&](ValueId x, bool turns) { return turns ? node.transposed(x) : x; };
  const double alpha = node.op().f64("alpha");
  if (node.wants(0)) {
    const ValueId d = product(node, g, turned(node.operand(1), !is_b_turned));
    node.set(0, node.scaled(alpha, turned(d, is_a_turned)));
  }
  if (node.wants(1)) {
    const ValueId d = product(node, turned(node.operand(0), !is_a_turned), g);
    node.set(1, node.scaled(alpha, turned(d, is_b_turned)));
  }
  if (node.wants(2)) node.set(2, node.scaled(node.op().f64("beta"), g));
}

// ---- convolutions and pools

// Attributes of a window, complete.
struct Window {
  Ints kernel, strides, dilations, pads;

  size_t rank() const { return kernel.size(); }
  int64_t extent(size_t i) const { return (kernel[i] - 1) * dilations[i] + 1; }
};

Window window_of(Node& node, Ints kernel) {
  Window w;
  w.kernel = std::move(kernel);
  const auto or_ones = [&](Ints given) { return given.empty() ? Ints(w.kernel.size(), 1) : given; };
  w.strides = or_ones(node.op().ints("strides"));
  w.dilations = or_ones(node.op().ints("dilations"));
  w.pads = node.op().ints("pads");
  if (w.pads.empty()) w.pads.assign(2 * w.kernel.size(), 0);
  return w;
}

// The transposed convolution of `g` [N, M, ..] with `weight` [M, C/group, ..], as large as x.
ValueId transposed_convolution(Node& node, ValueId g, ValueId weight, const Window& w,
                               int64_t group, const Ints& x_shape) {
  const Ints g_shape = node.shape(g);
  Ints rest;
  for (size_t i = 0; i < w.rank(); ++i) {
    const int64_t reached =
        (g_shape[i + 2] - 1) * w.strides[i] + w.extent(i) - w.pads[i] - w.pads[i + w.rank()];
    rest.push_back(x_shape[i + 2] - reached);
  }
  return node.emit(Op::conv_transpose, {g, weight},
                   {{"strides", w.strides},
                    {"dilations", w.dilations},
                    {"pads", w.pads},
                    {"output_padding", rest},
                    {"group", group}});
}

// x's channels become its batch and its batch becomes channels, and so with g: what remains is a
// convolution with g as the window, whose stride is the dilation and the other way round.
ValueId weight_gradient(Node& node, ValueId x, ValueId g, const Window& w) {
  NodeContext& context = node.context();
  Ints perm(w.rank() + 2);
  std::iota(perm.begin(), perm.end(), 0);
  std::swap(perm[0], perm[1]);
  const auto exchanged = [&](ValueId v) { return node.emit(Op::transpose, {v}, {{"perm", perm}}); };
  const ValueId all =
      node.emit(Op::conv, {exchanged(x), exchanged(g)},
                {{"strides", w.dilations}, {"dilations", w.strides}, {"pads", w.pads}});
  Ints axes, starts(w.rank(), 0);
  for (size_t i = 0; i < w.rank(); ++i) axes.push_back(static_cast<int64_t>(i) + 2);
  const ValueId cut =
      node.emit(Op::slice, {all, context.ints(starts), context.ints(w.kernel), context.ints(axes)});
  return exchanged(cut);
}

constexpr int64_t kMostGroups = 1024;

void make_conv(Node& node) {
  NodeContext& context = node.context();
  const ValueId x = node.operand(0), weight = node.operand(1), g = node.gradient();
  const Ints x_shape = node.shape(x), w_shape = node.shape(weight);
  if (context.failed()) return;
  const int64_t group = node.op().i64("group");
  const Window w = window_of(node, Ints(w_shape.begin() + 2, w_shape.end()));
  if (node.wants(0)) {
    node.set_exact(0, transposed_convolution(node, g, weight, w, group, x_shape));
  }
  if (node.wants(1)) {
    if (group > kMostGroups) return node.unsupported("its convolution has too many groups");
    const auto part = [&](ValueId v, int64_t i, int64_t count) {
      return node.emit(Op::slice, {v, context.ints({i * count}), context.ints({(i + 1) * count}),
                                   context.ints({1})});
    };
    std::vector<ValueId> parts;
    for (int64_t i = 0; i < group && !context.failed(); ++i) {
      parts.push_back(group == 1 ? weight_gradient(node, x, g, w)
                                 : weight_gradient(node, part(x, i, x_shape[1] / group),
                                                   part(g, i, w_shape[0] / group), w));
    }
    node.set_exact(1, group == 1 ? parts[0] : node.emit(Op::concat, parts, {{"axis", int64_t{0}}}));
  }
  if (node.wants(2)) {
    Ints axes{0};
    for (size_t i = 0; i < w.rank(); ++i) axes.push_back(static_cast<int64_t>(i) + 2);
    node.set_exact(2, node.sum(g, axes, false));
  }
}

// The element that each window took gets its gradient.
void make_max_pool(Node& node) {
  NodeContext& context = node.context();
  const ValueId x = node.operand(0);
  const Ints shape = node.shape(x);
  if (context.failed()) return;
  std::vector<NamedAttribute> attributes;
  for (const char* name : {"dilations", "kernel_shape", "pads", "strides"}) {
    attributes.push_back({name, node.op().ints(name)});
  }
  attributes.push_back({"ceil_mode", node.op().i64("ceil_mode")});
  const auto results = context.emit_many(Op::max_pool, {x}, std::move(attributes), 2);
  if (context.failed()) return;
  const int64_t count = num_elements(node.shape(node.result()));
  const ValueId room =
      node.emit(Op::expand, {node.number(x, 0), context.ints({num_elements(shape)})});
  const ValueId flat = node.emit(Op::scatter_elements,
                                 {room, reshape_to(context, results[1], {count}),
                                  reshape_to(context, node.gradient(), {count})},
                                 {{"axis", int64_t{0}}, {"reduction", std::string("add")}});
  node.set_exact(0, reshape_to(context, flat, shape));
}

void make_average_pool(Node& node) {
  NodeContext& context = node.context();
  const ValueId x = node.operand(0);
  const Ints shape = node.shape(x);
  if (context.failed()) return;
  if (node.op().i64("ceil_mode") != 0) {
    return node.unsupported("there is no derivative of an average pool in `ceil_mode`");
  }
  const Window w = window_of(node, node.op().ints("kernel_shape"));
  const auto window_size = static_cast<double>(num_elements(w.kernel));
  ValueId g = node.gradient();
  if (node.op().i64("count_include_pad") != 0) {
    g = node.scaled(1 / window_size, g);
  } else {
    // How many of each window's elements are none of the padding: the average of ones, padded.
    const ValueId ones = node.emit(Op::expand, {node.number(x, 1), context.ints(shape)});
    const ValueId share = node.emit(Op::average_pool, {ones},
                                    {{"count_include_pad", int64_t{1}},
                                     {"kernel_shape", w.kernel},
                                     {"pads", w.pads},
                                     {"dilations", w.dilations},
                                     {"strides", w.strides}});
    g = node.div(g, node.scaled(window_size, share));
  }
  Ints weight_shape{shape[1], 1};
  weight_shape.insert(weight_shape.end(), w.kernel.begin(), w.kernel.end());
  const ValueId weight = node.emit(Op::expand, {node.number(x, 1), context.ints(weight_shape)});
  node.set_exact(0, transposed_convolution(node, g, weight, w, shape[1], shape));
}

void make_global_average_pool(Node& node) {
  const Ints shape = node.shape(node.operand(0));
  if (node.context().failed()) return;
  const double count = static_cast<double>(num_elements(shape)) /
                       static_cast<double>(std::max<int64_t>(shape[0] * shape[1], 1));
  node.set(0, node.emit(Op::expand,
                        {node.scaled(1 / count, node.gradient()), node.context().ints(shape)}));
}

// ---- softmax and normalisations

void make_softmax(Node& node) {
  const ValueId weighted = node.mul(node.gradient(), node.result());
  const ValueId total = node.sum(weighted, {node.op().i64("axis")}, true);
  node.set(0, node.sub(weighted, node.mul(node.result(), total)));
}

void make_log_softmax(Node& node) {
  const ValueId total = node.sum(node.gradient(), {node.op().i64("axis")}, true);
  node.set(0, node.sub(node.gradient(), node.mul(node.emit(Op::exp, {node.result()}), total)));
}

// (x - mean) / sqrt(variance + epsilon) * scale + bias, with statistics that are operands.
void make_batch_normalization(Node& node) {
  NodeContext& context = node.context();
  const ValueId x = node.operand(0), g = node.gradient();
  const Ints shape = node.shape(x);
  if (context.failed()) return;
  if (node.op().i64("training_mode") != 0) {
    return node.unsupported("there is no derivative of `batch_normalization` in training");
  }
  Ints column(shape.size(), 1), axes;
  column[1] = shape[1];
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i != 1) axes.push_back(static_cast<int64_t>(i));
  }
  const auto wide = [&](size_t i) { return reshape_to(context, node.operand(i), column); };
  const ValueId deviation = node.emit(Op::sqrt, {node.plus(wide(4), node.op().f64("epsilon"))});
  const ValueId steep = node.div(node.mul(g, wide(1)), deviation);
  const ValueId normal = node.div(node.sub(x, wide(3)), deviation);
  if (node.wants(0)) node.set(0, steep);
  if (node.wants(1)) node.set_exact(1, node.sum(node.mul(g, normal), axes, false));
  if (node.wants(2)) node.set_exact(2, node.sum(g, axes, false));
  if (node.wants(3)) node.set_exact(3, node.neg(node.sum(steep, axes, false)));
  if (node.wants(4)) {
    const ValueId parts = node.div(node.mul(steep, normal), deviation);
    node.set_exact(4, node.scaled(-0.5, node.sum(parts, axes, false)));
  }
}

void make_layer_normalization(Node& node) {
  NodeContext& context = node.context();
  const ValueId x = node.operand(0), g = node.gradient();
  const Ints shape = node.shape(x);
  const auto rank = static_cast<int64_t>(shape.size());
  const int64_t axis = normalised_axis(context, node.op().i64("axis"), rank);
  if (context.failed()) return;
  for (size_t i = 1; i < node.num_results(); ++i) {
    if (node.gradient(i)) return node.unsupported("its statistics have no derivative here");
  }
  Ints axes(static_cast<size_t>(rank - axis));
  std::iota(axes.begin(), axes.end(), axis);
  const auto mean = [&](ValueId v) {
    return node.emit(Op::reduce_mean, {v, context.ints(axes)}, {{"keepdims", int64_t{1}}});
  };
  const ValueId centred = node.sub(x, mean(x));
  const ValueId variance = node.plus(mean(node.square(centred)), node.op().f64("epsilon"));
  const ValueId deviation = node.emit(Op::sqrt, {variance});
  const ValueId normal = node.div(centred, deviation);
  if (node.wants(0)) {
    const ValueId steep = node.mul(g, node.operand(1));
    const ValueId along = node.mul(normal, mean(node.mul(steep, normal)));
    node.set(0, node.div(node.sub(node.sub(steep, mean(steep)), along), deviation));
  }
  if (node.wants(1)) node.set(1, node.mul(g, normal));
  if (node.wants(2)) node.set(2, g);
}

constexpr Adjoint kAdjoints[] = {
    {Op::average_pool, make_average_pool},
    {Op::batch_normalization, make_batch_normalization},
    {Op::conv, make_conv},
    {Op::gemm, make_gemm},
    {Op::global_average_pool, make_global_average_pool},
    {Op::layer_normalization, make_layer_normalization},
    {Op::log_softmax, make_log_softmax},
    {Op::matmul, make_matmul},
    {Op::max_pool, make_max_pool},
    {Op::softmax, make_softmax},
};

}  // namespace

std::span<const Adjoint> product_adjoints() { return kAdjoints; }

}  // namespace neuronc::onnx
