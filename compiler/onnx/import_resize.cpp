// Import rules of Resize, its predecessor Upsample, and RoiAlign.
#include "compiler/onnx/import_rules.h"
#include "compiler/onnx/rule_tools.h"

namespace neuronc::onnx {
namespace {

// An optional operand that older versions left out by giving an empty tensor.
ValueId unless_empty(NodeContext& node, size_t i) {
  const ValueId value = node.input(i);
  if (!value) return value;
  const Type& type = node.type(value);
  return type.is_static() && type.num_elements() == 0 ? ValueId() : value;
}

// What Upsample and the first Resize have in common: no shift of coordinates.
ValueId emit_asymmetric(NodeContext& node, ValueId x, ValueId scales, std::string nearest_mode) {
  std::string mode = node.string("mode", "nearest");
  if (mode == "bilinear") mode = "linear";
  return node.emit(Op::resize, {x, ValueId(), scales},
                   {{"mode", mode},
                    {"coordinate_transformation_mode", std::string("asymmetric")},
                    {"nearest_mode", std::move(nearest_mode)}});
}

void emit_upsample(NodeContext& node, ValueId scales) {
  node.set_output(0, emit_asymmetric(node, node.input(0), scales, "floor"));
}

ValueId scales_constant(NodeContext& node, const std::vector<double>& scales) {
  const auto count = static_cast<int64_t>(scales.size());
  return node.constant(Tensor::from<double>(DType::f64, {count}, scales).converted(DType::f32));
}

}  // namespace

void import_resize(NodeContext& node, const Rule&) {
  const bool uses_roi =
      node.string("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize";
  const ValueId roi = uses_roi ? unless_empty(node, 1) : ValueId();
  emit_direct(node, Op::resize, {node.input(0), roi, unless_empty(node, 2), unless_empty(node, 3)});
}

// Of two nearest elements the first Resize takes the one above along axes that shrink, the one
// below along others. Axes are independent of each other, so those that shrink go first.
void import_resize_10(NodeContext& node, const Rule&) {
  const ValueId scales = node.input(1);
  ValueId x = node.input(0);
  if (node.string("mode", "nearest") != "nearest") return emit_upsample(node, scales);
  const Tensor* known = node.known(scales);
  const auto all = [known](auto holds) {
    if (known == nullptr) return false;
    for (int64_t i = 0; i < known->num_elements(); ++i) {
      if (!holds(known->f64(i))) return false;
    }
    return true;
  };
  if (all([](double scale) { return scale >= 1; })) return emit_upsample(node, scales);
  if (all([](double scale) { return scale <= 1; })) {
    return node.set_output(0, emit_asymmetric(node, x, scales, "ceil"));
  }
  const ValueId one = node.constant(Tensor::scalar(DType::f32, 1));
  x = emit_asymmetric(node, x, node.emit(Op::min, {scales, one}), "ceil");
  node.set_output(0, emit_asymmetric(node, x, node.emit(Op::max, {scales, one}), "floor"));
}

// Until opset 16 regions were not shifted by half a pixel, and no attribute asked for it.
void import_roi_align_10(NodeContext& node, const Rule& rule) {
  std::vector<NamedAttribute> attributes = direct_attributes(node, rule.op);
  attributes.push_back({"coordinate_transformation_mode", std::string("output_half_pixel")});
  node.set_output(0, node.emit(rule.op, node.inputs(), std::move(attributes)));
}

// Scales are an operand since opset 9, an attribute before, and two attributes in opset 1.
void import_upsample(NodeContext& node, const Rule&) {
  if (node.has_input(1)) return emit_upsample(node, node.input(1));
  if (node.has("scales")) return emit_upsample(node, scales_constant(node, node.floats("scales")));
  emit_upsample(node, scales_constant(node, {1.0, 1.0, node.f64("height_scale", 1.0),
                                             node.f64("width_scale", 1.0)}));
}

}  // namespace neuronc::onnx
