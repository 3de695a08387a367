// Random partitioned modules for the planner: groups, host nodes, constants, views, concats written
// in place, spread over lanes; with a meaning that is easy to compute.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "ir/edit.h"
#include "ir/graph.h"

namespace neuronc::test {

using Elements = std::vector<uint32_t>;  // row-major

// What a group or host node computes: a mixture of all operands, different for each node and
// result, so that any wrong byte shows.
Elements mix(uint32_t salt, size_t result_index, int64_t num_elements,
             const std::vector<Elements>& operands);

// Stages of one core, nodes anywhere, one team of all cores, or stages of cores and teams.
enum class Lanes : uint8_t { pipeline, random, team, stages_of_teams };

class RandomModel {
 public:
  RandomModel(uint32_t seed, int32_t num_cores, Lanes lanes);

  Module module;

  // The outputs for `inputs`, by the meaning of each node.
  std::vector<Elements> evaluate(const std::vector<Elements>& inputs) const;

 private:
  enum class Kind : uint8_t { input, constant, group, host, slice, transpose, concat };
  struct Recipe {
    Kind kind;
    NodeId node;
    std::vector<ValueId> operands;
    std::vector<ValueId> results;
    int64_t axis = 0, start = 0;  // concat, slice
  };

  int64_t pick(int64_t below) {
    return static_cast<int64_t>(random_() % static_cast<uint64_t>(below));
  }
  ValueId pick_value() {
    return values_[static_cast<size_t>(pick(static_cast<int64_t>(values_.size())))];
  }
  std::vector<int64_t> shape(ValueId value) const { return module.graph().type(value).shape(); }
  Recipe& add(Kind kind, Op op, Placement placement, std::vector<ValueId> operands,
              const std::vector<std::vector<int64_t>>& result_shapes);
  void add_group();
  void add_host_node();
  void add_slice();
  void add_transpose();
  void add_concat();
  void add_constant();
  void add_outputs();
  void place_concats();
  void assign_storages();
  void assign_lanes(int32_t num_cores, Lanes lanes);
  std::vector<CoreRange> random_groups(int32_t num_cores, Lanes lanes);
  ValueId insert_reorder(NodeId before, ValueId value);

  std::mt19937 random_;
  GraphEditor edit_;
  std::vector<Recipe> recipes_;
  std::vector<ValueId> values_;
  std::vector<ValueId> outputs_;
};

}  // namespace neuronc::test
