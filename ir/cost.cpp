// Implements cost.h.
#include "ir/cost.h"

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "ir/control_flow.h"

namespace neuronc {
namespace {

// The vector rate of hardware models counts loads and stores as work; elementwise work in a kernel is
// done in registers.
constexpr double kRegisterRates = 3;

// An element that is read or written across the order of the results, one at a time; a reorder moves
// squares of them.
constexpr double kFlopsPerStridedElement = 8;
constexpr double kFlopsPerReorderedElement = 2;

// Flops of a node without its bodies, by the unit that does them.
struct Work {
  double matmul_flops = 0;
  double matmul_ns = 0;
  double other_flops = 0;
  double vector_flops = 0;  // those, as the vector rate counts them
  double known_flops = 0;   // of a node whose time is known
  double known_ns = 0;
};

double flops_of(const Graph& graph, const Node& node) {
  if (node.def().flops == nullptr) return 0;
  std::vector<Type> operands, results;
  for (ValueId operand : node.operands) {
    operands.push_back(operand ? graph.type(operand) : Type());
  }
  for (ValueId result : node.results) results.push_back(graph.type(result));
  return node.def().flops(node.view(), operands, results);
}

// Their flops are those of products.
bool is_product(const Node& node) {
  return node.has(Trait::matmul_like) || node.op == Op::attention;
}

void add_work(const Graph& graph, NodeId id, const HardwareModel* hardware, Work& work) {
  const Node& node = graph.node(id);
  const double flops = flops_of(graph, node);
  if (!is_product(node)) {
    work.other_flops += flops;
    work.vector_flops += flops / (node.has(Trait::elementwise) ? kRegisterRates : 1);
    return;
  }
  work.matmul_flops += flops;
  const DType dtype = node.operands.empty() ? DType::f32 : graph.type(node.operands[0]).dtype;
  if (hardware != nullptr) work.matmul_ns += flops / hardware->matmul_flops_per_s(dtype) * 1e9;
}

// The node itself, or all nodes of its bodies; of a node of its first body the time may be `known`.
Work work_of(const Graph& graph, NodeId id, const HardwareModel* hardware,
             const KnownTime& known = {}) {
  Work work;
  const Node& node = graph.node(id);
  if (node.bodies.empty()) {
    add_work(graph, id, hardware, work);
    return work;
  }
  std::vector<const Graph*> bodies;
  for (const auto& body : node.bodies) bodies.push_back(body.get());
  for (size_t i = 0; i < bodies.size(); ++i) {
    const Graph& body = *bodies[i];
    for (NodeId inner : body.nodes()) {
      if (i == 0 && inner == known.node) {
        work.known_ns = known.time_ns;
        work.known_flops = flops_of(body, body.node(inner));
        continue;
      }
      if (body.node(inner).bodies.empty()) add_work(body, inner, hardware, work);
      for (const auto& nested : body.node(inner).bodies) bodies.push_back(nested.get());
    }
  }
  return work;
}

ValueId root(const Graph& graph, ValueId value) {
  const Storage& storage = graph.value(value).storage;
  return storage.is_view() ? storage.base : value;
}

bool is_concat_in_place(const Graph& graph, const Node& node) {
  // Its operands are views of its result: whoever made them wrote them there.
  if (node.operands.empty() || node.results.size() != 1) return false;
  const ValueId whole = root(graph, node.results[0]);
  return std::all_of(node.operands.begin(), node.operands.end(), [&](ValueId operand) {
    return operand && graph.value(operand).storage.is_view() && root(graph, operand) == whole;
  });
}

// What `id` copies of an operand; infinite where it does more than to copy.
double copied_bytes(const Graph& graph, NodeId id, ValueId operand) {
  const Node& node = graph.node(id);
  if (!node.has(Trait::moves_data) || node.operands.empty() || node.operands[0] != operand) {
    return std::numeric_limits<double>::infinity();
  }
  double elements = 0;
  for (ValueId result : node.results) {
    const Type& type = graph.type(result);
    if (!type.is_tensor() || !type.is_static()) return std::numeric_limits<double>::infinity();
    elements += static_cast<double>(type.num_elements());
  }
  return elements * neuronc::size_bytes(graph.type(operand).dtype);
}

// The elements of `value` if those along `dim` do not lie side by side.
double strided_elements(const Graph& graph, ValueId value, int64_t dim) {
  const Storage& storage = graph.value(value).storage;
  const std::vector<int64_t> shape = graph.type(value).shape();
  const auto d = static_cast<size_t>(dim);
  if (!storage || d >= shape.size() || shape[d] <= 1 || storage.strides[d] == 1) return 0;
  return static_cast<double>(num_elements(shape));
}

// The dim of `input`, a value of the body, along which `user` reads it for results along `inner`;
// -1 where it does not compute results of this shape element by element or row by row.
int64_t dim_read(const Graph& body, const Node& user, ValueId input,
                 const std::vector<int64_t>& shape, int64_t inner) {
  const auto& operands = user.operands;
  if (std::find(operands.begin(), operands.end(), input) == operands.end()) return -1;
  const Type& type = body.type(user.results[0]);
  if (!type.is_static() || type.shape() != shape || is_product(user)) return -1;
  if (user.op == Op::transpose) return user.view().ints("perm")[static_cast<size_t>(inner)];
  const std::vector<int64_t> read = body.type(input).shape();
  const bool is_aligned = user.has(Trait::elementwise) ? read.size() == shape.size()
                                                       : read == shape && operands[0] == input;
  return is_aligned ? inner : -1;
}

// Of what a reorder or a group reads and writes, the elements that lie across the order of its first
// result.
double strided_elements(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if ((node.op != Op::reorder && node.op != Op::group) || node.results.empty()) return 0;
  const Type& type = graph.type(node.results[0]);
  const Storage& storage = graph.value(node.results[0]).storage;
  if (!storage || !type.is_static() || type.rank() == 0) return 0;
  const std::vector<int64_t> shape = type.shape();
  const int64_t inner = storage.order(shape).back();
  if (node.op == Op::reorder) return strided_elements(graph, node.operands[0], inner);
  double elements = 0;
  for (ValueId result : node.results) {
    if (graph.type(result).is_static() && graph.type(result).shape() == shape) {
      elements += strided_elements(graph, result, inner);
    }
  }
  const Graph& body = *node.bodies[0];
  for (size_t i = 0; i < node.operands.size(); ++i) {
    const ValueId input = body.inputs()[i];
    if (!body.type(input).is_static()) continue;
    for (NodeId user : body.nodes()) {
      const int64_t dim = dim_read(body, body.node(user), input, shape, inner);
      if (dim < 0) continue;
      elements += strided_elements(graph, node.operands[i], dim);
      break;
    }
  }
  return elements;
}

}  // namespace

bool is_free(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op == Op::constant) return true;
  if (!node.has(Trait::moves_data)) return false;
  const bool all_views = std::all_of(node.results.begin(), node.results.end(), [&](ValueId v) {
    const Storage& storage = graph.value(v).storage;
    if (!storage.is_view() || node.operands.empty() || !node.operands[0]) return false;
    return root(graph, v) == root(graph, node.operands[0]);
  });
  return all_views || is_concat_in_place(graph, node);
}

