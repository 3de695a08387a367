// Runs a fuzzer's entry point without libFuzzer: over each file of the folders that are given, then
// over mutations of them. Takes libFuzzer's options -runs=N and -max_total_time=S; the mutations
// follow from a fixed seed, so a failure repeats. FUZZ_KEEP=FILE keeps the input that is running
// there, for what ends the process.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;
using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

constexpr size_t kLargestInput = 1 << 16;

Bytes read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void run(const Bytes& input) { LLVMFuzzerTestOneInput(input.data(), input.size()); }

class Mutator {
 public:
  explicit Mutator(const std::vector<Bytes>& seeds) : seeds_(seeds) {}

  Bytes make() {
    Bytes input = seeds_[below(seeds_.size())];
    for (size_t rounds = 1 + below(4); rounds > 0; --rounds) change(input);
    if (input.size() > kLargestInput) input.resize(kLargestInput);
    return input;
  }

 private:
  size_t below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void change(Bytes& input) {
    const size_t at = below(input.size());
    const auto begin = input.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(7)) {
      case 0:
        if (!input.empty()) input[at] ^= static_cast<uint8_t>(1u << below(8));
        return;
      case 1:
        if (!input.empty()) input[at] = kInteresting[below(std::size(kInteresting))];
        return;
      case 2:
        input.resize(at);
        return;
      case 3:
        input.insert(begin, 1 + below(8), static_cast<uint8_t>(random_()));
        return;
      case 4:
        input.erase(begin, begin + static_cast<std::ptrdiff_t>(below(input.size() - at + 1)));
        return;
      case 5: {  // a number of eight bytes
        for (size_t i = 0; i < 8 && at + i < input.size(); ++i) input[at + i] = 0xff;
        return;
      }
      default: {  // a part of another seed
        const Bytes& other = seeds_[below(seeds_.size())];
        const size_t from = below(other.size());
        const size_t count = std::min<size_t>(below(64), other.size() - from);
        const auto first = other.begin() + static_cast<std::ptrdiff_t>(from);
        input.insert(begin, first, first + static_cast<std::ptrdiff_t>(count));
      }
    }
  }

  static constexpr uint8_t kInteresting[] = {0, 1, 9, 10, 32, 34, 45, 48, 57, 127, 128, 255};

  const std::vector<Bytes>& seeds_;
  std::mt19937_64 random_{1};
};

}  // namespace

int main(int argc, char** argv) {
  uint64_t runs = 0;
  double seconds = 60;
  std::vector<Bytes> seeds;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg.starts_with("-runs=")) runs = std::strtoull(argv[i] + 6, nullptr, 10);
    if (arg.starts_with("-max_total_time=")) seconds = std::strtod(argv[i] + 16, nullptr);
    if (arg.starts_with("-") || !fs::exists(arg)) continue;
    if (fs::is_regular_file(arg)) seeds.push_back(read(arg));
    if (!fs::is_directory(arg)) continue;
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(arg)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) seeds.push_back(read(file));
  }
  if (seeds.empty()) {
    std::fprintf(stderr, "no seeds\n");
    return 1;
  }
  for (const Bytes& seed : seeds) run(seed);
  const char* kept = std::getenv("FUZZ_KEEP");
  Mutator mutator(seeds);
  const Clock::time_point end = Clock::now() + std::chrono::milliseconds(int64_t(seconds * 1000));
  uint64_t done = 0;
  for (; done < runs && Clock::now() < end; ++done) {
    const Bytes input = mutator.make();
    if (kept != nullptr) {
      std::ofstream(kept, std::ios::binary)
          .write(reinterpret_cast<const char*>(input.data()),
                 static_cast<std::streamsize>(input.size()));
    }
    run(input);
  }
  std::printf("%zu seeds and %llu mutations passed\n", seeds.size(),
              static_cast<unsigned long long>(done));
  return 0;
}
