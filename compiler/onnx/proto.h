// The protobuf classes of ONNX, with their warnings silenced. Included by few files: everything an
// import rule sees is free of protobuf (node_context.h).
#pragma once

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <onnx/onnx_pb.h>
#pragma GCC diagnostic pop
