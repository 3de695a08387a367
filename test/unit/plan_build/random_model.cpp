// Implements random_model.h.
#include "random_model.h"

#include <algorithm>
#include <map>
#include <set>

#include "passes/partition_memory.h"
#include "passes/reference_target.h"

namespace neuronc::test {

Elements mix(uint32_t salt, size_t result_index, int64_t num_elements,
             const std::vector<Elements>& operands) {
  Elements result(static_cast<size_t>(num_elements));
  for (size_t e = 0; e < result.size(); ++e) {
    uint32_t value = salt * 1000003u + static_cast<uint32_t>(result_index) * 7919u;
    for (size_t k = 0; k < operands.size(); ++k) {
      value = value * 31u + operands[k][e % operands[k].size()] * static_cast<uint32_t>(2 * k + 3);
    }
    result[e] = value;
  }
  return result;
}

RandomModel::RandomModel(uint32_t seed, int32_t num_cores, Lanes lanes)
    : random_(seed), edit_(module.graph()) {
  module.name = "random";
  module.stage = Stage::partitioned;
  const int64_t num_inputs = pick(3) + 1;
  for (int64_t i = 0; i < num_inputs; ++i) {
    const std::vector<int64_t> dims{pick(3) + 1, pick(4) + 1};
    const ValueId input = edit_.add_input(Type::tensor(DType::u32, dims), "in" + std::to_string(i));
    recipes_.push_back({Kind::input, NodeId(), {}, {input}});
    values_.push_back(input);
  }
  const int64_t num_nodes = pick(24) + 2;
  for (int64_t i = 0; i < num_nodes; ++i) {
    switch (pick(12)) {
      case 0:
        add_constant();
        break;
      case 1:
        add_host_node();
        break;
      case 2:
        add_slice();
        break;
      case 3:
        add_transpose();
        break;
      case 4:
      case 5:
      case 6:
        add_concat();
        break;
      default:
        add_group();
        break;
    }
  }
  add_outputs();
  place_concats();
  assign_storages();
  assign_lanes(num_cores, lanes);
  // Lay-out and partition would have done the rest as well.
  const ReferenceTarget target;
  Diagnostics diagnostics;
  Remarks remarks;
  PassContext context{target, diagnostics, remarks};
  separate_memory(module, module.graph(), context);
}

RandomModel::Recipe& RandomModel::add(Kind kind, Op op, Placement placement,
                                      std::vector<ValueId> operands,
                                      const std::vector<std::vector<int64_t>>& result_shapes) {
  NodeSpec spec;
  spec.op = op;
  spec.operands = operands;
  spec.placement = placement;
  for (const auto& dims : result_shapes)
    spec.result_types.push_back(Type::tensor(DType::u32, dims));
  const NodeId node = edit_.append(std::move(spec));
  const std::vector<ValueId> results = module.graph().node(node).results;
  values_.insert(values_.end(), results.begin(), results.end());
  recipes_.push_back({kind, node, std::move(operands), results});
  return recipes_.back();
}

void RandomModel::add_group() {
  std::vector<ValueId> operands;
  for (int64_t i = pick(3); i >= 0; --i) operands.push_back(pick_value());
  if (pick(3) == 0) {
    // The same memory twice: a result must not be written over it.
    const std::vector<int64_t> dims = shape(operands[0]);
    const Recipe& view =
        add(Kind::transpose, Op::transpose, Placement::core, {operands[0]}, {{dims[1], dims[0]}});
    operands.push_back(view.results[0]);
  }
  std::vector<std::vector<int64_t>> shapes;
  for (int64_t i = pick(4) == 0 ? 2 : 1; i > 0; --i) {
    const bool is_same = pick(3) > 0;
    shapes.push_back(is_same ? shape(operands[0]) : std::vector<int64_t>{pick(3) + 1, pick(4) + 1});
  }
  add(Kind::group, Op::group, Placement::core, std::move(operands), shapes);
}

void RandomModel::add_host_node() {
  std::vector<ValueId> operands{pick_value()};
  if (pick(2) == 0) operands.push_back(pick_value());
  const std::vector<int64_t> dims = shape(operands[0]);
  add(Kind::host, Op::relu, Placement::host, std::move(operands), {dims});
}

void RandomModel::add_slice() {
  const ValueId operand = pick_value();
  const int64_t axis = pick(2);
  std::vector<int64_t> dims = shape(operand);
  int64_t& extent = dims[static_cast<size_t>(axis)];
  const int64_t start = pick(extent);
  extent -= start;
  Recipe& recipe = add(Kind::slice, Op::slice, Placement::core, {operand}, {dims});
  recipe.axis = axis;
  recipe.start = start;
}

void RandomModel::add_transpose() {
  const ValueId operand = pick_value();
  const std::vector<int64_t> dims = shape(operand);
  add(Kind::transpose, Op::transpose, Placement::core, {operand}, {{dims[1], dims[0]}});
}

void RandomModel::add_concat() {
  const ValueId first = pick_value();
  const int64_t axis = pick(2);
  const auto other = static_cast<size_t>(1 - axis);
  std::vector<ValueId> operands{first};
  std::vector<int64_t> dims = shape(first);
  for (int64_t i = 0; i < 6 && operands.size() < 3; ++i) {
    const ValueId next = pick_value();
    if (shape(next)[other] != dims[other]) continue;
    dims[static_cast<size_t>(axis)] += shape(next)[static_cast<size_t>(axis)];
    operands.push_back(next);
  }
  if (dims[0] * dims[1] > 400) return;
  add(Kind::concat, Op::concat, Placement::core, std::move(operands), {dims}).axis = axis;
}

void RandomModel::add_constant() {
  const std::vector<int64_t> dims{pick(3) + 1, pick(4) + 1};
  Tensor tensor = Tensor::zeros(DType::u32, dims);
  for (uint32_t& element : tensor.mutable_as<uint32_t>())
    element = static_cast<uint32_t>(random_());
  NodeSpec spec;
  spec.op = Op::constant;
  spec.placement = Placement::core;
  spec.attributes = {module.add_constant(tensor)};
  spec.result_types = {tensor.type()};
  const NodeId node = edit_.append(std::move(spec));
  values_.push_back(module.graph().node(node).results[0]);
  recipes_.push_back({Kind::constant, node, {}, {values_.back()}});
}

void RandomModel::add_outputs() {
  for (int64_t i = pick(3); i >= 0; --i) outputs_.push_back(pick_value());
  outputs_.push_back(values_.back());
  for (size_t i = 0; i < outputs_.size(); ++i) {
    edit_.add_output(outputs_[i], "out" + std::to_string(i));
  }
}

ValueId RandomModel::insert_reorder(NodeId before, ValueId value) {
  NodeSpec spec;
  spec.op = Op::reorder;
  spec.operands = {value};
  spec.result_types = {module.graph().type(value)};
  spec.placement = Placement::core;
  const NodeId node =
      before ? edit_.insert_before(before, std::move(spec)) : edit_.append(std::move(spec));
  return module.graph().node(node).results[0];
}

// As lay-out does it: backwards, each part either written in place or copied.
void RandomModel::place_concats() {
  Graph& graph = module.graph();
  std::set<ValueId> placed;
  for (size_t r = recipes_.size(); r-- > 0;) {
    const Recipe& recipe = recipes_[r];
    if (recipe.kind != Kind::concat) continue;
    const ValueId result = recipe.results[0];
    if (!graph.value(result).storage) {
      edit_.set_storage(result, Storage::dense(DType::u32, shape(result)));
    }
    const Storage whole = graph.value(result).storage;
    int64_t offset = whole.offset;
    for (size_t i = 0; i < recipe.operands.size(); ++i) {
      ValueId operand = graph.node(recipe.node).operands[i];
      const NodeId producer = graph.producer(operand);
      const bool can_be_placed =
          producer && !placed.contains(operand) && graph.value(operand).num_output_uses == 0 &&
          (graph.node(producer).op == Op::group || graph.node(producer).op == Op::concat) &&
          std::count(recipe.operands.begin(), recipe.operands.end(), operand) == 1;
      if (!can_be_placed) {
        operand = insert_reorder(recipe.node, operand);
        edit_.set_operand(recipe.node, i, operand);
      }
      Storage part = whole;
      part.num_elements = 0;
      part.offset = offset;
      part.base = whole.is_view() ? whole.base : result;
      edit_.set_storage(operand, part);
      placed.insert(operand);
      offset += shape(operand)[static_cast<size_t>(recipe.axis)] *
                whole.strides[static_cast<size_t>(recipe.axis)];
    }
  }
}

void RandomModel::assign_storages() {
  Graph& graph = module.graph();
  for (const Recipe& recipe : recipes_) {
    for (ValueId result : recipe.results) {
      if (graph.value(result).storage) continue;
      Storage storage = Storage::dense(DType::u32, shape(result));
      const bool is_free = recipe.kind == Kind::group && graph.value(result).num_output_uses == 0;
      if (is_free && pick(2) == 0) storage = Storage::dense(DType::u32, shape(result), {1, 0});
      if (recipe.kind == Kind::slice || recipe.kind == Kind::transpose) {
        storage = graph.value(recipe.operands[0]).storage;
        storage.num_elements = 0;
        if (!storage.is_view()) storage.base = recipe.operands[0];
        if (recipe.kind == Kind::transpose) std::swap(storage.strides[0], storage.strides[1]);
        if (recipe.kind == Kind::slice) {
          storage.offset += recipe.start * storage.strides[static_cast<size_t>(recipe.axis)];
        }
      }
      edit_.set_storage(result, storage);
    }
  }
  std::set<ValueId> taken;
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const NodeId producer = graph.producer(outputs_[i]);
    const bool is_host = producer && graph.node(producer).placement == Placement::host;
    const bool is_raw = !producer || graph.node(producer).op == Op::constant;
    const bool is_own = !graph.value(outputs_[i]).storage.is_view() && !is_raw;
    if (is_host || (is_own && taken.insert(outputs_[i]).second)) continue;
    if (is_raw && pick(2) == 0) continue;  // left to prepare_host
    const ValueId copy = insert_reorder(NodeId(), outputs_[i]);
    edit_.set_storage(copy, Storage::dense(DType::u32, shape(copy)));
    edit_.set_output(i, copy);
  }
}