double size_bytes(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  if (!value.type.is_tensor() || !value.type.is_static()) return 0;
  const Storage& storage = value.storage;
  if (storage && !storage.is_view()) return static_cast<double>(storage.size_bytes());
  const DType dtype = storage ? storage.dtype : value.type.dtype;
  return static_cast<double>(value.type.num_elements()) * neuronc::size_bytes(dtype);
}

double read_bytes(const Graph& graph, NodeId id, size_t operand_index) {
  const Node& node = graph.node(id);
  const ValueId operand = node.operands[operand_index];
  const double all = size_bytes(graph, operand);
  if (node.bodies.empty()) return std::min(all, copied_bytes(graph, id, operand));
  if (node.op != Op::group) return all;
  const Graph& body = *node.bodies[0];
  const ValueId input = body.inputs()[operand_index];
  double copied = 0;
  for (NodeId user : body.nodes()) {
    const std::vector<ValueId>& operands = body.node(user).operands;
    if (std::find(operands.begin(), operands.end(), input) != operands.end()) {
      copied += copied_bytes(body, user, input);
    }
  }
  return std::min(all, copied);
}

GroupCost predict_cost(const Module& module, const Graph& graph, NodeId id,
                       const HardwareModel& hardware, const KnownTime& known) {
  GroupCost cost;
  if (is_free(graph, id)) return cost;
  const Node& node = graph.node(id);
  const Work work = work_of(graph, id, &hardware, known);
  cost.flops = work.matmul_flops + work.other_flops + work.known_flops;
  std::unordered_set<ValueId> read;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    const ValueId operand = node.operands[i];
    if (!operand || !read.insert(operand).second) continue;
    const bool is_constant = module.constant_of(graph, operand) != nullptr;
    (is_constant ? cost.weight_bytes : cost.bytes_read) += read_bytes(graph, id, i);
  }
  for (ValueId result : node.results) cost.bytes_written += size_bytes(graph, result);
  const double flops_per_strided =
      node.op == Op::reorder ? kFlopsPerReorderedElement : kFlopsPerStridedElement;
  const double vector_flops = work.vector_flops + flops_per_strided * strided_elements(graph, id);
  const double compute_ns =
      work.known_ns + work.matmul_ns + vector_flops / hardware.vector_flops_per_s * 1e9;
  const double moved_bytes = cost.bytes_read + cost.bytes_written;
  const double rate = moved_bytes > hardware.on_chip_bytes_per_core ? hardware.dram_bytes_per_s()
                                                                    : hardware.on_chip_bytes_per_s;
  const double memory_ns =
      moved_bytes / rate * 1e9 + cost.weight_bytes / hardware.on_chip_bytes_per_s * 1e9;
  cost.time_ns = hardware.launch_ns + std::max(compute_ns, memory_ns);
  return cost;
}

