// Memory of tensors that is used again.
//
// The system gives memory a page at a time and zeroed, which takes longer than what host operators
// write there. A model's host lane keeps the buffers of one request for the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ir/tensor.h"

namespace neuronc {

class TensorPoolState;

// Thread-safe; tensors may outlive the pool that their memory came from.
class TensorPool {
 public:
  // Smaller tensors are the allocator's, which keeps what is given back.
  static constexpr size_t kLeastBytes = size_t{64} << 10;

  // Keeps at most `limit_bytes` of memory that no tensor uses.
  explicit TensorPool(uint64_t limit_bytes);
  ~TensorPool();
  TensorPool(const TensorPool&) = delete;
  TensorPool& operator=(const TensorPool&) = delete;

  // Of buffers that no tensor uses.
  uint64_t kept_bytes() const;

  // While it lives, tensors that its thread makes take their memory from the pool. Operators make
  // tensors at any depth of their evaluation, hence by thread and not by argument.
  class Scope {
   public:
    explicit Scope(TensorPool& pool);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    const std::shared_ptr<TensorPoolState>* outer_;
  };

 private:
  std::shared_ptr<TensorPoolState> state_;
};

// Aligned to 64 bytes, from the pool of the thread's scope if there is one.
std::shared_ptr<std::byte> allocate_zeroed(size_t size_bytes);
std::shared_ptr<std::byte> allocate_unfilled(size_t size_bytes);

// A tensor whose maker writes every element; string tensors hold empty strings.
Tensor unfilled_tensor(DType dtype, std::vector<int64_t> shape);

}  // namespace neuronc
