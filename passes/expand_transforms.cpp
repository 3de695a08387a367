// Implements expand_transforms.h.
#include "passes/expand_transforms.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ir/ops/resize_taps.h"
#include "passes/rewrite.h"

namespace neuronc {
namespace {

// What the operator of `node` gives for these operands.
OrRefusal<Tensor> evaluate(const Node& node, std::span<const HostValue* const> operands,
                           Type result) {
  const EvaluateInput input{node.view(), operands, std::span(&result, 1)};
  NEURONC_ASSIGN(auto values, node.def().evaluate(input));
  return std::move(values.at(0).elements.at(0));
}

// Element i of row i is 1.
Tensor identity(int64_t extent, std::vector<int64_t> shape) {
  Tensor tensor = Tensor::zeros(DType::f32, std::move(shape));
  for (int64_t i = 0; i < extent; ++i) tensor.set_f64(i * extent + i, 1);
  return tensor;
}

// An element that no result depends on must not reach one as infinity times zero. (A window's zeros
// are factors of the definition.)
OrRefusal<void> check_rows(const Tensor& matrix, int64_t num_rows) {
  const std::span<const float> values = matrix.as<float>();
  const size_t width = values.size() / static_cast<size_t>(num_rows);
  for (size_t row = 0; row < static_cast<size_t>(num_rows); ++row) {
    const auto line = values.subspan(row * width, width);
    if (std::all_of(line.begin(), line.end(), [](float v) { return v == 0; })) {
      return refuse("it leaves elements out");
    }
  }
  return {};
}

OrRefusal<void> check_size(int64_t rows, int64_t columns, const ExpandTransformsOptions& options) {
  const double size_bytes = 4.0 * static_cast<double>(rows) * static_cast<double>(columns);
  if (rows > 0 && columns > 0 && size_bytes <= static_cast<double>(options.max_bytes)) return {};
  return refuse(fmt::format("its matrix takes {} bytes", size_bytes));
}

OrRefusal<void> check_types(const Rewriter& rewriter, const Node& node) {
  if (node.placement != Placement::core) return refuse("it runs on the host");
  const Type& x = rewriter.type(node.operands[0]);
  const Type& y = rewriter.type(node.results[0]);
  if (x.dtype != DType::f32 || y.dtype != DType::f32) return refuse("it is not f32");
  if (!x.is_static() || !y.is_static() || y.num_elements() == 0) return refuse("it is empty");
  return {};
}

ValueId reshape(Rewriter& rewriter, NodeId position, ValueId x, const std::vector<int64_t>& shape) {
  return rewriter.make(position, Op::reshape,
                       {x, rewriter.make_constant(position, Tensor::ints(shape))});
}

ValueId transpose(Rewriter& rewriter, NodeId position, ValueId x, std::vector<int64_t> perm) {
  if (std::is_sorted(perm.begin(), perm.end())) return x;
  return rewriter.make(position, Op::transpose, {x}, {{"perm", std::move(perm)}});
}

// ---- dft

OrRefusal<void> expand_dft(Rewriter& rewriter, NodeId id, const ExpandTransformsOptions& options) {
  const Node& node = rewriter.node(id);
  NEURONC_TRY(check_types(rewriter, node));
  const std::vector<int64_t> x = rewriter.type(node.operands[0]).shape();
  const std::vector<int64_t> y = rewriter.type(node.results[0]).shape();
  const auto rank = static_cast<int64_t>(x.size());
  const Tensor* length = rewriter.constant(id, 1);
  const Tensor* given_axis = rewriter.constant(id, 2);
  if (node.has_operand(1) && length == nullptr) return refuse("its length is not constant");
  int64_t axis = given_axis == nullptr ? rank - 2 : given_axis->i64(0);
  if (axis < 0) axis += rank;
  const auto at = static_cast<size_t>(axis);
  const int64_t rows = x[at] * x.back(), columns = y[at] * y.back();
  NEURONC_TRY(check_size(rows, columns, options));

  const HostValue units = identity(rows, {rows, x[at], x.back()});
  const HostValue along = Tensor::scalar(DType::i64, 1);
  const HostValue extent = length == nullptr ? Tensor() : *length;
  const HostValue* operands[] = {&units, length == nullptr ? nullptr : &extent, &along};
  NEURONC_ASSIGN(const Tensor matrix,
                 evaluate(node, operands,
                          Type::tensor(DType::f32, std::vector<int64_t>{rows, y[at], y.back()})));
  NEURONC_TRY(check_rows(matrix, rows));

  // The axis goes beside the parts, and back again.
  std::vector<int64_t> perm;
  for (int64_t i = 0; i < rank - 1; ++i) {
    if (i != axis) perm.push_back(i);
  }
  perm.insert(perm.end(), {axis, rank - 1});
  std::vector<int64_t> inverse(perm.size()), lines, shape;
  for (size_t i = 0; i < perm.size(); ++i)
    inverse[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  for (int64_t from : perm) shape.push_back(y[static_cast<size_t>(from)]);
  lines.assign(shape.begin(), shape.end() - 2);
  lines.push_back(rows);
  ValueId value = transpose(rewriter, id, node.operands[0], perm);
  value = reshape(rewriter, id, value, lines);
  const ValueId weights = rewriter.make_constant(id, matrix.with_shape({rows, columns}));
  value = rewriter.make(id, Op::matmul, {value, weights});
  value = reshape(rewriter, id, value, shape);
  rewriter.replace(id, transpose(rewriter, id, value, inverse));
  return {};
}

// ---- stft

struct Framing {
  int64_t batch, signal, frames, length, step;
};

ValueId slice(Rewriter& rewriter, NodeId position, ValueId x, int64_t axis, int64_t begin,
              int64_t end) {
  const auto list = [&](int64_t number) {
    return rewriter.make_constant(position, Tensor::ints(std::vector{number}));
  };
  return rewriter.make(position, Op::slice, {x, list(begin), list(end), list(axis)});
}

// [batch, frames, length]: blocks of a step each, and beside each block those that follow it. What
// fills up the last block is in no frame.
ValueId frames_of(Rewriter& rewriter, NodeId position, const Framing& f, ValueId signal) {
  const int64_t per_frame = (f.length + f.step - 1) / f.step;
  const int64_t num_blocks = f.frames - 1 + per_frame;
  ValueId blocks = reshape(rewriter, position, signal, {f.batch, f.signal});
  const int64_t missing = num_blocks * f.step - f.signal;
  if (missing > 0) {
    const std::vector<int64_t> pads{0, 0, 0, missing};
    blocks = rewriter.make(position, Op::pad,
                           {blocks, rewriter.make_constant(position, Tensor::ints(pads))});
  } else if (missing < 0) {
    blocks = slice(rewriter, position, blocks, 1, 0, num_blocks * f.step);
  }
  blocks = reshape(rewriter, position, blocks, {f.batch, num_blocks, f.step});
  std::vector<ValueId> parts;
  for (int64_t i = 0; i < per_frame; ++i) {
    const ValueId block = slice(rewriter, position, blocks, 1, i, i + f.frames);
    parts.push_back(
        slice(rewriter, position, block, 2, 0, std::min(f.step, f.length - i * f.step)));
  }
  return rewriter.make(position, Op::concat, parts, {{"axis", int64_t{2}}});
}

OrRefusal<void> expand_stft(Rewriter& rewriter, NodeId id, const ExpandTransformsOptions& options) {
  const Node& node = rewriter.node(id);
  NEURONC_TRY(check_types(rewriter, node));
  const std::vector<int64_t> x = rewriter.type(node.operands[0]).shape();
  const std::vector<int64_t> y = rewriter.type(node.results[0]).shape();
  if (x.size() == 3 && x[2] != 1) return refuse("its signal is complex");
  const Tensor* step = rewriter.constant(id, 1);
  const Tensor* window = rewriter.constant(id, 2);
  const Tensor* length = rewriter.constant(id, 3);
  if (step == nullptr || (node.has_operand(2) && window == nullptr) ||
      (node.has_operand(3) && length == nullptr)) {
    return refuse("its window is not constant");
  }
  const int64_t rows = length != nullptr ? length->i64(0) : window->num_elements();
  NEURONC_TRY(check_size(rows, y[2] * 2, options));

  const HostValue units = identity(rows, {rows, rows, 1});
  const HostValue one = Tensor::scalar(DType::i64, 1);
  const HostValue weighting = window == nullptr ? Tensor() : *window;
  const HostValue extent = Tensor::scalar(DType::i64, static_cast<double>(rows));
  const HostValue* operands[] = {&units, &one, window == nullptr ? nullptr : &weighting, &extent};
  NEURONC_ASSIGN(
      const Tensor matrix,
      evaluate(node, operands, Type::tensor(DType::f32, std::vector<int64_t>{rows, 1, y[2], 2})));

  const ValueId frames =
      frames_of(rewriter, id, {x[0], x[1], y[1], rows, step->i64(0)}, node.operands[0]);
  const ValueId weights = rewriter.make_constant(id, matrix.with_shape({rows, y[2] * 2}));
  rewriter.replace(id, reshape(rewriter, id, rewriter.make(id, Op::matmul, {frames, weights}), y));
  return {};
}

// ---- convolutions that are products

bool is_each(const std::vector<int64_t>& list, int64_t number) {
  return std::all_of(list.begin(), list.end(), [&](int64_t i) { return i == number; });
}

std::vector<NamedAttribute> result_type_of(const OpView& op) {
  if (!op.has("result_type")) return {};
  return {{"result_type", op.dtype("result_type")}};
}

// One pixel spreads its multiples of the kernel, which meet no others.
OrRefusal<void> expand_pixel(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  const Type& x = rewriter.type(node.operands[0]);
  const Type& y = rewriter.type(node.results[0]);
  const Tensor* weights = rewriter.constant(id, 1);
  // The bias is added behind a result that is not rounded.
  if (y.dtype != DType::f32 || !x.is_static() || !y.is_static() || weights == nullptr) {
    return refuse("it is not of f32, static and with constant weights");
  }
  const std::vector<int64_t> from = x.shape(), to = y.shape(), w = weights->shape();
  const OpView op = node.view();
  if (!is_each({from.begin() + 2, from.end()}, 1) || op.i64("group") != 1 ||
      !is_each(op.ints("pads"), 0) || !is_each(op.ints("dilations"), 1) ||
      !std::equal(to.begin() + 1, to.end(), w.begin() + 1, w.end()) || y.num_elements() == 0) {
    return refuse("its result is not the kernel's multiple");
  }
  const int64_t columns = weights->num_elements() / w[0];
  const std::vector<ValueId> operands = node.operands;
  std::vector<NamedAttribute> attributes = result_type_of(op);
  const ValueId rows = reshape(rewriter, id, operands[0], {from[0], from[1]});
  const ValueId kernels = reshape(rewriter, id, operands[1], {w[0], columns});
  ValueId value = reshape(
      rewriter, id, rewriter.make(id, Op::matmul, {rows, kernels}, std::move(attributes)), to);
  if (operands.size() > 2 && operands[2]) {
    std::vector<int64_t> channels(to.size() - 1, 1);
    channels[0] = to[1];
    value = rewriter.make(id, Op::add, {value, reshape(rewriter, id, operands[2], channels)});
  }
  rewriter.replace(id, value);
  return {};
}

// A window as large as the image makes one pixel of it: of several images, a product that reads the
// weights once.
OrRefusal<void> expand_whole_window(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  const Type& x = rewriter.type(node.operands[0]);
  const Type& y = rewriter.type(node.results[0]);
  const Tensor* weights = rewriter.constant(id, 1);
  if (y.dtype != DType::f32 || !x.is_static() || !y.is_static() || weights == nullptr) {
    return refuse("it is not of f32, static and with constant weights");
  }
  const std::vector<int64_t> from = x.shape(), to = y.shape(), w = weights->shape();
  const OpView op = node.view();
  // Windows of one element are pixels as they are, and fuse with what makes them.
  const int64_t taps = num_elements({w.begin() + 2, w.end()});
  if (from[0] < 2 || taps == 1 || !is_each(op.ints("pads"), 0) ||
      !is_each(op.ints("dilations"), 1) || op.i64("group") != 1 || num_elements(from) == 0 ||
      !std::equal(from.begin() + 1, from.end(), w.begin() + 1, w.end())) {
    return refuse("its window is not the image");
  }
  const std::vector<ValueId> operands = node.operands;
  const std::vector<NamedAttribute> attributes = result_type_of(op);
  const int64_t k = w[1] * taps;
  const ValueId rows = reshape(rewriter, id, operands[0], {from[0], k});
  const ValueId columns =
      transpose(rewriter, id, reshape(rewriter, id, operands[1], {w[0], k}), {1, 0});
  ValueId value = rewriter.make(id, Op::matmul, {rows, columns}, attributes);
  if (operands.size() > 2 && operands[2]) {
    value = rewriter.make(id, Op::add, {value, operands[2]});
  }
  rewriter.replace(id, reshape(rewriter, id, value, to));
  return {};
}

// More taps than these along an axis are worth a pass over the image of their own.
constexpr size_t kFewTaps = 4;

size_t num_taps(const ResizeAxis& axis) {
  size_t count = 1;
  for (const auto& taps : axis.taps) count = std::max(count, taps.size());
  return count;
}

// Along axes in order: the first is the farthest from the elements that lie together, and what it
// leaves is less to resize.
OrRefusal<void> split_resize(Rewriter& rewriter, NodeId id) {
  const Node& node = rewriter.node(id);
  const OpView op = node.view();
  const Type& x = rewriter.type(node.operands[0]);
  const bool has_sizes = node.has_operand(3);
  const Tensor* extents = rewriter.constant(id, has_sizes ? 3 : 2);
  if (x.dtype != DType::f32 || !x.is_static() || extents == nullptr) {
    return refuse("it is not of f32 and static");
  }
  const std::string mode = op.string("coordinate_transformation_mode");
  if (op.string("mode") == "nearest" || mode == "tf_crop_and_resize" ||
      op.string("keep_aspect_ratio_policy") != "stretch") {
    return refuse("its axes are not resized each by itself");
  }
  NEURONC_ASSIGN(const std::vector<ResizeAxis> axes,
                 resize_axes(op, x.shape(), nullptr, has_sizes ? nullptr : extents,
                             has_sizes ? extents : nullptr));
  std::vector<int64_t> resized;
  size_t most = 0;
  for (size_t d = 0; d < axes.size(); ++d) {
    if (axes[d].is_identity) continue;
    resized.push_back(static_cast<int64_t>(d));
    most = std::max(most, num_taps(axes[d]));
  }
  if (resized.size() < 2 || most <= kFewTaps) return refuse("few elements make a result");
  std::vector<int64_t> named = op.ints("axes");
  if (named.empty()) {
    named.resize(axes.size());
    std::iota(named.begin(), named.end(), 0);
  }
  for (int64_t& axis : named) axis += axis < 0 ? static_cast<int64_t>(axes.size()) : 0;
  const Tensor given = *extents;
  ValueId value = node.operands[0];
  const std::vector<NamedAttribute> attributes{{"antialias", op.i64("antialias")},
                                               {"coordinate_transformation_mode", mode},
                                               {"cubic_coeff_a", op.f64("cubic_coeff_a")},
                                               {"exclude_outside", op.i64("exclude_outside")},
                                               {"mode", op.string("mode")}};
  for (int64_t axis : resized) {
    const int64_t at = std::find(named.begin(), named.end(), axis) - named.begin();
    Tensor extent = Tensor::zeros(given.dtype(), {1});
    extent.set_f64(0, given.f64(at));
    const ValueId constant = rewriter.make_constant(id, extent);
    std::vector<NamedAttribute> own = attributes;
    own.push_back({"axes", std::vector<int64_t>{axis}});
    value = has_sizes ? rewriter.make(id, Op::resize, {value, ValueId(), ValueId(), constant}, own)
                      : rewriter.make(id, Op::resize, {value, ValueId(), constant}, own);
  }
  rewriter.replace(id, value);
  return {};
}

}  // namespace

namespace {

Changed expand_in_main_graph(Module& module, const ExpandTransformsOptions& options,
                             PassContext& context) {
  Changed changed = Changed::no;
  Rewriter rewriter{module, module.graph(), context.remarks};
  for (NodeId id : module.graph().nodes()) {
    const Op op = rewriter.node(id).op;
    if (op == Op::resize && split_resize(rewriter, id)) changed = Changed::yes;
    if (op == Op::conv && expand_whole_window(rewriter, id)) changed = Changed::yes;
    if (op == Op::conv_transpose && expand_pixel(rewriter, id)) changed = Changed::yes;
    if (op != Op::dft && op != Op::stft) continue;
    const OrRefusal<void> done =
        op == Op::dft ? expand_dft(rewriter, id, options) : expand_stft(rewriter, id, options);
    if (done) {
      changed = Changed::yes;
      continue;
    }
    context.remarks.missed(rewriter.label(id),
                           fmt::format("`{}` is summed up term by term: {}",
                                       rewriter.node(id).def().name, done.error().reason));
  }
  return changed;
}

}  // namespace

Expected<Changed> expand_transforms(Module& module, const ExpandTransformsOptions& options,
                                    PassContext& context) {
  return on_core_graphs(module, [&]() -> Expected<Changed> {
    return expand_in_main_graph(module, options, context);
  });
}

}  // namespace neuronc
