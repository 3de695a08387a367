// The transforms of Winograd's minimal filtering F(4x4, 3x3), on registers.
//
// A tile of 4 x 4 results of a 3 x 3 convolution is  A^T [sum over c of (G g G^T) * (B^T d B)] A
// with d its 6 x 6 inputs, g the window, * element by element: 36 products instead of 144 (Lavin
// and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, arXiv 1509.09308). Points 0,
// +-5/8, +-3/2 and infinity: a fifth of the error of the usual 0, +-1, +-2 at the same cost, and
// less than twice that of the direct sum (Barabasz et al., "Error Analysis and Improving the
// Accuracy of Winograd Convolution for Deep Neural Networks", 2020, arXiv 1803.10986).
#pragma once

#include "ir/kernel/builder.h"

namespace neuronc::winograd {

inline constexpr int kResults = 4;  // of a tile, along a side
inline constexpr int kWindow = 3;
inline constexpr int kInputs = kResults + kWindow - 1;
inline constexpr int kProducts = kInputs * kInputs;

// Squares of registers, row after row; lanes are channels.
kernel::Values transform_inputs(kernel::Builder& b, const kernel::Values& inputs);  // 6x6 to 6x6
kernel::Values transform_window(kernel::Builder& b, const kernel::Values& window);  // 3x3 to 6x6
kernel::Values transform_products(kernel::Builder& b,
                                  const kernel::Values& products);  // 6x6 to 4x4

// Instructions of each.
inline constexpr int kInputOps = 2 * kInputs * 12;
inline constexpr int kWindowOps = (kWindow + kInputs) * 9;
inline constexpr int kProductOps = (kInputs + kResults) * 12;

}  // namespace neuronc::winograd
