// Stores a table of rows once where a product multiplies by the same numbers.
//
//   %e = gather(%w, %ids)                %w [rows, columns]
//   ...
//   %y = matmul(%x, transpose(%w))       packed in panels: weights.bin holds these alone
//
// Language models tie the embedding of their words to the product that ends them. The gather reads
// the panels element by element, which costs it a little; the product is as it was.
#pragma once

#include "backend/machine.h"
#include "ir/graph.h"

namespace neuronc {

// Tells `machine` which constants of `module`, at stage laid_out or later, are read from the panels
// of which product: those that only gathers of whole rows and such products use.
void share_tables(const Module& module, const Machine& machine);

}  // namespace neuronc
