// Descriptors that a library opens in a process of somebody else's.
#pragma once

namespace neuronc {

// `fd` itself or, where it is one of the standard streams, which the host has closed, the same file under
// a higher number: what anybody prints must not reach the file. Below 0: `fd`.
int above_standard_streams(int fd);

}  // namespace neuronc
