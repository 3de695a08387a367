// Makes explicit what a partitioned module needs around its host nodes. After it
//   - what a host node, or control flow on a core, reads of a core is dense, row-major and of the
//     declared element type;
//   - every model output that is made on the host, or that no node makes, is the result of a host
//     node and of no other output.
#pragma once

#include "ir/graph.h"

namespace neuronc {

void prepare_host(Module& module);

}  // namespace neuronc
