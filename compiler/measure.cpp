// Implements measure.h.
#include "compiler/measure.h"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <new>
#include <string>

#include "backend/llvm/codegen.h"
#include "runtime/code_image.h"

namespace neuronc {
namespace {

// Rounds are so long that the clock and an interrupt do not count.
constexpr double kRoundNs = 400e3;
// A kernel of seconds is measured as often as it takes to see a difference.
constexpr double kLongRunNs = 50e6;
constexpr int kFewRounds = 3;
// What copies of constants may take: more than most caches hold.
constexpr int64_t kMostCopiedBytes = int64_t{96} << 20;
constexpr int64_t kMostCopies = 64;
// Of the time of the predicted way, what a choice must gain.
constexpr double kLeastGain = 0.03;

// What this thread has computed for: other jobs on the machine do not count.
double thread_time_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Memory of one buffer, on a cache line, with `copies` of its contents behind each other.
class Memory {
 public:
  Memory(int64_t size_bytes, int64_t copies)
      : stride_bytes_((std::max<int64_t>(size_bytes, 1) + 63) / 64 * 64),
        copies_(copies),
        bytes_(static_cast<std::byte*>(
            ::operator new(static_cast<size_t>(stride_bytes_ * copies), std::align_val_t(64)))) {
    std::memset(bytes_.get(), 0, static_cast<size_t>(stride_bytes_ * copies));
  }

  std::byte* at(int64_t run) const { return bytes_.get() + run % copies_ * stride_bytes_; }

 private:
  struct Free {
    void operator()(std::byte* bytes) const { ::operator delete(bytes, std::align_val_t(64)); }
  };
  int64_t stride_bytes_;
  int64_t copies_;
  std::unique_ptr<std::byte, Free> bytes_;
};

// Small numbers of both signs; integers that may be positions are 0.
void fill(DType dtype, int64_t total_bytes, std::byte* bytes) {
  const bool is_byte = dtype == DType::i8 || dtype == DType::u8;
  if (!is_float(dtype) && !is_byte) return;
  uint32_t state = 7;
  const int64_t count = total_bytes / size_bytes(dtype);
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    const double value = static_cast<double>(state >> 16) / 32768 - 1;
    if (is_byte) {
      store_from_i64(dtype, bytes, i, static_cast<int64_t>(value * 100) & 0x7f);
    } else {
      store_from_f64(dtype, bytes, i, value);
    }
  }
}

// Constants, which ways of one group share where they read the same form.
using Constants = std::map<const std::byte*, std::shared_ptr<Memory>>;

std::shared_ptr<Memory> copies_of(const Tensor& tensor, int64_t copies, Constants& constants) {
  std::shared_ptr<Memory>& memory = constants[tensor.data()];
  if (memory) return memory;
  const auto bytes = tensor.bytes();
  memory = std::make_shared<Memory>(static_cast<int64_t>(bytes.size()), copies);
  for (int64_t copy = 0; copy < copies && !bytes.empty(); ++copy) {
    std::memcpy(memory->at(copy), bytes.data(), bytes.size());
  }
  return memory;
}

class Way {
 public:
  Way(const LoweredKernel& lowered, plan::KernelFunction function, int64_t weight_bytes,
      Constants& constants)
      : function_(function), num_tiles_(lowered.kernel.num_tiles) {
    const std::vector<kernel::BufferId> parameters = lowered.kernel.parameters();
    int64_t packed_bytes = 1;
    for (const KernelBuffer& buffer : lowered.buffers) {
      if (buffer.kind == KernelBuffer::Kind::packed) packed_bytes += buffer.packed.size_bytes();
    }
    const int64_t copies = std::clamp<int64_t>(
        std::min(weight_bytes, kMostCopiedBytes) / packed_bytes, 1, kMostCopies);
    for (size_t i = 0; i < lowered.buffers.size(); ++i) {
      const KernelBuffer& buffer = lowered.buffers[i];
      if (buffer.kind == KernelBuffer::Kind::packed) {
        memories_.push_back(copies_of(buffer.packed, copies, constants));
        continue;
      }
      memories_.push_back(std::make_shared<Memory>(buffer.size_bytes, 1));
      if (buffer.kind != KernelBuffer::Kind::operand) continue;
      fill(lowered.kernel.buffer(parameters[i]).dtype, buffer.size_bytes, memories_.back()->at(0));
    }
    pointers_.resize(memories_.size());
  }

