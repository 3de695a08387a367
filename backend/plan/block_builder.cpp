// Implements block_builder.h.
#include "backend/plan/block_builder.h"

#include <algorithm>
#include <map>
#include <utility>

#include "ir/base/check.h"
#include "ir/control_flow.h"

namespace neuronc {

using plan::Access;
using plan::BufferRef;
using plan::Space;
using Place = BlockBuilder::Place;

namespace {

BufferRef with_access(BufferRef ref, Access access) {
  ref.access = access;
  return ref;
}

// `size_bytes` from `offset_bytes` on.
BufferRef part_of(BufferRef ref, Access access, uint64_t offset_bytes, uint64_t size_bytes) {
  ref.access = access;
  ref.offset_bytes += offset_bytes;
  ref.size_bytes = size_bytes;
  return ref;
}

// The row of trip 0 of what has a row for each trip, moving to the next with each.
Place row_of(const Place& whole, int64_t num_rows, bool is_reverse) {
  if (!whole || num_rows == 0) return whole;
  const uint64_t row_bytes = whole->size_bytes / static_cast<uint64_t>(num_rows);
  if (row_bytes == 0) return whole;
  BufferRef row = *whole;
  row.size_bytes = row_bytes;
  row.trip_stride_bytes = static_cast<int64_t>(row_bytes);
  if (is_reverse) {
    row.offset_bytes += row_bytes * static_cast<uint64_t>(num_rows - 1);
    row.trip_stride_bytes = -row.trip_stride_bytes;
  }
  return row;
}

}  // namespace

// The steps of one body.
class BlockBuilder::Body {
 public:
  Body(BlockBuilder& owner, const Graph& graph, std::vector<Place> inputs,
       std::vector<Place> outputs, const std::vector<Place>& carried)
      : owner_(owner),
        graph_(graph),
        flow_(trace_values(owner.module_, graph, owner.lowered_)),
        inputs_(std::move(inputs)),
        outputs_(std::move(outputs)),
        carried_(carried) {}

  void run() {
    for (size_t i = 0; i < carried_.size(); ++i) settle_carried(i);
    for (uint32_t i = 0; i < flow_.works.size(); ++i) emit(flow_.works[i], i);
    // Nothing reads what comes in any more.
    for (const auto& [from, to] : late_copies_) owner_.copy(from, to);
  }

 private:
  void settle_carried(size_t index);
  bool may_overwrite(size_t output, const BufferRef& state) const;
  int64_t last_reader(ValueId base) const;
  void emit(const Work& work, uint32_t index);
  BufferRef ref_to(const Touch& touch);
  Place place_of(const Touch& touch);
  BufferRef buffer_ref(const Work& work, size_t index);

