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

// What Upsample and the first Resize do: no shift of coordinates, the nearest one below.
void emit_old_resize(NodeContext& node, ValueId scales) {
  std::string mode = node.string("mode", "nearest");
  if (mode == "bilinear") mode = "linear";
  node.set_output(0, node.emit(Op::resize, {node.input(0), ValueId(), scales},
                               {{"mode", mode},
                                {"coordinate_transformation_mode", std::string("asymmetric")},
                                {"nearest_mode", std::string("floor")}}));
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

void import_resize_10(NodeContext& node, const Rule&) { emit_old_resize(node, node.input(1)); }

// Until opset 16 regions were not shifted by half a pixel, and no attribute asked for it.
void import_roi_align_10(NodeContext& node, const Rule& rule) {
  std::vector<NamedAttribute> attributes = direct_attributes(node, rule.op);
  attributes.push_back({"coordinate_transformation_mode", std::string("output_half_pixel")});
  node.set_output(0, node.emit(rule.op, node.inputs(), std::move(attributes)));
}

// Scales are an operand since opset 9, an attribute before, and two attributes in opset 1.
void import_upsample(NodeContext& node, const Rule&) {
  if (node.has_input(1)) return emit_old_resize(node, node.input(1));
  if (node.has("scales"))
    return emit_old_resize(node, scales_constant(node, node.floats("scales")));
  emit_old_resize(node, scales_constant(node, {1.0, 1.0, node.f64("height_scale", 1.0),
                                               node.f64("width_scale", 1.0)}));
}

}  // namespace neuronc::onnx
