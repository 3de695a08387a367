// Implements calibrate.h: memory, and threads that wait for each other as the runtime's do.
#include "runtime/tools/calibrate.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "ir/base/thread.h"
#include "ir/plan/kernel_abi.h"
#include "runtime/sync.h"
#include "runtime/tools/calibrate_rates.h"

namespace neuronc::tools {
namespace {

using runtime::Awake;
using runtime::Clock;
using runtime::Counter;
using runtime::WakeWord;

constexpr int kRounds = 12;
constexpr size_t kMebibyte = 1 << 20;

double seconds_of(const std::function<void()>& run) {
  const Clock::time_point begin = Clock::now();
  run();
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double fewest_seconds(const std::function<void()>& run) {
  double fewest = seconds_of(run);
  for (int round = 1; round < kRounds; ++round) fewest = std::min(fewest, seconds_of(run));
  return fewest;
}

// Memory that has its pages.
std::unique_ptr<uint64_t[]> filled(size_t num_bytes) {
  auto words = std::make_unique<uint64_t[]>(num_bytes / sizeof(uint64_t));
  std::memset(words.get(), 1, num_bytes);
  return words;
}

std::atomic<uint64_t> sink{0};

double on_chip_bytes_per_s() {
  constexpr size_t kBytes = 512 * 1024;
  constexpr int kPasses = 20;
  const auto words = filled(kBytes);
  return kPasses * static_cast<double>(kBytes) / fewest_seconds([&] {
           for (int i = 0; i < kPasses; ++i) sink += read_words(words.get(), kBytes / 8);
         });
}

// What one of `num_threads` threads reads of as many bytes, all of them at once.
double read_bytes_per_s(size_t bytes, uint32_t num_threads) {
  std::vector<std::unique_ptr<uint64_t[]>> memory;
  for (uint32_t i = 0; i < num_threads; ++i) memory.push_back(filled(bytes));
  const size_t passes = std::max<size_t>(1, 256 * kMebibyte / bytes);
  const auto read_all = [&] {
    std::vector<std::thread> threads;
    for (const auto& words : memory) {
      threads.emplace_back([&words, bytes, passes] {
        for (size_t i = 0; i < passes; ++i) sink += read_words(words.get(), bytes / 8);
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
  return static_cast<double>(bytes * passes) / fewest_seconds(read_all);
}

// Far more than the caches of most machines hold.
constexpr size_t kUncachedBytes = 256 * kMebibyte;

// Two threads; `other` runs beside `run`, which is timed. Those that spin on counters are to be awake;
// who waits for a word is while it spins, and would count twice.
enum class Waiting : uint8_t { for_counters, for_words };
double fewest_seconds_of_two(Waiting waiting, const std::function<void()>& run,
                             const std::function<void()>& other) {
  double fewest = 1e9;
  for (int round = 0; round < kRounds; ++round) {
    std::atomic<bool> is_there{false};
    std::optional<Awake> this_one, other_one;
    if (waiting == Waiting::for_counters) {
      this_one.emplace();
      other_one.emplace();
    }
    std::thread thread([&] {
      is_there = true;
      other();
    });
    while (!is_there) runtime::pause_cpu();
    fewest = std::min(fewest, seconds_of(run));
    thread.join();
  }
  return fewest;
}

// Half a round trip between two words, as workers signal each other.
double hand_off_ns() {
  constexpr uint32_t kTrips = 2000;
  WakeWord there, back;
  const auto wait_for = [](WakeWord& word, uint32_t count) {
    for (uint32_t seen = word.now(); seen < count; seen = word.now()) word.wait(seen);
  };
  uint32_t sent = 0, answered = 0;
  const double seconds = fewest_seconds_of_two(
      Waiting::for_words,
      [&] {
        for (uint32_t i = 0; i < kTrips; ++i) {
          there.signal();
          wait_for(back, ++sent);
        }
      },
      [&] {
        for (uint32_t i = 0; i < kTrips; ++i) {
          wait_for(there, ++answered);
          back.signal();
        }
      });
  return seconds / kTrips / 2 * 1e9;
}

// The sleeper notes when it woke; the other waits long enough for it to sleep before it signals.
double wake_ns() {
  constexpr uint32_t kTrips = 40;
  WakeWord word;
  Counter awake;
  std::atomic<int64_t> woke_ns{0};
  std::vector<double> times;
  std::thread sleeper([&] {
    for (uint32_t i = 0; i < kTrips; ++i) {
      while (word.now() == i) word.wait(i);
      woke_ns = runtime::now_ns();
      awake.advance();
    }
  });
  for (uint32_t i = 0; i < kTrips; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(300));
    const int64_t begin_ns = runtime::now_ns();
    word.signal();
    while (!runtime::spin_until(awake, i + 1)) std::this_thread::yield();
    times.push_back(static_cast<double>(woke_ns - begin_ns));
  }
  sleeper.join();
  std::nth_element(times.begin(), times.begin() + kTrips / 2, times.end());
  return times[kTrips / 2];
}

double barrier_ns() {
  constexpr uint64_t kMeetings = 5000;
  Counter arrivals;
  uint64_t met[2] = {};
  const auto meet = [&](uint64_t& mine) {
    for (uint64_t i = 0; i < kMeetings; ++i) {
      arrivals.advance();
      mine += 2;
      while (!runtime::spin_until(arrivals, mine)) std::this_thread::yield();
    }
  };
  return fewest_seconds_of_two(
             Waiting::for_counters, [&] { meet(met[0]); }, [&] { meet(met[1]); }) /
         kMeetings * 1e9;
}

// What one thread writes and another then reads.
double link_bytes_per_s() {
  constexpr size_t kBytes = 256 * 1024;
  constexpr uint64_t kTimes = 20;
  const auto words = filled(kBytes);
  Counter written, read;
  uint64_t num_written = 0, num_read = 0;
  std::atomic<int64_t> reading_ns{0};
  int64_t fewest_ns = INT64_MAX;
  for (int round = 0; round < kRounds; ++round) {
    reading_ns = 0;
    fewest_seconds_of_two(
        Waiting::for_counters,
        [&] {
          for (uint64_t i = 0; i < kTimes; ++i) {
            std::memset(words.get(), static_cast<int>(i), kBytes);
            written.advance();
            ++num_written;
            while (!runtime::spin_until(read, num_written)) std::this_thread::yield();
          }
        },
        [&] {
          for (uint64_t i = 0; i < kTimes; ++i) {
            ++num_read;
            while (!runtime::spin_until(written, num_read)) std::this_thread::yield();
            const Clock::time_point begin = Clock::now();
            sink += read_words(words.get(), kBytes / 8);
            reading_ns += (Clock::now() - begin) / std::chrono::nanoseconds(1);
            read.advance();
          }
        });
    fewest_ns = std::min(fewest_ns, reading_ns.load() / kRounds);
  }
  return static_cast<double>(kBytes) * kTimes / static_cast<double>(fewest_ns) * 1e9;
}

// What a kernel runs through before and behind its loops: half a kibibyte that computes nothing.
template <size_t kNumber>
int32_t straight_kernel(const plan::KernelBuffer* buffers, int64_t begin, int64_t end) {
  // The operand keeps two of them from being one.
  asm volatile(".rept 64\n\t.byte 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0\n\t.endr"
               :
               : "r"(buffers[0].data), "r"(buffers[1].data), "r"(begin), "r"(end), "i"(kNumber)
               : "memory");
  return plan::kKernelOk;
}

// By the time that a model comes back to a kernel, others have taken its place in the first-level
// caches and in the tables of branches: as many kernels are called in turns as these do not hold.
double launch_ns() {
  constexpr size_t kKernels = 512;
  constexpr int kTurns = 20;
  struct Launch {
    plan::KernelFunction function;
    plan::KernelBuffer buffers[4];
  };
  std::vector<Launch> launches;
  [&]<size_t... kNumbers>(std::index_sequence<kNumbers...>) {
    (launches.push_back({straight_kernel<kNumbers>, {}}), ...);
  }(std::make_index_sequence<kKernels>());
  // Not the order in which they lie, which would be foreseen.
  std::shuffle(launches.begin(), launches.end(), std::minstd_rand(1));
  const double seconds = fewest_seconds([&] {
    for (int turn = 0; turn < kTurns; ++turn) {
      for (const Launch& launch : launches) sink += launch.function(launch.buffers, 0, turn);
    }
  });
  return seconds / (kTurns * static_cast<double>(kKernels)) * 1e9;
}

// As the kernel describes it, "32768K"; the C library's figures are wrong on some processors. 0: unknown.
double cache_bytes(int level) {
  for (int index = 0; index < 8; ++index) {
    const std::string folder = fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/", index);
    std::ifstream level_file(folder + "level"), type_file(folder + "type"),
        size_file(folder + "size");
    int found = 0;
    std::string type;
    double kibibytes = 0;
    if (!(level_file >> found) || found != level) continue;
    if (!(type_file >> type) || type == "Instruction" || !(size_file >> kibibytes)) continue;
    return kibibytes * 1024;
  }
  return 0;
}

// As much as each processor reads over and over, all at once, at least half as fast as what is near it:
// its caches, and a share of those of the chip. At least the second-level cache.
double on_chip_bytes(uint32_t num_processors, double bytes_per_s) {
  constexpr size_t kMostBytes = 64 * kMebibyte;
  const double second = cache_bytes(2);
  auto bytes = static_cast<size_t>(second > 0 ? second : kMebibyte);
  while (2 * bytes <= kMostBytes && read_bytes_per_s(2 * bytes, num_processors) > bytes_per_s / 2) {
    bytes *= 2;
  }
  return static_cast<double>(bytes);
}

}  // namespace

Calibration calibrate() {
  Calibration c;
  c.num_processors = num_usable_processors();
  c.targets = measure_rates();
  c.vector_flops_per_s = measure_vector_flops_per_s();
  c.on_chip_bytes_per_s = on_chip_bytes_per_s();
  c.dram_bytes =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
  c.dram_bytes_per_s =
      c.num_processors * read_bytes_per_s(kUncachedBytes / c.num_processors, c.num_processors);
  c.dram_bytes_per_s_per_core = read_bytes_per_s(kUncachedBytes, 1);
  c.on_chip_bytes_per_core = on_chip_bytes(c.num_processors, c.on_chip_bytes_per_s);
  c.link_bytes_per_s = link_bytes_per_s();
  c.hand_off_ns = hand_off_ns();
  c.wake_ns = wake_ns();
  c.barrier_ns = barrier_ns();
  c.launch_ns = launch_ns();
  return c;
}

std::string to_hardware_model(const Calibration& c, const std::string& name) {
  const TargetRates none;
  const TargetRates& first = c.targets.empty() ? none : c.targets.front();
  std::string text = fmt::format(
      "# Measured by neuron-bench --calibrate on {} processors.\n"
      "neuronc-hardware-model = 1\n"
      "name = {}\n"
      "summary = measured on this host\n"
      "version = 1\n"
      "cores_per_chip = {}\n",
      c.num_processors, name, c.num_processors);
  const auto add = [&](std::string_view key, double value) {
    text += fmt::format("{} = {:.6g}\n", key, std::max(value, 1.0));
  };
  add("f32_flops_per_s", first.f32_flops_per_s);
  add("bf16_flops_per_s", first.bf16_flops_per_s);
  add("f16_flops_per_s", first.f32_flops_per_s);
  add("i8_flops_per_s", first.i8_flops_per_s);
  for (size_t i = 1; i < c.targets.size(); ++i) {
    const TargetRates& rates = c.targets[i];
    add(rates.target + ".f32_flops_per_s", rates.f32_flops_per_s);
    add(rates.target + ".bf16_flops_per_s", rates.bf16_flops_per_s);
    add(rates.target + ".f16_flops_per_s", rates.f32_flops_per_s);
    add(rates.target + ".i8_flops_per_s", rates.i8_flops_per_s);
  }
  add("vector_flops_per_s", c.vector_flops_per_s);
  add("on_chip_bytes_per_core", c.on_chip_bytes_per_core);
  add("on_chip_bytes_per_s", c.on_chip_bytes_per_s);
  add("dram_bytes_per_chip", c.dram_bytes);
  add("dram_bytes_per_s_per_chip", c.dram_bytes_per_s);
  add("dram_bytes_per_s_per_core", std::min(c.dram_bytes_per_s_per_core, c.dram_bytes_per_s));
  add("on_chip_is_cache", 1);
  add("link_bytes_per_s", c.link_bytes_per_s);
  add("hand_off_ns", c.hand_off_ns);
  add("barrier_ns", c.barrier_ns);
  add("launch_ns", c.launch_ns);
  add("wake_ns", std::max(c.wake_ns, c.hand_off_ns));
  return text;
}

std::string to_text(const Calibration& c) {
  std::string text = fmt::format("{:<16} {:>12} {:>12} {:>12}\n", "target", "f32 GFLOP/s",
                                 "bf16 GFLOP/s", "i8 GOP/s");
  for (const TargetRates& rates : c.targets) {
    text += fmt::format("{:<16} {:>12.1f} {:>12.1f} {:>12.1f}\n", rates.target,
                        rates.f32_flops_per_s * 1e-9, rates.bf16_flops_per_s * 1e-9,
                        rates.i8_flops_per_s * 1e-9);
  }
  text += fmt::format("elementwise {:>8.1f} GFLOP/s\n", c.vector_flops_per_s * 1e-9);
  text += fmt::format("on chip     {:>8.1f} GB/s, {:.1f} MiB a core\n",
                      c.on_chip_bytes_per_s * 1e-9, c.on_chip_bytes_per_core / kMebibyte);
  text += fmt::format("memory      {:>8.1f} GB/s, {:.1f} GiB, {:.1f} GB/s a core\n",
                      c.dram_bytes_per_s * 1e-9, c.dram_bytes / kMebibyte / 1024,
                      c.dram_bytes_per_s_per_core * 1e-9);
  text += fmt::format("core to core{:>8.1f} GB/s\n", c.link_bytes_per_s * 1e-9);
  text += fmt::format("hand-over   {:>8.0f} ns\n", c.hand_off_ns);
  text += fmt::format("wake-up     {:>8.0f} ns\n", c.wake_ns);
  text += fmt::format("barrier     {:>8.0f} ns\n", c.barrier_ns);
  text += fmt::format("launch      {:>8.0f} ns\n", c.launch_ns);
  return text;
}

}  // namespace neuronc::tools
