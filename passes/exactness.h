// Which products may not compute with narrow operands: those on exact numbers. Positions,
// identifiers and counts lie beyond what BF16 tells apart, and an angle of a thousand turns keeps
// no digit behind the point.
//
//   %f = cast(%positions) {to = f32}            from integers
//   %a = matmul(%f, %inverse_frequencies)       an inner extent of 1: nothing evens out
//   %c = cos(%a)                                an angle
//
// Values are followed into and out of the bodies that cores run.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"

namespace neuronc {

// Of each product that must keep its operands, why, as a phrase.
using ExactProducts = std::unordered_map<NodeId, std::string>;

// For the main graph and each body that cores run, in the order of `on_core_graphs`. `narrow` is the
// type that operands would take.
std::vector<ExactProducts> find_exact_products(const Module& module, DType narrow);

}  // namespace neuronc
