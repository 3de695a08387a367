// The module under construction, and what the recipes of recipes.cpp are written with. Private to
// test/random/.
#pragma once

#include <functional>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ir/edit.h"
#include "ir/graph.h"

namespace neuronc::testing {

using Extents = std::vector<int64_t>;

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed), edit_(module_.graph()) {}

  // In [low, high].
  int64_t pick(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random_() % static_cast<uint64_t>(high - low + 1));
  }
  bool flip() { return pick(0, 1) == 1; }
  template <class T>
  const T& one_of(const std::vector<T>& options) {
    return options[static_cast<size_t>(pick(0, static_cast<int64_t>(options.size()) - 1))];
  }
  DType pick_dtype(DTypeSet allowed);
  // Small extents, now and then 1, rarely 0.
  Extents pick_shape(int64_t least_rank, int64_t most_rank);

  ValueId input(DType dtype, const Extents& shape);
  ValueId constant(Tensor tensor);
  ValueId random_constant(DType dtype, const Extents& shape);
  ValueId ints(const Extents& values) { return constant(Tensor::ints(values)); }
  // A value to start from: in a graph often one that is there, otherwise an input.
  ValueId value(DTypeSet dtypes, int64_t least_rank, int64_t most_rank);
  // One of that type: a value that is there, an input or a constant.
  ValueId like(DType dtype, const Extents& shape);

  // Appends a node if inference takes it; its first result.
  std::optional<ValueId> add(Op op, std::vector<ValueId> operands,
                             std::vector<NamedAttribute> attributes = {}, size_t num_results = 1);

  const Type& type(ValueId value) const { return module_.graph().type(value); }
  Extents shape(ValueId value) const { return type(value).shape(); }
  void keep_growing() { grows_ = true; }
  Module finish();

 private:
  std::mt19937_64 random_;
  Module module_;
  GraphEditor edit_;
  std::vector<ValueId> values_;
  bool grows_ = false;
  int num_inputs_ = 0;
};

// How an operator is called: adds it to the graph, or does not if its choices do not fit.
using Recipe = std::function<std::optional<ValueId>(Generator&)>;
struct NamedRecipe {
  std::string name;
  Recipe recipe;
};
// Those of recipes_structured.cpp.
std::vector<NamedRecipe> structured_recipes();
// Every elementwise operator by its schema, and the others one by one.
const std::vector<NamedRecipe>& recipes();

}  // namespace neuronc::testing
