// Decides where every value lies: strides, views, and the reorders that remain.
//
//   %c = group(...) {conv}          : f32[1,64,56,56] in f32 strides [200704,1,3584,64]
//   %d = group(...) {conv}          : f32[1,64,56,56] in ... offset 64 of %e
//   %e = concat(%b, %d) {axis = 1}  : no copy, both are written in place
//   %s = slice(%e, ...)             : a view of %e
//   %o = reorder(%e)                : an explicit copy, where memory order must change
//
// Convolutions and pools work on channels-last memory; what a later transpose undoes is stored as
// the transpose wants it. Model outputs are row-major.
#pragma once

#include "ir/base/expected.h"
#include "ir/graph.h"
#include "passes/pass.h"

namespace neuronc {

// Stage fused -> laid_out. Every value then has a storage, every group a kernel variant.
Expected<Changed> lay_out(Module& module, const NoOptions& options, PassContext& context);

}  // namespace neuronc
