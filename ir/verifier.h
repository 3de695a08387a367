// The one verifier of the graph IR. It walks a whole module and reports every violation, each with
// the node as it prints in the text form and the model's node behind it.
//
// Structure (NEU0420)
//   S1  Every operand is a value of the same graph and not erased; bodies see nothing outside.
//   S2  A value is defined before it is used: an input, or the result of an earlier node.
//   S3  Uses agree: a value's use list holds exactly the operands that name it, its count of output
//       uses exactly the outputs, and each result names its producer and index.
//   S4  The order of nodes is one doubly linked list of all nodes that are not erased.
//   S5  Every output is a value of the graph; the main graph's output names differ.
//   S6  Constants, symbols and sources that are named exist in the module.
// Schema (NEU0421)
//   T1  Operand count and element types fit the operator's schema; an absent operand is optional.
//   T2  Attributes stand in schema order, each of its kind; required ones are there.
//   T3  The number of results fits the schema.
// Types (NEU0422)
//   Y1  Each result's type agrees with inference: same kind and element type, and dims equal where
//       both are numbers. A declared type may be more refined than the inferred one, or less.
//   Y2  A constant's type is that of its tensor.
//   Y3  A group has one body, whose inputs and outputs have the types of its operands and results.
//   Y4  No static tensor takes more than kMostTensorBytes (NEU0301).
// Stages (NEU0423)
//   G1  Up to `recognised` nothing is placed.  From `placed` every node is, on a core or the host.
//   G2  From `placed` every operand and result of a node on a core is a tensor of static shape and
//       a numeric element type.
//   G3  From `fused` a node on a core is a group, a constant or moves data.  Groups exist from
//       `fused` on only, and have nothing but groups' own operators inside: no group in a group.
//   G4  Cores are assigned from `partitioned` on, to every node placed on one, constants excepted:
//       to a core, or to neighbours that share its tiles.  Two nodes have the same or no core in
//       common.
// Storage (NEU0424)
//   L1  From `laid_out` every value of a node on a core has a storage, except constants; before
//       it no value has one.
//   L2  A storage has one stride a dim, none negative; its blocked dim exists and its block is
//       positive; the last element lies inside the allocation, or for a view inside its base.
//   L3  A view's base is a value of the same graph that owns its allocation and has the same
//       element type in memory.
#pragma once

#include "ir/base/diagnostics.h"
#include "ir/base/expected.h"
#include "ir/graph.h"

namespace neuronc {

// Reports every violation; `file` is the location's file (the model, or a text file).
Expected<void> verify(const Module& module, Diagnostics& diagnostics, std::string_view file = {});

}  // namespace neuronc
