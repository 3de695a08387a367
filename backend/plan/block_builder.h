// Builds the steps of control flow that a core runs: an `if_else` becomes an If with two blocks, a
// `loop` or `scan` a Loop with one.
//
//   %z, %y = scan(%h, %x) { %n = group(%h, %x) ... }        copy (r input0, w output0)
//                                                      =>   loop most 3000 trip (w arena) 1
//   carried values lie in the results' memory,              block 1 {
//   slices and rows where they are                            run @cell (r output0, r input1 step 512, ...)
//
// A carried value is written in place where the body reads it no later; otherwise it is copied at the
// end of a trip. All of it is the work of one lane.
#pragma once

#include <optional>
#include <vector>

#include "backend/plan/lane_builder.h"
#include "backend/plan/lower_module.h"
#include "backend/plan/value_flow.h"
#include "ir/graph.h"
#include "ir/plan/plan.h"

namespace neuronc {

class BlockBuilder {
 public:
  BlockBuilder(const Module& module, LoweredModule& lowered, LaneBuilder& lane)
      : module_(module), lowered_(lowered), lane_(lane) {}

  // The whole of a value; its access is whatever it is used for. None: nothing is read or written.
  using Place = std::optional<plan::BufferRef>;

  // Adds the steps of `node`, given where its operands and results are.
  void add(const Graph& graph, NodeId node, std::vector<Place> operands,
           std::vector<Place> results);

 private:
  class Body;

  void add_if(const Graph& graph, NodeId node, const std::vector<Place>& operands,
              const std::vector<Place>& results);
  void add_loop(const Graph& graph, NodeId node, std::vector<Place> operands,
                std::vector<Place> results);
  plan::BlockId add_body(const Graph& body, std::vector<Place> inputs, std::vector<Place> outputs,
                         const std::vector<Place>& carried);
  Place still_copy(const Place& place, std::string name);
  Place allocate(std::string name, uint64_t size_bytes);
  void copy(const Place& from, const Place& to);

  const Module& module_;
  LoweredModule& lowered_;
  LaneBuilder& lane_;
};

}  // namespace neuronc