  BlockBuilder& owner_;
  const Graph& graph_;
  ValueFlow flow_;
  std::vector<Place> inputs_, outputs_;
  const std::vector<Place>& carried_;  // by output: the memory that it is to end up in
  std::map<ValueId, BufferRef> arena_;
  std::vector<std::pair<Place, Place>> late_copies_;
};

// Gives the carried output its state's memory, or some of its own that is copied in the end.
void BlockBuilder::Body::settle_carried(size_t index) {
  const Place& state = carried_[index];
  if (!state || state->size_bytes == 0) return;
  if (may_overwrite(index, *state)) {
    outputs_[index] = state;
    return;
  }
  const ValueId output = graph_.outputs()[index];
  outputs_[index] = owner_.allocate(graph_.value(output).name, state->size_bytes);
  late_copies_.emplace_back(outputs_[index], state);
}

// The last of the works that read from `base`; -1: none does.
int64_t BlockBuilder::Body::last_reader(ValueId base) const {
  for (size_t i = flow_.works.size(); i-- > 0;) {
    const std::vector<Touch>& touches = flow_.works[i].touches;
    const bool reads = std::any_of(touches.begin(), touches.end(), [&](const Touch& touch) {
      return touch.base == base && touch.access == Access::read;
    });
    if (reads) return static_cast<int64_t>(i);
  }
  return -1;
}

// Whether the step that makes the output is behind all that read the state, or reads each element
// before it writes that one.
bool BlockBuilder::Body::may_overwrite(size_t output, const BufferRef& state) const {
  const auto made = flow_.bases.find(graph_.outputs()[output]);
  if (made == flow_.bases.end() || !made->second.is_written) return false;
  const uint32_t index = made->second.writes.first;
  const Work& work = flow_.works[index];
  for (size_t i = 0; i < inputs_.size(); ++i) {
    const Place& input = inputs_[i];
    if (!input || input->space != state.space || input->index != state.index ||
        input->offset_bytes != state.offset_bytes) {
      continue;
    }
    const int64_t last = last_reader(graph_.inputs()[i]);
    if (last < index) continue;
    if (last > index || work.lowered == nullptr || made->second.needs_clearing) return false;
    // It reads the state as the operand that its result may lie over, and in no other way.
    size_t num_readers = 0;
    bool is_in_place = false;
    for (size_t k = 0; k < work.touches.size(); ++k) {
      const Touch& touch = work.touches[k];
      const KernelBuffer& buffer = work.lowered->buffers[k];
      if (touch.base == graph_.inputs()[i] && touch.access == Access::read) ++num_readers;
      if (buffer.kind != KernelBuffer::Kind::result || buffer.in_place_of < 0) continue;
      if (touch.value != graph_.outputs()[output]) continue;
      const ValueId operand =
          graph_.node(work.node).operands[static_cast<size_t>(buffer.in_place_of)];
      is_in_place = operand == graph_.inputs()[i] && graph_.value(operand).storage.strides ==
                                                         graph_.value(touch.value).storage.strides;
    }
    if (!is_in_place || num_readers != 1) return false;
  }
  return true;
}

Place BlockBuilder::Body::place_of(const Touch& touch) {
  const Base& base = flow_.bases.at(touch.base);
  switch (base.home) {
    case Home::input:
      return inputs_[base.index];
    case Home::constant:
      return BufferRef{Space::constant, Access::read, base.index, 0, base.size_bytes};
    case Home::output:
      if (outputs_[base.index]) return outputs_[base.index];
      break;
    default:
      break;
  }
  const auto [it, is_new] = arena_.try_emplace(base.value);
  if (is_new) it->second = *owner_.allocate(graph_.value(base.value).name, base.size_bytes);
  return it->second;
}

BufferRef BlockBuilder::Body::ref_to(const Touch& touch) {
  const Place place = place_of(touch);
  NEURONC_CHECK(place.has_value());
  return part_of(*place, touch.access, touch.offset_bytes, touch.size_bytes);
}

BufferRef BlockBuilder::Body::buffer_ref(const Work& work, size_t index) {
  if (work.touches[index].value) return ref_to(work.touches[index]);
  const KernelBuffer& buffer = work.lowered->buffers[index];
  const auto size = static_cast<uint64_t>(buffer.size_bytes);
  if (buffer.kind == KernelBuffer::Kind::packed) {
    return {Space::constant, Access::read, work.lowered->packed_constants[index], 0, size};
  }
  return with_access(*owner_.allocate("workspace", size), Access::write);
}

void BlockBuilder::Body::emit(const Work& work, uint32_t index) {
  for (const Touch& touch : work.touches) {
    if (!touch.base || touch.access != Access::write) continue;
    const Base& base = flow_.bases.at(touch.base);
    if (!base.needs_clearing || base.writes.first != index) continue;
    owner_.lane_.add(plan::Fill{part_of(*place_of(touch), Access::write, 0, base.size_bytes)});
  }
  if (work.lowered == nullptr) {
    const size_t num_operands = graph_.node(work.node).operands.size();
    std::vector<Place> operands, results;
    for (size_t i = 0; i < work.touches.size(); ++i) {
      const Touch& touch = work.touches[i];
      (i < num_operands ? operands : results)
          .push_back(touch.base ? Place(ref_to(touch)) : Place());
    }
    return owner_.add(graph_, work.node, std::move(operands), std::move(results));
  }
  plan::RunKernel step;
  step.kernel = work.lowered->kernel;
  step.tile_end = work.lowered->num_tiles;
  for (size_t i = 0; i < work.touches.size(); ++i) step.buffers.push_back(buffer_ref(work, i));
  owner_.lane_.add(std::move(step));
}

// ---- Nodes of control flow

Place BlockBuilder::allocate(std::string name, uint64_t size_bytes) {
  return LaneBuilder::arena_ref(lane_.allocate(std::move(name), size_bytes), Access::read, 0,
                                size_bytes);
}

void BlockBuilder::copy(const Place& from, const Place& to) {
  if (!from || !to || to->size_bytes == 0) return;
  lane_.add(plan::Copy{with_access(*from, Access::read), with_access(*to, Access::write)});
}

plan::BlockId BlockBuilder::add_body(const Graph& body, std::vector<Place> inputs,
                                     std::vector<Place> outputs,
                                     const std::vector<Place>& carried) {
  const plan::BlockId block = lane_.begin_block();
  Body(*this, body, std::move(inputs), std::move(outputs), carried).run();
  lane_.end_block();
  return block;
}

void BlockBuilder::add(const Graph& graph, NodeId node, std::vector<Place> operands,
                       std::vector<Place> results) {
  // What nobody reads, and no trip carries on, need not be kept.
  const bool is_if = graph.node(node).op == Op::if_else;
  const size_t num_carried = is_if ? 0 : trip_form(module_, graph, node).num_carried;
  for (size_t i = num_carried; i < results.size(); ++i) {
    if (graph.value(graph.node(node).results[i]).is_unused()) results[i] = Place();
  }
  if (is_if) return add_if(graph, node, operands, results);
  // What moves with the trips of a loop outside stands still in this one.
  std::vector<std::pair<Place, Place>> rows;
  for (Place& operand : operands) operand = still_copy(operand, "slice");
  for (Place& result : results) {
    if (!result || result->trip_stride_bytes == 0) continue;
    const Place still = allocate("row", result->size_bytes);
    rows.emplace_back(still, std::exchange(result, still));
  }
  add_loop(graph, node, std::move(operands), std::move(results));
  for (const auto& [still, row] : rows) copy(still, row);
}

Place BlockBuilder::still_copy(const Place& place, std::string name) {
  if (!place || place->trip_stride_bytes == 0) return place;
  const Place still = allocate(std::move(name), place->size_bytes);
  copy(place, still);
  return still;
}

void BlockBuilder::add_if(const Graph& graph, NodeId node, const std::vector<Place>& operands,
                          const std::vector<Place>& results) {
  const std::vector<Place> captures(operands.begin() + 1, operands.end());
  plan::If step;
  step.condition = with_access(*operands[0], Access::read);
  step.then_block = add_body(*graph.node(node).bodies[0], captures, results, {});
  step.else_block = add_body(*graph.node(node).bodies[1], captures, results, {});
  lane_.add(std::move(step));
}

void BlockBuilder::add_loop(const Graph& graph, NodeId id, std::vector<Place> operands,
                            std::vector<Place> results) {
  const Node& node = graph.node(id);
  const Graph& body = *node.bodies[0];
  const TripForm form = trip_form(module_, graph, id);
  plan::Loop step;
  step.max_trips = form.most_trips;
  std::vector<Place> inputs = operands;
  std::vector<Place> outputs(body.outputs().size()), carried(body.outputs().size());
  const Place trip = allocate("trip", sizeof(int64_t));
  step.iteration = with_access(*trip, Access::write);
  if (form.num_leading > 0) {
    inputs[0] = trip;
    inputs[1] = Place();
    if (!body.value(body.inputs()[1]).is_unused()) {
      inputs[1] = allocate("holds", 1);
      lane_.add(plan::Fill{with_access(*inputs[1], Access::write), 1, 1});
    }
    if (node.has_operand(0) && form.most_trips < 0) {
      step.count = with_access(*operands[0], Access::read);
    }
    const bool begins = !node.has_operand(1) || form.is_counted;
    if (!begins || !form.is_endless) {
      const Place condition = allocate("condition", 1);
      if (node.has_operand(1)) {
        copy(operands[1], condition);
      } else {
        lane_.add(plan::Fill{with_access(*condition, Access::write), 1, 1});
      }
      step.condition = with_access(*condition, Access::read);
      if (!form.is_endless) carried[0] = condition;
    }
    // A loop that nothing ends is one of as many trips as can be counted.
    if (!step.count && !step.condition && step.max_trips < 0) step.max_trips = INT64_MAX;
  }
  for (size_t i = 0; i < form.num_carried; ++i) {
    const size_t operand = form.num_leading + i;
    const Place& state = results[i];
    copy(operands[operand], state);
    inputs[operand] = state;
    carried[form.first_output() + i] = state;
  }
  if (form.is_counted && form.most_trips == 0) return;
  for (size_t i = 0; i < form.num_scanned; ++i) {
    Place& slice = inputs[form.num_leading + form.num_carried + i];
    slice = row_of(slice, form.most_trips, is_reverse_scan(node, i));
  }
  for (size_t i = form.num_carried; i < results.size(); ++i) {
    outputs[form.first_output() + i] =
        row_of(results[i], form.most_trips, is_reverse_stack(node, i - form.num_carried));
  }
  step.body = add_body(body, std::move(inputs), std::move(outputs), carried);
  lane_.add(std::move(step));
}

}  // namespace neuronc
