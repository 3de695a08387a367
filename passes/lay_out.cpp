// Implements lay_out.h in three walks: dim orders forward, concats backward (their operands are
// written in place), storages and views forward.
#include "passes/lay_out.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "ir/base/check.h"
#include "ir/control_flow.h"
#include "ir/edit.h"
#include "ir/target.h"
#include "ir/view.h"
#include "passes/fuse.h"

namespace neuronc {
namespace {

class Layouter {
 public:
  Layouter(Module& module, PassContext& context)
      : module_(module), graph_(module.graph()), edit_(module.graph()), context_(context) {}

  Changed run() {
    choose_variants();
    choose_orders();
    place_concats();
    assign_storages();
    order_operands();
    settle_outputs();
    return Changed::yes;
  }

 private:
  bool is_on_core(NodeId id) const { return graph_.node(id).placement == Placement::core; }
  bool is_group(NodeId id) const { return id && graph_.node(id).op == Op::group; }
  bool is_view_node(NodeId id) const {
    return id && is_on_core(id) && is_view_candidate(module_, graph_, id);
  }

  void choose_variants();
  void choose_orders();
  DimOrder choose_order(NodeId group, size_t result_index);
  DimOrder order_wanted_by_users(ValueId value);
  void place_concats();
  bool can_be_placed(NodeId concat, ValueId operand) const;
  void assign_storages();
  void assign_views(NodeId id);
  Storage base_storage(ValueId value) const;
  ValueId insert_reorder(NodeId before, ValueId value, const DimOrder& order);
  void order_operands();
  void settle_outputs();