  // False: the kernel ended with a status.
  bool run() {
    for (size_t i = 0; i < memories_.size(); ++i) pointers_[i].data = memories_[i]->at(num_runs_);
    ++num_runs_;
    return function_(pointers_.data(), 0, num_tiles_) == plan::kKernelOk;
  }

  double time_ns(int64_t count) {
    const double begin_ns = thread_time_ns();
    for (int64_t i = 0; i < count; ++i) run();
    return std::max(thread_time_ns() - begin_ns, 1.0) / static_cast<double>(count);
  }

 private:
  plan::KernelFunction function_;
  int64_t num_tiles_;
  int64_t num_runs_ = 0;
  std::vector<std::shared_ptr<Memory>> memories_;
  std::vector<plan::KernelBuffer> pointers_;
};

std::string symbol_of(size_t way) { return "way" + std::to_string(way); }

OrRefusal<std::unique_ptr<runtime::CodeImage>> load(std::span<const LoweredKernel> ways,
                                                    const Machine& machine, int num_threads) {
  std::vector<KernelSymbol> symbols;
  for (size_t i = 0; i < ways.size(); ++i) symbols.push_back({&ways[i].kernel, symbol_of(i), {}});
  CodegenOptions codegen;
  codegen.isa = machine.isa;
  codegen.opt_level = machine.code.opt_level;
  codegen.is_verified = true;
  codegen.num_threads = num_threads;
  NEURONC_ASSIGN(const std::vector<std::byte> elf, compile_kernels(symbols, codegen));
  auto image = runtime::CodeImage::load(elf);
  if (!image) return refuse(image.error().message);
  return std::move(*image);
}

}  // namespace

OrRefusal<std::vector<Rounds>> measure(std::span<const LoweredKernel> kernels,
                                       const Machine& machine, const MeasureOptions& options) {
  NEURONC_ASSIGN(const auto image, load(kernels, machine, options.num_threads));
  Constants constants;
  std::vector<Way> ways;
  for (size_t i = 0; i < kernels.size(); ++i) {
    ways.emplace_back(kernels[i], image->find(symbol_of(i)), options.weight_bytes, constants);
    if (!ways.back().run()) return refuse("a kernel does not run on made-up operands");
  }
  const double once_ns = ways[0].time_ns(1);
  const int64_t count = std::clamp<int64_t>(static_cast<int64_t>(kRoundNs / once_ns), 1, 10000);
  const int num_rounds = once_ns > kLongRunNs ? kFewRounds : options.num_rounds;
  std::vector<Rounds> rounds(ways.size());
  for (int round = 0; round < num_rounds; ++round) {
    // Each way is first, second... in turn: the one before leaves its traces in the caches.
    for (size_t i = 0; i < ways.size(); ++i) {
      const size_t way = (i + static_cast<size_t>(round)) % ways.size();
      rounds[way].push_back(ways[way].time_ns(count));
    }
  }
  return rounds;
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 != 0 ? values[half] : (values[half - 1] + values[half]) / 2;
}

static double least_of(const Rounds& rounds) {
  return *std::min_element(rounds.begin(), rounds.end());
}

size_t choose_way(std::span<const Rounds> rounds) {
  size_t best = 0;
  double least = 1 - kLeastGain;
  for (size_t way = 1; way < rounds.size(); ++way) {
    // Round by round, so that what slowed a round slowed both.
    std::vector<double> ratios;
    for (size_t i = 0; i < rounds[0].size(); ++i) ratios.push_back(rounds[way][i] / rounds[0][i]);
    const auto num_slower =
        std::count_if(ratios.begin(), ratios.end(), [](double ratio) { return !(ratio < 1); });
    const bool is_clear = num_slower <= static_cast<int64_t>(ratios.size()) / 7;
    // Twice: by what is usual, and by the rounds that nothing disturbed.
    const double ratio = std::max(median(ratios), least_of(rounds[way]) / least_of(rounds[0]));
    if (!is_clear || !(ratio < least)) continue;
    best = way;
    least = ratio;
  }
  return best;
}

}  // namespace neuronc
