// Memory that tensors give back is used again: zeroed where a maker counts on it, within a bound,
// by any thread, and beyond the pool's own life.
#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "ir/tensor_pool.h"

namespace neuronc {
namespace {

constexpr int64_t kSize = 1 << 20;
constexpr uint64_t kLimit = uint64_t{64} << 20;

Tensor bytes_of(int64_t size) { return unfilled_tensor(DType::u8, {size}); }

void dirty(Tensor& tensor) {
  const auto bytes = tensor.mutable_as<uint8_t>();
  std::fill(bytes.begin(), bytes.end(), uint8_t{0xa5});
}

}  // namespace

TEST_CASE("a tensor takes the memory that another of about its size gave back") {
  TensorPool pool(kLimit);
  const TensorPool::Scope scope(pool);
  const int64_t size = GENERATE(as<int64_t>{}, kSize, 8 * kSize);
  const std::byte* first = nullptr;
  {
    Tensor tensor = bytes_of(size);
    dirty(tensor);
    first = tensor.data();
    CHECK(bytes_of(size).data() != first);
  }
  CHECK(pool.kept_bytes() >= static_cast<uint64_t>(2 * size));
  const Tensor one = bytes_of(size - size / 32), other = Tensor::zeros(DType::u8, {size});
  CHECK((one.data() == first || other.data() == first));
  const auto zeros = other.as<uint8_t>();
  CHECK(std::count(zeros.begin(), zeros.end(), 0) == size);
  CHECK(pool.kept_bytes() == 0);
}

TEST_CASE("much smaller tensors leave large buffers to others") {
  TensorPool pool(kLimit);
  const TensorPool::Scope scope(pool);
  (void)bytes_of(8 * kSize);
  const uint64_t kept = pool.kept_bytes();
  const Tensor small = bytes_of(kSize);
  CHECK(pool.kept_bytes() == kept);
  const Tensor tiny = bytes_of(16);
  CHECK(pool.kept_bytes() == kept);
}

TEST_CASE("a pool keeps no more than its limit") {
  TensorPool pool(4 * kSize);
  const TensorPool::Scope scope(pool);
  {
    std::vector<Tensor> tensors;
    for (int i = 0; i < 16; ++i) tensors.push_back(bytes_of(kSize));
    tensors.push_back(bytes_of(8 * kSize));
  }
  CHECK(pool.kept_bytes() > 0);
  CHECK(pool.kept_bytes() <= static_cast<uint64_t>(4 * kSize));
}

TEST_CASE("tensors outlive their pool, and nothing is kept for a thread without a scope") {
  Tensor tensor;
  {
    TensorPool pool(kLimit);
    {
      const TensorPool::Scope scope(pool);
      tensor = bytes_of(kSize);
    }
    (void)bytes_of(kSize);
    CHECK(pool.kept_bytes() == 0);
  }
  dirty(tensor);
  CHECK(tensor.as<uint8_t>()[kSize - 1] == 0xa5);
}

TEST_CASE("threads share a pool") {
  TensorPool pool(kLimit);
  std::vector<std::thread> threads;
  std::vector<int> num_wrong(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const TensorPool::Scope scope(pool);
      for (int round = 0; round < 100; ++round) {
        std::vector<Tensor> tensors;
        for (int i = 0; i < 4; ++i) {
          tensors.push_back(Tensor::from<uint8_t>(
              DType::u8, {static_cast<int64_t>(TensorPool::kLeastBytes) * (1 + (i + t) % 3)},
              std::vector<uint8_t>(8, static_cast<uint8_t>(t + 1))));
        }
        for (const Tensor& tensor : tensors) {
          num_wrong[static_cast<size_t>(t)] +=
              tensor.as<uint8_t>()[7] != t + 1 || tensor.as<uint8_t>()[8] != 0;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(num_wrong == std::vector<int>(4, 0));
}

}  // namespace neuronc
