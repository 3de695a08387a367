// prepare-blocks: makes what a core must know of an `if_else`, `loop` or `scan` stand in its types and
// bodies, so that it can become a block of the plan instead of work of the host.
//
//   %z = loop(%n, %true, %x, %w) {           %z = loop(%n, %true, %x) {
//     input %i, %c, %h : f32[?,?], %w   =>     input %i, %c, %h : f32[8,64]
//     ... }                                    %w = constant #... : f32[64,64] ... }
//
// Constants that come in as captures go inside, where weights are cast and packed; captures that no
// body uses go; carried values whose shape stays the same from trip to trip have that shape; results
// that a known number of trips stack have it as their extent. Scans go along axis 0: other axes are
// transposed outside.
#pragma once

#include "passes/pass.h"

namespace neuronc {

Expected<Changed> prepare_blocks(Module& module, const NoOptions& options, PassContext& context);

}  // namespace neuronc