GroupCost cost_of_blocks(const Module& module, const Graph& graph, NodeId id,
                         const HardwareModel& hardware, const NodeCost& cost_of) {
  const Node& node = graph.node(id);
  const double trips = node.op == Op::if_else ? 1 : predicted_trips(trip_form(module, graph, id));
  GroupCost total;
  for (const auto& body : node.bodies) {
    GroupCost sum;
    for (NodeId inner : body->nodes()) {
      if (body->node(inner).op == Op::constant || is_free(*body, inner)) continue;
      const GroupCost cost = cost_of(*body, inner);
      sum.time_ns += cost.time_ns;
      sum.flops += cost.flops;
      sum.weight_bytes += cost.weight_bytes;
      sum.bytes_read += cost.bytes_read;
      sum.bytes_written += cost.bytes_written;
    }
    total.weight_bytes += sum.weight_bytes;
    if (sum.time_ns < total.time_ns) continue;
    total.time_ns = sum.time_ns;
    total.flops = sum.flops;
    total.bytes_read = sum.bytes_read;
    total.bytes_written = sum.bytes_written;
  }
  total.time_ns = hardware.launch_ns + total.time_ns * trips;
  total.flops *= trips;
  total.bytes_read *= trips;
  total.bytes_written *= trips;
  return total;
}

GraphWork total_work(const Module& module, const Graph& graph) {
  GraphWork total;
  std::unordered_set<ConstantId> constants;
  for (NodeId id : graph.nodes()) {
    const Work work = work_of(graph, id, nullptr);
    total.matmul_flops += work.matmul_flops;
    total.other_flops += work.other_flops;
    for (ValueId operand : graph.node(id).operands) {
      const ConstantId constant = operand ? graph.constant_id(operand) : ConstantId();
      if (!constant || !constants.insert(constant).second) continue;
      total.weight_bytes += static_cast<double>(module.constant(constant).size_bytes());
    }
  }
  return total;
}

}  // namespace neuronc
