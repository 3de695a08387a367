// Upper bounds of extents that are known only when a model runs.
//
// What detectors compute from data has no static shape, yet most of it has a bound: as many boxes
// as there are places, at most the k that are kept. Bounds follow from the operators, forward: of
// every extent, and of the elements of small integer tensors, which other shapes are made of.
// Bodies of branches are followed too.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "ir/graph.h"

namespace neuronc {

class ExtentBounds {
 public:
  // Extents that are numbers are their own bounds.
  ExtentBounds(const Module& module, const Graph& graph);

  // The greatest number that extent `axis` of `value` can be; none where nothing bounds it, or the
  // value's rank is not known.
  std::optional<int64_t> extent(ValueId value, size_t axis) const;

 private:
  using Bound = std::optional<int64_t>;
  using Bounds = std::vector<Bound>;
  struct Facts {
    Bounds extents;
    std::optional<Bounds> elements;  // of integers, no more than a shape has
  };
  class Walk;

  std::map<ValueId, Facts> facts_;
};

}  // namespace neuronc
