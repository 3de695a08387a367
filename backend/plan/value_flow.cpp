// Implements value_flow.h.
#include "backend/plan/value_flow.h"

#include <algorithm>

#include "backend/plan/host_graph.h"
#include "backend/plan/prepare_host.h"
#include "ir/base/check.h"
#include "ir/control_flow.h"

namespace neuronc {
namespace {

class Tracer {
 public:
  Tracer(const Module& module, const Graph& graph, LoweredModule& lowered)
      : module_(module), graph_(graph), lowered_(lowered), splitter_(lowered.kernels) {}

  ValueFlow run() {
    if (&graph_ == &module_.graph()) {
      count_lanes();
      form_groups();
    } else {
      flow_.groups.push_back({0, 1});
    }
    collect_works();
    for (uint32_t i = 0; i < flow_.works.size(); ++i) note_touches(i);
    choose_homes();
    return std::move(flow_);
  }

 private:
  void count_lanes();
  void form_groups();
  void collect_works();
  void add_kernel(const LoweredNode& lowered);
  void split_work(Work& work);
  void add_host_node(NodeId id, uint32_t host_node);
  void add_blocks(NodeId id);
  void add_values(Work& work) const;
  Touch touch(ValueId value, plan::Access access, uint64_t size_bytes) const;
  uint64_t dense_bytes(ValueId value) const;
  void note_touches(uint32_t work_index);
  Base& base_of(ValueId base);
  void choose_homes();

