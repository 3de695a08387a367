// What `if_else`, `loop` and `scan` have in common, for those who run their bodies as blocks of a
// NeuronCore's plan.
//
// A node of control flow on a core is one node to all that looks at its graph; its bodies are graphs
// of cores themselves, which go through the stages as the main graph does.
#pragma once

#include <cstdint>
#include <functional>

#include "ir/graph.h"

namespace neuronc {

// Whether the bodies of such a node can become blocks of a plan. (A `sequence_map` is control flow too,
// of the host.)
bool has_blocks(Op op);
// Whether a core runs the bodies of `node`.
bool runs_blocks(const Node& node);

// Visits the main graph and the bodies that cores run: each before its own bodies, and those before
// the bodies of the next node. Passes go through them in the same order (on_core_graphs).
void for_each_core_graph(const Graph& graph, const std::function<void(const Graph&)>& visit);
void for_each_core_graph(Graph& graph, const std::function<void(Graph&)>& visit);

// How a `loop` or `scan` runs. Operands and body inputs: `num_leading` (count and condition of a
// loop), `num_carried`, `num_scanned`, captures. Body outputs: the condition of a loop, the carried
// values, what the trips' results are stacked of.
struct TripForm {
  size_t num_leading = 0;
  size_t num_carried = 0;
  size_t num_scanned = 0;
  int64_t most_trips = -1;  // that are known; -1: any number
  bool is_endless = false;  // the body never says stop
  bool is_counted = false;  // it runs `most_trips` times
  size_t first_output() const { return num_leading == 0 ? 0 : 1; }
  size_t first_stacked() const { return first_output() + num_carried; }
};
TripForm trip_form(const Module& module, const Graph& graph, NodeId id);

// Whether trips go through scanned operand or stacked result `i` from its end.
bool is_reverse_scan(const Node& node, size_t i);
bool is_reverse_stack(const Node& node, size_t i);

// For predictions: so many trips are guessed where nothing is known.
inline constexpr double kGuessedTrips = 16;
double predicted_trips(const TripForm& form);

}  // namespace neuronc
