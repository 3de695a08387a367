// expand-transforms: short Fourier transforms become products with their matrix, in f32, and images
// are resized along one axis after the other where many elements make one; a transposed convolution of
// one pixel is a product.
//
//   %y = dft(%x) : f32[8,24,128,2]        %1 = reshape(%x) : f32[8,24,256]
//                                    =>   %2 = matmul(%1, %t) : f32[8,24,256]    (%t = constant)
//                                         %y = reshape(%2) : f32[8,24,128,2]
//
//   %y = stft(%signal, 160) : f32[1,98,201,2]  =>  matmul(%frames, %t) : f32[1,98,402]
//
//   %y = resize(%x) {antialias = 1, mode = "linear"} : f32[1,3,224,224]
//                                    =>  %1 = resize(%x) {axes = [2], ...} : f32[1,3,224,640]
//                                        %y = resize(%1) {axes = [3], ...} : f32[1,3,224,224]
//
//   %y = conv_transpose(%x, %w) : f32[8,64,4,4]  (%x : f32[8,100,1,1])
//                                    =>  %1 = matmul(reshape(%x), reshape(%w)) : f32[8,1024]
//                                        %y = reshape(%1) : f32[8,64,4,4]
//
// The matrix is what the transform makes of unit vectors. Products of a few hundred terms are faster
// at the machine's peak than what a kernel for every length could save, and fuse. It runs behind
// `cast`: a transform is no product of the model, and nothing of it may become narrow. A resize whose
// windows have r rows and c columns reads r + c elements for a result so, not r * c.
#pragma once

#include "passes/pass.h"

namespace neuronc {

struct ExpandTransformsOptions {
  int64_t max_bytes = int64_t{4} << 20;
  std::vector<PassOption> options() {
    return {{"max-bytes", &max_bytes, "of the matrix of a transform"}};
  }
};

Expected<Changed> expand_transforms(Module& module, const ExpandTransformsOptions& options,
                                    PassContext& context);

}  // namespace neuronc