  const Module& module_;
  const Graph& graph_;
  LoweredModule& lowered_;
  ValueFlow flow_;
  std::map<ValueId, plan::ByteRanges> written_;
  std::map<uint32_t, uint32_t> group_of_core_;
  TileSplitter splitter_;
};

void Tracer::count_lanes() {
  for (NodeId id : graph_.nodes()) {
    const Node& node = graph_.node(id);
    if (is_host_item(module_, graph_, id)) {
      flow_.has_host_lane = true;
    } else if (!node.cores.is_none()) {
      const auto end = static_cast<uint32_t>(node.cores.end());
      flow_.num_core_lanes = std::max(flow_.num_core_lanes, end);
    }
  }
}

// Ranges of cores are equal or apart, which the module's verifier has shown.
void Tracer::form_groups() {
  for (NodeId id : graph_.nodes()) {
    const CoreRange& cores = graph_.node(id).cores;
    if (is_host_item(module_, graph_, id) || cores.is_none()) continue;
    const auto first = static_cast<uint32_t>(cores.first);
    const auto count = static_cast<uint32_t>(cores.count);
    const auto number = static_cast<uint32_t>(flow_.groups.size());
    if (group_of_core_.emplace(first, number).second) flow_.groups.push_back({first, count});
  }
  if (flow_.groups.empty()) flow_.groups.push_back({0, 1});
  if (flow_.has_host_lane) flow_.groups.push_back({flow_.host_lane(), 1});
}

void Tracer::collect_works() {
  size_t next_lowered = 0;
  const auto skip_other_graphs = [&] {
    const std::vector<LoweredNode>& nodes = lowered_.nodes;
    while (next_lowered < nodes.size() && nodes[next_lowered].graph != &graph_) ++next_lowered;
  };
  skip_other_graphs();
  uint32_t next_host_node = 0;
  for (NodeId id : graph_.nodes()) {
    if (is_host_item(module_, graph_, id)) {
      add_host_node(id, next_host_node++);
    } else if (runs_blocks(graph_.node(id))) {
      add_blocks(id);
    } else if (next_lowered < lowered_.nodes.size() && lowered_.nodes[next_lowered].node == id) {
      add_kernel(lowered_.nodes[next_lowered++]);
      skip_other_graphs();
    }
  }
  NEURONC_CHECK(next_lowered == lowered_.nodes.size());
}

Touch Tracer::touch(ValueId value, plan::Access access, uint64_t size_bytes) const {
  Touch touch;
  touch.value = value;
  touch.access = access;
  touch.size_bytes = size_bytes;
  const Storage& storage = graph_.value(value).storage;
  touch.base = storage.is_view() ? storage.base : value;
  // What has no elements has no place either; its base may be as empty.
  if (storage && size_bytes > 0) {
    touch.offset_bytes = static_cast<uint64_t>(storage.offset) *
                         static_cast<uint64_t>(neuronc::size_bytes(storage.dtype));
  }
  return touch;
}

void Tracer::add_kernel(const LoweredNode& lowered) {
  const Node& node = graph_.node(lowered.node);
  Work work;
  work.node = lowered.node;
  const auto group = group_of_core_.find(static_cast<uint32_t>(node.cores.first));
  work.group = group == group_of_core_.end() ? 0 : group->second;
  work.lowered = &lowered;
  for (const KernelBuffer& buffer : lowered.buffers) {
    const auto size = static_cast<uint64_t>(buffer.size_bytes);
    if (buffer.kind == KernelBuffer::Kind::operand) {
      work.touches.push_back(touch(node.operands[buffer.index], plan::Access::read, size));
    } else if (buffer.kind == KernelBuffer::Kind::result) {
      work.touches.push_back(touch(node.results[buffer.index], plan::Access::write, size));
    } else {
      work.touches.emplace_back();
    }
  }
  if (flow_.is_team(work.group)) split_work(work);
  flow_.works.push_back(std::move(work));
}

void Tracer::split_work(Work& work) {
  const Node& node = graph_.node(work.node);
  const bool is_shared = node.op != Op::group || node.view().i64("is_shared") != 0;
  work.parts = splitter_.split(*work.lowered, flow_.groups[work.group].count,
                               is_shared ? TileShare::all_lanes : TileShare::first_lane);
  for (size_t i = 0; i < work.touches.size(); ++i) {
    for (const TilePart& part : work.parts) {
      const std::vector<plan::Run>& runs = part.touched[i];
      work.touches[i].runs.insert(work.touches[i].runs.end(), runs.begin(), runs.end());
    }
  }
}

// Bytes of a dense tensor; 0 where they are known only at run time.
uint64_t Tracer::dense_bytes(ValueId value) const {
  const Type& type = graph_.type(value);
  const bool is_known = type.is_static() && type.dtype != DType::string;
  return is_known ? static_cast<uint64_t>(type.size_bytes()) : 0;
}

void Tracer::add_host_node(NodeId id, uint32_t host_node) {
  Work work;
  work.node = id;
  work.group = flow_.host_group();
  work.host_node = host_node;
  add_values(work);
  flow_.works.push_back(std::move(work));
}

// Operands and results of a node that is no kernel, each as a whole.
void Tracer::add_values(Work& work) const {
  const Node& node = graph_.node(work.node);
  for (ValueId operand : node.operands) {
    work.touches.push_back(operand ? touch(operand, plan::Access::read, dense_bytes(operand))
                                   : Touch());
  }
  for (ValueId result : node.results) {
    work.touches.push_back(touch(result, plan::Access::write, dense_bytes(result)));
  }
}

// The work of the first lane of its group, whatever is in it.
void Tracer::add_blocks(NodeId id) {
  Work work;
  work.node = id;
  const auto group = group_of_core_.find(static_cast<uint32_t>(graph_.node(id).cores.first));
  work.group = group == group_of_core_.end() ? 0 : group->second;
  add_values(work);
  if (flow_.is_team(work.group)) {
    work.parts.resize(flow_.groups[work.group].count);
    for (TilePart& part : work.parts) part.touched.resize(work.touches.size());
    work.parts[0].tile_end = 1;
    for (size_t i = 0; i < work.touches.size(); ++i) {
      Touch& touch = work.touches[i];
      if (touch.size_bytes == 0) continue;
      touch.runs = {plan::Run{0, touch.size_bytes}};
      work.parts[0].touched[i] = touch.runs;
    }
  }
  flow_.works.push_back(std::move(work));
}

// The entry of `base`; a constant's or an input's home is known at once.
Base& Tracer::base_of(ValueId value) {
  const auto [it, is_new] = flow_.bases.try_emplace(value);
  Base& base = it->second;
  if (!is_new) return base;
  base.value = value;
  const Value& info = graph_.value(value);
  base.size_bytes =
      info.storage ? static_cast<uint64_t>(info.storage.size_bytes()) : dense_bytes(value);
  if (info.is_input()) {
    base.home = Home::input;
    base.index = info.result_index;
  } else if (const Tensor* constant = module_.constant_of(graph_, value);
             constant != nullptr && constant->dtype() != DType::string) {
    base.home = Home::constant;
    base.index = lowered_.constants.add(*constant, info.name);
  }
  return base;
}

// What a touch reads or writes: exactly so where a team shares it, otherwise as a whole.
template <class Visit>
void for_each_range(const Work& work, const Touch& touch, const Visit& visit) {
  if (work.parts.empty()) return visit(touch.offset_bytes, touch.offset_bytes + touch.size_bytes);
  for (const plan::Run& run : touch.runs) {
    for (uint64_t i = 0; i < run.count; ++i) {
      const uint64_t begin = touch.offset_bytes + run.offset_bytes + i * run.stride_bytes;
      visit(begin, begin + run.size_bytes);
    }
  }
}

void Tracer::note_touches(uint32_t work_index) {
  const Work& work = flow_.works[work_index];
  for (const Touch& touch : work.touches) {
    if (!touch.base) continue;
    Base& base = base_of(touch.base);
    if (base.home == Home::input || base.home == Home::constant) continue;
    const uint64_t end = touch.offset_bytes + touch.size_bytes;
    base.size_bytes = std::max(base.size_bytes, end);
    if (touch.access == plan::Access::write) {
      NEURONC_CHECK(!base.is_written || base.group == work.group);
      if (!base.is_written) base.writes.first = work_index;
      base.writes.last = work_index;
      base.is_written = true;
      base.group = work.group;
      continue;
    }
    const auto [it, is_new] = base.reads.try_emplace(work.group, Span{work_index, work_index});
    it->second.last = work_index;
    const plan::ByteRanges& written = written_[touch.base];
    for_each_range(work, touch, [&](uint64_t begin, uint64_t range_end) {
      if (!written.contains(begin, range_end)) base.needs_clearing = true;
    });
    const bool is_of_host = work.lowered == nullptr && !runs_blocks(graph_.node(work.node));
    if (is_of_host && touch.value != touch.base) base.is_viewed_on_host = true;
  }
  // A step reads before it writes.
  for (const Touch& touch : work.touches) {
    if (!touch.base || touch.access != plan::Access::write) continue;
    plan::ByteRanges& written = written_[touch.base];
    for_each_range(work, touch, [&](uint64_t begin, uint64_t end) { written.add(begin, end); });
  }
}

void Tracer::choose_homes() {
  for (auto& [value, base] : flow_.bases) {
    if (base.home == Home::input || base.home == Home::constant) continue;
    const bool is_of_host = flow_.has_host_lane && base.group == flow_.host_group();
    if (base.is_read_by_others()) {
      base.home = Home::channel;
    } else if (is_of_host && !base.is_viewed_on_host) {
      base.home = Home::host_slot;
    } else {
      base.home = Home::arena;
    }
  }
  for (size_t i = 0; i < graph_.outputs().size(); ++i) {
    const ValueId output = graph_.outputs()[i];
    const Storage& storage = graph_.value(output).storage;
    // An output without elements is touched by no kernel and is met here first.
    Base& base = base_of(storage.is_view() ? storage.base : output);
    base.home = Home::output;
    base.index = static_cast<uint32_t>(i);
  }
}

}  // namespace

ValueFlow trace_values(const Module& module, LoweredModule& lowered) {
  return Tracer(module, module.graph(), lowered).run();
}

ValueFlow trace_values(const Module& module, const Graph& body, LoweredModule& lowered) {
  return Tracer(module, body, lowered).run();
}

}  // namespace neuronc
