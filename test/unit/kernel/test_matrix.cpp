// Matrices: what a product of them computes, what the verifier asks of them, and that native code
// keeps them in the eight tile registers of AMX.
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <regex>

#include "backend/llvm/codegen.h"
#include "ir/kernel/builder.h"
#include "ir/kernel/interpreter.h"
#include "ir/kernel/text.h"
#include "ir/kernel/verify.h"

namespace neuronc {
namespace {

using kernel::BufferId;
using kernel::Builder;
using kernel::Index;
using kernel::Kernel;
using kernel::Value;
using kernel::Values;

constexpr int64_t kBlocks = 6;  // of k

// y[32,32] = a[32,K] * b[K,32], b in panels of 16 columns; K is kBlocks rows of 64 bytes.
Kernel make_product(DType a_dtype, DType b_dtype, DType y_dtype) {
  const int64_t row = kernel::kMatrixRowBytes / size_bytes(a_dtype);
  Builder b("product", 2);
  const BufferId a = b.input("a", a_dtype, {2, 32, kBlocks * row});
  const BufferId w = b.input("w", b_dtype, {2, kBlocks * 16, row});
  const BufferId y = b.output("y", y_dtype, {2, 32, 32});
  const Index t = b.tile();
  // Each of its own: a copy between tile registers goes through memory.
  Values zeros;
  for (int i = 0; i < 4; ++i) zeros.push_back(b.matrix_zero(y_dtype));
  const Values sums = b.for_loop({0, kBlocks, 1}, zeros, [&](Index k, std::span<const Value> acc) {
    Values rows, columns;
    for (int64_t i = 0; i < 2; ++i) {
      rows.push_back(b.matrix_load(a, std::vector<Index>{t, Index(16 * i), k * row}, 1, 2));
      columns.push_back(b.matrix_load(w, std::vector<Index>{Index(i), k * 16, Index(0)}, 1, 2));
    }
    Values next;
    for (size_t i = 0; i < 4; ++i) {
      next.push_back(b.matrix_dot(acc[i], rows[i / 2], columns[i % 2]));
    }
    return next;
  });
  for (int64_t i = 0; i < 4; ++i) {
    b.matrix_store(y, std::vector<Index>{t, Index(i / 2 * 16), Index(i % 2 * 16)},
                   sums[static_cast<size_t>(i)], 1, 2);
  }
  return std::move(b).finish();
}

size_t count(const std::string& text, const char* pattern) {
  const std::regex regex(pattern);
  return static_cast<size_t>(
      std::distance(std::sregex_iterator(text.begin(), text.end(), regex), std::sregex_iterator()));
}

std::string assembly_of(const Kernel& kernel) {
  const KernelSymbol symbol{&kernel, kernel.name, {}};
  auto text = emit_assembly({&symbol, 1}, CodegenOptions{*describe("x86-64-v4-amx"), 2});
  REQUIRE(text.has_value());
  return *text;
}

// The one result of a kernel that adds the product of two matrices to a third.
template <class Acc, class A, class B>
std::vector<Acc> multiply(DType acc_dtype, DType a_dtype, DType b_dtype, std::vector<Acc> acc,
                          std::vector<A> a, std::vector<B> b) {
  Builder builder("dot", 1);
  const auto buffer = [&](const char* name, DType dtype) {
    return builder.input(name, dtype, {16, kernel::kMatrixRowBytes / size_bytes(dtype)});
  };
  const BufferId in = buffer("c", acc_dtype), left = buffer("a", a_dtype),
                 right = buffer("b", b_dtype);
  const BufferId out = builder.output("y", acc_dtype, {16, 16});
  const std::vector<Index> origin{Index(0), Index(0)};
  const auto load = [&](BufferId from) { return builder.matrix_load(from, origin, 0, 1); };
  builder.matrix_store(out, origin, builder.matrix_dot(load(in), load(left), load(right)), 0, 1);
  const Kernel kernel = std::move(builder).finish();
  CHECK(kernel::verify(kernel).empty());
  std::vector<Acc> y(256);
  void* const buffers[] = {acc.data(), a.data(), b.data(), y.data()};
  REQUIRE(kernel::Interpreter(kernel).run(buffers, 0, 1) == 0);
  return y;
}

}  // namespace

TEST_CASE("matrices of bytes multiply exactly and wrap") {
  std::mt19937 random(3);
  std::vector<int32_t> acc(256);
  std::vector<uint8_t> a(1024);
  std::vector<int8_t> b(1024);
  for (int32_t& x : acc) x = static_cast<int32_t>(random());
  for (uint8_t& x : a) x = static_cast<uint8_t>(random());
  for (int8_t& x : b) x = static_cast<int8_t>(random());
  const auto y = multiply(DType::i32, DType::u8, DType::i8, acc, a, b);
  std::vector<int8_t> signed_a(a.begin(), a.end());
  const auto z = multiply(DType::i32, DType::i8, DType::i8, acc, signed_a, b);
  for (size_t i = 0; i < 16; ++i) {
    for (size_t j = 0; j < 16; ++j) {
      int64_t sum = acc[i * 16 + j], signed_sum = sum;
      for (size_t k = 0; k < 64; ++k) {
        const int64_t weight = b[k / 4 * 64 + 4 * j + k % 4];
        sum += a[i * 64 + k] * weight;
        signed_sum += signed_a[i * 64 + k] * weight;
      }
      CHECK(y[i * 16 + j] == static_cast<int32_t>(sum));
      CHECK(z[i * 16 + j] == static_cast<int32_t>(signed_sum));
    }
  }
}

TEST_CASE("matrices of bf16 sum even and odd products apart, with denormals as zeros") {
  std::vector<float> acc(256, 0.0f);
  std::vector<uint16_t> a(512, 0), b(512, 0);
  const auto bits = [](float x) { return static_cast<uint16_t>(kernel::f32_bits(x) >> 16); };
  // Row 0, column 0: 2^24 in the even sum loses the 1 that the odd sum keeps beside -2^24.
  a[0] = bits(16777216.0f), b[0] = bits(1.0f);  // k = 0
  a[1] = bits(1.0f), b[1] = bits(1.0f);         // k = 1
  a[3] = bits(-16777216.0f), b[33] = bits(1.0f);
  // Row 1: a denormal operand, a denormal product, and a denormal in acc count as zeros.
  a[32] = 0x0001, b[0] = bits(1.0f);
  acc[16] = 1e-40f;
  acc[17] = 1e-40f;
  const auto y = multiply(DType::f32, DType::bf16, DType::bf16, acc, a, b);
  // even = 2^24; odd = 1 - 2^24 = -16777215.
  CHECK(y[0] == 1.0f);
  CHECK(y[16] == 0.0f);
  CHECK(y[17] == 0.0f);
  std::vector<uint16_t> infinite = a;
  infinite[0] = bits(INFINITY);
  CHECK(std::isinf(multiply(DType::f32, DType::bf16, DType::bf16, acc, infinite, b)[0]));
}

TEST_CASE("native code keeps matrices in tile registers and nothing else is saved") {
  struct Form {
    DType a, b, y;
    const char* instruction;
  };
  const Form form = GENERATE(Form{DType::bf16, DType::bf16, DType::f32, "tdpbf16ps"},
                             Form{DType::u8, DType::i8, DType::i32, "tdpbusd"},
                             Form{DType::i8, DType::i8, DType::i32, "tdpbssd"});
  const Kernel kernel = make_product(form.a, form.b, form.y);
  CHECK(kernel::verify(kernel).empty());
  const std::string assembly = assembly_of(kernel);
  INFO(assembly);
  CHECK(count(assembly, form.instruction) == 4);
  CHECK(count(assembly, "tileloadd") == 4);
  CHECK(count(assembly, "tilestored") == 4);
  CHECK(count(assembly, "tilezero") == 4);
  CHECK(count(assembly, "ldtilecfg") == 1);
  CHECK(count(assembly, "tilerelease") == 1);
}

TEST_CASE("kernels with matrices keep their text") {
  const Kernel kernel = make_product(DType::bf16, DType::bf16, DType::f32);
  const std::string text = kernel::print(kernel);
  CHECK(text.find("matrix_load %a[%t, 16, 32*") != std::string::npos);
  const auto parsed = kernel::parse(text);
  INFO(text << (parsed ? "" : parsed.error().reason));
  REQUIRE(parsed.has_value());
  CHECK(kernel::print(*parsed) == text);
  CHECK(kernel::verify(*parsed).empty());
}

TEST_CASE("the verifier refuses matrices that leave their buffer or do not fit") {
  const auto first_error = [](const std::string& body) {
    const auto kernel = kernel::parse(
        "kernel @k tiles 1 {\n  read %a: bf16[20, 64]\n"
        "  write %y: f32[16, 16]\n" +
        body + "}");
    INFO((kernel ? "" : kernel.error().reason));
    REQUIRE(kernel.has_value());
    const std::vector<std::string> errors = kernel::verify(*kernel);
    return errors.empty() ? std::string() : errors[0].substr(0, 2);
  };
  CHECK(first_error("v0 = matrix_load %a[4, 32] rows 0 : bf16x512\n") == "");
  CHECK(first_error("v0 = matrix_load %a[5, 32] rows 0 : bf16x512\n") == "K7");
  CHECK(first_error("v0 = matrix_load %a[4, 33] rows 0 : bf16x512\n") == "K7");
  CHECK(first_error("v0 = matrix_load %a[0, 0] rows 1 : bf16x512\n") == "K8");
  CHECK(first_error("v0 = matrix_load %a[0, 0] rows 0 : f32x256\n") == "K4");
  CHECK(first_error("v0 = load %a[0, 0] : bf16x512\n") == "K4");
  CHECK(first_error("v0 = matrix_zero : f32x256\nv1 = add v0, v0 : f32x256\n") == "K4");
  CHECK(first_error("v0 = matrix_zero : bf16x512\nv1 = matrix_dot v0, v0, v0 : bf16x512\n") ==
        "K4");
  CHECK(first_error("v0 = matrix_zero : f32x256\nmatrix_store %a[0, 0], v0 rows 0\n") == "K4");
}

}  // namespace neuronc
