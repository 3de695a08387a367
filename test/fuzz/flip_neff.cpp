// Flips every byte of a NEFF, one at a time: as it lies, which the hashes must notice, and with hashes
// made right again, where nothing may crash.
//
//   flip_neff STEP FILE...      STEP: every STEP-th byte, 1 for all
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "test/fuzz/neff_input.h"

namespace {

using namespace neuronc;

std::vector<std::byte> read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// False, and said, if a flipped byte was not noticed.
bool flip_all(const char* path, size_t step) {
  const std::vector<std::byte> good = read(path);
  if (!fuzz::read_all(good)) {
    std::fprintf(stderr, "%s cannot be read\n", path);
    return false;
  }
  size_t num_flipped = 0;
  size_t num_read = 0;
  std::vector<std::byte> bad = good;
  for (size_t i = 0; i < good.size(); i += step) {
    bad[i] ^= std::byte{0xff};
    if (runtime::NeffImage::copy(bad, runtime::Verify::all)) {
      std::fprintf(stderr, "%s: byte %zu was flipped, and nobody noticed\n", path, i);
      return false;
    }
    std::vector<std::byte> resealed = bad;
    fuzz::reseal(resealed);
    num_read += fuzz::read_all(resealed) ? 1 : 0;
    bad[i] = good[i];
    ++num_flipped;
  }
  std::printf("%s: %zu of %zu bytes flipped, all refused; with right hashes %zu were read\n", path,
              num_flipped, good.size(), num_read);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: flip_neff STEP FILE...\n");
    return 2;
  }
  const size_t step = std::max<size_t>(std::strtoull(argv[1], nullptr, 10), 1);
  bool is_good = true;
  for (int i = 2; i < argc; ++i) is_good = flip_all(argv[i], step) && is_good;
  return is_good ? 0 : 1;
}
