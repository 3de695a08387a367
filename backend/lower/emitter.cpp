// Implements emitter.h.
#include "backend/lower/emitter.h"

#include <algorithm>
#include <numeric>

#include "backend/lower/lowering.h"
#include "ir/base/check.h"
#include "ir/edit.h"

namespace neuronc {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Values;

LaneIndex LaneIndex::scalar(std::vector<Index> dims) {
  LaneIndex at;
  at.steps.assign(dims.size(), 0);
  at.dims = std::move(dims);
  return at;
}

LaneIndex LaneIndex::along(std::vector<Index> dims, size_t dim, int lanes, int active) {
  LaneIndex at = scalar(std::move(dims));
  at.lanes = lanes;
  at.active = active < 0 ? lanes : active;
  if (lanes > 1) at.steps[dim] = 1;
  return at;
}

LaneIndex LaneIndex::lane(int l) const {
  std::vector<Index> at = dims;
  for (size_t d = 0; d < at.size(); ++d) at[d] = at[d] + Index(steps[d] * l);
  return scalar(std::move(at));
}

LaneIndex LaneIndex::with_dims(std::vector<Index> new_dims, std::vector<int64_t> new_steps) const {
  LaneIndex at;
  at.dims = std::move(new_dims);
  at.steps = std::move(new_steps);
  at.lanes = lanes;
  at.active = active;
  return at;
}

DType carrier_of(DType dtype) {
  return dtype == DType::f16 || dtype == DType::bf16 ? DType::f32 : dtype;
}

namespace {

bool same_index(const Index& a, const Index& b) {
  if (a.is_constant() || b.is_constant()) {
    return a.is_constant() && b.is_constant() && a.constant() == b.constant();
  }
  return a.id() == b.id();
}

bool same_lanes(const LaneIndex& a, const LaneIndex& b) {
  return a.lanes == b.lanes && a.active == b.active && a.steps == b.steps &&
         std::equal(a.dims.begin(), a.dims.end(), b.dims.begin(), b.dims.end(), same_index);
}

bool varies_at_all(const LaneIndex& at) {
  return std::any_of(at.steps.begin(), at.steps.end(), [](int64_t step) { return step != 0; });
}

// The dim along which lanes are consecutive elements of memory, or -1.
int consecutive_dim(const LaneIndex& at, const std::vector<int64_t>& strides) {
  int found = -1;
  for (size_t d = 0; d < at.steps.size(); ++d) {
    if (at.steps[d] == 0 || strides[d] == 0) continue;
    if (found >= 0 || at.steps[d] != 1 || strides[d] != 1) return -1;
    found = static_cast<int>(d);
  }
  return found;
}

std::unique_ptr<Graph> body_of_reorder(const Graph& graph, NodeId reorder) {
  auto body = std::make_unique<Graph>();
  GraphEditor edit(*body);
  const Type& type = graph.type(graph.node(reorder).results[0]);
  NodeSpec spec;
  spec.op = Op::identity;
  spec.operands = {edit.add_input(type, "x")};
  spec.result_types = {type};
  edit.add_output(body->node(edit.append(std::move(spec))).results[0], "y");
  return body;
}

}  // namespace

GroupEmitter::GroupEmitter(const Module& module, const Graph& graph, NodeId group,
                           const Machine& machine, std::string name, int64_t num_tiles)
    : module_(module),
      graph_(graph),
      group_(group),
      reorder_body_(graph.node(group).op == Op::group ? nullptr : body_of_reorder(graph, group)),
      body_(reorder_body_ ? *reorder_body_ : *graph.node(group).bodies[0]),
      machine_(machine),
      builder_(std::move(name), num_tiles) {
  const Node& node = graph.node(group);
  operand_buffers_.resize(node.operands.size());
  result_buffers_.resize(node.results.size());
  for (size_t i = 0; i < body_.inputs().size(); ++i) input_index_[body_.inputs()[i]] = i;
  find_in_place();
}

int GroupEmitter::vector_lanes(DType carrier) const {
  const int bytes = carrier == DType::boolean ? 4 : size_bytes(carrier);
  return std::max(1, machine_.isa.vector_bytes / bytes);
}

// A result may lie over an operand if the kernel reads that operand only elementwise, behind the
// anchor, so that each element is read before it is written and never again.
void GroupEmitter::find_in_place() {
  const Node& node = graph_.node(group_);
  in_place_of_.assign(node.results.size(), -1);
  if (reorder_body_) return;
  for (size_t i = 0; i < body_.inputs().size(); ++i) {
    const ValueId input = body_.inputs()[i];
    const ValueId outer = node.operands[i];
    if (graph_.constant_id(outer) || !graph_.type(outer).is_static()) continue;
    std::vector<ValueId> reached{input};
    bool is_elementwise = body_.value(input).num_output_uses == 0;
    for (size_t k = 0; k < reached.size() && is_elementwise; ++k) {
      for (const Use& use : body_.value(reached[k]).uses) {
        const Node& user = body_.node(use.node);
        is_elementwise = is_elementwise && user.has(Trait::elementwise) &&
                         body_.type(user.results[0]).shape() == body_.type(input).shape();
        if (std::find(reached.begin(), reached.end(), user.results[0]) == reached.end()) {
          reached.push_back(user.results[0]);
        }
      }
    }
    if (!is_elementwise) continue;
    for (size_t r = 0; r < node.results.size(); ++r) {
      const Storage& from = graph_.value(outer).storage;
      const Storage& to = graph_.value(node.results[r]).storage;
      if (in_place_of_[r] < 0 && from.dtype == to.dtype && from.strides == to.strides &&
          graph_.type(outer).shape() == graph_.type(node.results[r]).shape()) {
        in_place_of_[r] = static_cast<int32_t>(i);
        break;
      }
    }
  }
}

ValueId GroupEmitter::outer_of(ValueId body_value) const {
  const auto it = input_index_.find(body_value);
  return it == input_index_.end() ? ValueId() : graph_.node(group_).operands[it->second];
}

const Tensor* GroupEmitter::constant_of(ValueId body_value) const {
  const ValueId outer = outer_of(body_value);
  return outer ? module_.constant_of(graph_, outer) : module_.constant_of(body_, body_value);
}

std::optional<GroupEmitter::Memory> GroupEmitter::memory_of(ValueId body_value) {
  const auto it = input_index_.find(body_value);
  if (it == input_index_.end()) return std::nullopt;
  const Storage& storage = graph_.value(graph_.node(group_).operands[it->second]).storage;
  return Memory{operand_buffer(it->second), storage.dtype, storage.strides};
}

BufferId GroupEmitter::operand_buffer(size_t i) {
  if (operand_buffers_[i]) return *operand_buffers_[i];
  const ValueId outer = graph_.node(group_).operands[i];
  const Storage& storage = graph_.value(outer).storage;
  NEURONC_CHECK(storage && storage.blocked_dim < 0);
  kernel::Buffer buffer;
  buffer.name = "x" + std::to_string(i);
  buffer.dtype = storage.dtype;
  buffer.extents = graph_.type(outer).shape();
  buffer.strides = storage.strides;
  buffer.access = kernel::Access::read;
  buffer.is_noalias = std::find(in_place_of_.begin(), in_place_of_.end(),
                                static_cast<int32_t>(i)) == in_place_of_.end();
  KernelBuffer bound;
  bound.kind = KernelBuffer::Kind::operand;
  bound.index = static_cast<uint32_t>(i);
  bound.size_bytes = buffer.span_bytes();
  buffers_.push_back(std::move(bound));
  operand_buffers_[i] = builder_.parameter(std::move(buffer));
  return *operand_buffers_[i];
}

BufferId GroupEmitter::result_buffer(size_t i) {
  if (result_buffers_[i]) return *result_buffers_[i];
  const ValueId outer = graph_.node(group_).results[i];
  const Storage& storage = graph_.value(outer).storage;
  NEURONC_CHECK(storage && storage.blocked_dim < 0);
  kernel::Buffer buffer;
  buffer.name = "y" + std::to_string(i);
  buffer.dtype = storage.dtype;
  buffer.extents = graph_.type(outer).shape();
  buffer.strides = storage.strides;
  buffer.access = kernel::Access::write;
  buffer.is_noalias = in_place_of_[i] < 0;
  KernelBuffer bound;
  bound.kind = KernelBuffer::Kind::result;
  bound.index = static_cast<uint32_t>(i);
  bound.size_bytes = buffer.span_bytes();
  bound.in_place_of = in_place_of_[i];
  buffers_.push_back(std::move(bound));
  result_buffers_[i] = builder_.parameter(std::move(buffer));
  return *result_buffers_[i];
}

BufferId GroupEmitter::packed_buffer(std::string name, Tensor packed) {
  const BufferId id = builder_.input(std::move(name), packed.dtype(), packed.shape());
  KernelBuffer bound;
  bound.kind = KernelBuffer::Kind::packed;
  bound.size_bytes = packed.size_bytes();
  bound.packed = std::move(packed);
  buffers_.push_back(std::move(bound));
  return id;
}

BufferId GroupEmitter::table(const std::string& name, const std::function<Tensor()>& make) {
  const auto [it, is_new] = tables_.try_emplace(name);
  if (is_new) it->second = packed_buffer(name, make());
  return it->second;
}

BufferId GroupEmitter::workspace(std::string name, DType dtype, std::vector<int64_t> extents) {
  kernel::Buffer buffer;
  buffer.name = std::move(name);
  buffer.dtype = dtype;
  buffer.extents = std::move(extents);
  buffer.access = kernel::Access::read_write;
  KernelBuffer bound;
  bound.kind = KernelBuffer::Kind::workspace;
  bound.size_bytes = num_elements(buffer.extents) * size_bytes(dtype);
  buffers_.push_back(std::move(bound));
  return builder_.parameter(std::move(buffer));
}

const Register* GroupEmitter::find_known(ValueId value, const LaneIndex& at) const {
  for (size_t i = known_.size(); i-- > 0;) {
    if (known_[i].value == value && same_lanes(known_[i].at, at)) return &known_[i].result;
  }
  return nullptr;
}

LaneIndex GroupEmitter::canonical(ValueId value, LaneIndex at) const {
  const std::vector<int64_t> extents = shape(value);
  for (size_t d = 0; d < extents.size(); ++d) {
    if (extents[d] != 1) continue;
    at.dims[d] = Index(0);
    at.steps[d] = 0;
  }
  return at;
}

void GroupEmitter::provide(ValueId value, const LaneIndex& given, Register result) {
  LaneIndex at = canonical(value, given);
  if (at.lanes > 1 && !varies_at_all(at)) {
    // Lanes along a dim of one element: the first is the only one that counts.
    at = LaneIndex::scalar(std::move(at.dims));
    result = builder_.extract(result, 0);
  }
  known_.push_back({value, std::move(at), result});
}

void GroupEmitter::provide_rounded(ValueId value, const LaneIndex& at, Register sum) {
  provide(value, at, rounded(sum, type(value).dtype));
}

Register GroupEmitter::rounded(Register carried, DType declared) {
  if (declared == DType::bf16) return builder_.round_to_bf16(carried);
  if (declared != DType::f16) return carried;
  return builder_.convert(builder_.convert(carried, DType::f16), DType::f32);
}

Register GroupEmitter::pull(ValueId value, const LaneIndex& given) {
  const LaneIndex at = canonical(value, given);
  if (const Register* known = find_known(value, at)) return *known;
  Register result;
  const NodeId node = body_.producer(value);
  if (at.lanes > 1 && !varies_at_all(at)) {
    result = builder_.splat(pull(value, LaneIndex::scalar(at.dims)), at.lanes);
  } else if (!node) {
    result = load(value, at);
  } else if (body_.node(node).op == Op::constant) {
    result = constant_element(value, *constant_of(value), at);
  } else {
    const Lowering& lowering = lowering_of(body_.node(node).op);
    NEURONC_CHECK(lowering.element != nullptr);
    result = lowering.element(*this, body_.node(node), body_.value(value).result_index, at);
  }
  NEURONC_CHECK(result.type.lanes == at.lanes);
  known_.push_back({value, at, result});
  return result;
}

Register GroupEmitter::pull_broadcast(ValueId value, const LaneIndex& at) {
  const std::vector<int64_t> extents = shape(value);
  NEURONC_CHECK(extents.size() <= at.dims.size());
  const size_t lead = at.dims.size() - extents.size();
  std::vector<Index> dims(at.dims.begin() + static_cast<std::ptrdiff_t>(lead), at.dims.end());
  std::vector<int64_t> steps(at.steps.begin() + static_cast<std::ptrdiff_t>(lead), at.steps.end());
  for (size_t d = 0; d < extents.size(); ++d) {
    if (extents[d] != 1) continue;
    dims[d] = Index(0);
    steps[d] = 0;
  }
  return pull(value, at.with_dims(std::move(dims), std::move(steps)));
}

Register GroupEmitter::load(ValueId input, const LaneIndex& at) {
  const ValueId outer = outer_of(input);
  const Tensor* constant = module_.constant_of(graph_, outer);
  if (constant != nullptr && constant->num_elements() == 1) {
    return constant_element(input, *constant, at);
  }
  if (const PanelRows* panels =
          constant != nullptr ? machine_.packs->panels_of(*constant) : nullptr) {
    return load_from_panels(*panels, input, at);
  }
  const Memory memory = *memory_of(input);
  return load_from(memory.buffer, memory.dtype, memory.strides, at);
}

Register GroupEmitter::load_from(BufferId buffer, DType dtype, const std::vector<int64_t>& strides,
                                 const LaneIndex& at) {
  const DType carrier = carrier_of(dtype);
  if (at.is_scalar()) return builder_.convert(builder_.load(buffer, at.dims), carrier);
  bool moves = false;
  for (size_t d = 0; d < at.steps.size(); ++d) moves |= at.steps[d] * strides[d] != 0;
  if (!moves) {
    return builder_.splat(builder_.convert(builder_.load(buffer, at.dims), carrier), at.lanes);
  }
  const int dim = consecutive_dim(at, strides);
  if (dim >= 0) {
    const kernel::Lanes lanes{at.lanes, dim};
    const Register raw = at.active == at.lanes
                             ? builder_.load(buffer, at.dims, lanes)
                             : builder_.load_partial(buffer, at.dims, lanes, Index(at.active));
    return builder_.convert(raw, carrier);
  }
  Register gathered = builder_.zero({dtype, at.lanes});
  for (int l = 0; l < at.active; ++l) {
    gathered = builder_.insert(gathered, builder_.load(buffer, at.lane(l).dims), l);
  }
  return builder_.convert(gathered, carrier);
}

// Neighbours along a row of the matrix are a whole row of a panel apart: each is loaded by itself.
Register GroupEmitter::load_from_panels(const PanelRows& panels, ValueId input,
                                        const LaneIndex& at) {
  const BufferId buffer =
      table("panels" + std::to_string(input.index), [&] { return panels.packed; });
  const int64_t columns = panels.packed.shape()[2] / panels.k_step;
  const auto element = [&](const LaneIndex& one) {
    const Index row = one.dims[0];
    const Index k = one.dims[1];
    return builder_.load(
        buffer, {kernel::floor_div(row, columns), kernel::floor_div(k, panels.k_step),
                 kernel::mod(row, columns) * panels.k_step + kernel::mod(k, panels.k_step)});
  };
  const DType dtype = panels.packed.dtype();
  if (at.is_scalar()) return builder_.convert(element(at), carrier_of(dtype));
  Register gathered = builder_.zero({dtype, at.lanes});
  for (int l = 0; l < at.active; ++l) gathered = builder_.insert(gathered, element(at.lane(l)), l);
  return builder_.convert(gathered, carrier_of(dtype));
}

Register GroupEmitter::constant_element(ValueId value, const Tensor& tensor, const LaneIndex& at) {
  if (tensor.num_elements() == 1) {
    const DType carrier = carrier_of(tensor.dtype());
    const kernel::ValueType type{carrier, at.lanes};
    if (is_integer(carrier)) return builder_.constant_bits(type, tensor.i64(0));
    return builder_.constant(type, tensor.f64(0));
  }
  const auto [it, is_new] = constant_buffers_.try_emplace(value);
  if (is_new) it->second = packed_buffer("c" + std::to_string(value.index), tensor);
  return load_from(it->second, tensor.dtype(), row_major_strides(tensor.shape()), at);
}

void GroupEmitter::store_anchor_result(const Node& anchor, size_t i, const LaneIndex& at,
                                       Register value) {
  value = rounded(value, type(anchor.results[i]).dtype);
  if (anchor.results.size() == 1) {
    provide(anchor.results[0], at, value);
    store_results(at);
    return;
  }
  for (size_t k = 0; k < body_.outputs().size(); ++k) {
    if (body_.outputs()[k] == anchor.results[i]) store_result(k, at, value);
  }
}

void GroupEmitter::store_results(const LaneIndex& at) {
  // All are computed before the first is stored: a result may lie over an operand.
  std::vector<Register> values;
  for (ValueId output : body_.outputs()) values.push_back(pull(output, at));
  for (size_t i = 0; i < values.size(); ++i) store_result(i, at, values[i]);
}

void GroupEmitter::store_result(size_t i, const LaneIndex& at, Register value) {
  const BufferId buffer = result_buffer(i);
  const Storage& storage = graph_.value(graph_.node(group_).results[i]).storage;
  value = builder_.convert(value, storage.dtype);
  if (at.is_scalar()) {
    builder_.store(buffer, at.dims, value);
    return;
  }
  const int dim = consecutive_dim(at, storage.strides);
  if (dim >= 0 && at.active == at.lanes) {
    builder_.store(buffer, at.dims, value, dim);
  } else if (dim >= 0) {
    builder_.store_partial(buffer, at.dims, value, Index(at.active), dim);
  } else {
    for (int l = 0; l < at.active; ++l) {
      builder_.store(buffer, at.lane(l).dims, builder_.extract(value, l));
    }
  }
}

void GroupEmitter::loop(const kernel::Range& range, const std::function<void(Index)>& body,
                        const kernel::ForOptions& options) {
  builder_.for_loop(
      range,
      [&](Index i) {
        const size_t mark = known_.size();
        body(i);
        known_.erase(known_.begin() + static_cast<std::ptrdiff_t>(mark), known_.end());
      },
      options);
}

Values GroupEmitter::loop(const kernel::Range& range, const Values& initial,
                          const std::function<Values(Index, std::span<const Register>)>& body,
                          const kernel::ForOptions& options) {
  return builder_.for_loop(
      range, initial,
      [&](Index i, std::span<const Register> carried) {
        const size_t mark = known_.size();
        Values next = body(i, carried);
        known_.erase(known_.begin() + static_cast<std::ptrdiff_t>(mark), known_.end());
        return next;
      },
      options);
}

namespace {

// Guards that loop bounds leave open; none where one of them never holds.
std::optional<std::vector<kernel::GuardRange>> open_guards(
    const std::vector<kernel::GuardRange>& guards) {
  std::vector<kernel::GuardRange> open;
  for (const kernel::GuardRange& guard : guards) {
    const kernel::Interval range = guard.expr.interval();
    if (range.hi < guard.lo || range.lo >= guard.hi) return std::nullopt;
    if (range.lo < guard.lo || range.hi >= guard.hi) open.push_back(guard);
  }
  return open;
}

}  // namespace

void GroupEmitter::when(const std::vector<kernel::GuardRange>& guards,
                        const std::function<void()>& then) {
  const auto open = open_guards(guards);
  if (!open) return;
  if (open->empty()) return then();
  const size_t mark = known_.size();
  builder_.if_then(*open, then);
  known_.erase(known_.begin() + static_cast<std::ptrdiff_t>(mark), known_.end());
}

Values GroupEmitter::choose(const std::vector<kernel::GuardRange>& guards,
                            const std::function<Values()>& then,
                            const std::function<Values()>& otherwise) {
  const auto open = open_guards(guards);
  if (!open) return otherwise();
  if (open->empty()) return then();
  const size_t mark = known_.size();
  const auto scoped = [&](const std::function<Values()>& branch) {
    Values values = branch();
    known_.erase(known_.begin() + static_cast<std::ptrdiff_t>(mark), known_.end());
    return values;
  };
  return builder_.if_values(*open, [&] { return scoped(then); }, [&] { return scoped(otherwise); });
}

LoweredKernel GroupEmitter::finish() && {
  return {std::move(builder_).finish(), std::move(buffers_)};
}

}  // namespace neuronc
