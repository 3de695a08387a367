// Control flow. Bodies see nothing of the outside: what they use besides their own inputs comes in
// as the last operands of the node, the captures, and as the last inputs of every body.
#include <fmt/format.h>

#include <algorithm>

#include "ir/graph.h"
#include "ir/ops/common.h"

namespace neuronc {

using namespace ops;

namespace {

constexpr DTypeSet kI64{DType::i64};
constexpr ResultSpec kResults[] = {{"results", kAny, 0, Arity::variadic, true}};

// Output `output` of body `body`.
const Type& body_output(const OpView& op, size_t body, size_t output) {
  const Graph& graph = *op.bodies[body];
  return graph.type(graph.outputs()[output]);
}

OrRefusal<void> check_body(const OpView& op, size_t body, size_t num_inputs, size_t num_outputs) {
  const Graph& graph = *op.bodies[body];
  if (graph.inputs().size() == num_inputs && graph.outputs().size() == num_outputs) return {};
  return refuse(fmt::format("body {} has {} inputs and {} outputs, but {} and {} are needed", body,
                            graph.inputs().size(), graph.outputs().size(), num_inputs,
                            num_outputs));
}

OrRefusal<void> check_num_bodies(const OpView& op, size_t count) {
  if (op.bodies.size() == count) return {};
  return refuse(fmt::format("it has {} bodies, but {} are needed", op.bodies.size(), count));
}

// The type that values of both types have.
OrRefusal<Type> joined(const Type& a, const Type& b) {
  if (a == b) return a;
  if (a.kind != b.kind || a.dtype != b.dtype) {
    return refuse(fmt::format("a result is {} or {}", to_text(a), to_text(b)));
  }
  Type type = a;
  if (!a.is_ranked || !b.is_ranked || a.dims.size() != b.dims.size()) {
    type.is_ranked = false;
    type.dims.clear();
    return type;
  }
  for (size_t i = 0; i < type.dims.size(); ++i) {
    if (type.dims[i] != b.dims[i]) type.dims[i] = Dim::unknown();
  }
  return type;
}

OrRefusal<bool> condition_of(const HostValue& value) {
  if (value.kind != Type::Kind::tensor || value.tensor().num_elements() != 1) {
    return refuse("the condition is not one element");
  }
  return value.tensor().i64(0) != 0;
}

OrRefusal<void> check_evaluator(const EvaluateInput& input) {
  if (input.evaluate_body == nullptr) return refuse("nothing evaluates the bodies");
  return {};
}

// ---- fail

constexpr AttributeSpec kFailAttributes[] = {{"dtype", AttributeKind::dtype, "", true},
                                             {"message", AttributeKind::string, "", true},
                                             {"shape", AttributeKind::ints, ""}};
constexpr ResultSpec kFailResult[] = {{"y", kAny}};

Types infer_fail(const InferInput& input) {
  const DType dtype = input.op.dtype("dtype");
  if (!input.op.has("shape")) return std::vector<Type>{Type::unranked(dtype)};
  std::vector<Dim> dims;
  for (int64_t extent : input.op.ints("shape")) {
    dims.push_back(extent < 0 ? Dim::unknown() : Dim(extent));
  }
  return std::vector<Type>{ranked(dtype, std::move(dims))};
}

Values evaluate_fail(const EvaluateInput& input) { return refuse(input.op.string("message")); }

// ---- if_else

constexpr OperandSpec kIfOperands[] = {{"condition", kBool},
                                       {"captures", kAny, 0, Arity::variadic, true}};

Types infer_if(const InferInput& input) {
  NEURONC_TRY(check_num_bodies(input.op, 2));
  const size_t num_captures = input.operands.size() - 1;
  for (size_t body = 0; body < 2; ++body) {
    NEURONC_TRY(check_body(input.op, body, num_captures, input.num_results));
  }
  std::vector<Type> types;
  for (size_t i = 0; i < input.num_results; ++i) {
    NEURONC_ASSIGN(Type type, joined(body_output(input.op, 0, i), body_output(input.op, 1, i)));
    types.push_back(std::move(type));
  }
  return types;
}

Values evaluate_if(const EvaluateInput& input) {
  NEURONC_TRY(check_evaluator(input));
  NEURONC_ASSIGN(const bool condition, condition_of(*input.operands[0]));
  std::vector<HostValue> captures;
  for (const HostValue* capture : input.operands.subspan(1)) captures.push_back(*capture);
  return (*input.evaluate_body)(condition ? 0 : 1, captures);
}

// ---- loop

constexpr OperandSpec kLoopOperands[] = {{"max_trip_count", kI64, 0, Arity::optional},
                                         {"condition", kBool, 0, Arity::optional},
                                         {"values", kAny, 0, Arity::variadic, true}};
constexpr AttributeSpec kLoopAttributes[] = {{"num_carried", AttributeKind::i64, "", true}};

// A type whose leading extent is the number of trips.
Type stacked(const Type& element, Dim count) {
  if (!element.is_ranked) return element;
  Type type = element;
  type.dims.insert(type.dims.begin(), count);
  return type;
}

// A carried value changes its shape freely from trip to trip, unless the body says otherwise.
OrRefusal<Type> carried_type(const Type& initial, const Type& formal, const Type& result) {
  NEURONC_ASSIGN(const Type entry, joined(initial, formal));
  return joined(entry, result);
}

Types infer_loop(const InferInput& input) {
  NEURONC_TRY(check_num_bodies(input.op, 1));
  const auto num_carried = static_cast<size_t>(input.op.i64("num_carried"));
  if (num_carried > input.num_results || num_carried + 2 > input.operands.size()) {
    return refuse("`num_carried` does not fit the operands and results");
  }
  NEURONC_TRY(check_body(input.op, 0, input.operands.size(), input.num_results + 1));
  const Graph& body = *input.op.bodies[0];
  std::vector<Type> types;
  for (size_t i = 0; i < input.num_results; ++i) {
    const Type& output = body_output(input.op, 0, i + 1);
    if (i < num_carried) {
      NEURONC_ASSIGN(Type type,
                     carried_type(input.operands[i + 2], body.type(body.inputs()[i + 2]), output));
      types.push_back(std::move(type));
    } else {
      types.push_back(stacked(output, Dim::unknown()));
    }
  }
  return types;
}

// Tensors of one shape behind one another along a new axis of position `axis`.
OrRefusal<Tensor> stack(const std::vector<Tensor>& parts, const Type& element, int64_t axis) {
  if (parts.empty()) {
    Shape shape{};
    for (Dim dim : element.dims) shape.push_back(dim.is_number() ? dim.number() : 0);
    shape.insert(shape.begin() + std::min<int64_t>(axis, element.rank()), 0);
    return Tensor::zeros(element.dtype, std::move(shape));
  }
  Shape shape = parts[0].shape();
  NEURONC_ASSIGN(const int64_t at, resolve_axis(axis, static_cast<int64_t>(shape.size()) + 1));
  shape.insert(shape.begin() + at, static_cast<int64_t>(parts.size()));
  Tensor result = Tensor::zeros(parts[0].dtype(), shape);
  const AxisView view = axis_view(shape, at);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].shape() != parts[0].shape() || parts[i].dtype() != parts[0].dtype()) {
      return refuse("a scan output changes its shape from trip to trip");
    }
    for (int64_t j = 0; j < parts[i].num_elements(); ++j) {
      const int64_t to = (j / view.inner * view.extent + static_cast<int64_t>(i)) * view.inner;
      copy_element(result, to + j % view.inner, parts[i], j);
    }
  }
  return result;
}