std::vector<CoreRange> RandomModel::random_groups(int32_t num_cores, Lanes lanes) {
  if (lanes == Lanes::team) return {{0, num_cores}};
  std::vector<CoreRange> groups;
  for (int32_t first = 0; first < num_cores; first = groups.back().end()) {
    const bool can_be_team = lanes == Lanes::stages_of_teams;
    const int64_t count = can_be_team ? pick(num_cores - first) + 1 : 1;
    groups.push_back({first, static_cast<int32_t>(count)});
  }
  return groups;
}

void RandomModel::assign_lanes(int32_t num_cores, Lanes lanes) {
  const std::vector<CoreRange> groups = random_groups(num_cores, lanes);
  const size_t num_nodes = module.graph().num_nodes();
  size_t index = 0;
  for (NodeId id : module.graph().nodes()) {
    const size_t stage = index++ * groups.size() / num_nodes;
    if (module.graph().node(id).placement != Placement::core) continue;
    const bool is_anywhere = lanes == Lanes::random;
    const auto any = static_cast<size_t>(pick(static_cast<int64_t>(groups.size())));
    const CoreRange cores = groups[is_anywhere ? any : stage];
    edit_.set_placement(id, Placement::core, cores);
    const bool is_alone =
        cores.count > 1 && module.graph().node(id).op == Op::group && pick(4) == 0;
    if (is_alone) edit_.set_attribute(id, "is_shared", int64_t{0});
  }
}