  Module& module_;
  Graph& graph_;
  GraphEditor edit_;
  PassContext& context_;
  std::unordered_map<ValueId, DimOrder> orders_;
  std::unordered_set<ValueId> placed_;  // written in place into a concat's result
};

bool is_row_major(const DimOrder& order) { return std::is_sorted(order.begin(), order.end()); }

void Layouter::choose_variants() {
  for (NodeId id : graph_.nodes()) {
    if (!is_group(id)) continue;
    VariantChoice choice = context_.target.choose_variant(module_, graph_, id);
    for (std::string& refusal : choice.refusals) {
      context_.remarks.missed(node_label(module_, graph_, id), std::move(refusal));
    }
    edit_.set_attribute(id, "variant", std::move(choice.name));
  }
}

// The order in which all groups that read `value` want it, if they agree.
DimOrder Layouter::order_wanted_by_users(ValueId value) {
  DimOrder wanted;
  for (const Use& use : graph_.value(value).uses) {
    DimOrder wish;
    const Node& user = graph_.node(use.node);
    if (is_group(use.node)) {
      wish = context_.target.preferred_operand_order(module_, graph_, use.node, use.operand_index);
    } else if (is_on_core(use.node) && user.op == Op::transpose) {
      // Stored as the transpose will want it, the transpose is a view in row-major order.
      for (int64_t dim : user.view().ints("perm")) wish.push_back(static_cast<int>(dim));
    }
    if (wish.empty()) continue;
    if (!wanted.empty() && wanted != wish) return {};
    wanted = std::move(wish);
  }
  return wanted;
}

DimOrder Layouter::choose_order(NodeId group, size_t result_index) {
  const ValueId result = graph_.node(group).results[result_index];
  DimOrder order = context_.target.preferred_result_order(module_, graph_, group, result_index);
  if (!order.empty()) return order;
  if (graph_.value(result).num_output_uses > 0) return {};
  order = order_wanted_by_users(result);
  if (!order.empty()) return order;
  // Elementwise work keeps the order of what it reads.
  const std::vector<int64_t> shape = graph_.type(result).shape();
  for (ValueId operand : graph_.node(group).operands) {
    if (!operand || !graph_.type(operand).is_static()) continue;
    const auto it = orders_.find(operand);
    if (it != orders_.end() && graph_.type(operand).shape() == shape) return it->second;
  }
  return {};
}

void Layouter::choose_orders() {
  for (NodeId id : graph_.nodes()) {
    const Node& node = graph_.node(id);
    if (is_group(id)) {
      for (size_t i = 0; i < node.results.size(); ++i) {
        DimOrder order = choose_order(id, i);
        if (!order.empty() && !is_row_major(order)) orders_[node.results[i]] = std::move(order);
      }
    } else if (is_view_node(id) && (node.op == Op::concat || node.op == Op::slice ||
                                    node.op == Op::split || node.op == Op::identity)) {
      const auto it = orders_.find(node.operands[0]);
      if (it == orders_.end()) continue;
      const DimOrder order = it->second;
      for (ValueId result : node.results) orders_[result] = order;
    }
  }
}

Storage Layouter::base_storage(ValueId value) const {
  const Type& type = graph_.type(value);
  const auto it = orders_.find(value);
  const bool is_output = graph_.value(value).num_output_uses > 0;
  const DType dtype = is_output ? type.dtype : context_.target.storage_dtype(type.dtype);
  return Storage::dense(dtype, type.shape(), it == orders_.end() ? DimOrder() : it->second);
}

// Whether the producer of `operand` can write straight into the concat's result.
bool Layouter::can_be_placed(NodeId concat, ValueId operand) const {
  const NodeId producer = graph_.producer(operand);
  if (!producer || placed_.contains(operand)) return false;
  const Value& value = graph_.value(operand);
  if (value.num_output_uses > 0) return false;
  const auto& operands = graph_.node(concat).operands;
  if (std::count(operands.begin(), operands.end(), operand) != 1) return false;
  if (is_group(producer)) return true;
  return is_view_node(producer) && graph_.node(producer).op == Op::concat;
}

void Layouter::place_concats() {
  std::vector<NodeId> concats;
  for (NodeId id : graph_.nodes()) {
    if (is_view_node(id) && graph_.node(id).op == Op::concat) concats.push_back(id);
  }
  // Backwards: an outer concat is placed before the concats that feed it.
  std::reverse(concats.begin(), concats.end());
  for (NodeId id : concats) {
    const ValueId result = graph_.node(id).results[0];
    if (!graph_.value(result).storage) edit_.set_storage(result, base_storage(result));
    const Storage whole = graph_.value(result).storage;
    const size_t rank = whole.strides.size();
    const int64_t axis = (graph_.node(id).view().i64("axis") + static_cast<int64_t>(rank)) %
                         static_cast<int64_t>(rank);
    int64_t offset = whole.offset;
    for (size_t i = 0; i < graph_.node(id).operands.size(); ++i) {
      ValueId operand = graph_.node(id).operands[i];
      const int64_t extent = graph_.type(operand).shape()[static_cast<size_t>(axis)];
      if (!can_be_placed(id, operand)) {
        operand = insert_reorder(id, operand, {});
        edit_.set_operand(id, i, operand);
      }
      Storage part = whole;
      part.num_elements = 0;
      part.offset = offset;
      part.base = whole.is_view() ? whole.base : result;
      edit_.set_storage(operand, part);
      placed_.insert(operand);
      offset += extent * whole.strides[static_cast<size_t>(axis)];
    }
  }
}

// A copy of `value` before node `before`; its storage is dense in `order` until it is placed.
ValueId Layouter::insert_reorder(NodeId before, ValueId value, const DimOrder& order) {
  NodeSpec spec;
  spec.op = Op::reorder;
  spec.operands = {value};
  spec.result_types = {graph_.type(value)};
  spec.placement = Placement::core;
  const NodeId producer = graph_.producer(value);
  if (producer) spec.source = graph_.node(producer).source;
  const NodeId id =
      before ? edit_.insert_before(before, std::move(spec)) : edit_.append(std::move(spec));
  const ValueId copy = graph_.node(id).results[0];
  const Type& type = graph_.type(value);
  edit_.set_storage(copy,
                    Storage::dense(context_.target.storage_dtype(type.dtype), type.shape(), order));
  context_.remarks.missed(node_label(module_, graph_, id), "a copy remains: memory order changes");
  return copy;
}

void Layouter::assign_storages() {
  for (ValueId input : graph_.inputs()) {
    const Type& type = graph_.type(input);
    if (type.is_static()) edit_.set_storage(input, Storage::dense(type.dtype, type.shape()));
  }
  for (NodeId id : graph_.nodes()) {
    if (is_view_node(id) && graph_.node(id).op != Op::concat) {
      assign_views(id);
      continue;
    }
    const bool is_raw =
        graph_.node(id).op == Op::constant || !is_on_core(id) || runs_blocks(graph_.node(id));
    for (ValueId result : graph_.node(id).results) {
      const Type& type = graph_.type(result);
      if (graph_.value(result).storage || !type.is_static()) continue;
      edit_.set_storage(result,
                        is_raw ? Storage::dense(type.dtype, type.shape()) : base_storage(result));
    }
  }
}

void Layouter::assign_views(NodeId id) {
  const ValueId operand = graph_.node(id).operands[0];
  auto views = views_of(module_, graph_, id, graph_.value(operand).storage);
  if (!views) {
    // From a dense row-major copy every one of these operators is a view, but for negative
    // steps, which the copy itself performs.
    const ValueId copy = insert_reorder(id, operand, {});
    views = views_of(module_, graph_, id, graph_.value(copy).storage);
    NEURONC_CHECK(views.has_value());
    edit_.set_operand(id, 0, copy);
  }
  const ValueId source = graph_.node(id).operands[0];
  const Storage base = graph_.value(source).storage;
  for (size_t i = 0; i < views->size(); ++i) {
    Storage& view = (*views)[i];
    view.base = base.is_view() ? base.base : source;
    edit_.set_storage(graph_.node(id).results[i], std::move(view));
  }
}

// What comes in another order than the kernel wants, as a model's inputs do, is copied into that
// order once for all its readers: a kernel would gather every vector element by element. Of few
// channels it interleaves rows as it reads them.
void Layouter::order_operands() {
  constexpr int64_t kFewChannels = 4;
  std::map<std::pair<ValueId, DimOrder>, ValueId> copies;
  for (NodeId id : graph_.nodes()) {
    if (!is_group(id)) continue;
    for (size_t i = 0; i < graph_.node(id).operands.size(); ++i) {
      const ValueId value = graph_.node(id).operands[i];
      if (!value || module_.constant_of(graph_, value) != nullptr) continue;
      if (!graph_.value(value).storage) continue;
      const DimOrder wanted = context_.target.preferred_operand_order(module_, graph_, id, i);
      if (wanted.empty() || is_row_major(wanted)) continue;
      const auto inner = static_cast<size_t>(wanted.back());
      if (graph_.type(value).shape()[inner] <= kFewChannels ||
          graph_.value(value).storage.strides[inner] == 1) {
        continue;
      }
      ValueId& copy = copies[{value, wanted}];
      if (!copy) copy = insert_reorder(id, value, wanted);
      edit_.set_operand(id, i, copy);
    }
  }
}

// Model outputs are dense, row-major and each in memory of its own, the caller's.
void Layouter::settle_outputs() {
  std::unordered_set<ValueId> taken;
  for (size_t i = 0; i < graph_.outputs().size(); ++i) {
    const ValueId output = graph_.outputs()[i];
    const Value& value = graph_.value(output);
    if (!value.type.is_static() || !value.storage) continue;
    if (value.producer && !is_on_core(value.producer)) continue;
    // An input or constant handed on as it is: the host copies what no core can hold.
    if (!context_.target.can_hold(value.type.dtype)) continue;
    const ValueId base = value.storage.is_view() ? value.storage.base : output;
    const NodeId maker = graph_.producer(base);
    const bool is_own = maker && is_on_core(maker) && graph_.node(maker).op != Op::constant &&
                        graph_.value(base).storage.num_elements == value.type.num_elements() &&
                        graph_.value(base).storage.dtype == value.type.dtype;
    const bool fits =
        is_own && value.storage.offset == 0 && value.storage.is_row_major(value.type.shape());
    if (fits && taken.insert(base).second) continue;
    // The copy takes the declared type's storage; `value` is gone once a node is added.
    const ValueId copy = insert_reorder(NodeId(), output, {});
    const Type& type = graph_.type(copy);
    edit_.set_storage(copy, Storage::dense(type.dtype, type.shape()));
    edit_.set_output(i, copy);
    taken.insert(copy);
  }
}

}  // namespace

Expected<Changed> lay_out(Module& module, const NoOptions&, PassContext& context) {
  return on_core_graphs(module,
                        [&]() -> Expected<Changed> { return Layouter(module, context).run(); });
}

}  // namespace neuronc