// The trips of a loop whose bodies never say stop end here, before memory does.
constexpr int64_t kMaxTrips = int64_t{1} << 32;

Values evaluate_loop(const EvaluateInput& input) {
  NEURONC_TRY(check_evaluator(input));
  const auto num_carried = static_cast<size_t>(input.op.i64("num_carried"));
  int64_t max_trips = kMaxTrips;
  if (input.has(0)) {
    if (input.tensor(0).num_elements() != 1) return refuse("the trip count is not one number");
    max_trips = input.tensor(0).i64(0);
  }
  bool goes_on = true;
  if (input.has(1)) {
    NEURONC_ASSIGN(goes_on, condition_of(*input.operands[1]));
  }
  std::vector<HostValue> carried;
  for (size_t i = 0; i < num_carried; ++i) carried.push_back(*input.operands[i + 2]);
  std::vector<std::vector<Tensor>> scans(input.num_results - num_carried);
  for (int64_t trip = 0; goes_on && trip < max_trips; ++trip) {
    if (trip == kMaxTrips) return refuse("the loop does not end");
    std::vector<HostValue> inputs{Tensor::scalar(DType::i64, static_cast<double>(trip)),
                                  Tensor::scalar(DType::boolean, 1)};
    inputs.insert(inputs.end(), carried.begin(), carried.end());
    for (const HostValue* capture : input.operands.subspan(2 + num_carried)) {
      inputs.push_back(*capture);
    }
    NEURONC_ASSIGN(const std::vector<HostValue> outputs, (*input.evaluate_body)(0, inputs));
    NEURONC_ASSIGN(goes_on, condition_of(outputs[0]));
    for (size_t i = 0; i < num_carried; ++i) carried[i] = outputs[i + 1];
    for (size_t i = 0; i < scans.size(); ++i) {
      if (outputs[1 + num_carried + i].kind != Type::Kind::tensor) {
        return refuse("a scan output is not a tensor");
      }
      scans[i].push_back(outputs[1 + num_carried + i].tensor());
    }
  }
  for (size_t i = 0; i < scans.size(); ++i) {
    NEURONC_ASSIGN(Tensor scan, stack(scans[i], body_output(input.op, 0, 1 + num_carried + i), 0));
    carried.emplace_back(std::move(scan));
  }
  return carried;
}

