// Implements calibrate_rates.h: chains of multiply-adds that keep every unit busy.
#include "runtime/tools/calibrate_rates.h"

#include <immintrin.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "runtime/cpu.h"

namespace neuronc::tools {
namespace {

using Clock = std::chrono::steady_clock;

// Enough chains for four cycles of latency at two instructions a cycle, and to spare.
constexpr int kChains = 12;
constexpr int64_t kSteps = 40000;
constexpr int kRounds = 12;

// A result that the compiler must make.
template <class T>
void keep(const T& value) {
  asm volatile("" : : "m"(value) : "memory");
}

// Chains that look alike would be made one.
template <class T>
[[gnu::always_inline]] inline void tell_apart(T (&sums)[kChains]) {
  for (T& sum : sums) asm volatile("" : "+m"(sum));
}

// `flops` of one call, at its fastest.
template <class Run>
double best_rate(double flops, const Run& run) {
  double best = 0;
  for (int round = 0; round < kRounds; ++round) {
    const Clock::time_point begin = Clock::now();
    run();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    best = std::max(best, flops / seconds);
  }
  return best;
}

constexpr double flops_of(int lanes, int products_a_lane) {
  return 2.0 * lanes * products_a_lane * kChains * kSteps;
}

[[gnu::target("avx2,fma")]] void multiply_f32_256() {
  __m256 sums[kChains] = {};
  tell_apart(sums);
  const __m256 a = _mm256_set1_ps(0.5F), b = _mm256_set1_ps(1.5F);
  for (int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(a, sum, b);
  }
  for (const __m256& sum : sums) keep(sum);
}

[[gnu::target("avx512f")]] void multiply_f32_512() {
  __m512 sums[kChains] = {};
  tell_apart(sums);
  const __m512 a = _mm512_set1_ps(0.5F), b = _mm512_set1_ps(1.5F);
  for (int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(a, sum, b);
  }
  for (const __m512& sum : sums) keep(sum);
}

[[gnu::target("avx512f,avx512vnni")]] void multiply_bytes_512() {
  __m512i sums[kChains] = {};
  tell_apart(sums);
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(5);
  for (int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, b);
  }
  for (const __m512i& sum : sums) keep(sum);
}

[[gnu::target("avx512f,avx512bf16")]] void multiply_bf16_512() {
  __m512 sums[kChains] = {};
  tell_apart(sums);
  const auto a = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3f00));
  const auto b = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3f80));
  for (int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, a, b);
  }
  for (const __m512& sum : sums) keep(sum);
}

[[gnu::target("avx2")]] void add_and_clamp_256(const float* a, const float* b, float* c, size_t n) {
  for (size_t i = 0; i + 8 <= n; i += 8) {
    const __m256 sum = _mm256_add_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i));
    _mm256_storeu_ps(c + i, _mm256_max_ps(sum, _mm256_setzero_ps()));
  }
}

void add_and_clamp(const float* a, const float* b, float* c, size_t n) {
  for (size_t i = 0; i < n; ++i) c[i] = std::max(a[i] + b[i], 0.0F);
}

[[gnu::target("avx2")]] uint64_t read_words_256(const uint64_t* words, size_t n) {
  __m256i sums[4] = {};
  for (size_t i = 0; i + 16 <= n; i += 16) {
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; ++j) {
      const auto* at = reinterpret_cast<const __m256i*>(words + i + 4 * j);
      sums[j] = _mm256_add_epi64(sums[j], _mm256_loadu_si256(at));
    }
  }
  const __m256i sum =
      _mm256_add_epi64(_mm256_add_epi64(sums[0], sums[1]), _mm256_add_epi64(sums[2], sums[3]));
  return static_cast<uint64_t>(_mm256_extract_epi64(sum, 0) + _mm256_extract_epi64(sum, 1));
}

bool has(std::string_view feature) {
  const auto features = runtime::cpu_features();
  return std::find(features.begin(), features.end(), feature) != features.end();
}

}  // namespace

// Narrow products that a target has no instruction for are made as f32 ones.
std::vector<TargetRates> measure_rates() {
  std::vector<TargetRates> rates;
  const auto add = [&](std::string target, TargetRates known) {
    known.target = std::move(target);
    rates.push_back(known);
  };
  if (!has("x86-64-v3")) return rates;
  TargetRates known;
  known.f32_flops_per_s = best_rate(flops_of(8, 1), multiply_f32_256);
  known.bf16_flops_per_s = known.i8_flops_per_s = known.f32_flops_per_s;
  add("x86-64-v3", known);
  if (!has("x86-64-v4")) return rates;
  known.f32_flops_per_s = best_rate(flops_of(16, 1), multiply_f32_512);
  known.bf16_flops_per_s = known.i8_flops_per_s = known.f32_flops_per_s;
  add("x86-64-v4", known);
  if (!has("avx512vnni")) return rates;
  known.i8_flops_per_s = best_rate(flops_of(16, 4), multiply_bytes_512);
  add("x86-64-v4-vnni", known);
  if (!has("avx512bf16")) return rates;
  known.bf16_flops_per_s = best_rate(flops_of(16, 2), multiply_bf16_512);
  add("x86-64-v4-bf16", known);
  return rates;
}

double measure_vector_flops_per_s() {
  // Three arrays that a second-level cache holds together.
  constexpr size_t kElements = 32768;
  constexpr int kPasses = 40;
  std::vector<float> a(kElements, 1), b(kElements, 2), c(kElements);
  const auto run = has("x86-64-v3") ? add_and_clamp_256 : add_and_clamp;
  return best_rate(2.0 * kElements * kPasses, [&] {
    for (int pass = 0; pass < kPasses; ++pass) {
      run(a.data(), b.data(), c.data(), kElements);
      keep(c[0]);
    }
  });
}

uint64_t read_words(const uint64_t* words, size_t num_words) {
  if (has("x86-64-v3")) return read_words_256(words, num_words);
  uint64_t sum = 0;
  for (size_t i = 0; i < num_words; ++i) sum += words[i];
  return sum;
}

}  // namespace neuronc::tools
