// Copies between memory orders: every element width, blocks whole and partial, merged dims; the
// interpreter and native code against the definition.
#include <catch2/catch.hpp>
#include <cstring>
#include <numeric>

#include "backend/isa.h"
#include "backend/llvm/codegen.h"
#include "backend/lower/transpose.h"
#include "ir/base/diagnostics.h"
#include "ir/kernel/interpreter.h"
#include "ir/kernel/verify.h"
#include "ir/storage.h"
#include "test/unit/kernel/jit.h"

namespace neuronc::testing {
namespace {

struct Copy {
  std::vector<int64_t> shape;
  std::vector<int> from, to;  // orders, from the outermost dim to the innermost
};

const Copy kCopies[] = {
    {{16, 16}, {0, 1}, {1, 0}},
    {{37, 53}, {0, 1}, {1, 0}},
    {{64, 3}, {0, 1}, {1, 0}},
    {{3, 64}, {0, 1}, {1, 0}},
    {{1, 5}, {0, 1}, {1, 0}},
    {{2, 3, 40, 32}, {0, 1, 2, 3}, {0, 2, 3, 1}},
    {{1, 2, 5, 9}, {0, 2, 3, 1}, {0, 1, 2, 3}},
    {{3, 4, 17}, {0, 2, 1}, {0, 1, 2}},
    {{1, 64, 32, 32}, {0, 1, 2, 3}, {0, 2, 3, 1}},
    {{4096}, {0}, {0}},
    {{2, 20, 7, 7}, {0, 1, 2, 3}, {0, 2, 3, 1}},
    {{2, 33, 5, 9}, {0, 2, 3, 1}, {0, 1, 2, 3}},
    {{17, 3, 19}, {0, 1, 2}, {2, 1, 0}},
    {{4, 18, 3, 34}, {0, 1, 2, 3}, {0, 2, 1, 3}},
    {{5, 4, 6, 3, 7}, {0, 1, 2, 3, 4}, {3, 0, 4, 2, 1}},
};

// What stands at `to`: the value of each place is its place at `from`, in bytes.
void check_copy(const Copy& copy, DType dtype, const Machine& machine, bool is_native) {
  const Storage from = Storage::dense(dtype, copy.shape, copy.from);
  const Storage to = Storage::dense(dtype, copy.shape, copy.to);
  const auto lowered =
      lower_copy(machine, dtype, merge_copy_dims(copy.shape, from.strides, to.strides), "copy");
  REQUIRE(lowered);
  REQUIRE(kernel::verify(lowered->kernel).empty());
  const auto bytes = static_cast<size_t>(size_bytes(dtype));
  const auto count = static_cast<size_t>(num_elements(copy.shape));
  std::vector<std::byte> x(count * bytes), expected(count * bytes);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::byte>(i * 2654435761u >> 13);
  std::vector<int64_t> at(copy.shape.size(), 0);
  for (size_t i = 0; i < count; ++i) {
    int64_t source = 0, target = 0;
    for (size_t d = 0; d < at.size(); ++d) {
      source += at[d] * from.strides[d];
      target += at[d] * to.strides[d];
    }
    std::memcpy(expected.data() + static_cast<size_t>(target) * bytes,
                x.data() + static_cast<size_t>(source) * bytes, bytes);
    for (size_t d = at.size(); d-- > 0 && ++at[d] == copy.shape[d];) at[d] = 0;
  }
  const int64_t tiles = lowered->kernel.num_tiles;
  std::vector<std::byte> y(x.size());
  const std::array<void*, 2> buffers{x.data(), y.data()};
  const auto size = static_cast<int64_t>(x.size());
  const std::vector<int64_t> sizes{size, size};
  const auto status =
      kernel::Interpreter(lowered->kernel).run_checked(buffers.data(), sizes, 0, tiles);
  REQUIRE(status);
  CHECK(*status == kernel::kStatusOk);
  CHECK(y == expected);
  if (!is_native) return;
  const std::vector<KernelSymbol> symbols{{&lowered->kernel, "copy", {}}};
  const auto elf = compile_kernels(symbols, {machine.isa, 2});
  REQUIRE(elf);
  const LoadedCode code(*elf);
  std::fill(y.begin(), y.end(), std::byte{0});
  const KernelFunction function = code.function("copy");
  CHECK(function(buffers.data(), 0, tiles / 2) == kernel::kStatusOk);
  CHECK(function(buffers.data(), tiles / 2, tiles) == kernel::kStatusOk);
  CHECK(y == expected);
}

TEST_CASE("copies between memory orders move every element") {
  for (const char* target : {"x86-64-v3", "x86-64-v4"}) {
    Diagnostics diagnostics;
    const Machine machine{*describe(target), *load_hardware_model("host", diagnostics), {}};
    for (DType dtype : {DType::u8, DType::bf16, DType::f32, DType::f64}) {
      for (const Copy& copy : kCopies) {
        INFO(target << ", " << name(dtype) << ", " << copy.shape.size() << " dims, the first "
                    << copy.shape[0]);
        check_copy(copy, dtype, machine, runs_here(target));
      }
    }
  }
}

}  // namespace
}  // namespace neuronc::testing
