// Implements partition_memory.h.
#include "passes/partition_memory.h"

#include <vector>

#include "ir/base/check.h"
#include "ir/cost.h"
#include "ir/edit.h"
#include "ir/view.h"

namespace neuronc {
namespace {

class Separator {
 public:
  Separator(Module& module, Graph& graph, PassContext& context)
      : module_(module), graph_(graph), edit_(graph), context_(context) {}

  int64_t run() {
    // Backwards: an outer concat settles where the concats inside it lie.
    for (NodeId id = graph_.last_node(); id;) {
      const NodeId previous = graph_.node(id).previous;
      const Node& node = graph_.node(id);
      if (node.op == Op::concat && node.placement == Placement::core && is_free(graph_, id)) {
        separate_parts(id);
      }
      id = previous;
    }
    return num_copies_;
  }

 private:
  void separate_parts(NodeId concat) {
    for (size_t i = 0; i < graph_.node(concat).operands.size(); ++i) {
      const ValueId part = graph_.node(concat).operands[i];
      const NodeId producer = graph_.producer(part);
      if (producer && graph_.node(producer).core == graph_.node(concat).core) continue;
      separate(concat, i, part);
    }
  }

  void separate(NodeId concat, size_t operand_index, ValueId part) {
    const Storage place = graph_.value(part).storage;
    NodeSpec spec;
    spec.op = Op::reorder;
    spec.operands = {part};
    spec.result_types = {graph_.type(part)};
    spec.placement = Placement::core;
    spec.source = graph_.node(concat).source;
    const NodeId copy = edit_.insert_before(concat, std::move(spec));
    edit_.set_placement(copy, Placement::core, graph_.node(concat).core);
    edit_.set_storage(graph_.node(copy).results[0], place);
    edit_.set_operand(concat, operand_index, graph_.node(copy).results[0]);
    const std::vector<int64_t> shape = graph_.type(part).shape();
    settle(part, Storage::dense(place.dtype, shape, place.order(shape)));
    context_.remarks.missed(node_label(module_, graph_, concat),
                            "a part of the concat is made on another core and copied");
    ++num_copies_;
  }

  // Gives `value` the storage, and what shares its memory the storages that follow.
  void settle(ValueId value, Storage storage) {
    edit_.set_storage(value, std::move(storage));
    std::vector<ValueId> work{value};
    while (!work.empty()) {
      const ValueId moved = work.back();
      work.pop_back();
      settle_parts(moved, work);
      settle_views(moved, work);
    }
  }

  ValueId root(ValueId value) const {
    const Storage& storage = graph_.value(value).storage;
    return storage.is_view() ? storage.base : value;
  }

  void settle_parts(ValueId whole, std::vector<ValueId>& work) {
    const NodeId concat = graph_.producer(whole);
    if (!concat || graph_.node(concat).op != Op::concat) return;
    const Storage memory = graph_.value(whole).storage;
    const int64_t rank = graph_.type(whole).rank();
    const auto axis = static_cast<size_t>((graph_.node(concat).view().i64("axis") + rank) % rank);
    int64_t offset = memory.offset;
    for (ValueId part : graph_.node(concat).operands) {
      Storage storage = memory;
      storage.num_elements = 0;
      storage.offset = offset;
      storage.base = root(whole);
      edit_.set_storage(part, std::move(storage));
      offset += graph_.type(part).shape()[axis] * memory.strides[axis];
      work.push_back(part);
    }
  }

  void settle_views(ValueId shown, std::vector<ValueId>& work) {
    for (const Use& use : graph_.value(shown).uses) {
      const Node& user = graph_.node(use.node);
      if (use.operand_index != 0 || user.op == Op::concat || user.op == Op::reorder) continue;
      if (user.placement != Placement::core || user.op == Op::group) continue;
      for (size_t i = 0; i < user.results.size(); ++i) {
        const ValueId result = user.results[i];
        if (!graph_.value(result).storage.is_view()) continue;
        auto view = view_of(module_, graph_, use.node, i, graph_.value(shown).storage);
        // Memory that is denser than before shows all that it showed.
        NEURONC_CHECK(view.has_value());
        view->base = root(shown);
        edit_.set_storage(result, std::move(*view));
        work.push_back(result);
      }
    }
  }

  Module& module_;
  Graph& graph_;
  GraphEditor edit_;
  PassContext& context_;
  int64_t num_copies_ = 0;
};

}  // namespace

int64_t separate_memory(Module& module, Graph& graph, PassContext& context) {
  return Separator(module, graph, context).run();
}

}  // namespace neuronc