// ---- scan

constexpr OperandSpec kScanOperands[] = {{"values", kAny, 0, Arity::variadic}};
constexpr AttributeSpec kScanAttributes[] = {{"num_scan_inputs", AttributeKind::i64, "", true},
                                             {"num_states", AttributeKind::i64, "", true},
                                             {"scan_input_axes", AttributeKind::ints, "[]"},
                                             {"scan_input_directions", AttributeKind::ints, "[]"},
                                             {"scan_output_axes", AttributeKind::ints, "[]"},
                                             {"scan_output_directions", AttributeKind::ints, "[]"}};

// Entry `i` of a list whose absence means 0 everywhere.
int64_t entry(const OpView& op, std::string_view attribute, size_t i) {
  const std::vector<int64_t>& list = op.ints(attribute);
  return i < list.size() ? list[i] : 0;
}

struct ScanParts {
  size_t num_states = 0, num_scans = 0, num_outputs = 0;
};
OrRefusal<ScanParts> scan_parts(const OpView& op, size_t num_operands, size_t num_results) {
  NEURONC_TRY(check_num_bodies(op, 1));
  const int64_t states = op.i64("num_states");
  const int64_t scans = op.i64("num_scan_inputs");
  if (states < 0 || scans < 1 || states + scans > static_cast<int64_t>(num_operands) ||
      states > static_cast<int64_t>(num_results)) {
    return refuse("`num_states` and `num_scan_inputs` do not fit the operands and results");
  }
  NEURONC_TRY(check_body(op, 0, num_operands, num_results));
  const auto num_states = static_cast<size_t>(states);
  return ScanParts{num_states, static_cast<size_t>(scans), num_results - num_states};
}

Types infer_scan(const InferInput& input) {
  NEURONC_ASSIGN(const ScanParts parts,
                 scan_parts(input.op, input.operands.size(), input.num_results));
  Dim trips;
  for (size_t i = 0; i < parts.num_scans; ++i) {
    const Type& x = input.operands[parts.num_states + i];
    if (!x.is_ranked) continue;
    NEURONC_ASSIGN(const int64_t axis,
                   resolve_axis(entry(input.op, "scan_input_axes", i), x.rank()));
    NEURONC_ASSIGN(trips, same_dim(trips, x.dims[static_cast<size_t>(axis)], "the trip count"));
  }
  std::vector<Type> types;
  for (size_t i = 0; i < input.num_results; ++i) {
    Type type = body_output(input.op, 0, i);
    if (i < parts.num_states) {
      NEURONC_ASSIGN(type, joined(input.operands[i], type));
    } else if (type.is_ranked) {
      NEURONC_ASSIGN(
          const int64_t axis,
          resolve_axis(entry(input.op, "scan_output_axes", i - parts.num_states), type.rank() + 1));
      type.dims.insert(type.dims.begin() + axis, trips);
    }
    types.push_back(std::move(type));
  }
  return types;
}

// Slice `at` of `x` along `axis`, without the axis.
Tensor slice_at(const Tensor& x, int64_t axis, int64_t at) {
  Shape shape = x.shape();
  Shape strides = row_major_strides(shape);
  const int64_t base = at * strides[static_cast<size_t>(axis)];
  shape.erase(shape.begin() + axis);
  strides.erase(strides.begin() + axis);
  return take_strided(x, std::move(shape), strides, base);
}