std::vector<Elements> RandomModel::evaluate(const std::vector<Elements>& inputs) const {
  std::map<ValueId, Elements> known;
  size_t next_input = 0;
  for (const Recipe& recipe : recipes_) {
    std::vector<Elements> operands;
    for (ValueId operand : recipe.operands) operands.push_back(known.at(operand));
    for (size_t r = 0; r < recipe.results.size(); ++r) {
      const ValueId result = recipe.results[r];
      const std::vector<int64_t> dims = shape(result);
      Elements elements(static_cast<size_t>(dims[0] * dims[1]));
      if (recipe.kind == Kind::input) {
        elements = inputs[next_input++];
      } else if (recipe.kind == Kind::constant) {
        const auto data = module.constant_of(module.graph(), result)->as<uint32_t>();
        elements.assign(data.begin(), data.end());
      } else if (recipe.kind == Kind::group || recipe.kind == Kind::host) {
        elements = mix(recipe.node.index, r, dims[0] * dims[1], operands);
      }
      int64_t begin = 0;  // of the concat's operand
      for (size_t k = 0; k < recipe.operands.size(); ++k) {
        const std::vector<int64_t> from = shape(recipe.operands[k]);
        const auto axis = static_cast<size_t>(recipe.axis);
        if (recipe.kind == Kind::concat) {
          for (int64_t e = 0; e < from[0] * from[1]; ++e) {
            int64_t at[2] = {e / from[1], e % from[1]};
            at[axis] += begin;
            elements[static_cast<size_t>(at[0] * dims[1] + at[1])] =
                operands[k][static_cast<size_t>(e)];
          }
          begin += from[axis];
        } else if (recipe.kind == Kind::slice || recipe.kind == Kind::transpose) {
          for (int64_t e = 0; e < dims[0] * dims[1]; ++e) {
            int64_t at[2] = {e / dims[1], e % dims[1]};
            if (recipe.kind == Kind::transpose) std::swap(at[0], at[1]);
            if (recipe.kind == Kind::slice) at[axis] += recipe.start;
            elements[static_cast<size_t>(e)] =
                operands[k][static_cast<size_t>(at[0] * from[1] + at[1])];
          }
        }
      }
      known[result] = std::move(elements);
    }
  }
  std::vector<Elements> outputs;
  for (ValueId output : outputs_) outputs.push_back(known.at(output));
  return outputs;
}

}  // namespace neuronc::test