Values evaluate_scan(const EvaluateInput& input) {
  NEURONC_TRY(check_evaluator(input));
  NEURONC_TRY(actual_types(input));
  NEURONC_ASSIGN(const ScanParts parts,
                 scan_parts(input.op, input.operands.size(), input.num_results));
  std::vector<HostValue> states;
  for (size_t i = 0; i < parts.num_states; ++i) states.push_back(*input.operands[i]);
  int64_t trips = 0;
  std::vector<int64_t> axes;
  for (size_t i = 0; i < parts.num_scans; ++i) {
    const Tensor& x = input.tensor(parts.num_states + i);
    NEURONC_ASSIGN(const int64_t axis,
                   resolve_axis(entry(input.op, "scan_input_axes", i), x.rank()));
    axes.push_back(axis);
    trips = x.shape()[static_cast<size_t>(axis)];
  }
  std::vector<std::vector<Tensor>> scans(parts.num_outputs);
  for (int64_t trip = 0; trip < trips; ++trip) {
    std::vector<HostValue> inputs = states;
    for (size_t i = 0; i < parts.num_scans; ++i) {
      const bool is_reverse = entry(input.op, "scan_input_directions", i) != 0;
      inputs.emplace_back(slice_at(input.tensor(parts.num_states + i), axes[i],
                                   is_reverse ? trips - 1 - trip : trip));
    }
    for (const HostValue* capture : input.operands.subspan(parts.num_states + parts.num_scans)) {
      inputs.push_back(*capture);
    }
    NEURONC_ASSIGN(const std::vector<HostValue> outputs, (*input.evaluate_body)(0, inputs));
    for (size_t i = 0; i < parts.num_states; ++i) states[i] = outputs[i];
    for (size_t i = 0; i < scans.size(); ++i) {
      scans[i].push_back(outputs[parts.num_states + i].tensor());
    }
  }
  for (size_t i = 0; i < scans.size(); ++i) {
    if (entry(input.op, "scan_output_directions", i) != 0) {
      std::reverse(scans[i].begin(), scans[i].end());
    }
    NEURONC_ASSIGN(Tensor scan, stack(scans[i], body_output(input.op, 0, parts.num_states + i),
                                      entry(input.op, "scan_output_axes", i)));
    states.emplace_back(std::move(scan));
  }
  return states;
}

constexpr Trait kControl = Trait::control_flow | Trait::host;

}  // namespace

/// Ends the request with `message`; y, of `shape` (-1: any extent; absent: any rank), is never
/// made. Stands for a branch that the model's shapes make impossible.   Source: neuronc.
NEURONC_OP(fail) = {
    "fail",      "ends the request with a message", "neuronc",        {},         kFailAttributes,
    kFailResult, Trait::host | Trait::internal,     Precision::fixed, infer_fail, evaluate_fail,
    no_flops};

/// The outputs of body 0 where the condition holds, of body 1 elsewhere. Both bodies take the
/// captures.   Types: any.   Source: ONNX If-21.
NEURONC_OP(if_else) = {"if_else", "one of two bodies", "ONNX If-21", kIfOperands, {},      kResults,
                       kControl,  Precision::fixed,    infer_if,     evaluate_if, no_flops};

/// Runs the body at most `max_trip_count` times, while its first output holds. Its inputs are the
/// trip, the condition, `num_carried` carried values, and the captures; its outputs the condition,
/// the carried values, and scan outputs, which the results stack along a new first axis.
/// Operands: max_trip_count, condition, carried values, captures.   Source: ONNX Loop-21.
NEURONC_OP(loop) = {"loop",          "a body while a condition holds",
                    "ONNX Loop-21",  kLoopOperands,
                    kLoopAttributes, kResults,
                    kControl,        Precision::fixed,
                    infer_loop,      evaluate_loop,
                    no_flops};

/// Runs the body once per slice of the scan inputs. Operands and body inputs: `num_states` states,
/// `num_scan_inputs` scan inputs (slices of them in the body), captures. Results and body outputs:
/// states, then scan outputs, stacked.   Source: ONNX Scan-21.
NEURONC_OP(scan) = {
    "scan",   "a body for each slice", "ONNX Scan-21", kScanOperands, kScanAttributes, kResults,
    kControl, Precision::fixed,        infer_scan,     evaluate_scan, no_flops};

}  // namespace neuronc
